// Perturbed arithmetic: every result within the documented error, many that are not the nearest one, special
// values and correctly rounded instructions as ever.
#include "jit/vm/perturb.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <set>

#include "jit/vm/arithmetic_mode.h"
#include "jit/vm/forms.h"
#include "kernel_under_test.h"

namespace attest::vm {
namespace {

uint32_t word(float value) { return std::bit_cast<uint32_t>(value); }
float number(uint32_t bits) { return std::bit_cast<float>(bits); }

// d[i] = op(a[i], b[i]) for words {a, b, d} in turn.
std::vector<float> apply(const std::string& op, bool binary, const std::vector<float>& a,
                         const std::vector<float>& b, LaunchOptions options) {
  std::vector<uint32_t> words;
  for (size_t i = 0; i < a.size(); ++i) words.insert(words.end(), {word(a[i]), word(b[i]), 0});
  options.block = {static_cast<uint32_t>(std::min<size_t>(a.size(), 128)), 1, 1};
  options.grid = {static_cast<uint32_t>(a.size()) / options.block.x, 1, 1};
  const Ran ran = run_kernel(
      module_with("mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmad.lo.u32 %t, %r1, %r2, %t;\n"
                  "mul.wide.u32 %rd1, %t, 12;\nadd.s64 %rd2, %d, %rd1;\nld.global.f32 %f1, [%rd2];\n"
                  "ld.global.f32 %f2, [%rd2+4];\n" +
                  op + " %f3, %f1" + (binary ? ", %f2" : "") + ";\nst.global.f32 [%rd2+8], %f3;"),
      words, options);
  EXPECT_FALSE(ran.trap.has_value());
  std::vector<float> results;
  for (size_t i = 0; i < a.size(); ++i) results.push_back(number(ran.data[3 * i + 2]));
  return results;
}

struct Operation {
  const char* name;
  float lowest, highest;  // operands
  long double (*exact)(long double a, long double b);
  // The error that the PTX ISA documents, in units of the result's size (relative), or absolute, or in ulps.
  double relative, absolute, ulps;
};
const Operation kOperations[] = {
    {"div.approx.f32", -50, 50, [](long double a, long double b) { return a / b; }, 0, 0, 2},
    {"div.full.ftz.f32", -50, 50, [](long double a, long double b) { return a / b; }, 0, 0, 2},
    {"rcp.approx.f32", 0.01f, 90, [](long double a, long double) { return 1 / a; }, 0, 0, 1},
    {"sqrt.approx.ftz.f32", 0.01f, 90, [](long double a, long double) { return sqrtl(a); }, 0x1p-23, 0, 0},
    {"rsqrt.approx.f32", 0.01f, 90, [](long double a, long double) { return 1 / sqrtl(a); }, 0x1.126p-23, 0,
     0},
    {"ex2.approx.ftz.f32", -40, 40, [](long double a, long double) { return exp2l(a); }, 0x1p-22, 0, 0},
    {"lg2.approx.f32", 2, 90, [](long double a, long double) { return log2l(a); }, 0x1p-22, 0, 0},
    {"lg2.approx.f32", 0.5f, 2, [](long double a, long double) { return log2l(a); }, 0, 0x1p-22, 0},
    {"sin.approx.f32", -6, 6, [](long double a, long double) { return sinl(a); }, 0, 0x1.6ap-21, 0},
    {"cos.approx.f32", -6, 6, [](long double a, long double) { return cosl(a); }, 0, 0x1.6ap-21, 0},
    {"tanh.approx.f32", -3, 3, [](long double a, long double) { return tanhl(a); }, 0x1p-11, 0, 0},
};

TEST(Perturb, ApproximationsErrWithinWhatIsDocumentedAndUseMostOfIt) {
  std::mt19937 random(1);
  for (const Operation& each : kOperations) {
    std::uniform_real_distribution<float> operand(each.lowest, each.highest);
    std::vector<float> a(8192), b(8192);
    for (float& x : a) x = operand(random);
    for (float& x : b) x = operand(random);
    const bool binary = std::string(each.name).starts_with("div");
    const std::vector<float> one =
        apply(each.name, binary, a, b, {.seed = 1, .arithmetic = Arithmetic::perturb});
    const std::vector<float> two =
        apply(each.name, binary, a, b, {.seed = 2, .arithmetic = Arithmetic::perturb});
    const std::vector<float> nearest = apply(each.name, binary, a, b, {.seed = 1});
    int seeds_differ = 0, moved = 0;
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const long double exact = each.exact(static_cast<long double>(a[i]), static_cast<long double>(b[i]));
      const double ulp = std::ldexp(1.0, std::ilogb(static_cast<double>(exact)) - 23);
      const double allowed =
          each.relative * static_cast<double>(fabsl(exact)) + each.absolute + each.ulps * ulp;
      const double error = static_cast<double>(fabsl(static_cast<long double>(one[i]) - exact));
      ASSERT_TRUE(error <= allowed) << each.name << " of " << a[i] << ", " << b[i] << ": " << one[i];
      worst = std::max(worst, error / allowed);
      seeds_differ += one[i] != two[i];
      moved += one[i] != nearest[i];
    }
    EXPECT_GT(worst, 0.8) << each.name;
    EXPECT_GT(seeds_differ, 2000) << each.name;
    EXPECT_GT(moved, 1500) << each.name;
  }
}

TEST(Perturb, EveryApproximationOfTheTableIsTested) {
  for (const Approximation& each : approximations())
    EXPECT_TRUE(std::any_of(std::begin(kOperations), std::end(kOperations), [&](const Operation& tested) {
      return std::string(tested.name).starts_with(each.name);
    })) << each.name;
}

TEST(Perturb, SpecialResultsAndExactInstructionsStay) {
  const std::vector<float> a = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -1.0f, 1.0f},
                           b = {0.0f, 3.0f, 1.0f, 2.5f, 2.0f, 1.5f, INFINITY, 0x1.8p127f};
  const auto same = [&](const char* op, bool binary, size_t count) {
    for (uint64_t seed = 1; seed < 9; ++seed) {
      const std::vector<float> moved =
          apply(op, binary, a, b, {.seed = seed, .arithmetic = Arithmetic::perturb});
      const std::vector<float> usual = apply(op, binary, a, b, {});
      for (size_t i = 0; i < count; ++i) EXPECT_EQ(word(moved[i]), word(usual[i])) << op << " of " << a[i];
    }
  };
  same("ex2.approx.ftz.f32", false, 6);  // 2^0 = 1, 2^-inf = 0, 2^inf, NaN; 2^(flushed) = 1
  same("lg2.approx.f32", false, 5);
  same("lg2.approx.f32", false, 5);
  same("rcp.approx.f32", false, 5);
  same("rsqrt.approx.f32", false, 5);
  same("sin.approx.f32", false, 6);
  same("tanh.approx.f32", false, 2);
  same("div.approx.f32", true, 5);
  for (const char* exact : {"add.rn.f32", "mul.rn.f32", "div.rn.f32"}) same(exact, true, a.size());
  same("sqrt.rn.f32", false, a.size());
}

