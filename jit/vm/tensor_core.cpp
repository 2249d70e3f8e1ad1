// The fused dot product of tensor cores: align, truncate, sum exactly, truncate once.
#include "jit/vm/tensor_core.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace attest::vm {
namespace {

// Layout of a binary format: value = (-1)^sign * significand * 2^(exponent - fraction_bits).
struct Layout {
  int exponent_bits, fraction_bits, unused_low_bits;
  bool has_infinity;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};
constexpr Layout kF32{8, 23, 0, true};
constexpr Layout kF16{5, 10, 0, true};

Layout layout(MatrixFormat format) {
  switch (format) {
    case MatrixFormat::f16:
      return kF16;
    case MatrixFormat::bf16:
      return {8, 7, 0, true};
    case MatrixFormat::tf32:
      return {8, 10, 13, true};
    case MatrixFormat::e4m3:
      return {4, 3, 0, false};
    case MatrixFormat::e5m2:
      return {5, 2, 0, true};
    default:
      throw std::invalid_argument(
          "tensor core: the operand format is not a floating-point one of 8 to 32 bits");
  }
}

// A number taken apart. Finite: significand (signed, without scaling) and exponent of its unit bit.
struct Parts {
  std::int32_t significand = 0;
  std::int32_t exponent = 0;
  bool infinite = false, nan = false;
};

Parts take_apart(const Layout& layout, std::uint32_t bits, int zero_exponent) {
  bits >>= layout.unused_low_bits;
  const int width = layout.exponent_bits + layout.fraction_bits;
  const bool negative = ((bits >> width) & 1) != 0;
  const auto fraction = static_cast<std::int32_t>(bits & ((1u << layout.fraction_bits) - 1));
  const auto field = static_cast<int>((bits >> layout.fraction_bits) & ((1u << layout.exponent_bits) - 1));
  const int top = (1 << layout.exponent_bits) - 1;
  Parts parts;
  if (field == top && layout.has_infinity) {
    parts.nan = fraction != 0;
    parts.infinite = fraction == 0;
    parts.significand = negative ? -1 : 1;
    return parts;
  }
  if (field == top &&
      fraction == (1 << layout.fraction_bits) - 1) {  // e4m3: only the all-ones pattern is special
    parts.nan = true;
    return parts;
  }
  const std::int32_t magnitude = field == 0 ? fraction : fraction | (1 << layout.fraction_bits);
  parts.significand = negative ? -magnitude : magnitude;
  parts.exponent = magnitude == 0 ? zero_exponent : std::max(field, 1) - layout.bias();
  return parts;
}

// sum * 2^exponent as f32, truncated toward zero to `fraction_bits` bits after the leading one; too large
// gives infinity.
std::uint32_t truncate_to_f32(std::int64_t sum, int exponent, int fraction_bits) {
  if (sum == 0) return 0;
  const std::uint32_t sign = sum < 0 ? 0x80000000u : 0u;
  auto magnitude = static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
  const int leading = 63 - std::countl_zero(magnitude);
  const int value_exponent = std::max(leading + exponent, -126);  // of the result's unit bit
  if (value_exponent > 127) return sign | 0x7f800000u;
  const int drop = value_exponent - 23 - exponent;  // result's last place in units of the sum's
  if (drop >= 64) return sign;
  magnitude = drop >= 0 ? magnitude >> drop : magnitude << -drop;
  magnitude &= ~((std::uint64_t{1} << (23 - fraction_bits)) - 1);
  const bool normal = (magnitude >> 23) != 0;
  const auto field = normal ? static_cast<std::uint32_t>(value_exponent + 127) : 0u;
  return sign | (field << 23) | (static_cast<std::uint32_t>(magnitude) & 0x7fffffu);
}

// sum * 2^exponent as f16, to nearest, ties to even.
std::uint32_t round_to_f16(std::int64_t sum, int exponent) {
  if (sum == 0) return 0;
  const std::uint32_t sign = sum < 0 ? 0x8000u : 0u;
  const auto magnitude = static_cast<std::uint64_t>(sum < 0 ? -sum : sum);
  const int leading = 63 - std::countl_zero(magnitude);
  const int value_exponent = std::max(leading + exponent, -14);
  if (value_exponent > 15) return sign | 0x7c00u;
  const int drop = value_exponent - 10 - exponent;
  std::uint64_t kept;
  if (drop <= 0) {
    kept = magnitude << -drop;
  } else if (drop > 63) {
    kept = 0;
  } else {
    const std::uint64_t half = std::uint64_t{1} << (drop - 1);
    const std::uint64_t rest = magnitude & ((half << 1) - 1);
    kept = magnitude >> drop;
    if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  }
  // A carry out of the fraction moves to the next exponent by itself; from subnormal to normal likewise.
  const auto field = static_cast<std::uint64_t>(value_exponent + 15 - 1);
  const std::uint64_t bits = (field << 10) + kept;  // kept holds the implicit one of a normal number
  return bits >= 0x7c00u ? sign | 0x7c00u : sign | static_cast<std::uint32_t>(bits);
}

std::uint32_t canonical_nan(AccumulatorFormat format) {
  return format == AccumulatorFormat::f16 ? 0x7fffu : 0x7fffffffu;
}

void check_sizes(MatrixShape shape, std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
  const auto size = [](int rows, int columns) {
    return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  };
  if (shape.m <= 0 || shape.n <= 0 || shape.k <= 0 || a != size(shape.m, shape.k) ||
      b != size(shape.k, shape.n) || c != size(shape.m, shape.n) || d != size(shape.m, shape.n)) {
    throw std::invalid_argument("tensor core: matrices of " + std::to_string(a) + ", " + std::to_string(b) +
                                ", " + std::to_string(c) + " and " + std::to_string(d) +
                                " elements do not fit the shape m" + std::to_string(shape.m) + "n" +
                                std::to_string(shape.n) + "k" + std::to_string(shape.k));
  }
}

// Operands of a matrix, taken apart once and laid out so that inner loops are contiguous.
struct Plane {
  std::vector<std::int32_t> significand, exponent;
  std::vector<std::uint8_t> infinite, nan;
  bool special = false;
};

Plane take_apart(const Layout& layout, std::span<const std::uint32_t> bits, int zero_exponent) {
  Plane plane;
  plane.significand.resize(bits.size());
  plane.exponent.resize(bits.size());
  plane.infinite.resize(bits.size());
  plane.nan.resize(bits.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    const Parts parts = take_apart(layout, bits[i], zero_exponent);
    plane.significand[i] = parts.significand;
    plane.exponent[i] = parts.exponent;
    plane.infinite[i] = parts.infinite;
    plane.nan[i] = parts.nan;
    plane.special = plane.special || parts.infinite || parts.nan;
  }
  return plane;
}

// What a dot product with special operands gives: 0 finite, +1 or -1 that infinity, 2 NaN.
int special_result(const Plane& a, const Plane& b, std::size_t a_row, std::size_t b_column, int n, int first,
                   int count, const Parts& c) {
  bool positive = c.infinite && c.significand > 0, negative = c.infinite && c.significand < 0;
  if (c.nan) return 2;
  for (int k = first; k < first + count; ++k) {
    const std::size_t i = a_row + static_cast<std::size_t>(k);
    const std::size_t j = static_cast<std::size_t>(k) * static_cast<std::size_t>(n) + b_column;
    if (a.nan[i] || b.nan[j]) return 2;
    if (!a.infinite[i] && !b.infinite[j]) continue;
    const std::int64_t sign = std::int64_t{a.significand[i]} * b.significand[j];
    if (sign == 0) return 2;  // infinity times zero
    (sign > 0 ? positive : negative) = true;
  }
  if (positive && negative) return 2;
  return positive ? 1 : negative ? -1 : 0;
}

}  // namespace

