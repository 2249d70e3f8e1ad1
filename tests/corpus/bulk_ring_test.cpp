// A ring of three stages as a pipelined kernel has it, written in CUDA C++ and compiled by NVRTC: full and
// empty mbarriers, a producer thread that copies boxes of a tensor, a consumer warp, a copy back.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "jit/nvrtc.h"
#include "jit/vm/machine.h"
#include "jit/vm/tensor_map.h"

namespace attest {
namespace {

constexpr int kTiles = 10, kColumns = 32, kRows = 8;

constexpr const char* kRing = R"(
typedef unsigned u32; typedef unsigned long long u64;
struct __align__(64) TensorMap { u64 words[16]; };
constexpr int kStages = 3;
__device__ u32 at(const void* p) { return (u32)__cvta_generic_to_shared(p); }
__device__ void init(u64* bar, int n) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(at(bar)), "r"(n));
}
__device__ void arrive(u64* bar) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(at(bar)) : "memory");
}
__device__ void expect(u64* bar, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(at(bar)), "r"(bytes) : "memory");
}
__device__ void wait(u64* bar, u32 parity) {
  asm volatile("{\n.reg .pred P1;\nLAB_WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 P1, [%0], %1;\n"
               "@P1 bra DONE;\nbra LAB_WAIT;\nDONE:\n}" :: "r"(at(bar)), "r"(parity) : "memory");
}
__device__ void load(const TensorMap* map, u64* bar, void* to, int x, int y) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
               :: "r"(at(to)), "l"(map), "r"(at(bar)), "r"(x), "r"(y) : "memory");
}
extern "C" __global__ void ring(const __grid_constant__ TensorMap map, u32* out, int tiles) {
  __shared__ __align__(1024) u32 stage[kStages][8 * 32];
  __shared__ __align__(16) u32 sums[32];
  __shared__ u64 full[kStages], empty[kStages];
  if (threadIdx.x == 0) {
    for (int s = 0; s < kStages; ++s) { init(&full[s], 1); init(&empty[s], 32); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncthreads();
  if (threadIdx.x >= 32) {
    if (threadIdx.x == 32) {
      for (int i = 0; i < tiles; ++i) {
        int s = i % kStages;
        wait(&empty[s], (i / kStages & 1) ^ 1);
        expect(&full[s], sizeof(stage[s]));
        load(&map, &full[s], stage[s], 0, i * 8);
      }
    }
  } else {
    u32 sum = 0;
    for (int i = 0; i < tiles; ++i) {
      int s = i % kStages;
      wait(&full[s], i / kStages & 1);
      for (int row = 0; row < 8; ++row) {
        int chunk = (threadIdx.x / 4) ^ row;  // the 128-byte swizzle
        sum = sum * 3 + stage[s][row * 32 + chunk * 4 + threadIdx.x % 4];
      }
      RELEASE
    }
    sums[threadIdx.x] = sum;
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncwarp();
    if (threadIdx.x == 0) {
      asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 128;" :: "l"(out), "r"(at(sums)) : "memory");
      asm volatile("cp.async.bulk.commit_group;" ::: "memory");
      asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    }
  }
}
)";

std::string compile(const std::string& release) {
  std::string source = kRing;
  source.replace(source.find("RELEASE"), 7, release);
  NvrtcInput input;
  input.name = "ring.cu";
  input.source = source;
  input.options = {"--gpu-architecture=sm_90a"};
  input.entry = "ring";
  const NvrtcOutput output = Nvrtc::open()->compile(input);
  EXPECT_TRUE(output.compiled) << output.log;
  return output.ptx;
}

// Row y, column x holds 7 y + x; rows from kTiles * kRows - 4 on are outside the tensor, which is zero there.
std::uint32_t element(int y, int x) {
  return y < kTiles * kRows - 4 ? static_cast<std::uint32_t>(7 * y + x) : 0;
}

std::array<std::uint32_t, kColumns> run(const std::string& ptx, const vm::LaunchOptions& how) {
  const vm::Program program = vm::Program::parse(ptx);
  vm::Machine machine;
  std::vector<std::uint32_t> in(kTiles * kRows * kColumns);
  for (int y = 0; y < kTiles * kRows; ++y)
    for (int x = 0; x < kColumns; ++x)
      in[static_cast<std::size_t>(y * kColumns + x)] = static_cast<std::uint32_t>(7 * y + x);
  const std::uint64_t from = machine.memory().allocate(in.size() * 4, "in", vm::Access::read);
  const std::uint64_t to = machine.memory().allocate(128, "out");
  machine.memory().write(from, std::as_bytes(std::span(in)));
  vm::TensorMap map;
  map.type = vm::TensorType::u32;
  map.address = from;
  map.dims = {kColumns, kTiles * kRows - 4};
  map.strides = {kColumns * 4};
  map.box = {kColumns, kRows};
  map.element_strides = {1, 1};
  map.swizzle = vm::Swizzle::b128;
  struct {
    alignas(64) std::array<std::byte, vm::kTensorMapBytes> map;
    std::uint64_t out;
    int tiles;
  } parameters{map.encode(), to, kTiles};
  vm::LaunchOptions options = how;
  options.block.x = 64;
  options.instruction_budget = 1u << 24;
  machine.launch(program, "ring", options,
                 std::as_bytes(std::span(&parameters, 1)).first(program.entry("ring").parameter_bytes));
  std::array<std::uint32_t, kColumns> out{};
  machine.memory().read(to, std::as_writable_bytes(std::span(out)));
  return out;
}

std::vector<vm::LaunchOptions> schedules() {
  std::vector<vm::LaunchOptions> all(2);
  all[0].schedule = vm::Schedule::lockstep;
  all[1].schedule = vm::Schedule::serial;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    all.emplace_back();
    all.back().schedule = vm::Schedule::shuffled;
    all.back().seed = seed;
  }
  return all;
}

TEST(BulkRing, GivesTheSameWordsUnderEverySchedule) {
  std::array<std::uint32_t, kColumns> want{};
  for (int x = 0; x < kColumns; ++x)
    for (int y = 0; y < kTiles * kRows; ++y)
      want[static_cast<std::size_t>(x)] = want[static_cast<std::size_t>(x)] * 3 + element(y, x);
  const std::string ptx = compile("arrive(&empty[s]);");
  for (const vm::LaunchOptions& options : schedules()) EXPECT_EQ(run(ptx, options), want);
}

TEST(BulkRing, AStageThatIsNeverReleasedIsADeadlock) {
  const std::string ptx = compile("");
  for (const vm::LaunchOptions& options : schedules()) {
    try {
      run(ptx, options);
      ADD_FAILURE() << "ran to its end";
    } catch (const vm::Trap& trap) {
      EXPECT_EQ(trap.rule, vm::Rule::deadlock) << trap.what();
      EXPECT_NE(trap.message.find("32 of 32 arrivals"), std::string::npos) << trap.what();
    }
  }
}

}  // namespace
}  // namespace attest
