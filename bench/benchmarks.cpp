// Registers decode calls by shape and device; counters: bytes moved, tokens and bytes a second, share of the
// measured roofline.
#include "bench/benchmarks.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <functional>
#include <memory>
#include <stdexcept>

#include "bench/device_decode.h"
#include "bench/device_kernels.h"
#include "bench/shapes.h"
#include "jit/decode.h"
#include "jit/executor.h"
#include "jit/kernel_cache.h"
#include "jit/kernel_spec.h"
#include "jit/nvrtc.h"
#include "jit/vm_executor.h"
#include "reference/attend.h"
#include "reference/error_bounds.h"
#include "reference/random_inputs.h"

namespace attest::bench {
namespace {

using benchmark::Counter;

// What the registered functions share; lives until they have run.
struct Session {
  KernelSource source = KernelSource::embedded();
  KernelCache cache{KernelCache::default_folder()};
  std::unique_ptr<Executor> executor;
  double read_bandwidth = 0;  // bytes a second, measured in this run; GPUs only
  std::atomic<int> errors = 0;
};

void add_counters(benchmark::State& state, const DecodeShape& shape) {
  state.counters["bytes"] = shape.least_bytes();
  state.counters["bytes/s"] = Counter(shape.least_bytes(), Counter::kIsIterationInvariantRate);
  state.counters["tokens/s"] = Counter(static_cast<double>(shape.batch), Counter::kIsIterationInvariantRate);
}

DecodeInputs inputs_of(const DecodeShape& shape) {
  Problem problem;
  problem.cached_tokens.assign(static_cast<std::size_t>(shape.batch), shape.cached_tokens);
  problem.left_padding.assign(static_cast<std::size_t>(shape.batch), 0);
  problem.attention = small_config(shape.heads.family == Family::latent ? "mla" : "gqa");
  return random_decode_inputs(shape.heads, problem);
}

void time_reference(benchmark::State& state, const DecodeShape& shape) {
  const DecodeInputs inputs = inputs_of(shape);
  for (auto iteration : state) benchmark::DoNotOptimize(attend(inputs));
  add_counters(state, shape);
}

// Empty when the kernel's results are within the bound that its plan earns.
std::string verdict(const DecodeInputs& inputs, const DecodeResult& result) {
  const DecodeOutputs truth = attend(inputs);
  const DecodeBounds bounds = error_bounds(inputs, truth, result.arithmetic);
  if (!bounds.inconclusive.empty()) return bounds.inconclusive;
  for (Index i = 0; i < truth.output.count(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const double error =
        std::abs(static_cast<double>(result.output.elements()[at]) - truth.output.elements()[at]);
    if (!(error <= bounds.output.elements()[at])) {
      return fmt::format("output element {}: got {}, want {}, bound {:.1e}", i, result.output.elements()[at],
                         truth.output.elements()[at], bounds.output.elements()[at]);
    }
  }
  return "";
}

void time_on_vm(benchmark::State& state, const DecodeShape& shape, const std::string& kernel,
                Session& session) {
  auto& executor = dynamic_cast<VmExecutor&>(*session.executor);
  const DecodeInputs inputs = inputs_of(shape);
  const DecodePlan plan{.kernel = kernel, .page_tokens = 64, .page_seed = 1, .splits = 2};
  executor.options().count = true;
  const DecodeResult counted = decode(executor, session.cache, session.source, inputs, plan);
  executor.options().count = false;
  if (const std::string wrong = verdict(inputs, counted); !wrong.empty()) {
    ++session.errors;
    state.SkipWithError(wrong.c_str());
    return;
  }
  DecodeSession call(executor, session.cache, session.source, inputs, plan);
  const std::uint64_t before = executor.lane_instructions();
  for (auto iteration : state) call.run();
  state.counters["lane_instructions/s"] =
      Counter(static_cast<double>(executor.lane_instructions() - before), Counter::kIsRate);
  state.counters["cache_bytes_loaded"] = static_cast<double>(counted.cache_bytes.total);
  state.counters["cache_bytes_distinct"] = static_cast<double>(counted.cache_bytes.distinct);
  add_counters(state, shape);
}

void time_on_gpu(benchmark::State& state, const DecodeShape& shape, const std::string& kernel,
                 Session& session) {
  Executor& executor = *session.executor;
  DeviceDecode call(executor, session.cache, session.source, shape, kernel);
  if (const std::string wrong = call.check(); !wrong.empty()) {
    ++session.errors;
    state.SkipWithError(wrong.c_str());
    return;
  }
  double seconds = 0;
  for (auto iteration : state) {
    const double elapsed = executor.elapsed_seconds([&] { call.run(); }, /*cold=*/true);
    state.SetIterationTime(elapsed);
    seconds += elapsed;
  }
  executor.finish();
  add_counters(state, shape);
  state.counters["parts"] = static_cast<double>(call.parts());
  state.counters["roofline"] =
      shape.least_bytes() * static_cast<double>(state.iterations()) / seconds / session.read_bandwidth;
}

// Compiling is its own benchmark: a specialisation that no cache holds.
void time_compilation(benchmark::State& state, const HeadConfig& heads, const std::string& kernel,
                      Session& session) {
  const KernelSpec spec =
      decode_kernel(heads, session.source, session.executor->device().architecture, kernel);
  for (auto iteration : state) benchmark::DoNotOptimize(compile(spec, session.cache.nvrtc()));
}

// What a benchmark throws is its own error and must not end the run.
benchmark::internal::Benchmark* add(Session& session, const std::string& name,
                                    std::function<void(benchmark::State&)> body) {
  const auto guarded = [body = std::move(body), &session](benchmark::State& state) {
    try {
      body(state);
    } catch (const std::exception& error) {
      ++session.errors;
      state.SkipWithError(error.what());
    }
  };
  return benchmark::RegisterBenchmark(name.c_str(), guarded)->Unit(benchmark::kMicrosecond);
}

// "naive", "fast": those that take these heads.
std::vector<std::string> kernels_for(const HeadConfig& heads) {
  std::vector<std::string> kinds;
  for (const KernelInfo& row : kernels()) {
    if (row.family != heads.family) continue;
    try {
      block_shape(heads, row.kind);
      kinds.emplace_back(row.kind);
    } catch (const std::invalid_argument&) {  // widths that this kernel does not take
    }
  }
  return kinds;
}

// Naive kernels are slow by design: on a GPU they are timed at the shortest caches only.
bool worth_timing(const DecodeShape& shape, const std::string& kernel) {
  return kernel != "naive" || shape.cached_tokens <= 128 * 1024;
}

void register_all(Session& session) {
  using benchmark::State;
  const std::string device = session.executor->device().kind;
  for (const HeadConfig& heads : published_heads()) {
    for (const std::string& kernel : kernels_for(heads)) {
      add(session, "compile/" + heads.name() + "/" + kernel,
          [&session, heads, kernel](State& state) { time_compilation(state, heads, kernel, session); });
    }
  }
  for (const DecodeShape& shape : host_shapes()) {
    add(session, shape.name("reference"), [shape](State& state) { time_reference(state, shape); });
  }
  for (const DecodeShape& shape : device == "vm" ? host_shapes() : device_shapes()) {
    for (const std::string& kernel : kernels_for(shape.heads)) {
      const std::string name = shape.name(device + "/" + kernel);
      if (device == "vm") {
        add(session, name,
            [&session, shape, kernel](State& state) { time_on_vm(state, shape, kernel, session); });
      } else if (worth_timing(shape, kernel)) {
        add(session, name,
            [&session, shape, kernel](State& state) { time_on_gpu(state, shape, kernel, session); })
            ->UseManualTime()
            ->MinTime(0.2);
      }
    }
  }
}

void describe(const Session& session) {
  const DeviceInfo& device = session.executor->device();
  benchmark::AddCustomContext("device", device.name);
  benchmark::AddCustomContext("kernels", session.source.origin());
  if (device.kind == "vm") return;
  benchmark::AddCustomContext("driver", "CUDA " + device.driver);
  benchmark::AddCustomContext("compute_capability", std::to_string(device.compute_capability));
  benchmark::AddCustomContext("processors", std::to_string(device.processors));
  benchmark::AddCustomContext("highest_clock_MHz", std::to_string(device.clock_kilohertz / 1000));
  benchmark::AddCustomContext("highest_memory_clock_MHz",
                              std::to_string(device.memory_clock_kilohertz / 1000));
  benchmark::AddCustomContext("l2_bytes", std::to_string(device.l2_bytes));
  benchmark::AddCustomContext("measured_read_bandwidth_GB/s",
                              fmt::format("{:.1f}", session.read_bandwidth / 1e9));
}

}  // namespace

int run_benchmarks(const BenchmarkOptions& options) {
  Session session;
  session.source = options.source;
  session.executor = make_executor(options.device);
  std::vector<std::string> texts = {"attest bench"};
  texts.insert(texts.end(), options.benchmark_flags.begin(), options.benchmark_flags.end());
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (count > 1)
    throw std::invalid_argument(fmt::format("'{}' is not a flag of Google Benchmark", arguments[1]));

  if (session.executor->device().kind != "vm") {
    session.read_bandwidth =
        measured_read_bandwidth(*session.executor, session.cache, std::uint64_t{4} << 30, 5);
  }
  describe(session);
  register_all(session);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return session.errors;
}

}  // namespace attest::bench
