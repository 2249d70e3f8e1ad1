// One matrix step of a tensor core, D = A * B + C: a model of the hardware's rounding, and a wide one that is
// fast.
#pragma once

#include <cstdint>
#include <span>

namespace attest::vm {

// What a matrix operand's bits mean. tf32 is an f32 whose low 13 bits the hardware ignores.
enum class MatrixFormat { f16, bf16, tf32, e4m3, e5m2, s8, u8, f64 };
enum class AccumulatorFormat { f16, f32 };

// How one generation sums a dot product (verification literature: MMA-Sim, arXiv 2511.10909; Fasi et al.,
// PeerJ CS 7:e330). A fused step takes `step` products and the accumulator; every term is truncated toward
// zero at 2^(largest exponent - fraction_bits), the terms are summed exactly, and the sum is truncated to
// `output_fraction_bits` after the leading one (f16 accumulators: rounded to nearest even).
// A product's exponent is the sum of its operands' exponents: it is not normalised first.
struct TensorCoreModel {
  int step = 16;
  int fraction_bits = 25;
  int output_fraction_bits = 23;
  // Exponent that a zero operand contributes to the search for the largest exponent. So low that it never is:
  // a zero does not raise the alignment (measured: mma.sync of H100 80GB HBM3, driver 580.159, 2026-11-23).
  int zero_exponent = -10000;
};

// Hopper's mma.sync and wgmma for an operand format. fp8 is what wgmma does: 13 fraction bits, 13-bit
// results; mma.sync with fp8 operands converts to f16 and is modelled by mma_sync_model.
TensorCoreModel wgmma_model(MatrixFormat operands);
TensorCoreModel mma_sync_model(MatrixFormat operands);

// Row-major matrices, one element a word: a is [m, k], b is [k, n], c and d are [m, n] (d may be c). Elements
// of a and b are the low bits of each word in `a_format` and `b_format`; c and d are f32 or f16 bits in
// `accumulator`. k is a multiple of model.step or smaller than it. Throws std::invalid_argument for integer
// and f64 formats.
struct MatrixShape {
  int m, n, k;
};
void fused_matrix_step(const TensorCoreModel& model, MatrixShape shape, MatrixFormat a_format,
                       std::span<const std::uint32_t> a, MatrixFormat b_format,
                       std::span<const std::uint32_t> b, AccumulatorFormat accumulator,
                       std::span<const std::uint32_t> c, std::span<std::uint32_t> d);

// The same with every product exact and sums in double, rounded once to nearest: faster, and more exact than
// any hardware. NaN results are the tensor core's canonical ones.
void wide_matrix_step(MatrixShape shape, MatrixFormat a_format, std::span<const std::uint32_t> a,
                      MatrixFormat b_format, std::span<const std::uint32_t> b, AccumulatorFormat accumulator,
                      std::span<const std::uint32_t> c, std::span<std::uint32_t> d);

// Integers (s8 or u8 operands, s32 accumulators): exact, then wrapped modulo 2^32 or clamped to s32
// (.satfinite).
void integer_matrix_step(MatrixShape shape, MatrixFormat a_format, std::span<const std::uint32_t> a,
                         MatrixFormat b_format, std::span<const std::uint32_t> b, bool saturate,
                         std::span<const std::uint32_t> c, std::span<std::uint32_t> d);

// f64: a chain of fused multiply-adds in ascending k, starting from c.
void double_matrix_step(MatrixShape shape, std::span<const double> a, std::span<const double> b,
                        std::span<const double> c, std::span<double> d);

// The exact value of an operand's bits; for tests and for the wide step.
double matrix_value(MatrixFormat format, std::uint32_t bits);

}  // namespace attest::vm
