// Chooses an executor by name.
#include "jit/executor.h"

#include <stdexcept>

#include "jit/cuda_executor.h"
#include "jit/errors.h"
#include "jit/vm_executor.h"

namespace attest {

LoadedBytes Executor::loaded_bytes(const Buffer&) const {
  throw std::invalid_argument("device " + device().name + " does not count loaded bytes");
}

DeviceBuffer::~DeviceBuffer() {
  if (!executor_) return;
  try {
    executor_->free(buffer_);
  } catch (const DeviceError&) {
    // A GPU that a kernel has broken refuses every call; the failed launch was reported already.
  }
}

std::unique_ptr<Executor> make_executor(std::string_view device) {
  if (device == "vm") return std::make_unique<VmExecutor>();
  if (device == "cuda") return std::make_unique<CudaExecutor>();
  if (device == "auto") {
    try {
      return std::make_unique<CudaExecutor>();
    } catch (const NotAvailable&) {
      return std::make_unique<VmExecutor>();
    }
  }
  throw std::invalid_argument("device '" + std::string(device) + "': expected auto, vm or cuda");
}

}  // namespace attest
