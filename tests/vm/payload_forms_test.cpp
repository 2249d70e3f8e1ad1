// Payload arithmetic on the machine: elements as bit patterns, and every form against the algebra.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "jit/vm/payload_table.h"
#include "kernel_under_test.h"

namespace attest::vm {
namespace {

constexpr int kEnough = 32;  // bits: agreement by chance in one of 4e9 comparisons

bool agree(const Payload& a, const Payload& b) {
  const Agreement found = agreement(a, b);
  EXPECT_GE(found.bits, kEnough) << "inconclusive";
  return found.equal;
}

// --- bit patterns ---

TEST(PayloadTable, NumbersStayThemselvesAndOtherElementsAreNames) {
  PayloadTable table;
  EXPECT_EQ(table.to_f32(payload_of(1)), 0x3F800000u);
  EXPECT_EQ(table.to_f32(payload_of(-1)), 0xBF800000u);
  EXPECT_EQ(table.to_f32(Payload{}), 0u);
  EXPECT_EQ(table.to_f32(payload_of(-INFINITY)), 0xFF800000u);
  EXPECT_EQ(table.to_f32(payload_of(NAN)), 0x7FFFFFFFu);
  EXPECT_EQ(table.values(), 0u);
  const Payload sum = payload_of(0.3) + payload_of(0.25);
  const uint32_t name = table.to_f32(sum);
  EXPECT_TRUE(PayloadTable::is_name(name));
  EXPECT_TRUE(agree(table.f32(name), sum));
  EXPECT_EQ(table.to_f32(payload_of(0.25) + payload_of(0.3)), name);
  EXPECT_EQ(table.to_f32(-sum), name | 0x80000000u);  // negation is the sign bit
  EXPECT_TRUE(agree(table.f32(name | 0x80000000u), -sum));
  EXPECT_EQ(table.values(), 1u);
  for (const uint32_t nan : {0x7FC00000u, 0x7FFFFFFFu, 0xFFFFFFFFu, 0x7FA00000u})  // usual NaNs stay NaNs
    EXPECT_EQ(table.f32(nan).kind, Payload::Kind::nan) << nan;
  EXPECT_THROW(table.f32(name + 1), CannotCheck);  // never given
}

TEST(PayloadTable, OtherWidthsNameTheSameElements) {
  PayloadTable table;
  const Payload sum = payload_of(0.3) + payload_of(0.25);
  const uint32_t name = table.to_f32(-sum);
  const uint64_t wide = table.widened_f64(name);
  EXPECT_TRUE(std::isnan(std::bit_cast<double>(wide)));
  EXPECT_TRUE(agree(table.f64(wide), -sum));
  EXPECT_EQ(table.narrowed_f64(wide), name);
  for (const MatrixFormat format : {MatrixFormat::f16, MatrixFormat::bf16}) {
    const uint16_t half = table.narrowed(format, name);
    EXPECT_TRUE(PayloadTable::is_reserved(format, half));
    EXPECT_EQ(table.narrowed(format, name), half);
    EXPECT_EQ(table.widened(format, half), name);
    const uint16_t inexact = table.narrowed(format, std::bit_cast<uint32_t>(0.3f));  // no number of 16 bits
    EXPECT_EQ(table.widened(format, inexact), std::bit_cast<uint32_t>(0.3f));
    const uint16_t exact = table.narrowed(format, std::bit_cast<uint32_t>(-0.375f));
    EXPECT_FALSE(PayloadTable::is_reserved(format, exact));
    EXPECT_EQ(table.widened(format, exact), std::bit_cast<uint32_t>(-0.375f));
    EXPECT_THROW(table.widened(format, static_cast<uint16_t>(half + 7)), CannotCheck);
  }
  EXPECT_TRUE(agree(table.f16(0x3400), table.bf16(0x3E80)));  // 0.25 is one number in every format
}

TEST(PayloadTable, AFullTableCannotCheck) {
  // f16: 1023 subnormals, 7168 numbers from 512 on, 1021 NaNs; bf16: the magnitudes below 2^-24 and from
  // 2^16.
  const std::pair<MatrixFormat, size_t> kCapacities[] = {{MatrixFormat::f16, 1023 + 7168 + 1021},
                                                         {MatrixFormat::bf16, 103 * 128 - 1 + 112 * 128}};
  for (const auto& each : kCapacities) {
    const MatrixFormat format = each.first;
    const size_t capacity = each.second;
    PayloadTable table;
    const auto give = [&](uint32_t n) {
      return table.narrowed(format, std::bit_cast<uint32_t>(1.0f) + 2 * n + 1);
    };
    for (uint32_t n = 0; n < capacity; ++n) give(n);
    EXPECT_EQ(table.narrow_values(format), capacity);
    EXPECT_THROW(give(static_cast<uint32_t>(capacity)), CannotCheck);
    for (const uint32_t n :
         {0u, 5000u, static_cast<uint32_t>(capacity) - 1})  // every name is still the one it was
      EXPECT_EQ(table.widened(format, give(n)), std::bit_cast<uint32_t>(1.0f) + 2 * n + 1);
  }
}

// --- forms on the machine ---

struct Outcome {
  std::vector<uint32_t> data;
  std::string refusal;  // of CannotCheck
};
Outcome run(PayloadTable& table, const std::string& body, std::vector<uint32_t> words, uint32_t threads = 1,
            const std::string& registers = "") {
  LaunchOptions options{.block = {threads, 1, 1}, .arithmetic = Arithmetic::payload, .payload = &table};
  Outcome outcome;
  try {
    Ran ran = run_kernel(module_with(registers + body), std::move(words), options);
    if (ran.trap) ADD_FAILURE() << ran.trap->what();
    outcome.data = ran.data;
  } catch (const CannotCheck& error) {
    outcome.refusal = error.what();
  }
  return outcome;
}
uint32_t word(float value) { return std::bit_cast<uint32_t>(value); }

constexpr const char* kLoad3 =
    "ld.global.f32 %f1, [%d];\nld.global.f32 %f2, [%d+4];\nld.global.f32 %f3, [%d+8];\n";

TEST(PayloadForms, F32ArithmeticIsTheAlgebras) {
  const Payload a = payload_of(0.75), b = payload_of(-2.5), c = payload_of(3.25);
  const struct {
    const char* text;
    Payload want;
  } kCases[] = {
      {"add.rn.f32 %f4, %f1, %f2;", a + b},
      {"sub.ftz.f32 %f4, %f1, %f2;", a - b},
      {"mul.f32 %f4, %f1, %f2;", a * b},
      {"fma.rn.f32 %f4, %f1, %f2, %f3;", a * b + c},
      {"mad.rn.f32 %f4, %f1, %f2, %f3;", a * b + c},
      {"div.rn.f32 %f4, %f1, %f2;", a / b},
      {"div.full.ftz.f32 %f4, %f1, %f2;", a / b},
      {"div.approx.f32 %f4, %f1, %f2;", a / b},
      {"rcp.approx.ftz.f32 %f4, %f1;", payload_of(1) / a},
      {"rcp.rn.f32 %f4, %f1;", payload_of(1) / a},
      {"sqrt.rn.f32 %f4, %f1;", sqrt(a)},
      {"rsqrt.approx.f32 %f4, %f1;", payload_of(1) / sqrt(a)},
      {"ex2.approx.ftz.f32 %f4, %f2;", exp2(b)},
      {"lg2.approx.f32 %f4, %f1;", log2(a)},
      {"neg.f32 %f4, %f1;", -a},
      {"abs.f32 %f4, %f2;", -b},
      {"max.f32 %f4, %f1, %f2;", a},
      {"min.NaN.f32 %f4, %f1, %f2;", b},
      {"max.f32 %f4, %f1, 0f7FFFFFFF;", a},
      {"max.NaN.f32 %f4, %f1, 0f7FFFFFFF;", payload_of(NAN)},
      {"copysign.f32 %f4, %f2, %f1;", -a},
      {"setp.lt.and.f32 %p1, %f2, %f1, 1; selp.f32 %f4, %f3, %f1, %p1;", c},
      {"setp.gtu.f32 %p1, %f2, %f1; selp.f32 %f4, %f3, %f1, %p1;", a},
      {"set.ne.f32.f32 %f4, %f2, %f1;", payload_of(1)},
      {"cvt.rn.bf16.f32 %h1, %f2; cvt.f32.bf16 %f4, %h1;", b},
      {"cvt.f64.f32 %g1, %f1; add.f64 %g1, %g1, %g1; cvt.rn.f32.f64 %f4, %g1;", a + a},
      {"cvt.rna.tf32.f32 %r1, %f1; mov.b32 %f4, %r1;", a},
      {"cvt.rzi.s32.f32 %r1, %f3; cvt.rn.f32.s32 %f4, %r1;", payload_of(3)},
      {"add.f32 %f5, %f1, %f2; mov.b32 %r1, %f5; xor.b32 %r1, %r1, 0x80000000; mov.b32 %f4, %r1;", -(a + b)},
  };
  for (const auto& each : kCases) {
    PayloadTable table;
    const Outcome got =
        run(table, std::string(kLoad3) + each.text + "\nst.global.f32 [%d], %f4;",
            {word(0.75f), word(-2.5f), word(3.25f)}, 1, ".reg .b16 %h<4>;\n.reg .f64 %g<4>;\n");
    ASSERT_EQ(got.refusal, "") << each.text;
    EXPECT_TRUE(agree(table.f32(got.data[0]), each.want)) << each.text;
    if (each.want.kind == Payload::Kind::finite) {
      EXPECT_NEAR(table.f32(got.data[0]).shadow, each.want.shadow, 1e-12) << each.text;
    }
  }
}

TEST(PayloadForms, TrigonometryIsATagAndItsShadowTheValue) {
  PayloadTable table;
  const Outcome got =
      run(table,
          std::string(kLoad3) +
              "sin.approx.f32 %f4, %f1;\nst.global.f32 [%d], %f4;\ncos.approx.f32 %f4, %f1;\n"
              "st.global.f32 [%d+4], %f4;\ntanh.approx.f32 %f4, %f1;\nst.global.f32 [%d+8], %f4;",
          {word(0.75f), 0, 0});
  ASSERT_EQ(got.refusal, "");
  EXPECT_NEAR(table.f32(got.data[0]).shadow, 0.68163876, 1e-8);
  EXPECT_NEAR(table.f32(got.data[1]).shadow, 0.73168887, 1e-8);
  EXPECT_NEAR(table.f32(got.data[2]).shadow, 0.63514895, 1e-8);
  EXPECT_FALSE(agree(table.f32(got.data[0]), table.f32(got.data[1])));
}

TEST(PayloadForms, PairsOfHalvesAreTwoElements) {
  for (const bool bf16 : {false, true}) {
    PayloadTable table;
    const std::string type = bf16 ? "bf16x2" : "f16x2";
    const Outcome got = run(table,
                            std::string(kLoad3) + "cvt.rn." + type + ".f32 %r1, %f1, %f2;\nfma.rn." + type +
                                " %r2, %r1, %r1, %r1;\nst.global.u32 [%d], %r2;",
                            {word(0.75f), word(-2.5f), 0});
    ASSERT_EQ(got.refusal, "");
    const auto half = [&](uint32_t bits) {
      return bf16 ? table.bf16(static_cast<uint16_t>(bits)) : table.f16(static_cast<uint16_t>(bits));
    };
    const Payload a = payload_of(0.75), b = payload_of(-2.5);
    EXPECT_TRUE(agree(half(got.data[0] >> 16), a * a + a));
    EXPECT_TRUE(agree(half(got.data[0]), b * b + b));
  }
}

TEST(PayloadForms, RefuseByNameAndLineWhenTheyAreReached) {
  const struct {
    const char *text, *names;
  } kCases[] = {
      {"add.sat.f32 %f4, %f1, %f2;", "`add.sat.f32` has no meaning in payload arithmetic"},
      {"fma.rm.f32 %f4, %f1, %f2, %f3;", "`fma.rm.f32` has no meaning"},
      {"atom.global.add.f32 %f4, [%d], %f1;", "`atom.add.f32` has no meaning"},
      {"cvt.rn.satfinite.e4m3x2.f32 %h1, %f1, %f2;", "`cvt.rn.satfinite.e4m3x2.f32` has no meaning"},
      {"testp.finite.f32 %p1, %f1;", "`testp.finite.f32` has no meaning"},
      {"add.f32 %f4, %f1, %f2; cvt.rni.s32.f32 %r1, %f4;", "a computed value has no integer part"},
      {"sub.f32 %f4, %f1, %f1; rcp.rn.f32 %f4, %f4;", "of which no bit is known"},
      {"add.f32 %f4, %f1, %f2; mov.b32 %r1, %f4; add.s32 %r1, %r1, 5; mov.b32 %f4, %r1; add.f32 %f4, %f4, "
       "%f1;",
       "are the name of no value"},
  };
  for (const auto& each : kCases) {
    PayloadTable table;
    const Outcome got = run(table, std::string(kLoad3) + each.text, {word(0.75f), word(-2.5f), word(3.25f)},
                            1, ".reg .b16 %h<4>;\n");
    EXPECT_NE(got.refusal.find(each.names), std::string::npos) << each.text << ": " << got.refusal;
    EXPECT_NE(got.refusal.find("PTX line 1"), std::string::npos)
        << got.refusal;  // the body begins at line 15
    const Outcome unreached =
        run(table, std::string("bra DONE;\n") + each.text + "\nDONE:", {0, 0, 0}, 1, ".reg .b16 %h<4>;\n");
    EXPECT_EQ(unreached.refusal, "") << each.text;
  }
}

TEST(PayloadForms, LaunchesNeedATableAndOneHostThread) {
  PayloadTable table;
  LaunchOptions options{.arithmetic = Arithmetic::payload};
  EXPECT_THROW(run_kernel(module_with(""), {0}, options), std::invalid_argument);
  options.payload = &table;
  EXPECT_NO_THROW(run_kernel(module_with(""), {0}, options));
  options.host_threads = 2;
  EXPECT_THROW(run_kernel(module_with(""), {0}, options), std::invalid_argument);
}

TEST(PayloadForms, ShufflesSharedMemoryAndVectorsCarryElements) {
  PayloadTable table;
  std::vector<uint32_t> words(32);
  for (uint32_t i = 0; i < 32; ++i) words[i] = word(0.5f + static_cast<float>(i));
  // Sum over the warp in a tree; every lane gets it.
  std::string body = "mul.wide.u32 %rd1, %t, 4;\nadd.s64 %rd2, %d, %rd1;\nld.global.f32 %f1, [%rd2];\n";
  for (const char* step : {"16", "8", "4", "2", "1"})
    body += std::string("shfl.sync.bfly.b32 %f2, %f1, ") + step + ", 31, -1;\nadd.f32 %f1, %f1, %f2;\n";
  body += "st.global.f32 [%rd2], %f1;";
  const Outcome got = run(table, body, words, 32);
  ASSERT_EQ(got.refusal, "");
  Payload want;
  for (const uint32_t each : words) want = want + payload_of(static_cast<double>(std::bit_cast<float>(each)));
  for (const uint32_t each : got.data) EXPECT_TRUE(agree(table.f32(each), want));
}

// D = A B + C of one warp, from the layout of the PTX ISA: lane 4 g + t holds A (g, 2t), (g, 2t + 1), (g + 8,
// ..), then the same 8 columns on; B (2t, g), (2t + 1, g), then 8 rows down; C (g, 2t), (g, 2t + 1), (g + 8,
// ..).
TEST(PayloadForms, TensorCoresSumProductsOfElements) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  PayloadTable table;
  std::vector<uint32_t> words(32 * 10);
  const auto half = [&](uint32_t number) {  // every third element is a name
    const float value = std::bit_cast<float>(std::bit_cast<uint32_t>(normal(random)) & 0xFFFF0000u);
    if (number % 3) return std::bit_cast<uint32_t>(value) >> 16;
    return uint32_t{table.narrowed(MatrixFormat::bf16,
                                   table.to_f32(payload_of(static_cast<double>(value)) + payload_of(0.5)))};
  };
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < 6; ++i) words[lane * 10 + i] = half(lane + i) | half(lane + i + 1) << 16;
    for (uint32_t i = 6; i < 10; ++i) words[lane * 10 + i] = word(normal(random));
  }
  std::string body = "mul.wide.u32 %rd1, %t, 40;\nadd.s64 %rd2, %d, %rd1;\n";
  for (int i = 0; i < 6; ++i)
    body += "ld.global.u32 %r" + std::to_string(i) + ", [%rd2+" + std::to_string(4 * i) + "];\n";
  for (int i = 0; i < 4; ++i)
    body += "ld.global.f32 %f" + std::to_string(i) + ", [%rd2+" + std::to_string(24 + 4 * i) + "];\n";
  body +=
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, {%r4,%r5}, "
      "{%f0,%f1,%f2,%f3};\n";
  for (int i = 0; i < 4; ++i)
    body += "st.global.f32 [%rd2+" + std::to_string(24 + 4 * i) + "], %f" + std::to_string(i) + ";\n";
  const Outcome got = run(table, body, words, 32);
  ASSERT_EQ(got.refusal, "");
  const auto element = [&](uint32_t lane, uint32_t reg, uint32_t part) {
    return table.bf16(static_cast<uint16_t>(words[lane * 10 + reg] >> (16 * part)));
  };
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < 8; ++column) {
      const uint32_t c = row / 8 * 2 + column % 2, lane = row % 8 * 4 + column / 2;
      Payload want = table.f32(words[lane * 10 + 6 + c]);
      for (uint32_t k = 0; k < 16; ++k)
        want = want + element(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2, k % 2) *
                          element(column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
      EXPECT_TRUE(agree(table.f32(got.data[lane * 10 + 6 + c]), want)) << row << ", " << column;
    }
  }
}

}  // namespace
}  // namespace attest::vm
