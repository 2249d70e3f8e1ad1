// Numbers, and names of entries, in the bits of floats.
#include "jit/vm/payload_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <string>

#include "jit/vm/arithmetic.h"
#include "jit/vm/hash.h"

namespace attest::vm {
namespace {

constexpr uint32_t kSign = 0x80000000u, kInfinity = 0x7F800000u;
// NaNs whose low 13 bits are zero come from 16-bit formats or are the hardware's and libraries' usual ones:
// those stay NaNs.
constexpr uint32_t kLow = 13, kLowMask = (1u << kLow) - 1;

constexpr uint32_t name_of(uint32_t number) {
  return kInfinity | number / kLowMask << kLow | (number % kLowMask + 1);
}
constexpr uint32_t number_of_name(uint32_t bits) {
  return (bits >> kLow & 1023u) * kLowMask + (bits & kLowMask) - 1;
}
static_assert(name_of(PayloadTable::kMostValues - 1) == 0x7FFFFFFEu &&
              number_of_name(0x7FFFFFFEu) == PayloadTable::kMostValues - 1);

// A 64-bit name holds a 32-bit one: a NaN that no instruction makes.
constexpr uint64_t kWideName = 0x7FF4000000000000u, kWideSign = uint64_t{1} << 63;
bool is_wide_name(uint64_t bits) { return (bits & ~kWideSign) >> 32 == kWideName >> 32; }

// Magnitudes of the 16-bit formats that are names: too small or too large for sensible inputs, and for f16
// the NaNs, but for 0x7e00 and 0x7fff.
struct Range {
  uint32_t first, count;
};
constexpr Range kBf16Ranges[] = {{0x0001, 103 * 128 - 1}, {143 * 128, 112 * 128}};  // below 2^-24, from 2^16
constexpr Range kF16Ranges[] = {
    {0x0001, 1023}, {0x6000, 7168}, {0x7C01, 511}, {0x7E01, 510}};  // subnormal, from 512
std::span<const Range> ranges(MatrixFormat format) {
  return format == MatrixFormat::f16 ? std::span<const Range>(kF16Ranges)
                                     : std::span<const Range>(kBf16Ranges);
}
// The n-th reserved magnitude, or 0 when there are not so many.
uint16_t reserved(MatrixFormat format, size_t n) {
  for (const Range& range : ranges(format)) {
    if (n < range.count) return static_cast<uint16_t>(range.first + n);
    n -= range.count;
  }
  return 0;
}
// Its inverse; no such magnitude: -1.
int64_t reserved_number(MatrixFormat format, uint32_t magnitude) {
  int64_t before = 0;
  for (const Range& range : ranges(format)) {
    if (magnitude >= range.first && magnitude - range.first < range.count)
      return before + magnitude - range.first;
    before += range.count;
  }
  return -1;
}

[[noreturn]] void no_such_name(uint64_t bits, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(bits));
  throw CannotCheck(std::string("the bits ") + text +
                    " are the name of no value: an input from the range reserved for names, or integer "
                    "arithmetic on a float");
}

uint64_t hash_of(const Payload& value) {
  uint64_t hash = hash_bits(std::bit_cast<uint64_t>(value.shadow), value.minus);
  for (const Padic& part : {value.number, value.twos}) {
    hash = hash_bits(hash, part.unit);
    hash = hash_bits(
        hash, uint64_t{static_cast<uint32_t>(part.valuation)} << 32 | static_cast<uint32_t>(part.precision));
  }
  return hash;
}
bool same(const Payload& a, const Payload& b) {
  return a.number == b.number && a.twos == b.twos && a.minus == b.minus &&
         std::bit_cast<uint64_t>(a.shadow) == std::bit_cast<uint64_t>(b.shadow);
}

}  // namespace

bool PayloadTable::is_name(uint32_t bits) {
  const uint32_t magnitude = bits & ~kSign;
  return magnitude > kInfinity && (magnitude & kLowMask) != 0 && magnitude != kCanonicalNan;
}

bool PayloadTable::is_reserved(MatrixFormat format, uint16_t bits) {
  return reserved_number(format, bits & 0x7FFFu) >= 0;
}

Payload PayloadTable::f32(uint32_t bits) const {
  if (!is_name(bits)) return payload_of(static_cast<double>(std::bit_cast<float>(bits)));
  const uint32_t number = number_of_name(bits);
  if (number >= values_.size()) no_such_name(bits, 8);
  return bits & kSign ? -values_[number] : values_[number];
}

Payload PayloadTable::f64(uint64_t bits) const {
  if (!is_wide_name(bits)) return payload_of(std::bit_cast<double>(bits));
  return f32(static_cast<uint32_t>(bits) ^ (bits & kWideSign ? kSign : 0));
}

// Entries have shadows without a sign, so that the sign bit of a name is the sign of the real value.
uint32_t PayloadTable::to_f32(const Payload& value) {
  if (value.kind == Payload::Kind::nan) return kCanonicalNan;
  const bool negative = std::signbit(value.shadow);
  const uint32_t sign = negative ? kSign : 0;
  if (value.kind == Payload::Kind::infinite) return sign | kInfinity;
  if (value.zero()) return sign;
  const Payload size = negative ? -value : value;
  if (!size.logarithmic() && size.number == padic(1) && size.shadow == 1) return sign | 0x3F800000u;
  return sign | name_of(number_of(size));
}

