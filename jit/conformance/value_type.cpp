// Operand types and the bit patterns that probe them.
#include "jit/conformance/value_type.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace attest::conformance {
namespace {

struct TypeRow {
  std::string_view name;
  int bits, elements;
  Element element;
  bool is_signed;
};
constexpr TypeRow kTypes[] = {
    {"pred", 1, 1, Element::bits, false},   {"u8", 8, 1, Element::bits, false},
    {"s8", 8, 1, Element::bits, true},      {"b16", 16, 1, Element::bits, false},
    {"u16", 16, 1, Element::bits, false},   {"s16", 16, 1, Element::bits, true},
    {"b32", 32, 1, Element::bits, false},   {"u32", 32, 1, Element::bits, false},
    {"s32", 32, 1, Element::bits, true},    {"b64", 64, 1, Element::bits, false},
    {"u64", 64, 1, Element::bits, false},   {"s64", 64, 1, Element::bits, true},
    {"f16", 16, 1, Element::f16, true},     {"bf16", 16, 1, Element::bf16, true},
    {"f32", 32, 1, Element::f32, true},     {"f64", 64, 1, Element::f64, true},
    {"tf32", 32, 1, Element::f32, true},    {"f16x2", 32, 2, Element::f16, true},
    {"bf16x2", 32, 2, Element::bf16, true}, {"e4m3x2", 16, 2, Element::e4m3, true},
    {"e5m2x2", 16, 2, Element::e5m2, true}, {"e4m3x4", 32, 4, Element::e4m3, true},
    {"e5m2x4", 32, 4, Element::e5m2, true}, {"s8x4", 32, 4, Element::bits, true},
    {"u8x4", 32, 4, Element::bits, false},
};

struct DrawRow {
  std::string_view prefix;
  Draw draw;
};
constexpr DrawRow kDraws[] = {{"shift:", Draw::shift},       {"lane:", Draw::lane},
                              {"nonzero:", Draw::nonzero},   {"tidy:", Draw::tidy},
                              {"small:", Draw::small},       {"matrix_a:", Draw::matrix_a},
                              {"matrix_b:", Draw::matrix_b}, {"matrix_c:", Draw::matrix_c}};

// SplitMix64's finaliser over the words in turn, as everywhere in this project.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

struct FloatLayout {
  int exponent_bits, fraction_bits;
};
FloatLayout layout(Element element) {
  switch (element) {
    case Element::f16:
      return {5, 10};
    case Element::bf16:
      return {8, 7};
    case Element::f32:
      return {8, 23};
    case Element::f64:
      return {11, 52};
    case Element::e4m3:
      return {4, 3};
    case Element::e5m2:
      return {5, 2};
    case Element::bits:
      break;
  }
  throw std::invalid_argument("conformance: an integer has no floating-point layout");
}

constexpr std::uint64_t low_mask(int bits) {
  return bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

// Numbers at which integer instructions change behaviour.
std::uint64_t special_integer(int bits, std::uint64_t choice) {
  const std::uint64_t top = std::uint64_t{1} << (bits - 1);
  const std::array<std::uint64_t, 24> values{0,
                                             1,
                                             2,
                                             3,
                                             ~std::uint64_t{0},
                                             ~std::uint64_t{1},
                                             top,
                                             top - 1,
                                             top + 1,
                                             7,
                                             8,
                                             15,
                                             16,
                                             31,
                                             32,
                                             33,
                                             63,
                                             64,
                                             127,
                                             128,
                                             255,
                                             0x5555555555555555ULL,
                                             0xaaaaaaaaaaaaaaaaULL,
                                             std::uint64_t{1} << (bits / 2)};
  return values[choice % values.size()] & low_mask(bits);
}

// Floats at which instructions change behaviour; sign drawn by the caller.
std::uint64_t special_float(FloatLayout form, std::uint64_t choice, std::uint64_t random) {
  const int f = form.fraction_bits;
  const std::uint64_t one_bias = low_mask(form.exponent_bits - 1), top = low_mask(form.exponent_bits);
  const auto number = [&](std::uint64_t exponent, std::uint64_t fraction) {
    return (exponent << f) | (fraction & low_mask(f));
  };
  switch (choice % 24) {
    case 0:
    case 1:
      return 0;
    case 2:
      return number(one_bias, 0);  // 1
    case 3:
      return number(one_bias, 1);  // 1 + ulp
    case 4:
      return number(one_bias - 1, low_mask(f));  // 1 - ulp
    case 5:
      return number(one_bias + 1, 0);  // 2
    case 6:
      return number(one_bias - 1, 0);  // 0.5
    case 7:
      return number(one_bias, low_mask(f - 1) + 1);  // 1.5
    case 8:
      return number(one_bias + 1, std::uint64_t{1} << (f - 2));  // 2.5: halfway for round to integer
    case 9:
      return number(top - 1, low_mask(f));  // largest with a finite exponent
    case 10:
      return number(1, 0);  // smallest normal
    case 11:
      return number(0, low_mask(f));  // largest subnormal
    case 12:
      return number(0, 1);  // smallest subnormal
    case 13:
      return number(0, random);  // a subnormal
    case 14:
      return number(top, 0);  // infinity
    case 15:
      return number(top, std::uint64_t{1} << (f - 1));  // quiet NaN
    case 16:
      return number(top, random | 1) & ~(std::uint64_t{1} << (f - 1));  // signalling NaN with a payload
    case 17:
      return number(top, low_mask(f));  // all ones
    case 18:
      return number(std::min(one_bias + 31, top - 1), 0);  // 2^31, or as near as there is
    case 19:
      return number(std::min(one_bias + 15, top - 1), low_mask(f));
    case 20:
      return number(one_bias + 3, random);  // 8 to 16
    case 21:
      return number(one_bias - std::min<std::uint64_t>(14, one_bias - 1),
                    random);  // around f16's least normal
    case 22:
      return number(std::min(one_bias + 6, top - 1), random);
    default:
      return number(2, random);
  }
}

std::uint64_t with_sign(FloatLayout form, std::uint64_t magnitude, bool negative) {
  const int width = form.exponent_bits + form.fraction_bits;
  return magnitude | (static_cast<std::uint64_t>(negative) << width);
}

// A number of the size 2^(-spread) to 2^spread.
std::uint64_t moderate_float(FloatLayout form, int spread, std::uint64_t random) {
  const auto bias = static_cast<std::int64_t>(low_mask(form.exponent_bits - 1));
  const auto top = static_cast<std::int64_t>(low_mask(form.exponent_bits));
  const auto offset =
      static_cast<std::int64_t>((random >> 40) % static_cast<std::uint64_t>(2 * spread + 1)) - spread;
  const std::int64_t exponent = std::min(std::max<std::int64_t>(bias + offset, 1), top - 1);
  const std::uint64_t fraction = (random >> 3) & low_mask(std::min(form.fraction_bits, 37));
  const int shift = std::max(0, form.fraction_bits - 37);
  std::uint64_t bits = (static_cast<std::uint64_t>(exponent) << form.fraction_bits) | (fraction << shift);
  if (form.exponent_bits == 4 && (bits & 0x7f) == 0x7f) bits ^= 1;  // e4m3's all-ones is NaN
  return with_sign(form, bits, (random & 1) != 0);
}

// A whole number from -4 to 4.
std::uint64_t small_float(FloatLayout form, std::uint64_t random) {
  const int number = static_cast<int>(random >> 8 & 0xffff) % 9 - 4;
  if (number == 0) return 0;
  const int exponent = std::ilogb(number);  // number = (1 + fraction) 2^exponent
  const int fraction = std::abs(number) - (1 << exponent);
  const std::uint64_t field = low_mask(form.exponent_bits - 1) + static_cast<std::uint64_t>(exponent);
  return with_sign(form,
                   (field << form.fraction_bits) | static_cast<std::uint64_t>(fraction)
                                                       << (form.fraction_bits - exponent),
                   number < 0);
}

// Mixes for the operands of a matrix step, chosen per warp so that a whole fragment probes one thing.
std::uint64_t matrix_element(FloatLayout form, Draw draw, std::uint64_t warp, std::uint64_t random) {
  const std::uint64_t fresh = mix(random);
  const bool negative = (random & 1) != 0;
  const int bias = static_cast<int>(low_mask(form.exponent_bits - 1));
  switch (warp % 8) {
    case 0:
      return moderate_float(form, 1, random);
    case 1:
    case 2:
      return moderate_float(form, 6, random);
    case 3:
      return fresh % 3 == 0 ? with_sign(form, 0, negative) : moderate_float(form, 4, random);
    case 4:  // subnormals beside numbers near one
      return fresh % 2 == 0 ? with_sign(form, mix(fresh) & low_mask(form.fraction_bits), negative)
                            : moderate_float(form, 2, random);
    case 5:  // zeros times numbers of every size over a small accumulator: does a zero raise the alignment?
      if (draw == Draw::matrix_a) return 0;
      if (draw == Draw::matrix_b) return moderate_float(form, bias, random);
      return ((1 + fresh % static_cast<std::uint64_t>(bias * 5 / 6)) << form.fraction_bits) |
             (mix(fresh) & low_mask(form.fraction_bits));
    case 6:  // the whole range
      return fresh % 8 == 0 ? with_sign(form, special_float(form, 9 + fresh / 8 % 5, mix(fresh)), negative)
                            : moderate_float(form, bias, random);
    default:  // infinities and NaNs, few
      return fresh % 64 == 0 ? with_sign(form, special_float(form, 14 + fresh / 64 % 4, mix(fresh)), negative)
                             : moderate_float(form, 2, random);
  }
}

std::uint64_t element_pattern(const ValueType& type, int bits, std::uint64_t index, std::uint64_t random) {
  const bool special = (random >> 58) % 2 == 0;
  if (type.element == Element::bits) {
    if (type.draw == Draw::tidy) return random % 100;
    if (special) return special_integer(bits, random >> 8);
    const std::uint64_t shortened = mix(random) >> ((random >> 16) % 64);  // numbers of every length
    return ((random & 1) != 0 ? shortened : ~shortened) & low_mask(bits);
  }
  const FloatLayout form = layout(type.element);
  if (type.draw == Draw::matrix_a || type.draw == Draw::matrix_b || type.draw == Draw::matrix_c) {
    return matrix_element(form, type.draw, index / 32, random);
  }
  if (type.draw == Draw::tidy) return moderate_float(form, 3, random);
  if (type.draw == Draw::small) return small_float(form, random);
  if (special) return with_sign(form, special_float(form, random >> 8, mix(random)), (random & 1) != 0);
  const std::uint64_t fresh = mix(random);
  switch (index % 4) {
    case 0:
      return fresh & low_mask(bits);  // any bits
    case 1:
      return moderate_float(form, 3, fresh);
    case 2:
      return moderate_float(form, 20, fresh);
    default:
      return moderate_float(form, 8, fresh) & ~low_mask(form.fraction_bits / 2);  // short: halfway cases
  }
}

}  // namespace

ValueType parse_value_type(std::string_view name) {
  ValueType type;
  type.name = std::string(name);
  for (const DrawRow& row : kDraws) {
    if (name.starts_with(row.prefix)) {
      type.draw = row.draw;
      name.remove_prefix(row.prefix.size());
    }
  }
  for (const TypeRow& row : kTypes) {
    if (row.name != name) continue;
    type.bits = row.bits;
    type.elements = row.elements;
    type.element = row.element;
    type.is_signed = row.is_signed;
    return type;
  }
  throw std::invalid_argument("conformance: no operand type is called '" + std::string(name) + "'");
}

std::uint64_t pattern(const ValueType& type, std::uint64_t seed, std::uint64_t operand, std::uint64_t index) {
  const std::uint64_t random = mix(mix(mix(seed) ^ operand) ^ index);
  if (type.predicate()) return random >> 63;
  if (type.draw == Draw::lane) return random % 64;
  if (type.draw == Draw::shift) {
    const std::array<std::uint64_t, 20> counts{0,  1,  2,  7,  8,  15, 16,  17,  24,  31,
                                               32, 33, 47, 63, 64, 65, 127, 128, 255, 256};
    return index % 4 == 3 ? random & low_mask(type.bits) : counts[random % counts.size()];
  }
  const int bits = type.bits / type.elements;
  std::uint64_t value = 0;
  for (int i = 0; i < type.elements; ++i) {
    const std::uint64_t word = mix(random ^ mix(static_cast<std::uint64_t>(i) + 77));
    value |= element_pattern(type, bits, index, word) << (i * bits);
  }
  if (type.draw == Draw::nonzero && value == 0) value = 3;
  return value;
}

double element_value(Element element, std::uint64_t bits) {
  if (element == Element::bits) return static_cast<double>(bits);
  const FloatLayout form = layout(element);
  const auto field = static_cast<int>((bits >> form.fraction_bits) & low_mask(form.exponent_bits));
  const std::uint64_t fraction = bits & low_mask(form.fraction_bits);
  const double sign = ((bits >> (form.exponent_bits + form.fraction_bits)) & 1) != 0 ? -1.0 : 1.0;
  const int top = static_cast<int>(low_mask(form.exponent_bits)), bias = top / 2;
  const bool e4m3 = element == Element::e4m3;
  if (field == top && (e4m3 ? fraction == low_mask(form.fraction_bits) : fraction != 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  if (field == top && !e4m3) return sign * std::numeric_limits<double>::infinity();
  const std::uint64_t significand =
      field == 0 ? fraction : fraction | (std::uint64_t{1} << form.fraction_bits);
  return sign * std::ldexp(static_cast<double>(significand), std::max(field, 1) - bias - form.fraction_bits);
}

}  // namespace attest::conformance
