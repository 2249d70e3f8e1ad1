// attest's benchmarks, as Google Benchmark runs them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jit/kernel_source.h"

namespace attest::bench {

struct BenchmarkOptions {
  std::string device = "auto";  // "vm", "cuda", "auto": a GPU when there is one
  KernelSource source = KernelSource::embedded();
  std::vector<std::string> benchmark_flags;  // "--benchmark_filter=...", ...
};

// Registers what the device can run, runs it and lets Google Benchmark report. Every call is checked once
// before it is timed; one that fails the check is reported as an error. Returns the number of such errors.
// Throws NotAvailable for a device that is not there, std::invalid_argument for a flag that Google Benchmark
// does not know.
int run_benchmarks(const BenchmarkOptions& options);

}  // namespace attest::bench