TensorCoreModel wgmma_model(MatrixFormat operands) {
  switch (operands) {
    case MatrixFormat::f16:
    case MatrixFormat::bf16:
      return {.step = 16};
    case MatrixFormat::tf32:
      return {.step = 8};
    case MatrixFormat::e4m3:
    case MatrixFormat::e5m2:
      return {.step = 32, .fraction_bits = 13, .output_fraction_bits = 13};
    default:
      throw std::invalid_argument("tensor core: only floating-point operands of at most 32 bits are rounded");
  }
}

TensorCoreModel mma_sync_model(MatrixFormat operands) {
  const bool fp8 = operands == MatrixFormat::e4m3 || operands == MatrixFormat::e5m2;
  return fp8 ? TensorCoreModel{.step = 16} : wgmma_model(operands);
}

double matrix_value(MatrixFormat format, std::uint32_t bits) {
  if (format == MatrixFormat::s8) return static_cast<std::int8_t>(bits & 0xff);
  if (format == MatrixFormat::u8) return static_cast<std::uint8_t>(bits & 0xff);
  const Layout form = layout(format);
  const Parts parts = take_apart(form, bits, 0);
  if (parts.nan) return std::numeric_limits<double>::quiet_NaN();
  if (parts.infinite) return parts.significand * std::numeric_limits<double>::infinity();
  if (parts.significand == 0) {
    const int sign_bit = form.exponent_bits + form.fraction_bits + form.unused_low_bits;
    return ((bits >> sign_bit) & 1) != 0 ? -0.0 : 0.0;
  }
  return std::ldexp(static_cast<double>(parts.significand), parts.exponent - form.fraction_bits);
}

