// How fast the virtual machine runs: a naive decode kernel in each schedule, with and without memory checks,
// counters and race checks.
#include <benchmark/benchmark.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "jit/vm/counters.h"
#include "jit/vm/machine.h"
#include "jit/vm/program.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {
namespace {

// One block a head, four warps: scores[key] = <q, k[key]> (a warp a key, 4 elements a lane, butterfly sum),
// then every thread sums one of 128 output columns over the tile's keys with weights 2^(score - 8). float32 q
// [H, 128], k and v [keys, 128], out [H, 128].
const char* const kDecode = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry decode(.param .u64 q, .param .u64 k, .param .u64 v, .param .u64 out, .param .u32 keys)
{
  .reg .b64 %q, %k, %v, %out, %a, %b, %s;
  .reg .b32 %t, %lane, %warp, %key, %keys, %head, %i, %tile;
  .reg .f32 %qv<4>, %x<8>, %sum, %acc, %w, %total;
  .reg .pred %p, %first;
  .shared .align 4 .f32 weights[64];
  ld.param.u64 %q, [q];
  ld.param.u64 %k, [k];
  ld.param.u64 %v, [v];
  ld.param.u64 %out, [out];
  ld.param.u32 %keys, [keys];
  mov.u32 %t, %tid.x;
  mov.u32 %head, %ctaid.x;
  and.b32 %lane, %t, 31;
  shr.u32 %warp, %t, 5;
  setp.eq.u32 %first, %lane, 0;
  mul.wide.u32 %a, %head, 512;
  add.u64 %a, %q, %a;
  mul.wide.u32 %b, %lane, 4;
  add.u64 %a, %a, %b;
  ld.global.f32 %qv0, [%a];
  ld.global.f32 %qv1, [%a+128];
  ld.global.f32 %qv2, [%a+256];
  ld.global.f32 %qv3, [%a+384];
  mov.f32 %acc, 0f00000000;
  mov.f32 %total, 0f00000000;
  mov.u32 %tile, 0;
TILE:
  mov.u32 %i, %warp;
SCORE:
  add.u32 %key, %tile, %i;
  mul.wide.u32 %a, %key, 512;
  add.u64 %a, %k, %a;
  mul.wide.u32 %b, %lane, 4;
  add.u64 %a, %a, %b;
  ld.global.f32 %x0, [%a];
  ld.global.f32 %x1, [%a+128];
  ld.global.f32 %x2, [%a+256];
  ld.global.f32 %x3, [%a+384];
  mul.rn.f32 %sum, %qv0, %x0;
  fma.rn.f32 %sum, %qv1, %x1, %sum;
  fma.rn.f32 %sum, %qv2, %x2, %sum;
  fma.rn.f32 %sum, %qv3, %x3, %sum;
  shfl.sync.bfly.b32 %x4, %sum, 16, 31, -1;
  add.rn.f32 %sum, %sum, %x4;
  shfl.sync.bfly.b32 %x4, %sum, 8, 31, -1;
  add.rn.f32 %sum, %sum, %x4;
  shfl.sync.bfly.b32 %x4, %sum, 4, 31, -1;
  add.rn.f32 %sum, %sum, %x4;
  shfl.sync.bfly.b32 %x4, %sum, 2, 31, -1;
  add.rn.f32 %sum, %sum, %x4;
  shfl.sync.bfly.b32 %x4, %sum, 1, 31, -1;
  add.rn.f32 %sum, %sum, %x4;
  sub.rn.f32 %sum, %sum, 0f41000000;
  ex2.approx.ftz.f32 %w, %sum;
  mul.wide.u32 %b, %i, 4;
  mov.u64 %s, weights;
  add.u64 %s, %s, %b;
  @%first st.shared.f32 [%s], %w;
  add.u32 %i, %i, 4;
  setp.lt.u32 %p, %i, 64;
  @%p bra SCORE;
  bar.sync 0;
  mov.u32 %i, 0;
  mul.wide.u32 %a, %tile, 512;
  add.u64 %a, %v, %a;
  mul.wide.u32 %b, %t, 4;
  add.u64 %a, %a, %b;
  mov.u64 %s, weights;
VALUE:
  ld.shared.f32 %w, [%s];
  ld.global.f32 %x0, [%a];
  add.rn.f32 %total, %total, %w;
  fma.rn.f32 %acc, %w, %x0, %acc;
  add.u64 %a, %a, 512;
  add.u64 %s, %s, 4;
  add.u32 %i, %i, 1;
  setp.lt.u32 %p, %i, 64;
  @%p bra VALUE;
  bar.sync 0;
  add.u32 %tile, %tile, 64;
  setp.lt.u32 %p, %tile, %keys;
  @%p bra TILE;
  div.rn.f32 %acc, %acc, %total;
  mul.wide.u32 %a, %head, 512;
  add.u64 %a, %out, %a;
  mul.wide.u32 %b, %t, 4;
  add.u64 %a, %a, %b;
  st.global.f32 [%a], %acc;
  ret;
}
)";

