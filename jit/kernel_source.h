// The text of the device code: embedded in the program, or read from a folder with the same file names.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace attest {

struct KernelFile {
  std::string name;  // "decode_grouped.cuh": what #include says
  std::string text;
};

// All files of jit/kernels as they were at build; generated.
const std::vector<KernelFile>& embedded_kernel_files();

// Cheap to copy.
class KernelSource {
 public:
  static KernelSource embedded();
  // `folder` must hold every file that is embedded; further ones named *.cuh are taken along. Throws
  // std::invalid_argument naming what is missing or unreadable.
  static KernelSource from_folder(const std::filesystem::path& folder);
  // The given files, for tests and mutants. Throws std::invalid_argument when one that is embedded is
  // missing.
  static KernelSource from_files(std::vector<KernelFile> files, std::string origin);

  const std::vector<KernelFile>& files() const { return *files_; }
  const std::string& origin() const { return origin_; }  // "embedded", or the folder
  // Throws std::invalid_argument when there is no such file.
  const std::string& text(std::string_view name) const;
  // A copy in which the one occurrence of `old_text` in file `name` is replaced. Throws std::invalid_argument
  // when it occurs never or more than once.
  KernelSource with_edit(std::string_view name, std::string_view old_text, std::string_view new_text) const;

 private:
  KernelSource(std::vector<KernelFile> files, std::string origin);
  std::shared_ptr<const std::vector<KernelFile>> files_;
  std::string origin_;
};

}  // namespace attest
