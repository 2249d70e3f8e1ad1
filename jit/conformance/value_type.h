// The types of an instruction's operands, as the conformance kit sees them: width, number format, and bit
// patterns to try.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attest::conformance {

// Number format of an element; integers and plain bits compare bit for bit, floats know their NaNs.
enum class Element { bits, f16, bf16, f32, f64, e4m3, e5m2 };

// How operands are drawn. `any`: special and random patterns. `shift`: small counts around the widths.
// `lane`: 0 to 63. `nonzero`: any but zero. `tidy`: finite, moderate numbers. `small`: whole numbers from -4
// to 4, which every float format holds. `matrix_*`: the operands A, B and C of a matrix step, per warp one of
// several mixes that probe a tensor core's alignment.
enum class Draw { any, shift, lane, nonzero, tidy, small, matrix_a, matrix_b, matrix_c };

struct ValueType {
  std::string name;  // as written in the table of forms: "f16x2", "matrix_a:bf16x2", "nonzero:s32", "pred"
  int bits = 32;     // width in a register and in memory; a predicate has 1
  int elements = 1;  // packed elements: 2 for f16x2
  Element element = Element::bits;
  bool is_signed = false;
  Draw draw = Draw::any;
  bool predicate() const { return bits == 1; }
};

// Throws std::invalid_argument for a name that is not known.
ValueType parse_value_type(std::string_view name);

// Pattern `index` for operand number `operand`: depends on nothing else, so that a record needs no inputs.
// Half of the patterns are special ones (zeros, ones, limits, subnormals, infinities, NaNs with payloads,
// halfway values), the other half random bits and random numbers of moderate size.
std::uint64_t pattern(const ValueType& type, std::uint64_t seed, std::uint64_t operand, std::uint64_t index);

// The value of one element's bits as a double; NaN for NaNs. Integers: the bits as a number.
double element_value(Element element, std::uint64_t bits);

}  // namespace attest::conformance
