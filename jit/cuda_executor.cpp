// The executor over CUDA's driver interface.
#include "jit/cuda_executor.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "jit/errors.h"

namespace attest {
namespace {

constexpr unsigned char kGuardPattern = 0xa5;
constexpr unsigned char kUnwritten = 0xff;  // NaN in every float format

// [start, end) of the guard zones around a buffer; the second reaches a multiple of the alignment.
std::uint64_t padded(std::uint64_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

CudaExecutor::CudaExecutor() : driver_(cuda_driver()) {
  check(driver_.cuDeviceGet(&cuda_device_, 0), "cuDeviceGet");
  const auto attribute = [&](CuDeviceAttribute which) {
    int value = 0;
    check(driver_.cuDeviceGetAttribute(&value, which, cuda_device_), "cuDeviceGetAttribute");
    return value;
  };
  char name[256] = {};
  check(driver_.cuDeviceGetName(name, sizeof name, cuda_device_), "cuDeviceGetName");
  int version = 0;
  check(driver_.cuDriverGetVersion(&version), "cuDriverGetVersion");
  std::size_t memory = 0;
  check(driver_.cuDeviceTotalMem_v2(&memory, cuda_device_), "cuDeviceTotalMem");
  device_.kind = "cuda";
  device_.name = name;
  device_.processors = attribute(kCuMultiprocessorCount);
  device_.driver = std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  device_.compute_capability =
      10 * attribute(kCuComputeCapabilityMajor) + attribute(kCuComputeCapabilityMinor);
  device_.clock_kilohertz = attribute(kCuClockRate);
  device_.memory_clock_kilohertz = attribute(kCuMemoryClockRate);
  device_.memory_bus_bits = attribute(kCuMemoryBusWidth);
  device_.l2_bytes = static_cast<std::uint64_t>(attribute(kCuL2CacheSize));
  device_.memory_bytes = memory;
  // The same PTX that the virtual machine runs, unless the GPU is older.
  device_.architecture = "compute_" + std::to_string(std::min(device_.compute_capability, 90));
  check(driver_.cuDevicePrimaryCtxRetain(&context_, cuda_device_), "cuDevicePrimaryCtxRetain");
}

CudaExecutor::~CudaExecutor() {
  // Errors are of no more use here: the context may be broken by a kernel that failed.
  driver_.cuCtxSetCurrent(context_);
  for (const auto& [address, buffer] : buffers_) driver_.cuMemFree_v2(address - kGuardBytes);
  if (flush_) driver_.cuMemFree_v2(flush_);
  for (const auto& [key, kernel] : kernels_) driver_.cuModuleUnload(kernel.module);
  driver_.cuDevicePrimaryCtxRelease_v2(cuda_device_);
}

void CudaExecutor::use_context() const { check(driver_.cuCtxSetCurrent(context_), "cuCtxSetCurrent"); }

void CudaExecutor::check_late(CuResult result, const char* attempted) const {
  try {
    check(result, attempted);
  } catch (const DeviceError& error) {
    throw DeviceError(std::string(error.what()) +
                      " (last launch: " + (last_launch_.empty() ? "none" : last_launch_) + ")");
  }
}

Buffer CudaExecutor::allocate(std::string_view name, std::uint64_t bytes, BufferAccess) {
  use_context();
  CuDevicePointer base = 0;
  const std::uint64_t all = kGuardBytes + padded(bytes) + kGuardBytes;
  const std::string attempted =
      "allocate " + std::to_string(bytes) + " bytes for '" + std::string(name) + "'";
  check_late(driver_.cuMemAlloc_v2(&base, all), attempted.c_str());
  check_late(driver_.cuMemsetD8_v2(base, kGuardPattern, all), "fill a guard zone");
  if (bytes > 0) check_late(driver_.cuMemsetD8_v2(base + kGuardBytes, kUnwritten, bytes), "fill a buffer");
  const Buffer buffer{base + kGuardBytes, bytes};
  buffers_[buffer.address] = {std::string(name), bytes};
  return buffer;
}

void CudaExecutor::free(const Buffer& buffer) {
  if (buffers_.erase(buffer.address) == 0)
    throw std::invalid_argument("free of a buffer that was not allocated");
  use_context();
  check_late(driver_.cuMemFree_v2(buffer.address - kGuardBytes), "cuMemFree");
}

void CudaExecutor::upload(const Buffer& buffer, std::span<const std::byte> bytes) {
  if (bytes.size() > buffer.bytes) throw std::invalid_argument("upload of more bytes than the buffer has");
  if (bytes.empty()) return;
  use_context();
  check_late(driver_.cuMemcpyHtoD_v2(buffer.address, bytes.data(), bytes.size()), "copy to the device");
}

void CudaExecutor::download(const Buffer& buffer, std::span<std::byte> bytes) {
  if (bytes.size() > buffer.bytes) throw std::invalid_argument("download of more bytes than the buffer has");
  if (bytes.empty()) return;
  use_context();
  check_late(driver_.cuMemcpyDtoH_v2(bytes.data(), buffer.address, bytes.size()), "copy from the device");
}

CudaExecutor::LoadedKernel& CudaExecutor::load(const CompiledKernel& kernel) {
  const auto found = kernels_.find(kernel.key);
  if (found != kernels_.end()) return found->second;
  std::vector<char> info(8192), error(8192);
  CuJitOption options[] = {kCuJitInfoLogBuffer, kCuJitInfoLogBufferSizeBytes, kCuJitErrorLogBuffer,
                           kCuJitErrorLogBufferSizeBytes};
  void* values[] = {info.data(), reinterpret_cast<void*>(info.size()), error.data(),
                    reinterpret_cast<void*>(error.size())};
  const std::string& image = kernel.cubin.empty() ? kernel.ptx : kernel.cubin;
  LoadedKernel loaded;
  const CuResult result = driver_.cuModuleLoadDataEx(&loaded.module, image.c_str(), 4, options, values);
  if (result != 0) {
    error.back() = '\0';
    const std::string attempted = "load kernel " + kernel.name + " (driver log: " + error.data() + ")";
    check_late(result, attempted.c_str());
  }
  const std::string attempted = "find kernel " + kernel.entry;
  check_late(driver_.cuModuleGetFunction(&loaded.function, loaded.module, kernel.entry.c_str()),
             attempted.c_str());
  return kernels_[kernel.key] = loaded;
}

void CudaExecutor::launch(const CompiledKernel& kernel, const LaunchShape& shape,
                          std::span<const std::byte> parameters) {
  use_context();
  LoadedKernel& loaded = load(kernel);
  const std::string attempted = "launch " + kernel.name;
  if (shape.dynamic_shared_bytes > loaded.dynamic_shared_bytes) {
    check_late(driver_.cuFuncSetAttribute(loaded.function, kCuFunctionMaxDynamicSharedBytes,
                                          static_cast<int>(shape.dynamic_shared_bytes)),
               attempted.c_str());
    loaded.dynamic_shared_bytes = shape.dynamic_shared_bytes;
  }
  CuLaunchConfig config{};
  std::copy(shape.grid.begin(), shape.grid.end(), config.grid);
  std::copy(shape.block.begin(), shape.block.end(), config.block);
  config.dynamic_shared_bytes = shape.dynamic_shared_bytes;
  CuLaunchAttribute cluster{};
  cluster.id = kCuLaunchClusterDimension;
  std::copy(shape.cluster.begin(), shape.cluster.end(), cluster.cluster);
  if (shape.cluster != std::array<std::uint32_t, 3>{1, 1, 1}) {
    config.attributes = &cluster;
    config.attribute_count = 1;
  }
  // The whole parameter block at once: CU_LAUNCH_PARAM_BUFFER_POINTER, _BUFFER_SIZE, _END.
  std::size_t bytes = parameters.size();
  void* extra[] = {reinterpret_cast<void*>(1), const_cast<std::byte*>(parameters.data()),
                   reinterpret_cast<void*>(2), &bytes, nullptr};
  last_launch_ = kernel.name;
  check_late(driver_.cuLaunchKernelEx(&config, loaded.function, nullptr, extra), attempted.c_str());
}

std::array<std::byte, vm::kTensorMapBytes> CudaExecutor::encode(const vm::TensorMap& map) {
  map.encode();  // throws for a map with problems, and says which
  use_context();
  struct alignas(vm::kTensorMapAlignment) {
    std::array<std::byte, vm::kTensorMapBytes> bytes;
  } made{};
  const auto rank = static_cast<std::uint32_t>(map.rank());
  std::array<std::uint64_t, vm::kMaxTensorRank>
      strides{};  // an address also where a tensor of rank 1 has none
  std::ranges::copy(map.strides, strides.begin());
  check_late(driver_.cuTensorMapEncodeTiled(&made, static_cast<int>(map.type), rank,
                                            reinterpret_cast<void*>(map.address), map.dims.data(),
                                            strides.data(), map.box.data(), map.element_strides.data(), 0,
                                            static_cast<int>(map.swizzle), 0, static_cast<int>(map.fill)),
             "encode a tensor map");
  return made.bytes;
}

void CudaExecutor::unload(const CompiledKernel& kernel) {
  const auto found = kernels_.find(kernel.key);
  if (found == kernels_.end()) return;
  use_context();
  check_late(driver_.cuModuleUnload(found->second.module), "unload a kernel");
  kernels_.erase(found);
}

void CudaExecutor::check_guards() const {
  std::vector<unsigned char> zone;
  for (const auto& [address, buffer] : buffers_) {
    const auto& [name, bytes] = buffer;
    for (const bool behind : {false, true}) {
      const std::uint64_t start = behind ? address + bytes : address - kGuardBytes;
      zone.resize(behind ? padded(bytes) - bytes + kGuardBytes : kGuardBytes);
      check_late(driver_.cuMemcpyDtoH_v2(zone.data(), start, zone.size()), "read a guard zone");
      const auto wrong =
          std::find_if(zone.begin(), zone.end(), [](unsigned char byte) { return byte != kGuardPattern; });
      if (wrong == zone.end()) continue;
      const std::uint64_t at = static_cast<std::uint64_t>(wrong - zone.begin());
      throw DeviceError("a kernel wrote outside buffer '" + name + "' of " + std::to_string(bytes) +
                        " bytes: " +
                        (behind ? std::to_string(at) + " bytes behind its end"
                                : std::to_string(kGuardBytes - at) + " bytes before its start") +
                        " (last launch: " + last_launch_ + ")");
    }
  }
}

void CudaExecutor::finish() {
  use_context();
  check_late(driver_.cuCtxSynchronize(), "wait for the launches");
  check_guards();
}

void CudaExecutor::flush_l2() {
  const std::uint64_t bytes = 2 * device_.l2_bytes;
  if (!flush_)
    check_late(driver_.cuMemAlloc_v2(&flush_, bytes), "allocate the buffer that flushes the L2 cache");
  check_late(driver_.cuMemsetD8_v2(flush_, 0, bytes), "flush the L2 cache");
}

double CudaExecutor::elapsed_seconds(const std::function<void()>& work, bool cold) {
  use_context();
  if (cold) flush_l2();
  CuEvent start = nullptr, end = nullptr;
  check_late(driver_.cuEventCreate(&start, 0), "create an event");
  check_late(driver_.cuEventCreate(&end, 0), "create an event");
  check_late(driver_.cuEventRecord(start, nullptr), "record an event");
  work();
  check_late(driver_.cuEventRecord(end, nullptr), "record an event");
  check_late(driver_.cuEventSynchronize(end), "wait for the launches");
  float milliseconds = 0;
  check_late(driver_.cuEventElapsedTime(&milliseconds, start, end), "read events");
  check_late(driver_.cuEventDestroy_v2(start), "destroy an event");
  check_late(driver_.cuEventDestroy_v2(end), "destroy an event");
  return static_cast<double>(milliseconds) / 1000.0;
}

}  // namespace attest