namespace {

// Every value of a format of at most 16 bits, looked up by its bits.
std::vector<float> all_values(MatrixFormat format, std::uint32_t count) {
  std::vector<float> values(count);
  for (std::uint32_t bits = 0; bits < count; ++bits)
    values[bits] = static_cast<float>(matrix_value(format, bits));
  return values;
}

void to_double(MatrixFormat format, std::span<const std::uint32_t> bits, std::span<double> values) {
  static const std::vector<float> f16 = all_values(MatrixFormat::f16, 1u << 16);
  static const std::vector<float> e4m3 = all_values(MatrixFormat::e4m3, 1u << 8);
  static const std::vector<float> e5m2 = all_values(MatrixFormat::e5m2, 1u << 8);
  const auto each = [&](auto value) {
    for (std::size_t i = 0; i < bits.size(); ++i) values[i] = static_cast<double>(value(bits[i]));
  };
  switch (format) {
    case MatrixFormat::f16:
      return each([](std::uint32_t x) { return f16[x & 0xffff]; });
    case MatrixFormat::bf16:
      return each([](std::uint32_t x) { return std::bit_cast<float>(x << 16); });
    case MatrixFormat::tf32:
      return each([](std::uint32_t x) { return std::bit_cast<float>(x & ~0x1fffu); });
    case MatrixFormat::e4m3:
      return each([](std::uint32_t x) { return e4m3[x & 0xff]; });
    case MatrixFormat::e5m2:
      return each([](std::uint32_t x) { return e5m2[x & 0xff]; });
    default:
      throw std::invalid_argument("tensor core: a wide step takes floating-point operands of 8 to 32 bits");
  }
}

}  // namespace

