// Runs compiled kernels on the first GPU, through the driver's interface and the primary context.
#pragma once

#include <map>
#include <string>

#include "jit/cuda_driver.h"
#include "jit/executor.h"

namespace attest {

// After a kernel has failed (an address that is not mapped, a trap) the driver refuses every further call of
// this process; the error of the first call that notices names the failed launch.
class CudaExecutor : public Executor {
 public:
  // Bytes before and behind every buffer that must keep their pattern.
  static constexpr std::uint64_t kGuardBytes = 4096;

  // Throws NotAvailable without a driver or GPU.
  CudaExecutor();
  ~CudaExecutor() override;
  CudaExecutor(const CudaExecutor&) = delete;
  CudaExecutor& operator=(const CudaExecutor&) = delete;

  const DeviceInfo& device() const override { return device_; }
  Buffer allocate(std::string_view name, std::uint64_t bytes, BufferAccess access) override;
  void free(const Buffer& buffer) override;
  void upload(const Buffer& buffer, std::span<const std::byte> bytes) override;
  void download(const Buffer& buffer, std::span<std::byte> bytes) override;
  void launch(const CompiledKernel& kernel, const LaunchShape& shape,
              std::span<const std::byte> parameters) override;
  std::array<std::byte, vm::kTensorMapBytes> encode(const vm::TensorMap& map) override;
  void unload(const CompiledKernel& kernel) override;
  void finish() override;
  double elapsed_seconds(const std::function<void()>& work, bool cold) override;

 private:
  struct LoadedKernel {
    CuModule module = nullptr;
    CuFunction function = nullptr;
    std::uint32_t dynamic_shared_bytes = 0;  // allowed so far
  };

  void use_context() const;
  LoadedKernel& load(const CompiledKernel& kernel);
  void flush_l2();
  void check_guards() const;
  // Adds the last launch's name, as errors arrive late.
  void check_late(CuResult result, const char* attempted) const;

  const CudaDriver& driver_;
  CuDevice cuda_device_ = 0;
  CuContext context_ = nullptr;
  DeviceInfo device_;
  std::map<std::uint64_t, std::pair<std::string, std::uint64_t>> buffers_;  // address: name, bytes
  std::map<std::string, LoadedKernel> kernels_;                             // by CompiledKernel::key
  std::string last_launch_;
  CuDevicePointer flush_ = 0;  // twice the L2 cache
};

}  // namespace attest
