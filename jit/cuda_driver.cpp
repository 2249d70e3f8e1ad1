// Opens libcuda and finds its functions.
#include "jit/cuda_driver.h"

#include <memory>
#include <string>

#include "jit/dynamic_library.h"
#include "jit/errors.h"

namespace attest {
namespace {

struct LoadedDriver {
  std::unique_ptr<DynamicLibrary> library;
  CudaDriver functions{};
};

std::string reason(const CudaDriver& driver, CuResult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (driver.cuGetErrorName(result, &name) != 0) name = "unknown error";
  if (driver.cuGetErrorString(result, &text) != 0) text = "";
  return std::string(name) + " (" + std::to_string(result) + "): " + text;
}

LoadedDriver load() {
  LoadedDriver driver;
  std::string why;
  driver.library = DynamicLibrary::open("libcuda.so.1", &why);
  if (!driver.library) {
    throw NotAvailable("no CUDA driver: libcuda.so.1 was not found by the loader (" + why +
                       "); install NVIDIA's driver, or use --device vm");
  }
  CudaDriver& f = driver.functions;
#define ATTEST_FIND(name)                                                              \
  if (!driver.library->find(#name, f.name)) {                                          \
    throw NotAvailable("the CUDA driver " + driver.library->file() +                   \
                       " is too old: it has no " #name                                 \
                       "; install a driver for CUDA 12 or newer, or use --device vm"); \
  }
  ATTEST_FIND(cuInit)
  ATTEST_FIND(cuDriverGetVersion)
  ATTEST_FIND(cuGetErrorName)
  ATTEST_FIND(cuGetErrorString)
  ATTEST_FIND(cuDeviceGetCount)
  ATTEST_FIND(cuDeviceGet)
  ATTEST_FIND(cuDeviceGetName)
  ATTEST_FIND(cuDeviceGetAttribute)
  ATTEST_FIND(cuDeviceTotalMem_v2)
  ATTEST_FIND(cuDevicePrimaryCtxRetain)
  ATTEST_FIND(cuDevicePrimaryCtxRelease_v2)
  ATTEST_FIND(cuCtxSetCurrent)
  ATTEST_FIND(cuCtxSynchronize)
  ATTEST_FIND(cuModuleLoadDataEx)
  ATTEST_FIND(cuModuleUnload)
  ATTEST_FIND(cuModuleGetFunction)
  ATTEST_FIND(cuFuncSetAttribute)
  ATTEST_FIND(cuMemAlloc_v2)
  ATTEST_FIND(cuMemFree_v2)
  ATTEST_FIND(cuMemcpyHtoD_v2)
  ATTEST_FIND(cuMemcpyDtoH_v2)
  ATTEST_FIND(cuMemsetD8_v2)
  ATTEST_FIND(cuLaunchKernelEx)
  ATTEST_FIND(cuTensorMapEncodeTiled)
  ATTEST_FIND(cuEventCreate)
  ATTEST_FIND(cuEventDestroy_v2)
  ATTEST_FIND(cuEventRecord)
  ATTEST_FIND(cuEventSynchronize)
  ATTEST_FIND(cuEventElapsedTime)
#undef ATTEST_FIND
  const auto require = [&](CuResult result, const char* attempted) {
    if (result != 0) {
      throw NotAvailable(std::string("no usable GPU: ") + attempted + ": " + reason(f, result) +
                         "; use --device vm");
    }
  };
  require(f.cuInit(0), "cuInit");
  int count = 0;
  require(f.cuDeviceGetCount(&count), "cuDeviceGetCount");
  if (count == 0) throw NotAvailable("the CUDA driver finds no GPU; use --device vm");
  return driver;
}

}  // namespace

const CudaDriver& cuda_driver() {
  static const LoadedDriver driver = load();
  return driver.functions;
}

void check(CuResult result, const char* attempted) {
  if (result != 0) {
    throw DeviceError(std::string("CUDA: ") + attempted + ": " + reason(cuda_driver(), result));
  }
}

}  // namespace attest
