// The number formats that caches and kernels store, each with exact conversion to and from double.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attest {

enum class Format { f64, f32, f16, bf16, e4m3 };

// One row a format. `unit_roundoff` is half the distance from 1 to the next number (2^-24 for f32).
struct FormatInfo {
  Format format;
  std::string_view name;  // "bf16": used in names, JSON and command lines
  int bytes;
  int significand_bits;     // with the implicit one: 24 for f32, 8 for bf16
  int min_normal_exponent;  // exponent of the smallest normal number: -126 for f32
  double largest;           // largest finite number
  double unit_roundoff() const;
  double smallest_subnormal() const;
};

const FormatInfo& info(Format format);
std::string_view name(Format format);
Format parse_format(std::string_view name);  // throws std::invalid_argument, listing the names

// `value` rounded once from double to nearest, ties to even, subnormals kept; overflow gives infinity
// (e4m3: NaN, as it has no infinity). NaN stays NaN.
double round_to(Format format, double value);

// The stored bits of round_to(format, value), in the low bytes; NaN is the format's canonical NaN.
std::uint64_t encode(Format format, double value);
// The exact value of stored bits.
double decode(Format format, std::uint64_t bits);

}  // namespace attest
