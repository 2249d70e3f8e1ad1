// One decode call, from numbers to numbers: encoded, cut, run by a compiled kernel on an executor, merged.
#pragma once

#include <memory>

#include "jit/decode_plan.h"
#include "jit/executor.h"
#include "jit/kernel_cache.h"
#include "jit/kernel_source.h"
#include "jit/split_plan.h"
#include "reference/decode_call.h"

namespace attest {

struct DecodeResult {
  Tensor<float> output;       // [B, T, rows, value_dim]
  Tensor<float> lse;          // [B, T, rows] natural log; -infinity for a row that sees nothing
  ArithmeticPlan arithmetic;  // what the kernel declares of its roundings, for the error bound
  // Executors that count (Executor::counts()); else zero: bytes loaded from the cache's buffers (keys,
  // values, latents, rotated keys; not queries, tables or partial results).
  LoadedBytes cache_bytes;
  Index splits = 0;  // most partial results of one sequence that were merged
};

// A call whose inputs lie on the device: may be run many times, for timing.
class DecodeSession {
 public:
  // Compiles (through `cache`), encodes and uploads. Throws what lay_out(), decode_kernel() and
  // KernelCache::get() do. The executor outlives the session.
  DecodeSession(Executor& executor, KernelCache& cache, const KernelSource& source,
                const DecodeInputs& inputs, const DecodePlan& plan);
  ~DecodeSession();

  // Launches the decode kernel and the merge.
  void run();
  // Waits, checks guard zones and copies back.
  DecodeResult result();
  // Bytes of the cache that the kernels must read at least once: every visible token's, not what was
  // allocated.
  std::uint64_t least_cache_bytes() const;
  const SplitPlan& splits() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Runs once.
DecodeResult decode(Executor& executor, KernelCache& cache, const KernelSource& source,
                    const DecodeInputs& inputs, const DecodePlan& plan);

}  // namespace attest
