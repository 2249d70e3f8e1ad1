// ifstream with errors in sentences.
#include "cli/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace attest::cli {

std::string read_file(const std::filesystem::path& path) {
  errno = 0;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw std::invalid_argument(path.string() + ": is a folder, expected a file");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file)
    throw std::invalid_argument(path.string() + ": cannot read it: " + std::strerror(errno ? errno : EIO));
  return text;
}

}  // namespace attest::cli
