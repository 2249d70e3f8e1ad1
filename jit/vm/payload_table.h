// How payload values live in registers and memory: as bit patterns that name entries of a table.
//
// A float that is no NaN stands for payload_of() of its value: inputs and literals need no preparation. Other
// elements are NaNs of a reserved range whose bits are an entry's number; the sign bit negates, as it does
// for floats, so that copying, selecting and sign manipulation by integer instructions keep their meaning.
// Integer arithmetic on such a pattern cannot be seen: it gives another entry's name, or one that does not
// exist, which is noticed. 16-bit formats have too few NaNs: there, numbers of a reserved range are names
// too, and must not be inputs.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "jit/vm/payload.h"
#include "jit/vm/tensor_core.h"

namespace attest::vm {

// Not for several threads.
class PayloadTable {
 public:
  static constexpr uint32_t kMostValues = 1024 * 8191 - 1;

  // The element that bits of a format stand for. Throws CannotCheck for a name that was never given.
  Payload f32(uint32_t bits) const;
  Payload f64(uint64_t bits) const;
  Payload f16(uint16_t bits) const { return f32(widened(MatrixFormat::f16, bits)); }
  Payload bf16(uint16_t bits) const { return f32(widened(MatrixFormat::bf16, bits)); }

  // Bits that stand for an element: 0, 1, infinities and NaN are themselves, equal elements have one name.
  // Throws CannotCheck when the table is full.
  uint32_t to_f32(const Payload& value);
  uint64_t to_f64(const Payload& value) { return widened_f64(to_f32(value)); }

  // Conversions, which change the width of a pattern and nothing else. 16-bit: f16 or bf16.
  uint32_t widened(MatrixFormat format, uint16_t bits) const;
  uint16_t narrowed(MatrixFormat format, uint32_t f32_bits);
  uint64_t widened_f64(uint32_t f32_bits) const;
  uint32_t narrowed_f64(uint64_t bits);

  // Whether bits are a name and not a number.
  static bool is_name(uint32_t f32_bits);
  // Whether 16 bits lie in the range that inputs must not use.
  static bool is_reserved(MatrixFormat format, uint16_t bits);

  size_t values() const { return values_.size(); }
  size_t narrow_values(MatrixFormat format) const { return halves(format).names.size(); }

 private:
  struct Halves {
    std::vector<uint32_t> names;                     // magnitudes as f32 patterns
    std::unordered_map<uint32_t, uint16_t> numbers;  // their inverse: reserved 16-bit magnitudes
  };
  const Halves& halves(MatrixFormat format) const { return format == MatrixFormat::f16 ? f16_ : bf16_; }
  uint32_t number_of(const Payload& value);

  std::vector<Payload> values_;
  std::vector<uint32_t> slots_;  // open addressing: number + 1, 0 is free
  Halves f16_, bf16_;
};

// D = A * B + C of elements: matrices as fused_matrix_step() takes them. 8-bit operands are always numbers.
void payload_matrix_step(PayloadTable& table, MatrixShape shape, MatrixFormat a_format,
                         std::span<const uint32_t> a, MatrixFormat b_format, std::span<const uint32_t> b,
                         AccumulatorFormat accumulator, std::span<const uint32_t> c, std::span<uint32_t> d);

}  // namespace attest::vm
