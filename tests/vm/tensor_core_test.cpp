// Tests the tensor core's rounding with sums worked out by hand, and against the same definition in double
// arithmetic.
#include "jit/vm/tensor_core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace attest::vm {
namespace {

std::uint32_t f32(double value) { return std::bit_cast<std::uint32_t>(static_cast<float>(value)); }
// bf16 values used here are exact: the upper half of the f32.
std::uint32_t bf16(double value) { return f32(value) >> 16; }
double number(std::uint32_t f32_bits) { return std::bit_cast<float>(f32_bits); }

struct Term {
  double a, b;
};

// One output of a bf16 step: c + sum of terms, padded with zeros to 16 products.
std::uint32_t dot(const TensorCoreModel& model, double c, const std::vector<Term>& terms) {
  std::vector<std::uint32_t> a(16, 0), b(16, 0), start{f32(c)}, out(1);
  for (std::size_t i = 0; i < terms.size(); ++i) {
    a[i] = bf16(terms[i].a);
    b[i] = bf16(terms[i].b);
  }
  fused_matrix_step(model, {1, 1, 16}, MatrixFormat::bf16, a, MatrixFormat::bf16, b, AccumulatorFormat::f32,
                    start, out);
  return out[0];
}

const TensorCoreModel kHopper = wgmma_model(MatrixFormat::bf16);

TEST(TensorCore, CancellingLargeTermsLoseWhatLiesBelowTheAlignedUnit) {
  // 2^30 - 2^30 + 14 ones: the unit is 2^(30-25) = 32, so the ones vanish.
  std::vector<Term> terms{{0x1p15, 0x1p15}, {-0x1p15, 0x1p15}};
  for (int i = 0; i < 14; ++i) terms.push_back({1, 1});
  EXPECT_EQ(dot(kHopper, 0, terms), f32(0));
  // With 2^25 the unit is 1 and they stay.
  terms[0] = {0x1p15, 0x1p10};
  terms[1] = {-0x1p15, 0x1p10};
  EXPECT_EQ(dot(kHopper, 0, terms), f32(14));
  // Ampere: 24 fraction bits (the unit is 2) and two steps of 8: only the second step's eight ones stay.
  EXPECT_EQ(dot({.step = 8, .fraction_bits = 24}, 0, terms), f32(8));
  // Volta keeps 23 bits in steps of 4: the first step loses its two, the others keep 4 each.
  EXPECT_EQ(dot({.step = 4, .fraction_bits = 23}, 0, terms), f32(12));
}

TEST(TensorCore, EachTermIsTruncatedTowardZeroBeforeTheSum) {
  EXPECT_EQ(dot(kHopper, 1, {{0x1p-26, 1}, {0x1p-26, 1}, {0x1p-26, 1}, {0x1p-26, 1}}), 0x3f800000u);
  EXPECT_EQ(dot(kHopper, 1, {{0x1p-25, 1}, {0x1p-25, 1}, {0x1p-25, 1}, {0x1p-25, 1}}), 0x3f800001u);
  EXPECT_EQ(dot(kHopper, 1, {{-0x1p-26, 1}}),
            0x3f800000u);  // toward zero, so a small negative term vanishes too
  EXPECT_EQ(dot(kHopper, 1, {{-0x1p-25, 1}}), 0x3f7fffffu);
  // 1.5 * 2^-25 is cut to 2^-25 on both sides of zero.
  EXPECT_EQ(dot(kHopper, 0, {{1, 1}, {-1, 1}, {1.5, 0x1p-25}}), f32(0x1p-25));
  EXPECT_EQ(dot(kHopper, 0, {{1, 1}, {-1, 1}, {-1.5, 0x1p-25}}), f32(-0x1p-25));
}

TEST(TensorCore, TheSumIsTruncatedNotRounded) {
  EXPECT_EQ(dot(kHopper, 1, {{0x1p-24, 1}}), 0x3f800000u);
  EXPECT_EQ(dot(kHopper, 1, {{0x1p-24, 1}, {0x1p-25, 1}}), 0x3f800000u);  // 3/4 of the last place
  EXPECT_EQ(dot(kHopper, -1, {{-0x1p-24, 1}, {-0x1p-25, 1}}), 0xbf800000u);
  EXPECT_EQ(dot(kHopper, -1, {{-0x1p-24, 1}, {-0x1p-24, 1}}), 0xbf800001u);
}

TEST(TensorCore, ProductsAreNotNormalisedBeforeAlignment) {
  // 1.5 * 1.5 = 2.25 counts as exponent 0, so the unit is 2^-25 and 2^-25 survives; exponent 1 would lose it.
  EXPECT_EQ(dot(kHopper, 0x1p-25, {{1.5, 1.5}, {-1.5, 1.5}}), f32(0x1p-25));
  // The accumulator 2.25 has exponent 1.
  EXPECT_EQ(dot(kHopper, 2.25, {{-1.5, 1.5}, {0x1p-25, 1}}), f32(0));
}

TEST(TensorCore, SubnormalOperandsKeepTheSmallestExponent) {
  const auto step = [](std::uint32_t a0, std::uint32_t b0, std::uint32_t a1, std::uint32_t b1,
                       std::uint32_t a2, std::uint32_t b2) {
    std::vector<std::uint32_t> a{a0, a1, a2}, b{b0, b1, b2}, c{0}, d(1);
    fused_matrix_step({}, {1, 1, 3}, MatrixFormat::f16, a, MatrixFormat::f16, b, AccumulatorFormat::f32, c,
                      d);
    return d[0];
  };
  // f16 0x0001 is 2^-24 with exponent -14; 0x0010 is 2^-20; 0x3c00 is 1.
  EXPECT_EQ(step(0x0001, 0x3c00, 0, 0, 0, 0), f32(0x1p-24));
  EXPECT_EQ(step(0x0001, 0x0001, 0, 0, 0, 0), f32(0x1p-48));
  // 2^-24 - 2^-24 align at 2^(-14-25): 2^-40 is lost, 2^-39 is not.
  EXPECT_EQ(step(0x0001, 0x3c00, 0x8001, 0x3c00, 0x0010, 0x0010), f32(0));
  EXPECT_EQ(step(0x0001, 0x3c00, 0x8001, 0x3c00, 0x0010, 0x0020), f32(0x1p-39));
}

// H100 80GB HBM3, driver 580.159, 2026-11-23: mma.sync with rows of zeros in A returns C unchanged, however
// large B is (0 * 2^127 over 0x17d943eb gave 0x17d943eb).
TEST(TensorCore, AZeroOperandDoesNotRaiseTheAlignment) {
  EXPECT_EQ(dot(kHopper, std::bit_cast<float>(0x17d943ebu), {{0, 0x1p127}}), 0x17d943ebu);
  EXPECT_EQ(dot(mma_sync_model(MatrixFormat::bf16), 0x1p-25, {{0x1p127, 0}, {0, 1}}), f32(0x1p-25));
  EXPECT_EQ(dot(kHopper, 0, {{0, 0x1p127}, {0x1p-60, 0x1p-60}}), f32(0x1p-120));
  EXPECT_EQ(dot(kHopper, 0, {{0, 0x1p127}}), 0u);
  // With the exponent -126 of the smallest normal number, 2^-25 would lie below the unit 2^(1 - 25).
  TensorCoreModel counting = kHopper;
  counting.zero_exponent = -126;
  EXPECT_EQ(dot(counting, 0x1p-25, {{0, 0x1p127}}), f32(0));
}

TEST(TensorCore, SubnormalResultsAreKeptAndTruncated) {
  EXPECT_EQ(dot(kHopper, 0, {{0x1p-75, 0x1p-74}}), 1u);
  EXPECT_EQ(dot(kHopper, 0, {{1.5 * 0x1p-75, 0x1p-74}}), 1u);
  EXPECT_EQ(dot(kHopper, 0, {{0x1p-75, 0x1p-75}}), 0u);
  EXPECT_EQ(dot(kHopper, 0, {{-0x1p-63, 0x1p-63}}), f32(-0x1p-126));
  EXPECT_EQ(dot(kHopper, std::bit_cast<float>(0x7fffffu), {{0x1p-75, 0x1p-74}}), 0x00800000u);
}

TEST(TensorCore, OverflowGivesInfinity) {
  EXPECT_EQ(dot(kHopper, 0, {{0x1p64, 0x1p64}}), 0x7f800000u);
  EXPECT_EQ(dot(kHopper, 0, {{0x1p64, 0x1p63}}), f32(0x1p127));
  EXPECT_EQ(dot(kHopper, 0, {{0x1p64, 0x1p63}, {0x1p64, 0x1p63}}), 0x7f800000u);
  EXPECT_EQ(dot(kHopper, 0, {{0x1p100, 0x1p100}, {-0x1p100, 0x1p100}, {1, 1}}),
            f32(0));  // exact sum, no overflow
}

TEST(TensorCore, SpecialValuesFollowTheirRules) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(dot(kHopper, 1, {{inf, 2}}), 0x7f800000u);
  EXPECT_EQ(dot(kHopper, 1, {{inf, -2}}), 0xff800000u);
  EXPECT_EQ(dot(kHopper, -inf, {{1, 1}}), 0xff800000u);
  EXPECT_EQ(dot(kHopper, -inf, {{-inf, 1}}), 0xff800000u);
  EXPECT_EQ(dot(kHopper, 1, {{inf, 1}, {-inf, 1}}), 0x7fffffffu);
  EXPECT_EQ(dot(kHopper, -inf, {{inf, 1}}), 0x7fffffffu);
  EXPECT_EQ(dot(kHopper, 1, {{inf, 0}}), 0x7fffffffu);
  EXPECT_EQ(dot(kHopper, 1, {{nan, 0}}), 0x7fffffffu);
  EXPECT_EQ(dot(kHopper, -nan, {{1, 1}}), 0x7fffffffu);
  // A special value in one column leaves the others alone.
  const std::vector<std::uint32_t> a{bf16(1)}, b{bf16(inf), bf16(3)}, c{f32(1), f32(1)};
  std::vector<std::uint32_t> d(2);
  fused_matrix_step(kHopper, {1, 2, 1}, MatrixFormat::bf16, a, MatrixFormat::bf16, b, AccumulatorFormat::f32,
                    c, d);
  EXPECT_EQ(d[0], 0x7f800000u);
  EXPECT_EQ(d[1], f32(4));
}

