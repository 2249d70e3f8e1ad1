// Every code of the small formats, against a rule that knows nothing of their bit layout.
#include "reference/number_formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "reference/random.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// All finite values that are not negative, in order, by the textbook rule: multiples of the spacing up to
// twice the smallest normal number, then the same count of steps in every binade, up to the largest.
std::vector<double> all_magnitudes(int significand_bits, int min_exponent, double largest) {
  std::vector<double> values;
  const double steps = std::exp2(significand_bits - 1);
  for (double k = 0; k < steps; ++k) values.push_back(k * std::exp2(min_exponent) / steps);
  for (int exponent = min_exponent;; ++exponent) {
    for (double k = 0; k < steps; ++k) {
      const double value = (1 + k / steps) * std::exp2(exponent);
      if (value > largest) return values;
      values.push_back(value);
    }
  }
}

struct SmallFormat {
  Format format;
  int significand_bits;
  int min_exponent;
  double largest;
  bool has_infinity;
};
const SmallFormat kSmall[] = {{Format::f16, 11, -14, 65504, true},
                              {Format::bf16, 8, -126, 0x1.fep127, true},
                              {Format::e4m3, 4, -6, 448, false}};

TEST(NumberFormats, EveryCodeOfTheSmallFormatsDecodesInOrderAndEncodesBack) {
  for (const SmallFormat& small : kSmall) {
    const std::vector<double> values =
        all_magnitudes(small.significand_bits, small.min_exponent, small.largest);
    const int bits = 8 * info(small.format).bytes;
    // Codes of finite non-negative values are 0, 1, 2, ... in the order of the values.
    for (std::size_t code = 0; code < values.size(); ++code) {
      ASSERT_EQ(decode(small.format, code), values[code]) << name(small.format) << " code " << code;
      ASSERT_EQ(encode(small.format, values[code]), code);
      const std::uint64_t negative = code | (std::uint64_t{1} << (bits - 1));
      ASSERT_EQ(decode(small.format, negative), -values[code]);
      ASSERT_EQ(encode(small.format, -values[code]), negative);
    }
    // What is left are infinity, if the format has one, and NaNs.
    std::size_t code = values.size();
    if (small.has_infinity) {
      EXPECT_EQ(decode(small.format, code), kInfinity);
      EXPECT_EQ(encode(small.format, kInfinity), code);
      ++code;
    }
    for (; code < std::size_t{1} << (bits - 1); ++code) {
      ASSERT_TRUE(std::isnan(decode(small.format, code))) << name(small.format) << " code " << code;
    }
  }
}

TEST(NumberFormats, EveryRoundingOfTheSmallFormatsIsToTheNearestAndTiesToTheEvenCode) {
  for (const SmallFormat& small : kSmall) {
    const std::vector<double> values =
        all_magnitudes(small.significand_bits, small.min_exponent, small.largest);
    for (std::size_t code = 0; code + 1 < values.size(); ++code) {
      const double middle = values[code] + (values[code + 1] - values[code]) / 2;  // exact: one bit more
      const double below = std::nextafter(middle, 0.0), above = std::nextafter(middle, kInfinity);
      const double even = code % 2 == 0 ? values[code] : values[code + 1];
      ASSERT_EQ(round_to(small.format, middle), even) << name(small.format) << " " << middle;
      ASSERT_EQ(round_to(small.format, -middle), -even);
      ASSERT_EQ(round_to(small.format, below), values[code]);
      ASSERT_EQ(round_to(small.format, above), values[code + 1]);
      ASSERT_EQ(round_to(small.format, values[code]), values[code]);
    }
    // Halfway beyond the largest is the first number that overflows (the largest code of f16 and bf16 is
    // odd).
    const double step = values.back() - values[values.size() - 2];
    const double edge = values.back() + step / 2;
    EXPECT_EQ(round_to(small.format, std::nextafter(edge, 0.0)), values.back());
    if (small.has_infinity) {
      EXPECT_EQ(round_to(small.format, edge), kInfinity);
      EXPECT_EQ(round_to(small.format, -edge), -kInfinity);
    } else {
      EXPECT_EQ(round_to(small.format, edge), values.back());  // its largest code is even
      EXPECT_TRUE(std::isnan(round_to(small.format, std::nextafter(edge, kInfinity))));
      EXPECT_TRUE(std::isnan(round_to(small.format, kInfinity)));
    }
  }
}

TEST(NumberFormats, F32IsTheProcessorsFloat) {
  for (std::uint64_t i = 0; i < 200000; ++i) {
    const auto pattern = static_cast<std::uint32_t>(random_bits(1, 1, i));
    const auto single = std::bit_cast<float>(pattern);
    if (std::isnan(single)) {
      ASSERT_TRUE(std::isnan(decode(Format::f32, pattern)));
      continue;
    }
    ASSERT_EQ(decode(Format::f32, pattern), static_cast<double>(single));
    ASSERT_EQ(encode(Format::f32, static_cast<double>(single)), pattern);
    // A double anywhere near it rounds as the processor rounds it.
    const double value = static_cast<double>(single) * (1 + 0x1p-25 * (random_uniform(2, 2, i) - 0.5) * 8);
    ASSERT_EQ(round_to(Format::f32, value), static_cast<double>(static_cast<float>(value))) << value;
  }
}

TEST(NumberFormats, ABf16IsRoundedOnceAndNotThroughFloat) {
  // Just above the middle of two bf16 numbers, but a tie after rounding to float.
  const double value = 1 + 0x1p-8 + 0x1p-40;
  EXPECT_EQ(round_to(Format::bf16, value), 1 + 0x1p-7);
  EXPECT_EQ(round_to(Format::bf16, static_cast<double>(static_cast<float>(value))), 1.0);
}

TEST(NumberFormats, NanZeroAndInfinityKeepTheirKind) {
  for (Format format : {Format::f64, Format::f32, Format::f16, Format::bf16, Format::e4m3}) {
    EXPECT_TRUE(std::isnan(round_to(format, std::nan("")))) << name(format);
    EXPECT_TRUE(std::isnan(decode(format, encode(format, std::nan("")))));
    EXPECT_EQ(encode(format, 0.0), 0u);
    EXPECT_TRUE(std::signbit(decode(format, encode(format, -0.0))));
    EXPECT_EQ(parse_format(name(format)), format);
  }
  for (Format format : {Format::f64, Format::f32, Format::f16, Format::bf16}) {
    EXPECT_EQ(decode(format, encode(format, -kInfinity)), -kInfinity) << name(format);
  }
}

TEST(NumberFormats, AnUnknownNameIsRefusedWithTheKnownOnes) {
  try {
    parse_format("bf17");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "number format 'bf17': expected one of f64, f32, f16, bf16, e4m3");
  }
}

TEST(NumberFormats, UnitRoundoffIsHalfTheSpacingAtOne) {
  EXPECT_EQ(info(Format::f32).unit_roundoff(), 0x1p-24);
  EXPECT_EQ(info(Format::bf16).unit_roundoff(), 0x1p-8);
  EXPECT_EQ(info(Format::f16).unit_roundoff(), 0x1p-11);
  EXPECT_EQ(info(Format::f32).smallest_subnormal(), 0x1p-149);
  EXPECT_EQ(info(Format::bf16).smallest_subnormal(), 0x1p-133);
  EXPECT_EQ(info(Format::f16).smallest_subnormal(), 0x1p-24);
}

}  // namespace
}  // namespace attest
