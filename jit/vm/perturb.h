// Perturbed arithmetic: results that a device might give instead, chosen at random by a seed.
#pragma once

#include <cstdint>
#include <span>

#include "jit/vm/tensor_core.h"

namespace attest::vm {

// An approximate .f32 instruction and how far its result may lie from the exact one.
struct Approximation {
  const char* name;                         // opcode with .approx or .full
  double (*exact)(double a, double b);      // b of unary ones is 0
  double (*error)(double a, double exact);  // absolute, for a normal result
  const char* source;
};
std::span<const Approximation> approximations();

// fused_matrix_step() with every rounding in a random direction instead of toward zero: each of the step's
// terms errs by less than 2^(largest exponent - fraction_bits), the result by less than its last place - the
// most that the model's truncation may lose. The choice depends on `seed` and the operands alone.
void perturbed_matrix_step(uint64_t seed, const TensorCoreModel& model, MatrixShape shape,
                           MatrixFormat a_format, std::span<const std::uint32_t> a, MatrixFormat b_format,
                           std::span<const std::uint32_t> b, AccumulatorFormat accumulator,
                           std::span<const std::uint32_t> c, std::span<std::uint32_t> d);

}  // namespace attest::vm
