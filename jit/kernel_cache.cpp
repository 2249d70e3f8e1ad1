// The memory level of the kernel cache, and how a miss goes on to the folder and the compiler.
#include "jit/kernel_cache.h"

#include <cstdlib>

#include "jit/errors.h"
#include "jit/kernel_file.h"

namespace attest {

KernelCache::KernelCache(std::filesystem::path folder, std::shared_ptr<const Nvrtc> nvrtc)
    : folder_(std::move(folder)), nvrtc_(std::move(nvrtc)) {}

std::filesystem::path KernelCache::default_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::filesystem::path(value ? value : "");
  };
  if (const auto chosen = variable("ATTEST_CACHE"); !chosen.empty()) return chosen;
  if (const auto xdg = variable("XDG_CACHE_HOME"); !xdg.empty()) return xdg / "attest";
  if (const auto home = variable("HOME"); !home.empty()) return home / ".cache" / "attest";
  return {};
}

const Nvrtc& KernelCache::nvrtc() {
  const std::lock_guard lock(mutex_);
  if (!nvrtc_) nvrtc_ = Nvrtc::open();
  return *nvrtc_;
}

KernelCache::Counts KernelCache::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::string KernelCache::notice() const {
  const std::lock_guard lock(mutex_);
  return notice_;
}

const CompiledKernel& KernelCache::get(const KernelSpec& spec) {
  const std::string key = spec.key(nvrtc().version());
  std::promise<CompiledKernel> promise;
  std::shared_future<CompiledKernel> kernel;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = kernels_.find(key);
    if (found != kernels_.end()) {
      kernel = found->second;
      ++counts_.from_memory;
    } else {
      first = true;
      kernel = promise.get_future().share();
      kernels_.emplace(key, kernel);
    }
  }
  if (first) {
    try {
      promise.set_value(load_or_compile(spec, key));
    } catch (const std::exception&) {
      promise.set_exception(std::current_exception());  // for threads that wait for this kernel
      const std::lock_guard lock(mutex_);
      kernels_.erase(key);  // whoever asks again tries again
    }
  }
  return kernel
      .get();  // the map's shared state outlives this handle, as entries that hold a kernel are never erased
}

CompiledKernel KernelCache::load_or_compile(const KernelSpec& spec, const std::string& key) {
  if (!folder_.empty()) {
    const std::optional<std::string> bytes = read_kernel_file(kernel_file(folder_, spec.name, key));
    std::optional<CompiledKernel> kernel = bytes ? from_file_bytes(*bytes, key) : std::nullopt;
    const std::lock_guard lock(mutex_);
    if (kernel) {
      ++counts_.from_folder;
      return *std::move(kernel);
    }
    if (bytes) ++counts_.damaged;
  }
  CompiledKernel kernel = compile(spec, nvrtc());
  const std::string refused = folder_.empty() ? "" : publish_kernel_file(folder_, kernel);
  const std::lock_guard lock(mutex_);
  ++counts_.compiled;
  if (!refused.empty()) notice_ = refused;
  return kernel;
}

}  // namespace attest
