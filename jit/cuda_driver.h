// The part of the CUDA driver's C interface that is used, opened at run time: the program starts without a
// driver.
#pragma once

#include <cstddef>
#include <cstdint>

namespace attest {

// The driver's types, as its documented C interface has them.
using CuResult = int;  // 0: success
using CuDevice = int;
using CuDevicePointer = std::uint64_t;
using CuContext = struct CuContextHandle*;
using CuModule = struct CuModuleHandle*;
using CuFunction = struct CuFunctionHandle*;
using CuStream = struct CuStreamHandle*;  // null: the default stream
using CuEvent = struct CuEventHandle*;

// Numbers of the driver's enumerations.
enum CuDeviceAttribute : int {
  kCuClockRate = 13,
  kCuMultiprocessorCount = 16,
  kCuMemoryClockRate = 36,
  kCuMemoryBusWidth = 37,
  kCuL2CacheSize = 38,
  kCuComputeCapabilityMajor = 75,
  kCuComputeCapabilityMinor = 76,
};
enum CuJitOption : int {
  kCuJitInfoLogBuffer = 3,
  kCuJitInfoLogBufferSizeBytes = 4,
  kCuJitErrorLogBuffer = 5,
  kCuJitErrorLogBufferSizeBytes = 6,
};
enum CuFunctionAttribute : int { kCuFunctionMaxDynamicSharedBytes = 8 };
enum CuLaunchAttributeId : int { kCuLaunchClusterDimension = 4 };

struct CuLaunchAttribute {
  CuLaunchAttributeId id;
  int padding;
  union {
    unsigned cluster[3];
    char bytes[64];
  };
};
struct CuLaunchConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned dynamic_shared_bytes;
  CuStream stream;
  CuLaunchAttribute* attributes;
  unsigned attribute_count;
};

// One function pointer each, with the driver's own names.
struct CudaDriver {
  CuResult (*cuInit)(unsigned flags);
  CuResult (*cuDriverGetVersion)(int* version);
  CuResult (*cuGetErrorName)(CuResult, const char** name);
  CuResult (*cuGetErrorString)(CuResult, const char** text);
  CuResult (*cuDeviceGetCount)(int* count);
  CuResult (*cuDeviceGet)(CuDevice*, int ordinal);
  CuResult (*cuDeviceGetName)(char* name, int bytes, CuDevice);
  CuResult (*cuDeviceGetAttribute)(int* value, CuDeviceAttribute, CuDevice);
  CuResult (*cuDeviceTotalMem_v2)(std::size_t* bytes, CuDevice);
  CuResult (*cuDevicePrimaryCtxRetain)(CuContext*, CuDevice);
  CuResult (*cuDevicePrimaryCtxRelease_v2)(CuDevice);
  CuResult (*cuCtxSetCurrent)(CuContext);
  CuResult (*cuCtxSynchronize)();
  CuResult (*cuModuleLoadDataEx)(CuModule*, const void* image, unsigned options, CuJitOption*, void** values);
  CuResult (*cuModuleUnload)(CuModule);
  CuResult (*cuModuleGetFunction)(CuFunction*, CuModule, const char* name);
  CuResult (*cuFuncSetAttribute)(CuFunction, CuFunctionAttribute, int value);
  CuResult (*cuMemAlloc_v2)(CuDevicePointer*, std::size_t bytes);
  CuResult (*cuMemFree_v2)(CuDevicePointer);
  CuResult (*cuMemcpyHtoD_v2)(CuDevicePointer, const void*, std::size_t bytes);
  CuResult (*cuMemcpyDtoH_v2)(void*, CuDevicePointer, std::size_t bytes);
  CuResult (*cuMemsetD8_v2)(CuDevicePointer, unsigned char value, std::size_t bytes);
  CuResult (*cuLaunchKernelEx)(const CuLaunchConfig*, CuFunction, void** parameters, void** extra);
  // type, swizzle and fill have the numbers of vm::TensorType, vm::Swizzle and vm::TensorFill.
  CuResult (*cuTensorMapEncodeTiled)(void* map, int type, std::uint32_t rank, void* address,
                                     const std::uint64_t* dims, const std::uint64_t* strides,
                                     const std::uint32_t* box, const std::uint32_t* element_strides,
                                     int interleave, int swizzle, int l2_promotion, int fill);
  CuResult (*cuEventCreate)(CuEvent*, unsigned flags);
  CuResult (*cuEventDestroy_v2)(CuEvent);
  CuResult (*cuEventRecord)(CuEvent, CuStream);
  CuResult (*cuEventSynchronize)(CuEvent);
  CuResult (*cuEventElapsedTime)(float* milliseconds, CuEvent start, CuEvent end);
};

// The driver of this machine (libcuda.so.1), initialised; opened once. Throws NotAvailable when there is
// none, when it is too old, or when it finds no GPU.
const CudaDriver& cuda_driver();

// Throws DeviceError naming what was attempted and the driver's reason, unless `result` is success.
void check(CuResult result, const char* attempted);

}  // namespace attest