TEST(TensorCore, ZeroSumsArePositive) {
  EXPECT_EQ(dot(kHopper, -0.0, {}), 0u);
  EXPECT_EQ(dot(kHopper, -1, {{1, 1}}), 0u);
  EXPECT_EQ(dot(kHopper, -0.0, {{-0.0, 1}}), 0u);
}

TEST(TensorCore, HalfAccumulatorsAreRoundedToNearestEven) {
  const auto step = [](std::uint32_t c, std::uint32_t a, std::uint32_t b) {
    std::vector<std::uint32_t> left{a}, right{b}, start{c}, out(1);
    fused_matrix_step({}, {1, 1, 1}, MatrixFormat::f16, left, MatrixFormat::f16, right,
                      AccumulatorFormat::f16, start, out);
    return out[0];
  };
  EXPECT_EQ(step(0x3c00, 0x1000, 0x3c00), 0x3c00u);  // 1 + 2^-11 is halfway: to even
  EXPECT_EQ(step(0x3c01, 0x1000, 0x3c00), 0x3c02u);  // halfway above an odd one
  EXPECT_EQ(step(0x3c00, 0x1001, 0x3c00), 0x3c01u);  // just above halfway
  EXPECT_EQ(step(0x7bff, 0x4c00, 0x3c00), 0x7c00u);  // 65504 + 16 is halfway to 65536: rounds to infinity
  EXPECT_EQ(step(0x7bff, 0x4800, 0x3c00), 0x7bffu);  // 65504 + 8 stays
  EXPECT_EQ(step(0xfbff, 0x7bff, 0xfbff), 0xfc00u);
  EXPECT_EQ(step(0x0000, 0x0001, 0x3800), 0x0000u);  // half the smallest subnormal: to even
  EXPECT_EQ(step(0x0000, 0x0003, 0x3800), 0x0002u);
  EXPECT_EQ(step(0x03ff, 0x0001, 0x3c00), 0x0400u);  // subnormal to normal
  EXPECT_EQ(step(0x7e01, 0x0001, 0x3c00), 0x7fffu);
}

