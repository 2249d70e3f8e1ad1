// cvt, evaluated on exact values: long double holds every source (64 bits of significand), and the result is
// rounded in one place, by arithmetic on that value.
#include <algorithm>
#include <cmath>
#include <limits>

#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

bool is_float(std::string_view type) { return type.find('f') != std::string_view::npos; }

// To an integral value in the direction that the second letter of rn, rz, rm, rp, rna, rni, ... says.
long double integral(char direction, bool away, long double value) {
  const long double floor = std::floor(value), part = value - floor;
  if (part == 0) return value;
  bool up = false;
  switch (direction) {
    case 'z':
      up = value < 0;
      break;
    case 'p':
      up = true;
      break;
    case 'n':
      up = part > 0.5L || (part == 0.5L && (away ? value > 0 : std::fmod(floor, 2.0L) != 0));
      break;
    default:
      break;  // m: down
  }
  return std::copysign(floor + (up ? 1 : 0), value);
}

struct Target {
  int exponent_bits, fraction_bits;
  int dropped;  // bits below the fraction that are zero: tf32 is an f32 with 10 bits of fraction
  uint64_t nan;
};
Target target_of(std::string_view type) {
  if (type == "f16") return {5, 10, 0, 0x7FFF};
  if (type == "bf16") return {8, 7, 0, 0x7FFF};
  if (type == "tf32") return {8, 10, 13, 0x7FFFFFFF};
  if (type == "f32") return {8, 23, 0, 0x7FFFFFFF};
  return {11, 52, 0, 0x7FFFFFFFFFFFFFFF};
}

// Bits of a value that is rounded once.
uint64_t encode(const Target& to, long double value, char direction, bool away, bool finite) {
  if (std::isnan(value)) return to.nan;
  const int width = to.exponent_bits + to.fraction_bits;
  const uint64_t sign = std::signbit(value) ? uint64_t{1} << width : 0;
  const int top = (1 << to.exponent_bits) - 1, bias = top / 2;
  const uint64_t infinity = static_cast<uint64_t>(top) << to.fraction_bits, largest = infinity - 1;
  const long double limit = std::ldexp(1.0L, bias + 1);  // first power of two without a finite number
  uint64_t magnitude = 0;
  if (std::isinf(value)) {
    magnitude = finite ? largest : infinity;
  } else if (value != 0) {
    const int exponent = std::max(std::ilogb(value), 1 - bias);
    const int unit = exponent - to.fraction_bits;
    const long double rounded =
        std::fabs(std::ldexp(integral(direction, away, std::ldexp(value, -unit)), unit));
    if (rounded >= limit) {
      const bool stays =
          finite || direction == 'z' || (direction == 'm' && !sign) || (direction == 'p' && sign);
      magnitude = stays ? largest : infinity;
    } else {
      const auto units = static_cast<uint64_t>(std::ldexp(rounded, -unit));
      // Adding the fraction with its hidden bit to the exponent field below carries by itself.
      magnitude = (static_cast<uint64_t>(exponent + bias - 1) << to.fraction_bits) + units;
    }
  }
  return (sign | magnitude) << to.dropped;
}

struct Flags {
  char direction = 'n';
  bool away = false, integral = false, ftz = false, sat = false, relu = false, finite = false;
};

uint64_t to_float(std::string_view type, std::string_view source, const Flags& flags, uint64_t bits) {
  long double value = value_of(source, bits);
  const auto flush = [&](std::string_view of) {
    if (flags.ftz && of == "f32" && std::fabs(value) < 0x1p-126L) value = std::copysign(0.0L, value);
  };
  // A directed rounding to f16 keeps the direction of a subnormal (README of jit/vm: seen on a device).
  if (type != "f16" || flags.integral) flush(source);
  if (flags.integral) value = integral(flags.direction, flags.away, value);
  flush(type);
  const bool number = !std::isnan(value);
  if (flags.sat) value = number ? std::clamp(value, 0.0L, 1.0L) : 0;
  if (flags.sat && value == 0) value = 0.0L;
  if (flags.relu && number && std::signbit(value)) value = 0.0L;
  return encode(target_of(type), value, flags.direction, flags.away, flags.finite);
}

uint64_t to_integer(const std::string& type, std::string_view source, const Flags& flags, uint64_t raw) {
  const int bits = bits_of(type);
  const bool is_signed = type[0] == 's';
  long double value = value_of(source, raw);
  const bool of_float = is_float(source);
  if (std::isnan(value)) {
    const uint64_t high = uint64_t{1} << (bits - 1);
    const uint64_t wide = is_signed ? static_cast<uint64_t>(signed_bits(high, bits)) : high;
    return source == "f64" || bits == 64 ? wide : 0;
  }
  if (flags.ftz && std::fabs(value) < 0x1p-126L) value = 0;
  if (of_float) value = integral(flags.direction, false, value);
  const long double low = is_signed ? -std::ldexp(1.0L, bits - 1) : 0;
  const long double high = std::ldexp(1.0L, is_signed ? bits - 1 : bits) - 1;
  value = std::clamp(value, low, high);  // floats always, integers with .sat
  if (value < 0) return static_cast<uint64_t>(static_cast<int64_t>(value));
  return static_cast<uint64_t>(value);
}

}  // namespace

// cvt{.mode}{.ftz}{.relu}{.sat, .satfinite}.dtype.stype
Sweep sweep_conversion(const std::string& form) {
  std::vector<std::string> parts = parts_of(form, '.');
  if (parts[0] != "cvt") return {};
  const std::string source = parts.back(), result = parts[parts.size() - 2];
  Flags flags;
  for (size_t i = 1; i + 2 < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part == "ftz")
      flags.ftz = true;
    else if (part == "sat")
      flags.sat = true;
    else if (part == "relu")
      flags.relu = true;
    else if (part == "satfinite")
      flags.finite = true;
    else if (one_of(part, {"rn", "rz", "rm", "rp", "rna", "rni", "rzi", "rmi", "rpi"})) {
      flags.direction = part[1];
      flags.away = part == "rna";
      flags.integral = part.back() == 'i';
    } else {
      return {};
    }
  }
  if (contains(source, "x") || one_of(result, {"e4m3x2", "e5m2x2"}) || result == "b32" ||
      contains(form, "pack"))
    return {};
  if (!is_float(result) && !is_float(source) && !flags.sat) return {};
  // Registers: results narrower than 32 bits are extended to a 32-bit register.
  const int bits = bits_of(result);
  const std::string wide = bits == 64 ? "b64" : "b32";
  if (contains(result, "x2")) {
    const std::string half = result.substr(0, result.size() - 2);
    return {form, "b32", source + "," + source, form + " %d0, %x0, %x1;", [=](const Thread& x, uint64_t* d) {
              d[0] = to_float(half, source, flags, x(0)) << 16 | to_float(half, source, flags, x(1));
            }};
  }
  if (is_float(result))
    return {form,
            bits == 16         ? "b16"
            : result == "tf32" ? "b32"
                               : result,
            source, form + " %d0, %x0;",
            [=](const Thread& x, uint64_t* d) { d[0] = to_float(result, source, flags, x(0)); }};
  return {form, wide, source, form + " %d0, %x0;",
          [=](const Thread& x, uint64_t* d) { d[0] = to_integer(result, source, flags, x(0)); }};
}

}  // namespace attest::conformance
