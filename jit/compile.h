// From a kernel's specification to PTX and machine code; needs NVRTC, no GPU.
#pragma once

#include <string>

#include "jit/kernel_spec.h"
#include "jit/nvrtc.h"

namespace attest {

struct CompiledKernel {
  std::string name;   // KernelSpec::name
  std::string key;    // KernelSpec::key
  std::string entry;  // the kernel's name in PTX and cubin
  std::string ptx;
  std::string cubin;  // empty unless the specification names a real architecture
  std::string log;    // warnings; for a real architecture ptxas's report
};

// Throws CompileError with entry, options and log.
CompiledKernel compile(const KernelSpec& spec, const Nvrtc& nvrtc);

}  // namespace attest
