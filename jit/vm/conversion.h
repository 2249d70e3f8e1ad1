// What cvt between integers and floats and cvt between floats share.
#pragma once

#include <cmath>
#include <type_traits>

#include "jit/vm/formats.h"

namespace attest::vm::conversion {

inline constexpr const char* kSection = "data-movement-and-conversion-instructions-cvt";

// To an integral value; other modes keep the value.
inline double integral(Round mode, double value) {
  switch (mode) {
    case Round::nearest: {
      const double floor = std::floor(value), part = value - floor;
      const bool up = part > 0.5 || (part == 0.5 && std::fmod(floor, 2.0) != 0);
      return std::copysign(floor + up, value);
    }
    case Round::zero:
      return std::trunc(value);
    case Round::down:
      return std::floor(value);
    case Round::up:
      return std::ceil(value);
    default:
      return value;
  }
}

template <class H>
constexpr const Format& format_of() {
  return std::is_same_v<H, F16> ? kF16 : kBf16;
}

}  // namespace attest::vm::conversion