void fused_matrix_step(const TensorCoreModel& model, MatrixShape shape, MatrixFormat a_format,
                       std::span<const std::uint32_t> a, MatrixFormat b_format,
                       std::span<const std::uint32_t> b, AccumulatorFormat accumulator,
                       std::span<const std::uint32_t> c, std::span<std::uint32_t> d) {
  check_sizes(shape, a.size(), b.size(), c.size(), d.size());
  const Layout a_layout = layout(a_format), b_layout = layout(b_format);
  const Layout c_layout = accumulator == AccumulatorFormat::f16 ? kF16 : kF32;
  const Plane a_plane = take_apart(a_layout, a, model.zero_exponent);
  const Plane b_plane = take_apart(b_layout, b, model.zero_exponent);
  const auto n = static_cast<std::size_t>(shape.n);

  // Terms are magnitudes scaled by 2^kGuard so that one right shift both aligns and truncates: significands
  // are below 2^24, so nothing is lost on the left.
  constexpr int kGuard = 32;
  const int product_shift = kGuard - (model.fraction_bits - a_layout.fraction_bits - b_layout.fraction_bits);
  const int accumulator_shift = kGuard - (model.fraction_bits - c_layout.fraction_bits);
  std::vector<std::int32_t> largest(n);
  std::vector<std::int64_t> sum(n);
  std::vector<Parts> start(n);
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape.m); ++i) {
    const std::size_t a_row = i * static_cast<std::size_t>(shape.k);
    std::span<const std::uint32_t> in = c.subspan(i * n, n);
    const std::span<std::uint32_t> out = d.subspan(i * n, n);
    for (int first = 0; first < shape.k; first += model.step) {
      const int count = std::min(model.step, shape.k - first);
      for (std::size_t j = 0; j < n; ++j) {
        start[j] = take_apart(c_layout, in[j], model.zero_exponent);
        largest[j] = start[j].exponent;
      }
      for (int k = first; k < first + count; ++k) {
        const std::int32_t exponent = a_plane.exponent[a_row + static_cast<std::size_t>(k)];
        const std::int32_t* row = &b_plane.exponent[static_cast<std::size_t>(k) * n];
        for (std::size_t j = 0; j < n; ++j) largest[j] = std::max(largest[j], exponent + row[j]);
      }
      for (std::size_t j = 0; j < n; ++j) {
        const auto magnitude = static_cast<std::uint64_t>(std::abs(start[j].significand)) << kGuard;
        const int shift = std::min(largest[j] - start[j].exponent + accumulator_shift, 63);
        const auto term = static_cast<std::int64_t>(magnitude >> shift);
        sum[j] = start[j].significand < 0 ? -term : term;
      }
      for (int k = first; k < first + count; ++k) {
        const std::int32_t exponent = a_plane.exponent[a_row + static_cast<std::size_t>(k)];
        const std::int32_t significand = a_plane.significand[a_row + static_cast<std::size_t>(k)];
        const std::int32_t* exponents = &b_plane.exponent[static_cast<std::size_t>(k) * n];
        const std::int32_t* significands = &b_plane.significand[static_cast<std::size_t>(k) * n];
        for (std::size_t j = 0; j < n; ++j) {
          const std::int64_t product = std::int64_t{significand} * significands[j];
          const std::int64_t sign = product >> 63;
          const auto magnitude = static_cast<std::uint64_t>((product ^ sign) - sign) << kGuard;
          const int shift = std::min(largest[j] - exponent - exponents[j] + product_shift, 63);
          const auto term = static_cast<std::int64_t>(magnitude >> shift);
          sum[j] += (term ^ sign) - sign;
        }
      }
      for (std::size_t j = 0; j < n; ++j) {
        const int unit = largest[j] - model.fraction_bits;
        int special = 0;
        if (a_plane.special || b_plane.special || start[j].infinite || start[j].nan) {
          special = special_result(a_plane, b_plane, a_row, j, shape.n, first, count, start[j]);
        }
        if (special == 2) {
          out[j] = canonical_nan(accumulator);
        } else if (accumulator == AccumulatorFormat::f16) {
          out[j] = special != 0 ? (special > 0 ? 0x7c00u : 0xfc00u) : round_to_f16(sum[j], unit);
        } else {
          out[j] = special != 0 ? (special > 0 ? 0x7f800000u : 0xff800000u)
                                : truncate_to_f32(sum[j], unit, model.output_fraction_bits);
        }
      }
      in = out;
    }
  }
}

