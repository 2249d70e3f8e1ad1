// wgmma in the arithmetic modes that other instructions have: perturbed steps, and exact elements.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "jit/vm/payload.h"
#include "jit/vm/payload_table.h"
#include "tests/vm/wgmma_kernel.h"

namespace attest::vm::wgmma {
namespace {

constexpr uint32_t kRows = 64, kColumns = 8, kInner = 16, kB = 8192;  // bf16, no swizzle; where B lies

double a_of(uint32_t row, uint32_t k) { return 1 + (row * 7 + k * 5) % 32 / 32.0; }
double b_of(uint32_t k, uint32_t column) { return ((k * 11 + column * 3) % 64 - 31.0) / 64; }
// All 24 bits of an f32, so that sums must round.
double c_of(uint32_t row, uint32_t column) { return static_cast<float>(std::sin(row + 3.7 * column)); }

// d = -a b + c (A negated), [row][column] as f32 bits.
std::vector<uint32_t> multiply(LaunchOptions options) {
  const Tile a = tile(kBf16, 16, false, 0, kRows, 0), b = tile(kBf16, 16, false, kB, kColumns, 0);
  Input input;
  input.image.resize(2 * kB);
  const auto put = [&](const Tile& where, uint32_t mn, uint32_t k, double value) {
    const auto bits = static_cast<uint16_t>(encode(kBf16, value));
    std::memcpy(&input.image.at(where.address(mn, k)), &bits, sizeof bits);
  };
  for (uint32_t k = 0; k < kInner; ++k) {
    for (uint32_t row = 0; row < kRows; ++row) put(a, row, k, a_of(row, k));
    for (uint32_t column = 0; column < kColumns; ++column) put(b, column, k, b_of(k, column));
  }
  input.a.resize(size_t{4} * 128);
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < 4; ++i) {
      const Cell at = d_cell(thread, i);
      input.d.push_back(std::bit_cast<uint32_t>(static_cast<float>(c_of(at.row, at.column))));
    }
  }
  const Kernel kernel{
      2 * kB, 4,
      "mov.u64 %da, " + std::to_string(static_cast<int64_t>(a.descriptor())) + ";\nmov.u64 %db, " +
          std::to_string(static_cast<int64_t>(b.descriptor())) +
          ";\nwgmma.fence.sync.aligned;\nwgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 " +
          vector_of("d", 4) +
          ", %da, %db, %p1, -1, 1, 0, 0;\nwgmma.commit_group.sync.aligned;\n"
          "wgmma.wait_group.sync.aligned 0;\n"};
  const std::vector<uint32_t> registers = run(kernel, input, options);
  std::vector<uint32_t> d(kRows * kColumns);
  for (uint32_t thread = 0; thread < 128; ++thread) {
    for (uint32_t i = 0; i < 4; ++i) {
      const Cell at = d_cell(thread, i);
      d.at(at.row * kColumns + at.column) = registers.at(thread * 4 + i);
    }
  }
  return d;
}

TEST(WgmmaModes, PerturbedStepsDifferBetweenSeedsWithinWhatAStepMayLose) {
  std::set<std::vector<uint32_t>> different;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<uint32_t> d = multiply({.seed = seed, .arithmetic = Arithmetic::perturb});
    for (uint32_t row = 0; row < kRows; ++row) {
      for (uint32_t column = 0; column < kColumns; ++column) {
        double exact = c_of(row, column), largest = std::fabs(exact);
        for (uint32_t k = 0; k < kInner; ++k) {
          const double product = a_of(row, k) * b_of(k, column);
          exact -= product;
          largest = std::max(largest, std::fabs(product));
        }
        // 17 terms, each cut at 2^-25 of at most four times the largest one, then the result's last place.
        const double bound = 17 * largest * 0x1p-23 + std::fabs(exact) * 0x1p-23;
        const double error = std::fabs(std::bit_cast<float>(d[row * kColumns + column]) - exact);
        EXPECT_LE(error, bound) << "seed " << seed << " row " << row << " column " << column;
      }
    }
    different.insert(d);
  }
  EXPECT_EQ(different.size(), 20u);
}

TEST(WgmmaModes, PayloadIsTheExactSumOfProductsInAnyOrder) {
  PayloadTable table;
  const std::vector<uint32_t> d = multiply({.arithmetic = Arithmetic::payload, .payload = &table});
  for (uint32_t row = 0; row < kRows; ++row) {
    for (uint32_t column = 0; column < kColumns; ++column) {
      Payload sum = payload_of(0), one_short = sum;
      for (uint32_t k = kInner; k-- > 0;) {
        one_short = sum;  // without the product of k = 0, below
        sum = sum - payload_of(a_of(row, k)) * payload_of(b_of(k, column));
      }
      const Payload c = payload_of(c_of(row, column)), got = table.f32(d[row * kColumns + column]);
      const Agreement whole = agreement(got, sum + c);
      EXPECT_TRUE(whole.equal && whole.bits >= 32) << row << " " << column << ": " << whole.bits << " bits";
      if (b_of(0, column) != 0) {
        EXPECT_FALSE(agreement(got, one_short + c).equal);
      }
    }
  }
}

}  // namespace
}  // namespace attest::vm::wgmma