TEST(Perturb, DependsOnSeedAndOperandsAlone) {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> operand(-40, 40);
  std::vector<float> a(1024);
  for (float& x : a) x = operand(random);
  const std::vector<float> want =
      apply("ex2.approx.f32", false, a, a, {.seed = 5, .arithmetic = Arithmetic::perturb});
  const std::vector<float> serial =
      apply("ex2.approx.f32", false, a, a,
            {.schedule = Schedule::serial, .seed = 5, .host_threads = 3, .arithmetic = Arithmetic::perturb});
  const std::vector<float> shuffled =
      apply("ex2.approx.f32", false, a, a,
            {.schedule = Schedule::shuffled, .seed = 5, .arithmetic = Arithmetic::perturb});
  EXPECT_EQ(want, serial);
  EXPECT_EQ(want, shuffled);
}

TEST(Perturb, TensorCoreStepsErrByLessThanTheirTruncationMayLose) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  constexpr MatrixShape kShape{16, 8, 16};
  std::vector<uint32_t> a(256), b(128), c(128), d(128), hw(128);
  std::set<std::vector<uint32_t>> different;
  double worst = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    if (seed < 150) {  // then 50 seeds of the same matrices
      for (uint32_t& x : a) x = word(normal(random)) >> 16;
      for (uint32_t& x : b) x = word(normal(random)) >> 16;
      for (uint32_t& x : c) x = word(normal(random) * (seed % 2 ? 1.0f : 1e-3f));
    }
    perturbed_matrix_step(seed, mma_sync_model(MatrixFormat::bf16), kShape, MatrixFormat::bf16, a,
                          MatrixFormat::bf16, b, AccumulatorFormat::f32, c, d);
    if (seed >= 150) different.insert(d);
    for (size_t i = 0; i < 16; ++i) {
      for (size_t j = 0; j < 8; ++j) {
        long double exact = static_cast<long double>(number(c[i * 8 + j]));
        int largest = std::ilogb(number(c[i * 8 + j]));
        for (size_t k = 0; k < 16; ++k) {
          const float x = number(a[i * 16 + k] << 16), y = number(b[k * 8 + j] << 16);
          exact += static_cast<long double>(x) * static_cast<long double>(y);
          largest = std::max(largest, std::ilogb(x) + std::ilogb(y));
        }
        const float got = number(d[i * 8 + j]);
        const double allowed = 17 * std::ldexp(1.0, largest - 25) + std::ldexp(1.0, std::ilogb(got) - 23);
        const auto error = static_cast<double>(fabsl(static_cast<long double>(got) - exact));
        ASSERT_TRUE(error <= allowed) << seed << ": " << i << ", " << j;
        worst = std::max(worst, error / allowed);
      }
    }
  }
  EXPECT_GT(worst, 0.4);
  EXPECT_GT(different.size(), 45u);
}

