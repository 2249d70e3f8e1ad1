// Float arithmetic as the PTX ISA rounds it, for one lane: NaN results, subnormals, saturation, rounding
// modes.
#pragma once

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>

#include "jit/vm/lanes.h"

namespace attest::vm {

inline constexpr uint32_t kCanonicalNan = 0x7FFFFFFFu;  // of .f32; PTX ISA: floating-point-instructions

// NaN results of .f32 instructions are canonical: payloads do not survive.
inline float canonical(float value) { return value == value ? value : std::bit_cast<float>(kCanonicalNan); }
inline double canonical(double value) { return value; }  // .f64 keeps payloads, as the host does

// Subnormals become zeros of the same sign.
inline float flush(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>(bits & 0x7F800000u ? bits : bits & 0x80000000u);
}
inline double flush(double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  return std::bit_cast<double>(bits & 0x7FF0000000000000u ? bits : bits & 0x8000000000000000u);
}

// .sat: to [0, 1], NaN and -0 to +0.
inline float saturate(float value) { return value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f; }
inline double saturate(double value) { return value > 0.0 ? (value < 1.0 ? value : 1.0) : 0.0; }

// --- 16-bit formats ---

inline float widen(BF16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }
inline float widen(F16 value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t exponent = value.bits >> 10 & 31u, fraction = value.bits & 0x3FFu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  // 2^-24 * fraction is exact, for subnormals; else the exponent is moved.
  const float subnormal = static_cast<float>(fraction) * 0x1p-24f;
  const uint32_t magnitude =
      exponent ? (exponent + 112) << 23 | fraction << 13 : std::bit_cast<uint32_t>(subnormal);
  return std::bit_cast<float>(sign | magnitude);
}
inline float low(F16x2 value) { return widen(F16{static_cast<uint16_t>(value.bits)}); }
inline float high(F16x2 value) { return widen(F16{static_cast<uint16_t>(value.bits >> 16)}); }
inline float low(BF16x2 value) { return widen(BF16{static_cast<uint16_t>(value.bits)}); }
inline float high(BF16x2 value) { return widen(BF16{static_cast<uint16_t>(value.bits >> 16)}); }

// Round to nearest even; NaN becomes 0x7FFF, as cvt and the arithmetic of these types give.
inline BF16 round_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
  return {static_cast<uint16_t>(value == value ? rounded : 0x7FFFu)};
}
inline F16 round_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  uint32_t result = 0;
  if (magnitude > 0x7F800000u) return {0x7FFF};
  if (magnitude >= 0x477FF000u) {  // 65520 and more
    result = 0x7C00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, rounded by the adder at 0.5
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    result = std::bit_cast<uint32_t>(shifted) - 0x3F000000u;
  } else {
    result = (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | result)};
}

// The double nearest to a + b, with the last bit set when something was cut off: rounding it again to a
// narrower format (by at least two bits) rounds a + b once. Boldo and Melquiond, "Emulation of FMA and
// correctly rounded sums", 2008.
inline double add_to_odd(double a, double b) {
  const double sum = a + b;
  const double back = sum - a;
  const double error = (a - (sum - back)) + (b - back);
  if (error == 0.0 || !std::isfinite(sum)) return sum;
  uint64_t bits = std::bit_cast<uint64_t>(sum);
  if (bits & 1) return sum;
  const bool away = (error > 0) == (sum > 0);  // the exact sum is farther from zero than `sum`
  return std::bit_cast<double>(away ? bits + 1 : bits - 1);
}
// The same for narrowing a double to float on the way to a 16-bit format.
inline float narrow_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  const auto back = static_cast<double>(nearest);
  if (back == value || value != value || std::isinf(nearest) || std::bit_cast<uint32_t>(nearest) & 1) {
    if (std::isinf(nearest) && !std::isinf(value))
      return std::copysign(std::bit_cast<float>(0x7F7FFFFFu), nearest);
    return nearest;
  }
  const uint32_t bits = std::bit_cast<uint32_t>(nearest);
  const bool away = std::fabs(value) > std::fabs(back);
  return std::bit_cast<float>(away ? bits + 1 : bits - 1);
}

template <class H>
H round_half(float value) {
  if constexpr (std::is_same_v<H, F16>)
    return round_f16(value);
  else
    return round_bf16(value);
}

// --- rounding modes other than nearest ---

// Sets the host's rounding mode for one handler call (32 lanes); .rn forms never come here.
class RoundingScope {
 public:
  explicit RoundingScope(int mode) : before_(std::fegetround()) { std::fesetround(mode); }
  ~RoundingScope() { std::fesetround(before_); }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;

 private:
  int before_;
};

template <int Mode, Handler H>
void rounded(Warp& warp, const Instruction& instruction) {
  const RoundingScope scope(Mode);
  H(warp, instruction);
}

// Values that the optimiser must not compute before the rounding mode is set, nor after it is put back.
template <class T>
inline T opaque(T value) {
  asm volatile("" : "+m"(value) : : "memory");
  return value;
}

}  // namespace attest::vm
