// How fast matrix instructions run: bf16 mma.sync and wgmma in a loop, with the device's rounding and with
// the wide one.
#include <benchmark/benchmark.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/program.h"

namespace attest::vm {
namespace {

constexpr uint32_t kSteps = 16;  // times the same product is accumulated

uint16_t bf16(int value) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(value)) >> 16);
}
int a_value(uint32_t row, uint32_t k) { return static_cast<int>((row * 7 + k * 3) % 9) - 4; }
int b_value(uint32_t k, uint32_t column) { return static_cast<int>((column * 5 + k * k) % 7) - 3; }

float expected(uint32_t row, uint32_t column, uint32_t depth) {
  int sum = 0;
  for (uint32_t k = 0; k < depth; ++k) sum += a_value(row, k) * b_value(k, column);
  return static_cast<float>(sum) * static_cast<float>(kSteps);
}

std::string numbered(const char* name, uint32_t count, uint32_t first = 0) {
  std::string text;
  for (uint32_t i = 0; i < count; ++i) text += (i ? ", %" : "{%") + (name + std::to_string(first + i));
  return text + "}";
}

// [64, 64] x [64, n]: per step four wgmma of k = 16. The image of A and B in shared memory comes with the
// buffer, rows of 64 elements with the 128-byte swizzle. The result is [128 threads][n / 2].
std::string wgmma_kernel(uint32_t n) {
  std::string text =
      ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 data)\n{\n"
      ".reg .b32 %t, %i, %v; .reg .f32 %d<128>; .reg .b64 %g, %x, %a, %b; .reg .pred %p, %q;\n"
      ".shared .align 1024 .b8 tile[40960];\n"
      "ld.param.u64 %g, [data];\nmov.u32 %t, %tid.x;\nmul.lo.u32 %i, %t, 4;\n"
      "COPY:\ncvt.u64.u32 %x, %i;\nadd.u64 %x, %x, %g;\nld.global.b32 %v, [%x];\nst.shared.b32 [%i], %v;\n"
      "add.u32 %i, %i, 512;\nsetp.lt.u32 %p, %i, 40960;\n@%p bra COPY;\nbar.sync 0;\nmov.u32 %i, 0;\n"
      "LOOP:\nwgmma.fence.sync.aligned;\n";
  for (uint32_t k = 0; k < 4; ++k) {
    const uint64_t layout = uint64_t{1} << 62 | uint64_t{64} << 32 | 2 * k;
    text += "mov.u64 %a, " + std::to_string(layout) + ";\nmov.u64 %b, " + std::to_string(layout + 512) +
            ";\n" + (k ? "setp.eq.u32 %q, 0, 0;\n" : "setp.ne.u32 %q, %i, 0;\n") +
            "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k16.f32.bf16.bf16 " +
            numbered("d", n / 2) + ", %a, %b, %q, 1, 1, 0, 0;\n";
  }
  text +=
      "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\nadd.u32 %i, %i, 1;\n"
      "setp.lt.u32 %p, %i, " +
      std::to_string(kSteps) + ";\n@%p bra LOOP;\nmul.wide.u32 %x, %t, " + std::to_string(2 * n) +
      ";\nadd.u64 %g, %g, %x;\n";
  for (uint32_t i = 0; i < n / 2; ++i)
    text += "st.global.f32 [%g+" + std::to_string(40960 + 4 * i) + "], %d" + std::to_string(i) + ";\n";
  return text + "ret;\n}\n";
}

// [16, 16] x [16, 64] a warp, four warps with the same numbers: per step eight mma.sync. A's and B's
// fragments come with the buffer, [lane][4 + 16]; the result is [128 threads][32].
std::string mma_kernel() {
  std::string text =
      ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 data)\n{\n"
      ".reg .b32 %t, %i, %l, %a<4>, %b<16>; .reg .f32 %d<32>; .reg .b64 %g, %x; .reg .pred %p;\n"
      "ld.param.u64 %g, [data];\nmov.u32 %t, %tid.x;\nand.b32 %l, %t, 31;\nmul.wide.u32 %x, %l, 80;\n"
      "add.u64 %x, %x, %g;\n";
  for (uint32_t i = 0; i < 20; ++i)
    text += "ld.global.b32 %" + (i < 4 ? "a" + std::to_string(i) : "b" + std::to_string(i - 4)) + ", [%x+" +
            std::to_string(4 * i) + "];\n";
  for (uint32_t i = 0; i < 32; ++i) text += "mov.f32 %d" + std::to_string(i) + ", 0f00000000;\n";
  text += "mov.u32 %i, 0;\nLOOP:\n";
  for (uint32_t j = 0; j < 8; ++j)
    text += "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 " + numbered("d", 4, 4 * j) + ", " +
            numbered("a", 4) + ", " + numbered("b", 2, 2 * j) + ", " + numbered("d", 4, 4 * j) + ";\n";
  text += "add.u32 %i, %i, 1;\nsetp.lt.u32 %p, %i, " + std::to_string(kSteps) +
          ";\n@%p bra LOOP;\nmul.wide.u32 %x, %t, 128;\nadd.u64 %g, %g, %x;\n";
  for (uint32_t i = 0; i < 32; ++i)
    text += "st.global.f32 [%g+" + std::to_string(40960 + 4 * i) + "], %d" + std::to_string(i) + ";\n";
  return text + "ret;\n}\n";
}

