// Tests matrix instructions against plain products of small integers, with fragments laid out by the
// element-wise rules of the PTX ISA's text (the machine uses one formula over registers instead).
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "jit/conformance/executor_target.h"
#include "jit/vm/program.h"
#include "jit/vm/tensor_core.h"
#include "jit/vm_executor.h"

namespace attest::vm {
namespace {

constexpr int kThreads = 256;  // of the conformance kernel; a warp is enough, but a block is what it takes

conformance::Form form_of(const std::string& text) {
  for (const conformance::Form& form : conformance::all_forms()) {
    if (form.text == text) return form;
  }
  throw std::out_of_range(text);
}

// Slots [operands, 256 threads] in, [results, 256 threads] out.
std::vector<uint64_t> execute(const conformance::Form& form, const std::vector<uint64_t>& operands) {
  VmExecutor executor;
  conformance::ExecutorTarget target(executor);
  return target.run(form, kThreads, operands);
}

// Element i of a lane's fragment -> (row, column). PTX ISA, "Matrix Fragments for mma.m16n8k*", literally.
struct Cell {
  int row, column;
};
using Fragment = std::function<Cell(int lane, int i)>;
int group(int lane) { return lane >> 2; }
int in_group(int lane) { return lane % 4; }

struct Case {
  std::string form;
  int m, n, k;
  int bits;  // of an element of A and B
  Fragment a, b;
  std::function<uint64_t(int)> encode;  // of a small integer
  std::string accumulator;              // "f32", "f16", "s32", "f64"
};

Cell c_of(int lane, int i) { return {i < 2 ? group(lane) : group(lane) + 8, in_group(lane) * 2 + (i & 1)}; }

uint64_t f32_bits(int x) { return std::bit_cast<uint32_t>(static_cast<float>(x)); }
uint64_t f64_bits(int x) { return std::bit_cast<uint64_t>(static_cast<double>(x)); }
uint64_t bf16_bits(int x) { return f32_bits(x) >> 16; }
// By search among all patterns: slow, and independent of conversions.
uint64_t search_bits(MatrixFormat format, int bits, int x) {
  for (uint32_t pattern = 0; pattern < (1u << bits); ++pattern) {
    if (matrix_value(format, pattern) == x) return pattern;
  }
  throw std::out_of_range("no such value");
}
uint64_t f16_bits(int x) {
  static const std::vector<uint64_t> table = [] {
    std::vector<uint64_t> values;
    for (int value = -1100; value <= 1100; ++value)
      values.push_back(search_bits(MatrixFormat::f16, 16, value));
    return values;
  }();
  return table.at(static_cast<size_t>(x + 1100));
}

std::vector<Case> cases() {
  const auto half_a16 = [](int lane, int i) {
    const bool upper = !((0 <= i && i < 2) || (4 <= i && i < 6));
    return Cell{upper ? group(lane) + 8 : group(lane), in_group(lane) * 2 + (i & 1) + (i < 4 ? 0 : 8)};
  };
  const auto half_b16 = [](int lane, int i) {
    return Cell{in_group(lane) * 2 + (i & 1) + (i < 2 ? 0 : 8), group(lane)};
  };
  const auto half_a8 = [](int lane, int i) {
    return Cell{i < 2 ? group(lane) : group(lane) + 8, in_group(lane) * 2 + (i & 1)};
  };
  const auto half_b8 = [](int lane, int i) { return Cell{in_group(lane) * 2 + i, group(lane)}; };
  const auto byte_a32 = [](int lane, int i) {
    const bool upper = !((0 <= i && i < 4) || (8 <= i && i < 12));
    return Cell{upper ? group(lane) + 8 : group(lane), in_group(lane) * 4 + (i & 3) + (i < 8 ? 0 : 16)};
  };
  const auto byte_b32 = [](int lane, int i) {
    return Cell{in_group(lane) * 4 + (i & 3) + (i < 4 ? 0 : 16), group(lane)};
  };
  const auto byte_a16 = [](int lane, int i) {
    return Cell{i < 4 ? group(lane) : group(lane) + 8, in_group(lane) * 4 + (i & 3)};
  };
  const auto byte_b16 = [](int lane, int i) { return Cell{in_group(lane) * 4 + i, group(lane)}; };
  const auto word_a8 = [](int lane, int i) {
    return Cell{i == 0 || i == 2 ? group(lane) : group(lane) + 8,
                i < 2 ? in_group(lane) : in_group(lane) + 4};
  };
  const auto word_b8 = [](int lane, int i) {
    return Cell{i == 0 ? in_group(lane) : in_group(lane) + 4, group(lane)};
  };
  const auto word_a4 = [](int lane, int i) {
    return Cell{i == 0 ? group(lane) : group(lane) + 8, in_group(lane)};
  };
  const auto word_b4 = [](int lane, int) { return Cell{in_group(lane), group(lane)}; };
  const auto double_a16 = [](int lane, int i) {
    return Cell{i % 2 == 0 ? group(lane) : group(lane) + 8,
                i % 2 == 0 ? i * 2 + in_group(lane) : i * 2 - 2 + in_group(lane)};
  };
  const auto double_b16 = [](int lane, int i) { return Cell{in_group(lane) + i * 4, group(lane)}; };
  const auto low_byte = [](int x) { return static_cast<uint64_t>(x & 0xff); };
  const auto small_e4m3 = [](int x) { return search_bits(MatrixFormat::e4m3, 8, x); };
  const auto small_e5m2 = [](int x) { return search_bits(MatrixFormat::e5m2, 8, x % 4); };
  const std::string head = "mma.sync.aligned.";
  return {
      {head + "m16n8k16.row.col.f32.f16.f16.f32", 16, 8, 16, 16, half_a16, half_b16, f16_bits, "f32"},
      {head + "m16n8k8.row.col.f32.f16.f16.f32", 16, 8, 8, 16, half_a8, half_b8, f16_bits, "f32"},
      {head + "m16n8k16.row.col.f16.f16.f16.f16", 16, 8, 16, 16, half_a16, half_b16, f16_bits, "f16"},
      {head + "m16n8k8.row.col.f16.f16.f16.f16", 16, 8, 8, 16, half_a8, half_b8, f16_bits, "f16"},
      {head + "m16n8k16.row.col.f32.bf16.bf16.f32", 16, 8, 16, 16, half_a16, half_b16, bf16_bits, "f32"},
      {head + "m16n8k8.row.col.f32.bf16.bf16.f32", 16, 8, 8, 16, half_a8, half_b8, bf16_bits, "f32"},
      {head + "m16n8k8.row.col.f32.tf32.tf32.f32", 16, 8, 8, 32, word_a8, word_b8, f32_bits, "f32"},
      {head + "m16n8k4.row.col.f32.tf32.tf32.f32", 16, 8, 4, 32, word_a4, word_b4, f32_bits, "f32"},
      {head + "m16n8k32.row.col.f32.e4m3.e4m3.f32", 16, 8, 32, 8, byte_a32, byte_b32, small_e4m3, "f32"},
      {head + "m16n8k32.row.col.f32.e5m2.e5m2.f32", 16, 8, 32, 8, byte_a32, byte_b32, small_e5m2, "f32"},
      {head + "m16n8k32.row.col.s32.s8.s8.s32", 16, 8, 32, 8, byte_a32, byte_b32, low_byte, "s32"},
      {head + "m16n8k16.row.col.s32.s8.s8.s32", 16, 8, 16, 8, byte_a16, byte_b16, low_byte, "s32"},
      {head + "m8n8k4.row.col.f64.f64.f64.f64", 8, 8, 4, 64,
       [](int lane, int) {
         return Cell{group(lane), in_group(lane)};
       },
       word_b4, f64_bits, "f64"},
      {head + "m16n8k4.row.col.f64.f64.f64.f64", 16, 8, 4, 64, word_a4, word_b4, f64_bits, "f64"},
      {head + "m16n8k8.row.col.f64.f64.f64.f64", 16, 8, 8, 64, word_a8, word_b8, f64_bits, "f64"},
      {head + "m16n8k16.row.col.f64.f64.f64.f64", 16, 8, 16, 64, double_a16, double_b16, f64_bits, "f64"},
  };
}

// Puts a matrix of small integers into the lanes' registers.
void pack(const std::vector<int>& matrix, int columns, int bits, int elements, const Fragment& place,
          const std::function<uint64_t(int)>& encode, size_t first_operand, std::vector<uint64_t>& slots) {
  const int per_register = bits >= 32 ? 1 : 32 / bits;
  for (int lane = 0; lane < kThreads; ++lane) {
    for (int i = 0; i < elements; ++i) {
      const Cell cell = place(lane % 32, i);
      const uint64_t value = encode(matrix[static_cast<size_t>(cell.row * columns + cell.column)]);
      slots[(first_operand + static_cast<size_t>(i / per_register)) * kThreads + static_cast<size_t>(lane)] |=
          value << (i % per_register * bits);
    }
  }
}

class Multiply : public testing::TestWithParam<Case> {};

TEST_P(Multiply, GivesThePlainProductOfSmallIntegers) {
  const Case& test = GetParam();
  const conformance::Form form = form_of(test.form);
  std::mt19937 random(5);
  const bool e5m2 = test.form.find("e5m2") != std::string::npos;
  const auto draw = [&](int rows, int columns) {
    std::vector<int> matrix(static_cast<size_t>(rows * columns));
    for (int& x : matrix) x = static_cast<int>(random() % 9) - 4;
    if (e5m2)
      for (int& x : matrix) x %= 4;
    return matrix;
  };
  const std::vector<int> a = draw(test.m, test.k), b = draw(test.k, test.n), c = draw(test.m, test.n);
  std::vector<uint64_t> slots(form.operands.size() * kThreads);
  const int a_elements = test.m * test.k / 32, b_elements = test.k * test.n / 32,
            c_elements = test.m * test.n / 32;
  const int per_register = test.bits >= 32 ? 1 : 32 / test.bits;
  const int c_bits = test.accumulator == "f16" ? 16 : test.accumulator == "f64" ? 64 : 32;
  const std::function<uint64_t(int)> encode_c =
      test.accumulator == "f16"   ? f16_bits
      : test.accumulator == "f64" ? f64_bits
                                  : test.accumulator == "s32"
          ? [](int x) -> uint64_t { return static_cast<uint32_t>(x); }
  : f32_bits;
  size_t operand = 0;
  pack(a, test.k, test.bits, a_elements, test.a, test.encode, operand, slots);
  operand += static_cast<size_t>(a_elements / per_register);
  pack(b, test.n, test.bits, b_elements, test.b, test.encode, operand, slots);
  operand += static_cast<size_t>(b_elements / per_register);
  pack(c, test.n, c_bits, c_elements, c_of, encode_c, operand, slots);
  const std::vector<uint64_t> results = execute(form, slots);

  std::vector<int> product = c;
  for (int i = 0; i < test.m; ++i)
    for (int j = 0; j < test.n; ++j)
      for (int k = 0; k < test.k; ++k)
        product[static_cast<size_t>(i * test.n + j)] +=
            a[static_cast<size_t>(i * test.k + k)] * b[static_cast<size_t>(k * test.n + j)];
  std::vector<uint64_t> expected(results.size());
  pack(product, test.n, c_bits, c_elements, c_of, encode_c, 0, expected);
  EXPECT_EQ(results, expected);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Multiply, testing::ValuesIn(cases()), [](const auto& instance) {
  std::string name = instance.param.form;
  std::erase(name, '.');
  return name;
});

TEST(MultiplyFp8, AddsTheAccumulatorLastAndRoundsToNearest) {
  // A = 1 at (0, 0), B = 1 at (0, 0): D = 1 + C with C = 2^-24 + 2^-25, which rounds up; a fused step would
  // cut it off.
  const conformance::Form form = form_of("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32");
  std::vector<uint64_t> slots(form.operands.size() * kThreads);
  slots[0] = 0x38;
  slots[4 * kThreads] = 0x38;
  slots[6 * kThreads] = std::bit_cast<uint32_t>(1.5f * 0x1p-24f);
  EXPECT_EQ(execute(form, slots)[0], 0x3f800001u);
}

// Every lane stores a row of 8 elements; element j of row `lane` is 16 * lane + j, so that places can be told
// apart.
std::vector<uint64_t> numbered_rows(size_t operands) {
  std::vector<uint64_t> slots(operands * kThreads);
  for (size_t lane = 0; lane < kThreads; ++lane) {
    for (size_t j = 0; j < 8; ++j) {
      if (j / 2 < operands) slots[j / 2 * kThreads + lane] |= (16 * (lane % 32) + j) << (16 * (j % 2));
    }
  }
  return slots;
}

// Matrix i, row r, column c lies in lane 4 * r + c / 2 (transposed: 4 * c + r / 2) of register i.
uint64_t half_at(const std::vector<uint64_t>& results, size_t i, size_t r, size_t c, bool transposed) {
  if (transposed) std::swap(r, c);
  return results[i * kThreads + 4 * r + c / 2] >> (16 * (c % 2)) & 0xffff;
}

TEST(LoadMatrix, GivesEachLaneItsElements) {
  for (const size_t count : {1u, 2u, 4u}) {
    for (const bool transposed : {false, true}) {
      const conformance::Form form = form_of("ldmatrix.sync.aligned.m8n8.x" + std::to_string(count) +
                                             (transposed ? ".trans" : "") + ".shared.b16");
      const std::vector<uint64_t> results = execute(form, numbered_rows(4));
      for (size_t i = 0; i < count; ++i)
        for (size_t r = 0; r < 8; ++r)
          for (size_t c = 0; c < 8; ++c)
            EXPECT_EQ(half_at(results, i, r, c, transposed), 16 * (8 * i + r) + c) << form.text;
    }
  }
}

TEST(StoreMatrix, PutsEachLanesElementsIntoTheirRows) {
  for (const size_t count : {1u, 2u, 4u}) {
    for (const bool transposed : {false, true}) {
      const conformance::Form form = form_of("stmatrix.sync.aligned.m8n8.x" + std::to_string(count) +
                                             (transposed ? ".trans" : "") + ".shared.b16");
      const std::vector<uint64_t> slots = numbered_rows(4);
      const std::vector<uint64_t> results = execute(form, slots);
      for (size_t row = 0; row < 32; ++row) {
        for (size_t c = 0; c < 8; ++c) {
          const uint64_t stored = results[c / 2 * kThreads + row] >> (16 * (c % 2)) & 0xffff;
          const size_t i = row / 8;
          EXPECT_EQ(stored, i < count ? half_at(slots, i, row % 8, c, transposed) : 16 * row + c)
              << form.text << " row " << row;
        }
      }
    }
  }
}

TEST(MoveMatrix, Transposes) {
  const conformance::Form form = form_of("movmatrix.sync.aligned.m8n8.trans.b16");
  std::vector<uint64_t> slots(kThreads);
  for (size_t lane = 0; lane < kThreads; ++lane) slots[lane] = (lane % 32) | (lane % 32 + 100) << 16;
  const std::vector<uint64_t> results = execute(form, slots);
  for (size_t r = 0; r < 8; ++r)
    for (size_t c = 0; c < 8; ++c)
      EXPECT_EQ(half_at(results, 0, r, c, false), half_at(slots, 0, c, r, false));
}

// --- guards ---

void run_text(const std::string& body) {
  const std::string text =
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k() {\n"
      ".reg .b32 %r<20>; .reg .pred %p<3>; .shared .align 16 .b8 tile[512];\n" +
      body + "\nret;\n}\n";
  VmExecutor executor;
  CompiledKernel kernel;
  kernel.name = kernel.key = kernel.entry = "k";
  kernel.ptx = text;
  LaunchShape shape;
  shape.block[0] = 32;
  executor.launch(kernel, shape, {});
}
Rule rule_of(const std::string& body) {
  try {
    run_text(body);
  } catch (const Trap& trap) {
    return trap.rule;
  }
  return Rule::other;
}
const std::string kLane = "mov.u32 %r1, %tid.x; ";
const std::string kFill =
    "mov.u32 %r2, tile; mad.lo.u32 %r3, %r1, 16, %r2; st.shared.v4.b32 [%r3], {%r1, %r1, %r1, %r1}; bar.sync "
    "0; ";

TEST(MatrixGuards, ARowMustBeAlignedTo16Bytes) {
  EXPECT_EQ(
      rule_of(kLane + kFill + "add.u32 %r3, %r3, 4; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r4}, [%r3];"),
      Rule::misaligned);
}

TEST(MatrixGuards, ARowMustLieInsideSharedMemory) {
  EXPECT_EQ(
      rule_of(kLane + kFill +
              "add.u32 %r3, %r3, 16; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r3];"),
      Rule::out_of_bounds);
  // The last lane's address does not count for x2.
  EXPECT_NO_THROW(run_text(
      kLane + kFill + "add.u32 %r3, %r3, 16; ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r4, %r5}, [%r3];"));
}

TEST(MatrixGuards, ARowMustHaveBeenWritten) {
  EXPECT_EQ(rule_of(kLane + "mov.u32 %r2, tile; mad.lo.u32 %r3, %r1, 16, %r2; "
                            "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r4}, [%r3];"),
            Rule::uninitialised);
}

TEST(MatrixGuards, AllLanesMustTakePart) {
  EXPECT_NE(rule_of(kLane + "setp.lt.u32 %p1, %r1, 16; @%p1 movmatrix.sync.aligned.m8n8.trans.b16 %r4, %r1;"),
            Rule::other);
}

TEST(MatrixGuards, RegisterCountsAreCheckedWhenParsed) {
  EXPECT_THROW(run_text("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5}, [tile];"), ParseError);
  EXPECT_THROW(
      run_text(
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, {%r4,%r5,%r6}, {%r8,%r9}, "
          "{%r0,%r1,%r2,%r3};"),
      ParseError);
  EXPECT_THROW(run_text("mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32 {%r0,%r1,%r2,%r3}, "
                        "{%r4,%r5,%r6,%r7}, {%r8,%r9}, "
                        "{%r0,%r1,%r2,%r3};"),
               ParseError);
}

}  // namespace
}  // namespace attest::vm
