// The kernels of jit/kernels, compiled at run time and run on the virtual machine or a GPU, as a kernel under
// test.
#pragma once

#include <memory>
#include <string>

#include "jit/kernel_cache.h"
#include "jit/kernel_source.h"
#include "properties/kernel_under_test.h"

namespace attest {

// A factory for verify(): every call makes a kernel with its own executor on `device` ("vm", "cuda", "auto");
// all share `cache`, which must outlive them. Throws NotAvailable from the factory when the device is not
// there.
KernelFactory jit_kernels(std::string device, std::shared_ptr<KernelCache> cache, KernelSource source);

}  // namespace attest
