// Compiled kernels by content: from memory, else from a folder, else compiled and published there.
#pragma once

#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "jit/compile.h"

namespace attest {

// Thread-safe. A folder may be shared by any number of processes: files appear whole (unique temporary file,
// fsync, rename) and are believed only when their checksum and key are right; a damaged one is compiled again
// and replaced. A folder that may not be written (permissions, read-only file system) is read only and
// notice() says so; a write that fails half-way (full disk, file size limit) is removed and throws
// CacheError.
class KernelCache {
 public:
  // folder: created when missing; empty: memory only. nvrtc: opened with Nvrtc::open() at the first need when
  // null.
  explicit KernelCache(std::filesystem::path folder, std::shared_ptr<const Nvrtc> nvrtc = nullptr);

  // $ATTEST_CACHE, else $XDG_CACHE_HOME/attest, else ~/.cache/attest, else empty.
  static std::filesystem::path default_folder();

  // Throws CompileError, NotAvailable (no NVRTC) or CacheError. The reference lives as long as the cache.
  const CompiledKernel& get(const KernelSpec& spec);

  struct Counts {
    long from_memory = 0, from_folder = 0, compiled = 0, damaged = 0;  // damaged ones were compiled again
  };
  Counts counts() const;
  // Empty, or one sentence why compiled kernels are not kept in the folder.
  std::string notice() const;
  const std::filesystem::path& folder() const { return folder_; }
  const Nvrtc& nvrtc();

 private:
  CompiledKernel load_or_compile(const KernelSpec& spec, const std::string& key);

  std::filesystem::path folder_;
  std::shared_ptr<const Nvrtc> nvrtc_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_future<CompiledKernel>> kernels_;  // by key; also those being compiled
  Counts counts_;
  std::string notice_;
};

}  // namespace attest