uint32_t PayloadTable::number_of(const Payload& value) {
  if (2 * (values_.size() + 1) > slots_.size()) {
    slots_.assign(std::max<size_t>(1024, 4 * slots_.size()), 0);
    for (size_t i = 0; i < values_.size(); ++i) {
      size_t at = hash_of(values_[i]) & (slots_.size() - 1);
      while (slots_[at]) at = (at + 1) & (slots_.size() - 1);
      slots_[at] = static_cast<uint32_t>(i + 1);
    }
  }
  size_t at = hash_of(value) & (slots_.size() - 1);
  for (; slots_[at]; at = (at + 1) & (slots_.size() - 1))
    if (same(values_[slots_[at] - 1], value)) return slots_[at] - 1;
  if (values_.size() == kMostValues)
    throw CannotCheck("the table is full: " + std::to_string(kMostValues) + " different values");
  values_.push_back(value);
  slots_[at] = static_cast<uint32_t>(values_.size());
  return static_cast<uint32_t>(values_.size() - 1);
}

uint32_t PayloadTable::widened(MatrixFormat format, uint16_t bits) const {
  const int64_t number = reserved_number(format, bits & 0x7FFFu);
  if (number < 0)
    return std::bit_cast<uint32_t>(format == MatrixFormat::f16 ? widen(F16{bits}) : widen(BF16{bits}));
  const std::vector<uint32_t>& names = halves(format).names;
  if (static_cast<size_t>(number) >= names.size()) no_such_name(bits, 4);
  return names[static_cast<size_t>(number)] | (bits & 0x8000u ? kSign : 0);
}

uint16_t PayloadTable::narrowed(MatrixFormat format, uint32_t bits) {
  if (!is_name(bits)) {
    const float value = std::bit_cast<float>(bits);
    const bool f16 = format == MatrixFormat::f16;
    const uint16_t rounded = f16 ? round_f16(value).bits : round_bf16(value).bits;
    const float back = f16 ? widen(F16{rounded}) : widen(BF16{rounded});
    if (value != value || (back == value && !is_reserved(format, rounded))) return rounded;
  }
  Halves& halves = format == MatrixFormat::f16 ? f16_ : bf16_;
  const uint32_t magnitude = bits & ~kSign;
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const auto found = halves.numbers.find(magnitude);
  if (found != halves.numbers.end()) return static_cast<uint16_t>(sign | found->second);
  const uint16_t name = reserved(format, halves.names.size());
  if (!name)
    throw CannotCheck("the table is full: " + std::to_string(halves.names.size()) +
                      " different values of 16 bits");
  halves.names.push_back(magnitude);
  halves.numbers.emplace(magnitude, name);
  return static_cast<uint16_t>(sign | name);
}

uint64_t PayloadTable::widened_f64(uint32_t bits) const {
  if (is_name(bits)) return kWideName | (bits & ~kSign) | (bits & kSign ? kWideSign : 0);
  return std::bit_cast<uint64_t>(static_cast<double>(std::bit_cast<float>(bits)));
}

uint32_t PayloadTable::narrowed_f64(uint64_t bits) {
  if (is_wide_name(bits)) return static_cast<uint32_t>(bits) ^ (bits & kWideSign ? kSign : 0);
  const auto value = std::bit_cast<double>(bits);
  const auto rounded = static_cast<float>(value);
  if (value != value || static_cast<double>(rounded) == value)
    return value != value ? kCanonicalNan : std::bit_cast<uint32_t>(rounded);
  return to_f32(payload_of(value));
}

void payload_matrix_step(PayloadTable& table, MatrixShape shape, MatrixFormat a_format,
                         std::span<const uint32_t> a, MatrixFormat b_format, std::span<const uint32_t> b,
                         AccumulatorFormat accumulator, std::span<const uint32_t> c, std::span<uint32_t> d) {
  const auto elements = [&](MatrixFormat format, std::span<const uint32_t> words) {
    std::vector<Payload> values;
    for (const uint32_t word : words) {
      if (format == MatrixFormat::tf32)
        values.push_back(table.f32(word));
      else if (format == MatrixFormat::f16 || format == MatrixFormat::bf16)
        values.push_back(table.f32(table.widened(format, static_cast<uint16_t>(word))));
      else
        values.push_back(payload_of(matrix_value(format, word)));
    }
    return values;
  };
  const std::vector<Payload> left = elements(a_format, a), right = elements(b_format, b);
  const bool half = accumulator == AccumulatorFormat::f16;
  const auto n = static_cast<size_t>(shape.n), depth = static_cast<size_t>(shape.k);
  for (size_t i = 0; i < static_cast<size_t>(shape.m); ++i) {
    for (size_t j = 0; j < n; ++j) {
      const uint32_t start = c[i * n + j];
      Payload sum = half ? table.f16(static_cast<uint16_t>(start)) : table.f32(start);
      for (size_t k = 0; k < depth; ++k) sum = sum + left[i * depth + k] * right[k * n + j];
      const uint32_t bits = table.to_f32(sum);
      d[i * n + j] = half ? table.narrowed(MatrixFormat::f16, bits) : bits;
    }
  }
}

}  // namespace attest::vm