void wide_matrix_step(MatrixShape shape, MatrixFormat a_format, std::span<const std::uint32_t> a,
                      MatrixFormat b_format, std::span<const std::uint32_t> b, AccumulatorFormat accumulator,
                      std::span<const std::uint32_t> c, std::span<std::uint32_t> d) {
  check_sizes(shape, a.size(), b.size(), c.size(), d.size());
  const auto n = static_cast<std::size_t>(shape.n), depth = static_cast<std::size_t>(shape.k);
  std::vector<double> left(a.size()), right(b.size()), sum(n);
  to_double(a_format, a, left);
  to_double(b_format, b, right);
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape.m); ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      sum[j] = accumulator == AccumulatorFormat::f32 ? static_cast<double>(std::bit_cast<float>(c[i * n + j]))
                                                     : matrix_value(MatrixFormat::f16, c[i * n + j]);
    }
    for (std::size_t k = 0; k < depth; ++k) {
      const double value = left[i * depth + k];
      const double* row = &right[k * n];
      for (std::size_t j = 0; j < n; ++j) sum[j] += value * row[j];
    }
    for (std::size_t j = 0; j < n; ++j) {
      std::uint32_t& out = d[i * n + j];
      if (std::isnan(sum[j])) {
        out = canonical_nan(accumulator);
      } else if (accumulator == AccumulatorFormat::f32) {
        out = std::bit_cast<std::uint32_t>(static_cast<float>(sum[j]));
      } else if (std::isinf(sum[j])) {
        out = sum[j] > 0 ? 0x7c00u : 0xfc00u;
      } else {
        int exponent = 0;
        const double fraction = std::frexp(sum[j], &exponent);
        out = round_to_f16(static_cast<std::int64_t>(std::ldexp(fraction, 53)), exponent - 53);
      }
    }
  }
}

void integer_matrix_step(MatrixShape shape, MatrixFormat a_format, std::span<const std::uint32_t> a,
                         MatrixFormat b_format, std::span<const std::uint32_t> b, bool saturate,
                         std::span<const std::uint32_t> c, std::span<std::uint32_t> d) {
  check_sizes(shape, a.size(), b.size(), c.size(), d.size());
  const auto value = [](MatrixFormat format, std::uint32_t bits) -> std::int64_t {
    if (format == MatrixFormat::s8) return static_cast<std::int8_t>(bits & 0xff);
    if (format == MatrixFormat::u8) return static_cast<std::uint8_t>(bits & 0xff);
    throw std::invalid_argument("tensor core: integer steps take s8 or u8 operands");
  };
  const auto n = static_cast<std::size_t>(shape.n), depth = static_cast<std::size_t>(shape.k);
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape.m); ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      std::int64_t sum = static_cast<std::int32_t>(c[i * n + j]);
      for (std::size_t k = 0; k < depth; ++k)
        sum += value(a_format, a[i * depth + k]) * value(b_format, b[k * n + j]);
      if (saturate) sum = std::clamp<std::int64_t>(sum, INT32_MIN, INT32_MAX);
      d[i * n + j] = static_cast<std::uint32_t>(sum);
    }
  }
}

void double_matrix_step(MatrixShape shape, std::span<const double> a, std::span<const double> b,
                        std::span<const double> c, std::span<double> d) {
  check_sizes(shape, a.size(), b.size(), c.size(), d.size());
  const auto n = static_cast<std::size_t>(shape.n), depth = static_cast<std::size_t>(shape.k);
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape.m); ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = c[i * n + j];
      for (std::size_t k = 0; k < depth; ++k) sum = std::fma(a[i * depth + k], b[k * n + j], sum);
      d[i * n + j] = sum;
    }
  }
}

}  // namespace attest::vm
