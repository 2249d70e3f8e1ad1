// Narrow float formats: encoding with any rounding mode, decoding.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace attest::vm {

struct Format {
  int exponent_bits;
  int fraction_bits;
  bool infinity;  // false: all exponents are finite, only the all-ones pattern is NaN (e4m3)
  uint32_t nan;   // the canonical NaN
};
inline constexpr Format kF16 = {5, 10, true, 0x7FFF};
inline constexpr Format kBf16 = {8, 7, true, 0x7FFF};
inline constexpr Format kE5m2 = {5, 2, true, 0x7F};
inline constexpr Format kE4m3 = {4, 3, false, 0x7F};
inline constexpr Format kTf32 = {8, 10, true, 0x3FFFF};  // without the 13 low bits of its register
inline constexpr Format kF32 = {8, 23, true, 0x7FFFFFFF};

enum class Round { nearest, zero, down, up, nearest_away };

inline constexpr uint32_t largest(const Format& format) {
  const uint32_t top = (uint32_t{1} << (format.exponent_bits + format.fraction_bits)) - 1;  // all ones
  return format.infinity ? top - (uint32_t{1} << format.fraction_bits) : top - 1;
}

// The bits of `value` rounded once to `format`. `finite`: overflow gives the largest number (.satfinite).
inline uint32_t encode(double value, const Format& format, Round mode, bool finite = false) {
  if (value != value) return format.nan;
  const int width = format.exponent_bits + format.fraction_bits;
  const bool minus = std::signbit(value);
  const uint32_t sign = static_cast<uint32_t>(minus) << width;
  const double size = std::fabs(value);
  const uint32_t top = largest(format);
  const bool keep = finite || !format.infinity;
  if (std::isinf(size)) return sign | (keep ? top : top + 1);
  if (size == 0) return sign;
  const int lowest = 2 - (1 << (format.exponent_bits - 1));
  const int exponent = std::max(std::ilogb(size), lowest);
  const double scaled = std::ldexp(size, format.fraction_bits - exponent);  // exact
  double whole = std::floor(scaled);
  const double part = scaled - whole;
  const bool odd = std::fmod(whole, 2.0) != 0;
  const bool up = mode == Round::nearest        ? part > 0.5 || (part == 0.5 && odd)
                  : mode == Round::nearest_away ? part >= 0.5
                  : mode == Round::up           ? part > 0 && !minus
                  : mode == Round::down         ? part > 0 && minus
                                                : false;
  whole += up;
  const double code = std::ldexp(static_cast<double>(exponent - lowest), format.fraction_bits) + whole;
  if (code > top) {
    const bool toward_zero =
        mode == Round::zero || (mode == Round::up && minus) || (mode == Round::down && !minus);
    return sign | (keep || toward_zero ? top : top + 1);
  }
  return sign | static_cast<uint32_t>(code);
}

inline double decode(uint32_t bits, const Format& format) {
  const int width = format.exponent_bits + format.fraction_bits;
  const uint32_t magnitude = bits & ((uint32_t{1} << width) - 1);
  const double sign = bits >> width & 1 ? -1.0 : 1.0;
  if (magnitude > (format.infinity ? largest(format) + 1 : largest(format))) return NAN;
  if (format.infinity && magnitude == largest(format) + 1) return sign * INFINITY;
  const auto exponent = static_cast<int>(magnitude >> format.fraction_bits);
  const uint32_t fraction = magnitude & ((uint32_t{1} << format.fraction_bits) - 1);
  const int lowest = 2 - (1 << (format.exponent_bits - 1));
  const double mantissa = exponent ? fraction + std::ldexp(1.0, format.fraction_bits) : fraction;
  return sign * std::ldexp(mantissa, (exponent ? exponent - 1 : 0) + lowest - format.fraction_bits);
}

}  // namespace attest::vm
