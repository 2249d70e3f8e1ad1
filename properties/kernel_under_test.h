// What a law may ask of a kernel: run a decode call, laid out in memory in a given way, and say how it
// computes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "reference/decode_call.h"

namespace attest {

// The kernel broke a rule of the device while it ran (trap of the virtual machine, write outside a buffer,
// launch failure). Laws count it as a violation.
struct KernelFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// How the host lays a call out; none of it may change what the kernel computes beyond what its plan allows.
struct CallLayout {
  Index page_tokens = 0;        // tokens a page; 0: one page holds a sequence
  std::uint64_t page_seed = 0;  // order of the pages in memory
  int splits = 1;               // parts of each sequence's cache
  // Fill everything that the kernel must not read with NaN: padding, page tails, pages of nobody, results.
  // Otherwise with zeros.
  bool poison = true;
  // How lanes and warps interleave on the virtual machine; 0 lockstep, 1 serial, else shuffled by this seed.
  // A GPU ignores it.
  std::uint64_t schedule = 0;
};

struct KernelRun {
  Tensor<double> output;  // [B, T, rows, value_dim] exact values of the f32 results
  Tensor<double> lse;     // [B, T, rows]
  ArithmeticPlan plan;    // what the kernel declares of this call
};

// One kernel on one device. Not thread-safe: every worker has its own.
class KernelUnderTest {
 public:
  virtual ~KernelUnderTest() = default;
  virtual std::string device() const = 0;  // "vm", "cuda", "reference"
  // Throws KernelFault; std::invalid_argument for inputs that have problems.
  virtual KernelRun decode(const DecodeInputs& inputs, const CallLayout& layout) = 0;
};

using KernelFactory = std::function<std::unique_ptr<KernelUnderTest>()>;

}  // namespace attest