TEST(TensorCore, Fp8KeepsThirteenBits) {
  const auto step = [](double c, std::vector<std::uint32_t> a, std::vector<std::uint32_t> b) {
    std::vector<std::uint32_t> start{f32(c)}, out(1);
    const int k = static_cast<int>(a.size());
    fused_matrix_step(wgmma_model(MatrixFormat::e4m3), {1, 1, k}, MatrixFormat::e4m3, a, MatrixFormat::e5m2,
                      b, AccumulatorFormat::f32, start, out);
    return number(out[0]);
  };
  // e4m3 0x38 = 1, 0x08 = 2^-6, 0x01 = 2^-9; e5m2 0x3c = 1, 0x20 = 2^-7, 0x1c = 2^-8.
  EXPECT_EQ(step(1, {0x08}, {0x20}), 1 + 0x1p-13);
  EXPECT_EQ(step(1, {0x08}, {0x1c}), 1.0);
  EXPECT_EQ(step(1, {0x08, 0x08}, {0x1c, 0x1c}), 1.0);  // both lost before they could add up
  EXPECT_EQ(step(1 + 0x1p-14, {0}, {0}), 1.0);
  EXPECT_EQ(step(1 + 0x1p-20, {0x38}, {0x3c}), 2.0);
  EXPECT_EQ(step(0, {0x7e}, {0x7b}), 448.0 * 57344.0);  // the largest finite of each
  EXPECT_TRUE(std::isnan(step(0, {0x7f}, {0x3c})));     // e4m3 has NaN and no infinity
  EXPECT_TRUE(std::isinf(step(0, {0x38}, {0x7c})));
}

