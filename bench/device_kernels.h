// The benchmark's own device code, compiled at run time as the decode kernels are: filling buffers, streaming
// through them.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/executor.h"
#include "jit/kernel_cache.h"
#include "jit/kernel_source.h"
#include "reference/number_formats.h"

namespace attest::bench {

// All files of bench/kernels as they were at build; generated.
const std::vector<KernelFile>& benchmark_kernel_files();

// Fills `buffer` with hashed_element(stream, i) in `storage` (bf16 or f32). Throws std::invalid_argument for
// another format.
void fill_hashed(Executor& executor, KernelCache& cache, const Buffer& buffer, Format storage,
                 std::uint64_t stream);

// Bytes a second that a kernel which only reads gets from device memory: the best of `rounds` passes over
// `bytes` bytes.
double measured_read_bandwidth(Executor& executor, KernelCache& cache, std::uint64_t bytes, int rounds);

}  // namespace attest::bench
