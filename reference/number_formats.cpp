// Rounds through integers, so that a double becomes bf16 in one rounding and not through float.
#include "reference/number_formats.h"

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace attest {
namespace {

constexpr FormatInfo kFormats[] = {
    {Format::f64, "f64", 8, 53, -1022, 0x1.fffffffffffffp1023},
    {Format::f32, "f32", 4, 24, -126, 0x1.fffffep127},
    {Format::f16, "f16", 2, 11, -14, 65504.0},
    {Format::bf16, "bf16", 2, 8, -126, 0x1.fep127},
    {Format::e4m3, "e4m3", 1, 4, -6, 448.0},
};

struct Layout {
  int exponent_bits;
  int fraction_bits;
  int bias;
};

Layout layout(const FormatInfo& row) {
  const int fraction_bits = row.significand_bits - 1;
  return {row.bytes * 8 - 1 - fraction_bits, fraction_bits, 1 - row.min_normal_exponent};
}

}  // namespace

double FormatInfo::unit_roundoff() const { return std::ldexp(1.0, -significand_bits); }
double FormatInfo::smallest_subnormal() const {
  return std::ldexp(1.0, min_normal_exponent - (significand_bits - 1));
}

const FormatInfo& info(Format format) {
  for (const FormatInfo& row : kFormats) {
    if (row.format == format) return row;
  }
  throw std::invalid_argument("info: not a number format");
}

std::string_view name(Format format) { return info(format).name; }

Format parse_format(std::string_view text) {
  std::string known;
  for (const FormatInfo& row : kFormats) {
    if (row.name == text) return row.format;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw std::invalid_argument("number format '" + std::string(text) + "': expected one of " + known);
}

double round_to(Format format, double value) {
  if (format == Format::f64 || std::isnan(value) || value == 0) return value;
  const FormatInfo& row = info(format);
  if (std::isfinite(value)) {
    // Scaling by powers of two is exact, and nearbyint rounds to nearest even in the default mode.
    const int exponent = std::max(std::ilogb(value), row.min_normal_exponent);
    const int shift = row.significand_bits - 1 - exponent;
    const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, shift)), -shift);
    if (std::fabs(rounded) <= row.largest) return rounded;
  }
  if (format == Format::e4m3) return std::numeric_limits<double>::quiet_NaN();
  return std::copysign(std::numeric_limits<double>::infinity(), value);
}

std::uint64_t encode(Format format, double value) {
  if (format == Format::f64) return std::bit_cast<std::uint64_t>(value);
  const FormatInfo& row = info(format);
  const Layout bits = layout(row);
  const double rounded = round_to(format, value);
  const std::uint64_t sign = std::uint64_t{std::signbit(value)} << (row.bytes * 8 - 1);
  const std::uint64_t exponent_ones = (std::uint64_t{1} << bits.exponent_bits) - 1;
  const std::uint64_t fraction_ones = (std::uint64_t{1} << bits.fraction_bits) - 1;
  if (std::isnan(rounded)) return (exponent_ones << bits.fraction_bits) | fraction_ones;
  if (std::isinf(rounded)) return sign | (exponent_ones << bits.fraction_bits);
  if (rounded == 0) return sign;
  const int exponent = std::ilogb(rounded);
  if (exponent < row.min_normal_exponent) {
    const double steps = std::fabs(rounded) / row.smallest_subnormal();
    return sign | static_cast<std::uint64_t>(steps);
  }
  const double significand = std::ldexp(std::fabs(rounded), bits.fraction_bits - exponent);
  const auto fraction = static_cast<std::uint64_t>(significand) & fraction_ones;
  return sign | (static_cast<std::uint64_t>(exponent + bits.bias) << bits.fraction_bits) | fraction;
}

double decode(Format format, std::uint64_t stored) {
  if (format == Format::f64) return std::bit_cast<double>(stored);
  const FormatInfo& row = info(format);
  const Layout bits = layout(row);
  const std::uint64_t exponent_ones = (std::uint64_t{1} << bits.exponent_bits) - 1;
  const std::uint64_t fraction = stored & ((std::uint64_t{1} << bits.fraction_bits) - 1);
  const std::uint64_t exponent = (stored >> bits.fraction_bits) & exponent_ones;
  const double sign = ((stored >> (row.bytes * 8 - 1)) & 1) != 0 ? -1.0 : 1.0;
  if (exponent == exponent_ones) {
    if (format != Format::e4m3) {
      return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                           : std::numeric_limits<double>::quiet_NaN();
    }
    if (fraction == (std::uint64_t{1} << bits.fraction_bits) - 1) {
      return std::numeric_limits<double>::quiet_NaN();  // e4m3 spends one code on NaN and none on infinity
    }
  }
  if (exponent == 0) return sign * static_cast<double>(fraction) * row.smallest_subnormal();
  const double significand = static_cast<double>(fraction | (std::uint64_t{1} << bits.fraction_bits));
  return sign * std::ldexp(significand, static_cast<int>(exponent) - bits.bias - bits.fraction_bits);
}

}  // namespace attest