struct Problem {
  Machine machine;
  struct {
    uint64_t q, k, v, out;
    uint32_t keys, padding;
  } params{};
  std::vector<float> q, k, v;

  Problem(uint32_t heads, uint32_t keys) {
    uint32_t state = 1;
    const auto number = [&] {
      return static_cast<float>((state = state * 1664525u + 1013904223u) >> 24) / 256.0f - 0.5f;
    };
    const auto upload = [&](const char* name, std::vector<float>& values, size_t count) {
      for (size_t i = 0; i < count; ++i) values.push_back(number());
      const uint64_t address = machine.memory().allocate(count * 4, name, Access::read);
      machine.memory().write(address, std::as_bytes(std::span(values)));
      return address;
    };
    params.q = upload("q", q, heads * 128);
    params.k = upload("k", k, keys * 128);
    params.v = upload("v", v, keys * 128);
    params.out = machine.memory().allocate(heads * 512, "out");
    params.keys = keys;
  }

  // Largest difference from the same sums in double.
  double worst_error() const {
    std::vector<float> out(q.size());
    machine.memory().read(params.out, std::as_writable_bytes(std::span(out)));
    double worst = 0;
    for (size_t head = 0; head < q.size() / 128; ++head) {
      std::vector<double> sums(128);
      double total = 0;
      for (size_t key = 0; key < params.keys; ++key) {
        double score = -8;
        for (size_t i = 0; i < 128; ++i)
          score += static_cast<double>(q[head * 128 + i]) * static_cast<double>(k[key * 128 + i]);
        const double weight = std::exp2(score);
        total += weight;
        for (size_t i = 0; i < 128; ++i) sums[i] += weight * static_cast<double>(v[key * 128 + i]);
      }
      for (size_t i = 0; i < 128; ++i) {
        const double error = std::fabs(static_cast<double>(out[head * 128 + i]) - sums[i] / total);
        if (!(error <= worst)) worst = error;
      }
    }
    return worst;
  }
};

// What watches. `written`: as `races`, with buffers that kernels may write, so that they are watched too.
enum class Watch { nothing, counts, races, written };

void decode(benchmark::State& state, const LaunchOptions& how, Watch watch) {
  const Program program = Program::parse(kDecode);
  const uint32_t heads = 4;
  Problem problem(heads, 512);
  LaunchOptions options = how;
  options.grid = {heads, 1, 1};
  options.block = {128, 1, 1};
  if (watch == Watch::written)
    for (const uint64_t address : {problem.params.q, problem.params.k, problem.params.v})
      problem.machine.memory().protect(address, Access::read_write);
  CountingObserver counting;
  RaceObserver racing;
  Observer* const observers[] = {watch == Watch::counts ? static_cast<Observer*>(&counting) : &racing};
  double lanes = 0;
  for (auto _ : state) {
    const LaunchStatistics done = problem.machine.launch(
        program, "decode", options, std::as_bytes(std::span(&problem.params, 1)).first(36),
        std::span<Observer* const>(observers).first(watch == Watch::nothing ? 0 : 1));
    lanes += static_cast<double>(done.lane_instructions);
  }
  if (!(problem.worst_error() < 1e-6)) state.SkipWithError("the output is wrong");
  if (!racing.races().empty()) state.SkipWithError(racing.races().front().text().c_str());
  state.counters["lane_instructions/s"] = benchmark::Counter(lanes, benchmark::Counter::kIsRate);
}

const bool registered = [] {
  LaunchOptions lockstep;
  LaunchOptions unchecked;
  unchecked.check_memory = false;
  LaunchOptions serial;
  serial.schedule = Schedule::serial;
  LaunchOptions shuffled;
  shuffled.schedule = Schedule::shuffled;
  const auto add = [](const char* name, const LaunchOptions& options, Watch watch) {
    benchmark::RegisterBenchmark(name, [=](benchmark::State& state) {
      decode(state, options, watch);
    })->Unit(benchmark::kMillisecond);
  };
  add("vm/naive-decode/lockstep", lockstep, Watch::nothing);
  add("vm/naive-decode/lockstep-unchecked", unchecked, Watch::nothing);
  add("vm/naive-decode/lockstep-counting", lockstep, Watch::counts);
  add("vm/naive-decode/lockstep-races", lockstep, Watch::races);
  add("vm/naive-decode/lockstep-races-written-buffers", lockstep, Watch::written);
  add("vm/naive-decode/serial", serial, Watch::nothing);
  add("vm/naive-decode/shuffled", shuffled, Watch::nothing);
  benchmark::RegisterBenchmark("vm/parse", [](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(Program::parse(kDecode));
  })->Unit(benchmark::kMicrosecond);
  return true;
}();

}  // namespace
}  // namespace attest::vm

BENCHMARK_MAIN();
