// Reads, checks and atomically publishes the files of the kernel cache.
#include "jit/kernel_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "jit/errors.h"
#include "jit/hash.h"

namespace attest {
namespace {

constexpr std::string_view kMagic = "attest-kernel-1";
constexpr std::size_t kChecksumBytes = 33;  // 32 digits and a newline

// The next line of `text`, without its end; moves `text` behind it. Nothing when there is none.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

// The value of the line "<field> <value>".
std::optional<std::string> take_field(std::string_view& text, std::string_view field) {
  const auto line = take_line(text);
  if (!line || !line->starts_with(field) || line->size() <= field.size() || (*line)[field.size()] != ' ') {
    return std::nullopt;
  }
  return std::string(line->substr(field.size() + 1));
}

// A part whose size stands in `size`.
std::optional<std::string> take_part(std::string_view& text, const std::optional<std::string>& size) {
  std::size_t bytes = 0;
  if (!size) return std::nullopt;
  const auto [end, error] = std::from_chars(size->data(), size->data() + size->size(), bytes);
  if (error != std::errc() || end != size->data() + size->size() || bytes > text.size()) return std::nullopt;
  std::string part(text.substr(0, bytes));
  text.remove_prefix(bytes);
  return part;
}

// True for reasons that make a folder one that is only read.
bool may_not_write(int error) { return error == EACCES || error == EPERM || error == EROFS; }

// An open temporary file that is removed unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& folder) : path_((folder / ".new-XXXXXX").string()) {
    descriptor_ = mkostemp(path_.data(), O_CLOEXEC);
  }
  ~TemporaryFile() {
    close_now();
    if (!path_.empty()) unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  bool open() const { return descriptor_ >= 0; }
  // Each returns 0 or an errno.
  int write_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return errno;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return fchmod(descriptor_, 0644) == 0 && fsync(descriptor_) == 0 ? 0 : errno;
  }
  int rename_to(const std::filesystem::path& target) {
    if (const int error = close_now()) return error;
    if (std::rename(path_.c_str(), target.c_str()) != 0) return errno;
    path_.clear();
    return 0;
  }

 private:
  int close_now() {
    if (descriptor_ < 0) return 0;
    const int result = ::close(descriptor_) == 0 ? 0 : errno;
    descriptor_ = -1;
    return result;
  }

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace

std::filesystem::path kernel_file(const std::filesystem::path& folder, const std::string& name,
                                  const std::string& key) {
  return folder / (name + "-" + key + ".kernel");
}

std::string to_file_bytes(const CompiledKernel& kernel) {
  std::string bytes = std::string(kMagic) + "\nname " + kernel.name + "\nkey " + kernel.key + "\nentry " +
                      kernel.entry + "\nptx " + std::to_string(kernel.ptx.size()) + "\ncubin " +
                      std::to_string(kernel.cubin.size()) + "\nlog " + std::to_string(kernel.log.size()) +
                      "\n" + kernel.ptx + kernel.cubin + kernel.log;
  return bytes + hash_texts({bytes}) + "\n";
}

std::optional<CompiledKernel> from_file_bytes(const std::string& bytes, const std::string& key) {
  if (bytes.size() < kChecksumBytes) return std::nullopt;
  std::string_view text = bytes;
  const std::string_view checksum = text.substr(text.size() - kChecksumBytes);
  text.remove_suffix(kChecksumBytes);
  if (checksum != hash_texts({text}) + "\n") return std::nullopt;
  if (take_line(text) != kMagic) return std::nullopt;
  const auto name = take_field(text, "name");
  const auto file_key = take_field(text, "key");
  const auto entry = take_field(text, "entry");
  const auto ptx_size = take_field(text, "ptx"), cubin_size = take_field(text, "cubin"),
             log_size = take_field(text, "log");
  auto ptx = take_part(text, ptx_size), cubin = take_part(text, cubin_size), log = take_part(text, log_size);
  if (!name || file_key != key || !entry || !ptx || !cubin || !log || !text.empty()) return std::nullopt;
  return CompiledKernel{*name, key, *entry, *std::move(ptx), *std::move(cubin), *std::move(log)};
}

std::optional<std::string> read_kernel_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return std::nullopt;
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  return stream.bad() ? std::nullopt : std::optional(std::move(bytes));
}

std::string publish_kernel_file(const std::filesystem::path& folder, const CompiledKernel& kernel) {
  const auto sentence = [&](const char* what, int error) {
    return "kernel cache folder '" + folder.string() + "': " + what + ": " + std::strerror(error);
  };
  std::error_code created;
  std::filesystem::create_directories(folder, created);
  if (created) {
    if (may_not_write(created.value())) return sentence("compiled kernels are not kept", created.value());
    throw CacheError(sentence("cannot be created", created.value()));
  }
  TemporaryFile file(folder);
  if (!file.open()) {
    const int error = errno;
    if (may_not_write(error)) return sentence("compiled kernels are not kept", error);
    throw CacheError(sentence("a file cannot be created", error));
  }
  if (const int error = file.write_all(to_file_bytes(kernel))) {
    throw CacheError(sentence("a compiled kernel cannot be written", error) +
                     "; make room or set ATTEST_CACHE to another folder");
  }
  if (const int error = file.rename_to(kernel_file(folder, kernel.name, kernel.key))) {
    throw CacheError(sentence("a compiled kernel cannot be put in place", error));
  }
  return "";
}

}  // namespace attest
