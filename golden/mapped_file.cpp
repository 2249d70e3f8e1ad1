// Opens, maps and unmaps with the POSIX calls; errors carry the system's own words.
#include "golden/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace attest::golden {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  std::shared_ptr<MappedFile> file(new MappedFile(path));
  const Descriptor descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.value < 0) file->fail(std::string("cannot be opened: ") + std::strerror(errno));
  struct stat status = {};
  if (::fstat(descriptor.value, &status) != 0) {
    file->fail(std::string("cannot be examined: ") + std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) file->fail("is not a regular file");
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return file;  // mmap refuses empty files; an empty span says the same
  void* start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.value, 0);
  if (start == MAP_FAILED) {
    file->fail("cannot map " + std::to_string(size) + " bytes: " + std::strerror(errno));
  }
  file->bytes_ = {static_cast<const std::byte*>(start), size};
  file->mapped_ = true;
  return file;
}

std::shared_ptr<const MappedFile> MappedFile::in_memory(std::string path, std::vector<std::byte> bytes) {
  std::shared_ptr<MappedFile> file(new MappedFile(std::move(path)));
  file->owned_ = std::move(bytes);
  file->bytes_ = file->owned_;
  return file;
}

MappedFile::~MappedFile() {
  if (mapped_) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::drop_pages(std::span<const std::byte> part) const {
  if (!mapped_ || part.empty()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace attest::golden