std::vector<uint16_t> wgmma_input(uint32_t n) {
  std::vector<uint16_t> image(20480);
  const auto put = [&](uint32_t address, int value) {
    image[(address ^ (address >> 3 & 0x70)) / 2] = bf16(value);
  };
  for (uint32_t k = 0; k < 64; ++k) {
    for (uint32_t row = 0; row < 64; ++row) put(128 * row + 2 * k, a_value(row, k));
    for (uint32_t column = 0; column < n; ++column) put(8192 + 128 * column + 2 * k, b_value(k, column));
  }
  return image;
}

std::vector<uint16_t> mma_input() {
  std::vector<uint16_t> words(20480);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    const uint32_t g = lane / 4, t = lane % 4;
    for (uint32_t h = 0; h < 2; ++h) {
      for (uint32_t i = 0; i < 4; ++i)
        words[40 * lane + 2 * i + h] = bf16(a_value(g + 8 * (i % 2), 2 * t + h + 8 * (i / 2)));
      for (uint32_t i = 0; i < 16; ++i)
        words[40 * lane + 8 + 2 * i + h] = bf16(b_value(2 * t + h + 8 * (i % 2), 8 * (i / 2) + g));
    }
  }
  return words;
}

// `n` is 64 for mma.sync, of which every warp has the same 16 rows.
void multiply(benchmark::State& state, bool warpgroup, uint32_t n, Arithmetic arithmetic) {
  const Program program = Program::parse(warpgroup ? wgmma_kernel(n) : mma_kernel());
  const std::vector<uint16_t> input = warpgroup ? wgmma_input(n) : mma_input();
  Machine machine;
  const uint64_t data = machine.memory().allocate(40960 + uint64_t{256} * n, "data");
  machine.memory().write(data, std::as_bytes(std::span(input)));
  LaunchOptions options;
  options.block = {128, 1, 1};
  options.arithmetic = arithmetic;
  for (auto _ : state) machine.launch(program, "k", options, std::as_bytes(std::span(&data, 1)));
  const uint32_t depth = warpgroup ? 64 : 16;
  std::vector<float> out(size_t{64} * n);
  machine.memory().read(data + 40960, std::as_writable_bytes(std::span(out)));
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < n / 2; ++i) {
      const uint32_t row = (warpgroup ? thread / 32 * 16 : 0) + thread % 32 / 4 + 8 * (i / 2 % 2);
      const uint32_t column = i / 4 * 8 + thread % 4 * 2 + i % 2;
      if (!(out[thread * (n / 2) + i] == expected(row, column, depth)))
        return state.SkipWithError("the output is wrong");
    }
  }
  const double operations = 2.0 * 64 * n * depth * kSteps * static_cast<double>(state.iterations());
  state.counters["FLOP/s"] = benchmark::Counter(operations, benchmark::Counter::kIsRate);
}

const bool registered = [] {
  for (const Arithmetic arithmetic : {Arithmetic::hw, Arithmetic::wide}) {
    const std::string how = arithmetic == Arithmetic::hw ? "/hw" : "/wide";
    const auto add = [&](const std::string& name, bool warpgroup, uint32_t n) {
      benchmark::RegisterBenchmark((name + how).c_str(), [=](benchmark::State& state) {
        multiply(state, warpgroup, n, arithmetic);
      })->Unit(benchmark::kMillisecond);
    };
    add("vm/mma.sync.m16n8k16.bf16", false, 64);
    add("vm/wgmma.m64n64k16.bf16", true, 64);
    add("vm/wgmma.m64n256k16.bf16", true, 256);
  }
  return true;
}();

}  // namespace
}  // namespace attest::vm