TEST(TensorCore, Tf32IgnoresTheLowThirteenBits) {
  const std::vector<std::uint32_t> a{f32(1) | 0x1fff}, b{f32(3) | 0x1000}, c{f32(0)};
  std::vector<std::uint32_t> d(1);
  fused_matrix_step(mma_sync_model(MatrixFormat::tf32), {1, 1, 1}, MatrixFormat::tf32, a, MatrixFormat::tf32,
                    b, AccumulatorFormat::f32, c, d);
  EXPECT_EQ(d[0], f32(3));
}

// The same definition once more, on doubles: frexp for exponents, trunc of scaled values, a double for the
// exact sum.
std::uint32_t by_definition(const std::vector<double>& a, const std::vector<double>& b, double c,
                            int smallest_a, int smallest_b, int smallest_c) {
  const auto exponent = [](double x, int smallest) {
    if (x == 0) return -10000;
    int e = 0;
    std::frexp(x, &e);
    return std::max(e - 1, smallest);
  };
  int largest = exponent(c, smallest_c);
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, exponent(a[i], smallest_a) + exponent(b[i], smallest_b));
  }
  double sum = std::trunc(std::ldexp(c, 25 - largest));
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::trunc(std::ldexp(a[i] * b[i], 25 - largest));
  if (sum == 0) return 0;
  const double value = std::ldexp(sum, largest - 25);
  float result = static_cast<float>(value);
  if (std::isfinite(result) && std::abs(static_cast<double>(result)) > std::abs(value))
    result = std::nextafterf(result, 0.0f);
  return std::bit_cast<std::uint32_t>(result);
}

TEST(TensorCore, RandomMatricesAgreeWithTheDefinitionInDoubles) {
  std::mt19937_64 random(7);
  for (const MatrixFormat format : {MatrixFormat::f16, MatrixFormat::bf16, MatrixFormat::tf32}) {
    const int smallest = format == MatrixFormat::f16 ? -14 : -126;
    for (int spread : {0, 3, 12, 40}) {
      const MatrixShape shape{16, 8, mma_sync_model(format).step};
      const auto k = static_cast<std::size_t>(shape.k);
      const auto draw = [&](int scale) -> std::uint32_t {
        const double value =
            std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())) * 0x1p-63,
                       static_cast<int>(random() % static_cast<unsigned>(2 * scale + 1)) - scale);
        if (random() % 16 == 0) return 0;
        if (format == MatrixFormat::f16) {
          const auto raw = static_cast<std::uint32_t>(random() & 0xffff);
          return spread == 40 ? ((raw & 0x7c00) == 0x7c00 ? 0 : raw)
                              : (raw & 0x83ff) | (15u - static_cast<unsigned>(scale % 12)) << 10;
        }
        return format == MatrixFormat::bf16 ? bf16(value) : f32(value) & ~0x1fffu;
      };
      std::vector<std::uint32_t> a(16 * k), b(8 * k), c(128), d(128);
      for (auto& x : a) x = draw(spread);
      for (auto& x : b) x = draw(spread);
      for (auto& x : c)
        x = f32(std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())) * 0x1p-63,
                           static_cast<int>(random() % 20) - 10));
      fused_matrix_step(mma_sync_model(format), shape, format, a, format, b, AccumulatorFormat::f32, c, d);
      int nonzero = 0;
      for (std::size_t i = 0; i < 16; ++i) {
        for (std::size_t j = 0; j < 8; ++j) {
          std::vector<double> left, right;
          for (std::size_t t = 0; t < k; ++t) {
            left.push_back(matrix_value(format, a[i * k + t]));
            right.push_back(matrix_value(format, b[t * 8 + j]));
          }
          EXPECT_EQ(d[i * 8 + j], by_definition(left, right, number(c[i * 8 + j]), smallest, smallest, -126));
          nonzero += d[i * 8 + j] != 0;
        }
      }
      EXPECT_GT(nonzero, 100);
    }
  }
}

