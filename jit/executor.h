// A device that runs compiled kernels: the PTX virtual machine or a GPU, behind the same calls.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "jit/compile.h"
#include "jit/vm/tensor_map.h"

namespace attest {

enum class BufferAccess { read, write, read_write };  // what kernels may do; hosts may always do both

// Device memory, with guard zones around it.
struct Buffer {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};

struct LaunchShape {
  std::array<std::uint32_t, 3> grid = {1, 1, 1};
  std::array<std::uint32_t, 3> block = {1, 1, 1};
  std::array<std::uint32_t, 3> cluster = {1, 1, 1};
  std::uint32_t dynamic_shared_bytes = 0;
};

struct DeviceInfo {
  std::string kind;          // "vm" or "cuda"
  std::string name;          // "PTX virtual machine", "NVIDIA H100 80GB HBM3"
  std::string architecture;  // to compile for: "compute_90" (PTX)
  int processors = 1;        // streaming multiprocessors
  // GPUs only, else 0:
  std::string driver;          // "13.0": the CUDA version that the driver supports
  int compute_capability = 0;  // 90
  int clock_kilohertz = 0;     // highest
  int memory_clock_kilohertz = 0;
  int memory_bus_bits = 0;
  std::uint64_t l2_bytes = 0;
  std::uint64_t memory_bytes = 0;
};

// Bytes that kernels loaded from a buffer since it was allocated.
struct LoadedBytes {
  std::uint64_t total = 0;
  std::uint64_t distinct = 0;  // each byte once
};

// One thread at a time. Buffers that are left when the executor dies are freed.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual const DeviceInfo& device() const = 0;

  // Content: nothing that may be read. The virtual machine traps when a kernel reads a byte that nobody
  // wrote; a GPU's buffer starts as all ones (NaN in every float format).
  virtual Buffer allocate(std::string_view name, std::uint64_t bytes, BufferAccess access) = 0;
  virtual void free(const Buffer& buffer) = 0;
  // bytes: at most the buffer's, from its start.
  virtual void upload(const Buffer& buffer, std::span<const std::byte> bytes) = 0;
  virtual void download(const Buffer& buffer, std::span<std::byte> bytes) = 0;

  // parameters: the kernel's parameter block. The virtual machine throws vm::Trap for what the kernel does
  // wrong and vm::ParseError for what it cannot check; a GPU's errors may arrive later, as DeviceError, from
  // any call.
  virtual void launch(const CompiledKernel& kernel, const LaunchShape& shape,
                      std::span<const std::byte> parameters) = 0;
  // What a kernel takes as a tensor map (CUtensorMap). Throws std::invalid_argument for a map with problems.
  virtual std::array<std::byte, vm::kTensorMapBytes> encode(const vm::TensorMap& map) = 0;
  // Forgets a kernel that was launched: it takes memory.
  virtual void unload(const CompiledKernel& kernel) = 0;
  // Waits for all launches. Throws DeviceError when a kernel failed or wrote into a guard zone (the virtual
  // machine has trapped before).
  virtual void finish() = 0;
  // Seconds that the launches made by `work` take on the device; cold: with nothing of use in the GPU's L2
  // cache.
  virtual double elapsed_seconds(const std::function<void()>& work, bool cold) = 0;

  // Whether loaded_bytes() counts: the virtual machine when it was asked to.
  virtual bool counts() const { return false; }
  virtual LoadedBytes loaded_bytes(const Buffer& buffer) const;
};

// "vm", "cuda", or "auto": a GPU when there is one. Throws NotAvailable for "cuda" without a driver or GPU,
// std::invalid_argument for another word.
std::unique_ptr<Executor> make_executor(std::string_view device);

// Owns a buffer.
class DeviceBuffer {
 public:
  DeviceBuffer(Executor& executor, std::string_view name, std::uint64_t bytes, BufferAccess access)
      : executor_(&executor), buffer_(executor.allocate(name, bytes, access)) {}
  DeviceBuffer(Executor& executor, std::string_view name, std::span<const std::byte> content,
               BufferAccess access)
      : DeviceBuffer(executor, name, content.size(), access) {
    executor.upload(buffer_, content);
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : executor_(std::exchange(other.executor_, nullptr)), buffer_(other.buffer_) {}
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;
  ~DeviceBuffer();

  const Buffer& get() const { return buffer_; }
  // The address as kernels' argument structs hold it.
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(buffer_.address);
  }

 private:
  Executor* executor_;
  Buffer buffer_;
};

}  // namespace attest
