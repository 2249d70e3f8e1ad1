// 2-adic numbers to 64 bits, and the elements built of them.
#include "jit/vm/payload.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <string>

#include "jit/vm/hash.h"

namespace attest::vm {
namespace {

constexpr int kBits = 64;
constexpr int32_t kMostTwos = 1 << 24;

uint64_t low(uint64_t value, int bits) { return bits >= kBits ? value : value & ((uint64_t{1} << bits) - 1); }

// n * 2^valuation, n known modulo 2^precision.
Padic normalised(uint64_t n, int32_t valuation, int32_t precision) {
  if (precision <= 0) return {0, valuation + precision, 0};
  n = low(n, precision);
  if (n == 0) return {0, valuation + precision, 0};
  const int zeros = std::countr_zero(n);
  return {n >> zeros, valuation + zeros, precision - zeros};
}

uint64_t shifted(uint64_t unit, int64_t places) { return places >= kBits ? 0 : unit << places; }

constexpr uint64_t inverse_of(uint64_t odd) {  // Newton: 3 bits are right, doubled five times
  uint64_t x = odd;
  for (int i = 0; i < 5; ++i) x *= 2 - odd * x;
  return x;
}

// 5^(2^i) and its inverse.
struct Powers {
  std::array<uint64_t, 64> five, inverse;
};
constexpr Powers kPowers = [] {
  Powers powers{};
  uint64_t power = 5;
  for (size_t i = 0; i < 64; ++i, power *= power) {
    powers.five[i] = power;
    powers.inverse[i] = inverse_of(power);
  }
  return powers;
}();

// The small integer that a 2-adic number is.
int32_t small_integer(const Padic& a) {
  if (a.exact_zero()) return 0;
  const int known = std::min(a.end(), kBits);
  if (a.valuation >= 0 && known >= 24) {
    const uint64_t bits = shifted(a.unit, a.valuation) << (kBits - known);
    const int64_t value = static_cast<int64_t>(bits) >> (kBits - known);
    if (value > -(1 << 20) && value < 1 << 20) return static_cast<int32_t>(value);
  }
  throw CannotCheck("a power of two whose exponent is not known to be an integer");
}

Payload special(Payload::Kind kind, double shadow) {
  Payload result;
  result.kind = kind;
  result.shadow = shadow;
  return result;
}
Payload nan() { return special(Payload::Kind::nan, std::nan("")); }
Payload infinity(bool negative) { return special(Payload::Kind::infinite, negative ? -INFINITY : INFINITY); }

Padic made_of(uint64_t hash) { return {hash | 1, 0, kBits}; }

}  // namespace

// --- 2-adic numbers ---

Padic padic(int64_t integer) {
  if (integer == 0) return {};
  const int zeros = std::countr_zero(static_cast<uint64_t>(integer));
  return {static_cast<uint64_t>(integer >> zeros), zeros, kBits};
}

Padic operator+(const Padic& a, const Padic& b) {
  if (a.exact_zero()) return b;
  if (b.exact_zero()) return a;
  const int32_t end = std::min(a.end(), b.end());
  if (a.unit == 0 && b.unit == 0) return {0, end, 0};
  const int32_t lowest = a.unit == 0   ? b.valuation
                         : b.unit == 0 ? a.valuation
                                       : std::min(a.valuation, b.valuation);
  const uint64_t sum = (a.unit ? shifted(a.unit, a.valuation - lowest) : 0) +
                       (b.unit ? shifted(b.unit, b.valuation - lowest) : 0);
  return normalised(sum, lowest, end - lowest);
}

Padic operator-(const Padic& a) {
  if (a.unit == 0) return a;
  return {low(uint64_t{0} - a.unit, a.precision), a.valuation, a.precision};
}

Padic operator*(const Padic& a, const Padic& b) {
  if (a.exact_zero() || b.exact_zero()) return {};
  if (std::abs(a.valuation + b.valuation) > kMostTwos)
    throw CannotCheck("a number with more than 2^24 factors of two");
  if (a.unit == 0 || b.unit == 0) return {0, a.valuation + b.valuation, 0};
  const int32_t precision = std::min(a.precision, b.precision);
  return {low(a.unit * b.unit, precision), a.valuation + b.valuation, precision};
}

Padic inverse(const Padic& a) {
  if (a.unit == 0) throw CannotCheck("a quotient by a number of which no bit is known");
  return {low(inverse_of(a.unit), a.precision), -a.valuation, a.precision};
}

Padic power_of_five(const Padic& x) {
  if (x.exact_zero()) return padic(1);
  if (x.valuation < 0) throw CannotCheck("an exponent that is a fraction with an even denominator");
  const uint64_t exponent = x.unit == 0 ? 0 : shifted(x.unit, x.valuation);
  // 5^(2^i) is 1 modulo 2^(i + 2).
  const int32_t precision = std::min(kBits, x.end() + 2);
  uint64_t power = 1;
  for (uint64_t rest = exponent; rest; rest &= rest - 1)
    power *= kPowers.five[static_cast<size_t>(std::countr_zero(rest))];
  return {low(power, precision), 0, precision};
}

Padic log_five(const Padic& a, bool& negative) {
  if (a.precision < 3) throw CannotCheck("a logarithm of a number of which less than 3 bits are known");
  uint64_t unit = a.unit;
  negative = (unit & 3) == 3;
  if (negative) unit = uint64_t{0} - unit;
  // unit is 1 modulo 4: bit by bit, dividing by 5^(2^i) what is not 1 modulo 2^(i + 3).
  uint64_t exponent = 0;
  for (int i = 0; i + 2 < a.precision; ++i) {
    if (!(unit >> (i + 2) & 1)) continue;
    unit *= kPowers.inverse[static_cast<size_t>(i)];
    exponent |= uint64_t{1} << i;
  }
  return normalised(exponent, 0, a.precision - 2);
}

// --- elements ---

Payload payload_of(double value) {
  if (value != value) return nan();
  if (std::isinf(value)) return infinity(value < 0);
  Payload result;
  result.shadow = value;
  if (value == 0) return result;
  // Constants that cancel: the first of each pair has the number made of its bits.
  static constexpr double kPairs[][2] = {
      {std::numbers::log2e, std::numbers::ln2},
      {3.32192809488736234787, 0.30102999566398119521},  // log2(10), log10(2)
  };
  const double size = std::fabs(value);
  Padic number;
  for (const auto& [first, second] : kPairs) {
    const Padic of_first = made_of(hash_bits(1, std::bit_cast<uint64_t>(first)));
    const auto is = [&](double constant) {
      return size == constant || size == static_cast<double>(static_cast<float>(constant));
    };
    if (is(first)) number = of_first;
    if (is(second)) number = inverse(of_first);
  }
  if (size == 1) number = padic(1);
  if (number.unit == 0) number = made_of(hash_bits(1, std::bit_cast<uint64_t>(size)));
  result.number = value < 0 ? -number : number;
  return result;
}

Payload operator+(const Payload& a, const Payload& b) {
  using Kind = Payload::Kind;
  if (a.kind == Kind::nan || b.kind == Kind::nan) return nan();
  if (a.kind == Kind::infinite && b.kind == Kind::infinite) return a.shadow == b.shadow ? a : nan();
  if (a.kind == Kind::infinite) return a;
  if (b.kind == Kind::infinite) return b;
  return {a.number + b.number, a.twos + b.twos, a.minus != b.minus, Kind::finite, a.shadow + b.shadow};
}

Payload operator-(const Payload& a) {
  return {-a.number, -a.twos, a.minus, a.kind, -a.shadow};  // 2 log2(-1) = 0
}

Payload operator-(const Payload& a, const Payload& b) { return a + -b; }

Payload operator*(const Payload& a, const Payload& b) {
  using Kind = Payload::Kind;
  if (a.kind == Kind::nan || b.kind == Kind::nan) return nan();
  if (a.kind == Kind::infinite || b.kind == Kind::infinite) {
    if (a.zero() || b.zero()) return nan();
    return infinity(std::signbit(a.shadow) != std::signbit(b.shadow));
  }
  if (a.logarithmic() && b.logarithmic()) throw CannotCheck("a product of two logarithms");
  if (b.logarithmic()) return b * a;
  if (a.minus && b.number.valuation < 0)
    throw CannotCheck("a fraction of the logarithm of a negative number");
  const bool odd = b.number.unit != 0 && b.number.valuation == 0;
  return {a.number * b.number, a.twos * b.number, a.minus && odd, Kind::finite, a.shadow * b.shadow};
}

Payload operator/(const Payload& a, const Payload& b) {
  using Kind = Payload::Kind;
  if (a.kind == Kind::nan || b.kind == Kind::nan) return nan();
  if (b.kind == Kind::infinite) {
    if (a.kind == Kind::infinite) return nan();
    return {};
  }
  if (b.logarithmic()) throw CannotCheck("a quotient by a logarithm");
  const bool negative = std::signbit(a.shadow) != std::signbit(b.shadow);
  if (b.zero()) return a.zero() ? nan() : infinity(negative);
  if (a.kind == Kind::infinite) return infinity(negative);
  Payload reciprocal;
  reciprocal.number = inverse(b.number);
  reciprocal.shadow = 1 / b.shadow;
  Payload result = a * reciprocal;
  result.shadow = a.shadow / b.shadow;
  return result;
}

Payload exp2(const Payload& a) {
  if (a.kind == Payload::Kind::nan) return a;
  if (a.kind == Payload::Kind::infinite) return a.shadow > 0 ? a : Payload{};
  Payload result;
  result.number = power_of_five(a.number);
  result.number.valuation = small_integer(a.twos);
  if (a.minus) result.number = -result.number;
  result.shadow = std::exp2(a.shadow);
  return result;
}

Payload log2(const Payload& a) {
  if (a.kind == Payload::Kind::nan || a.shadow < 0) return nan();
  if (a.kind == Payload::Kind::infinite) return a;
  if (a.zero()) return infinity(true);
  if (a.logarithmic()) throw CannotCheck("a logarithm of a logarithm");
  if (a.number.unit == 0) throw CannotCheck("a logarithm of a number of which no bit is known");
  Payload result;
  result.number = log_five(a.number, result.minus);
  result.twos = padic(a.number.valuation);
  result.shadow = std::log2(a.shadow);
  return result;
}

Payload tagged(uint64_t tag, const Payload& a, double (*real)(double), bool odd) {
  const double shadow = real(a.shadow);
  if (a.kind != Payload::Kind::finite || a.zero() || shadow != shadow) return payload_of(shadow);
  const Payload size = std::signbit(a.shadow) ? -a : a;
  const uint64_t hash = hash_bits(tag, digest(size));
  Payload result;
  result.number = odd && std::signbit(a.shadow) ? -made_of(hash) : made_of(hash);
  result.shadow = shadow;
  return result;
}

Payload sqrt(const Payload& a) {
  if (a.number == padic(1) && !a.logarithmic() && a.shadow == 1) return a;
  return tagged(
      2, a, [](double x) { return std::sqrt(x); }, false);
}

Agreement agreement(const Payload& a, const Payload& b) {
  if (a.kind != b.kind) return {};
  if (a.kind == Payload::Kind::nan) return {true, kBits};
  if (a.kind == Payload::Kind::infinite) return {a.shadow == b.shadow, kBits};
  Agreement result{a.minus == b.minus, kBits};
  const auto part = [&](const Padic& x, const Padic& y) {
    if (x.exact_zero() && y.exact_zero()) return;
    const Padic difference = x + -y;
    result.equal = result.equal && difference.unit == 0;
    const int known = std::min(x.end(), y.end()) - std::min({0, x.valuation, y.valuation});
    result.bits = std::clamp(known, 0, result.bits);
  };
  part(a.number, b.number);
  part(a.twos, b.twos);
  return result;
}

uint64_t digest(const Payload& value) {
  if (value.kind != Payload::Kind::finite)
    return hash_bits(static_cast<uint64_t>(value.kind), value.shadow > 0);
  constexpr int kUsed = 32;
  uint64_t hash = hash_bits(value.minus, 0);
  for (const Padic& part : {value.number, value.twos}) {
    const int32_t below = std::min(part.valuation, 0);
    if (part.end() - below < kUsed) throw CannotCheck("a value of which less than 32 bits are known");
    const uint64_t bits = part.unit ? shifted(part.unit, part.valuation - below) : 0;
    hash = hash_bits(hash_bits(hash, low(bits, kUsed)), static_cast<uint64_t>(below));
  }
  return hash;
}

}  // namespace attest::vm
