// mkstemp, write, fsync, rename.
#include "cli/report_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace attest::cli {

ReportFile::ReportFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code ignored;
  if (std::filesystem::exists(path_, ignored) && !std::filesystem::is_regular_file(path_, ignored)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    staging_ = path_.string() + ".XXXXXX";
    descriptor_ = ::mkostemp(staging_.data(), O_CLOEXEC);
  }
  if (descriptor_ < 0) {
    staging_.clear();
    throw std::invalid_argument("report " + path_.string() + ": cannot open it: " + std::strerror(errno));
  }
}

ReportFile::~ReportFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!staging_.empty()) ::unlink(staging_.c_str());
}

void ReportFile::publish(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (staging_.empty()) return;
  const mode_t mask =
      ::umask(0);  // mkostemp made it private; a report is for everybody whom the umask allows
  ::umask(mask);
  if (::fchmod(descriptor_, 0666 & ~mask) != 0 || ::fsync(descriptor_) != 0) fail("write");
  if (::rename(staging_.c_str(), path_.c_str()) != 0) fail("rename a finished report to");
  staging_.clear();
}

void ReportFile::fail(std::string_view attempt) const {
  throw ReportError("report " + path_.string() + ": cannot " + std::string(attempt) +
                    " it: " + std::strerror(errno));
}

}  // namespace attest::cli
