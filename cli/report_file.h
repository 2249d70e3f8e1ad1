// A report written for machines (--json, --junit): checked before the work, published whole or not at all
// after it.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace attest::cli {

// The report cannot be kept (full disk). Text: the path, what was attempted, the system's reason.
struct ReportError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Opening makes a temporary file beside `path`, so that an unwritable path is found before the work is done;
// publish() fills it and renames it over `path`. A path that names something other than a regular file (a
// pipe, /dev/stdout) is written directly.
class ReportFile {
 public:
  // Throws std::invalid_argument when the path cannot be written.
  explicit ReportFile(std::filesystem::path path);
  ~ReportFile();
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;

  // Throws ReportError.
  void publish(std::string_view text);

 private:
  [[noreturn]] void fail(std::string_view attempt) const;

  std::filesystem::path path_;
  std::string staging_;  // empty when written directly
  int descriptor_ = -1;
};

}  // namespace attest::cli