TEST(TensorCore, AWideStepIsTheCorrectlyRoundedDotProduct) {
  std::mt19937_64 random(11);
  const MatrixShape shape{16, 8, 16};
  std::vector<std::uint32_t> a(256), b(128), c(128), d(128);
  for (auto& x : a) x = bf16(static_cast<double>(random() % 513) - 256);
  for (auto& x : b) x = bf16(static_cast<double>(random() % 513) - 256);
  for (auto& x : c) x = f32(static_cast<double>(random() % 1024) / 8);
  wide_matrix_step(shape, MatrixFormat::bf16, a, MatrixFormat::bf16, b, AccumulatorFormat::f32, c, d);
  for (std::size_t i = 0; i < 16; ++i) {
    for (std::size_t j = 0; j < 8; ++j) {
      std::int64_t eighths = std::llround(number(c[i * 8 + j]) * 8);
      for (std::size_t k = 0; k < 16; ++k) {
        eighths += 8 * static_cast<std::int64_t>(number(a[i * 16 + k] << 16)) *
                   static_cast<std::int64_t>(number(b[k * 8 + j] << 16));
      }
      EXPECT_EQ(d[i * 8 + j], f32(static_cast<double>(eighths) / 8));
    }
  }
}

TEST(TensorCore, AWideStepRoundsAHalfAccumulatorOnce) {
  const std::vector<std::uint32_t> a{0x1001}, b{0x3c00}, c{0x3c00};
  std::vector<std::uint32_t> d(1);
  wide_matrix_step({1, 1, 1}, MatrixFormat::f16, a, MatrixFormat::f16, b, AccumulatorFormat::f16, c, d);
  EXPECT_EQ(d[0], 0x3c01u);
  const std::vector<std::uint32_t> infinite{0x7c00}, zero{0};
  wide_matrix_step({1, 1, 1}, MatrixFormat::f16, infinite, MatrixFormat::f16, b, AccumulatorFormat::f16, c,
                   d);
  EXPECT_EQ(d[0], 0x7c00u);
  wide_matrix_step({1, 1, 1}, MatrixFormat::f16, infinite, MatrixFormat::f16, zero, AccumulatorFormat::f16, c,
                   d);
  EXPECT_EQ(d[0], 0x7fffu);
}

TEST(TensorCore, IntegerStepsWrapOrSaturate) {
  const std::vector<std::uint32_t> a{0x80, 0x7f}, b{0x80, 0x7f}, c{0x7fffffff};
  std::vector<std::uint32_t> d(1);
  integer_matrix_step({1, 1, 2}, MatrixFormat::s8, a, MatrixFormat::s8, b, false, c, d);
  EXPECT_EQ(d[0], 0x7fffffffu + 16384 + 16129);
  integer_matrix_step({1, 1, 2}, MatrixFormat::s8, a, MatrixFormat::s8, b, true, c, d);
  EXPECT_EQ(d[0], 0x7fffffffu);
  integer_matrix_step({1, 1, 2}, MatrixFormat::u8, a, MatrixFormat::s8, b, false,
                      std::vector<std::uint32_t>{0}, d);
  EXPECT_EQ(static_cast<std::int32_t>(d[0]), 128 * -128 + 127 * 127);
}

TEST(TensorCore, DoubleStepsAreAChainOfFusedMultiplyAdds) {
  // (1 + 2^-52)^2 - 1 - 2^-51 = 2^-104 survives only when the product is not rounded.
  const std::vector<double> a{1 + 0x1p-52}, b{1 + 0x1p-52}, c{-1 - 0x1p-51};
  std::vector<double> d(1);
  double_matrix_step({1, 1, 1}, a, b, c, d);
  EXPECT_EQ(d[0], 0x1p-104);
}

TEST(TensorCore, RefusesMatricesThatDoNotFitTheShape) {
  std::vector<std::uint32_t> a(16), b(15), c(1), d(1);
  EXPECT_THROW(fused_matrix_step({}, {1, 1, 16}, MatrixFormat::f16, a, MatrixFormat::f16, b,
                                 AccumulatorFormat::f32, c, d),
               std::invalid_argument);
  EXPECT_THROW(fused_matrix_step({}, {1, 1, 16}, MatrixFormat::s8, a, MatrixFormat::s8, a,
                                 AccumulatorFormat::f32, c, d),
               std::invalid_argument);
}

}  // namespace
}  // namespace attest::vm