TEST(Perturb, TensorCoreStepsWithoutRoundingAndWithSpecialValuesStay) {
  constexpr MatrixShape kShape{16, 8, 16};
  std::vector<uint32_t> a(256), b(128), c(128), d(128), hw(128);
  for (size_t i = 0; i < 256; ++i) a[i] = word(static_cast<float>(i % 7) - 3) >> 16;
  for (size_t i = 0; i < 128; ++i) b[i] = word(static_cast<float>(i % 5) - 2) >> 16;
  for (size_t i = 0; i < 128; ++i) c[i] = word(static_cast<float>(i));
  a[16 * 3] = 0x7F80;  // row 3: infinity or NaN
  c[5] = 0x7F800000;
  for (const AccumulatorFormat format : {AccumulatorFormat::f32, AccumulatorFormat::f16}) {
    if (format == AccumulatorFormat::f16)
      for (size_t i = 0; i < 128; ++i) c[i] = i % 2 ? 0x3C00 : 0x8000;  // 1 and -0
    fused_matrix_step(mma_sync_model(MatrixFormat::bf16), kShape, MatrixFormat::bf16, a, MatrixFormat::bf16,
                      b, format, c, hw);
    perturbed_matrix_step(7, mma_sync_model(MatrixFormat::bf16), kShape, MatrixFormat::bf16, a,
                          MatrixFormat::bf16, b, format, c, d);
    EXPECT_EQ(d, hw);
  }
}

TEST(Perturb, MmaInstructionsOfEveryFloatFormatArePerturbed) {
  std::mt19937 random(4);
  // Bytes from 8 on with random signs: as e4m3 sizes from 2^-6, apart enough for a step to lose bits.
  const auto operands_below = [&](uint32_t most) {
    std::vector<uint32_t> words(32 * 10);
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = word(0.1f * static_cast<float>(i % 7));
      if (i % 10 < 6)
        for (int shift = 0; shift < 32; shift += 8)
          words[i] = (words[i] & ~(0xFFu << shift)) |
                     static_cast<uint32_t>(8 + random() % (most - 8) + (random() % 2 << 7)) << shift;
    }
    return words;
  };
  std::string body = "mul.wide.u32 %rd1, %t, 40;\nadd.s64 %rd2, %d, %rd1;\n";
  for (int i = 0; i < 6; ++i)
    body += "ld.global.u32 %r" + std::to_string(i) + ", [%rd2+" + std::to_string(4 * i) + "];\n";
  for (int i = 0; i < 4; ++i)
    body += "ld.global.f32 %f" + std::to_string(i) + ", [%rd2+" + std::to_string(24 + 4 * i) + "];\n";
  const std::string operands = " {%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, {%r4,%r5}, {%f0,%f1,%f2,%f3};\n";
  std::string stores;
  for (int i = 0; i < 4; ++i)
    stores += "st.global.f32 [%rd2+" + std::to_string(24 + 4 * i) + "], %f" + std::to_string(i) + ";\n";
  for (const char* form : {"m16n8k32.row.col.f32.e4m3.e4m3.f32", "m16n8k16.row.col.f32.f16.f16.f32",
                           "m16n8k16.row.col.f32.bf16.bf16.f32", "m16n8k8.row.col.f32.tf32.tf32.f32"}) {
    const bool bytes = std::string(form).find("e4m3") != std::string::npos;
    const std::vector<uint32_t> words =
        operands_below(bytes ? 0x78 : 0x3C);  // no infinities among wider ones
    const auto run = [&](Arithmetic arithmetic, uint64_t seed) {
      LaunchOptions options{.block = {32, 1, 1}, .seed = seed, .arithmetic = arithmetic};
      const Ran ran =
          run_kernel(module_with(body + "mma.sync.aligned." + form + operands + stores), words, options);
      EXPECT_FALSE(ran.trap.has_value()) << form;
      return ran.data;
    };
    const std::vector<uint32_t> hw = run(Arithmetic::hw, 1), one = run(Arithmetic::perturb, 1);
    EXPECT_EQ(one, run(Arithmetic::perturb, 1)) << form;
    EXPECT_NE(one, hw) << form;
    EXPECT_NE(one, run(Arithmetic::perturb, 2)) << form;
    double scale = 0, difference = 0;
    for (size_t i = 0; i < hw.size(); ++i) {
      if (i % 10 < 6) continue;
      scale = std::max(scale, std::fabs(static_cast<double>(number(hw[i]))));
      difference = std::max(difference, std::fabs(static_cast<double>(number(hw[i]) - number(one[i]))));
    }
    EXPECT_LT(difference, 1e-5 * scale) << form;
  }
}

}  // namespace
}  // namespace attest::vm
