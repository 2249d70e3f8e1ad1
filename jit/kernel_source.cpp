// Reads kernel sources from a folder and edits copies of them.
#include "jit/kernel_source.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace attest {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw std::invalid_argument(path.string() + ": cannot be read");
  return text;
}

}  // namespace

KernelSource::KernelSource(std::vector<KernelFile> files, std::string origin) : origin_(std::move(origin)) {
  std::sort(files.begin(), files.end(),
            [](const KernelFile& a, const KernelFile& b) { return a.name < b.name; });
  files_ = std::make_shared<const std::vector<KernelFile>>(std::move(files));
}

KernelSource KernelSource::embedded() { return KernelSource(embedded_kernel_files(), "embedded"); }

KernelSource KernelSource::from_files(std::vector<KernelFile> files, std::string origin) {
  std::string missing;
  for (const KernelFile& wanted : embedded_kernel_files()) {
    const bool found = std::any_of(files.begin(), files.end(),
                                   [&](const KernelFile& file) { return file.name == wanted.name; });
    if (!found) missing += (missing.empty() ? "" : ", ") + wanted.name;
  }
  if (!missing.empty()) {
    throw std::invalid_argument("kernel sources '" + origin + "': missing " + missing +
                                "; start from a copy of the whole folder jit/kernels");
  }
  return KernelSource(std::move(files), std::move(origin));
}

KernelSource KernelSource::from_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) {
    throw std::invalid_argument("kernel sources '" + folder.string() + "': " + error.message());
  }
  std::vector<KernelFile> files;
  for (const auto& entry : entries) {
    if (entry.path().extension() == ".cuh") {
      files.push_back({entry.path().filename().string(), read_file(entry.path())});
    }
  }
  return from_files(std::move(files), folder.string());
}

const std::string& KernelSource::text(std::string_view name) const {
  for (const KernelFile& file : *files_) {
    if (file.name == name) return file.text;
  }
  throw std::invalid_argument("kernel sources '" + origin_ + "': no file " + std::string(name));
}

KernelSource KernelSource::with_edit(std::string_view name, std::string_view old_text,
                                     std::string_view new_text) const {
  const std::string& before = text(name);
  const std::size_t at = before.find(old_text);
  if (old_text.empty() || at == std::string::npos || before.find(old_text, at + 1) != std::string::npos) {
    throw std::invalid_argument("kernel file " + std::string(name) + ": the text '" + std::string(old_text) +
                                "' must occur exactly once");
  }
  std::vector<KernelFile> files = *files_;
  for (KernelFile& file : files) {
    if (file.name == name) file.text.replace(at, old_text.size(), new_text);
  }
  return KernelSource(std::move(files), origin_ + " with an edit of " + std::string(name));
}

}  // namespace attest
