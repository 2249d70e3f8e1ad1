// Approximate instructions and tensor-core steps that err at random within their documented error.
#include "jit/vm/perturb.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jit/vm/arithmetic.h"
#include "jit/vm/arithmetic_mode.h"
#include "jit/vm/formats.h"
#include "jit/vm/forms.h"
#include "jit/vm/hash.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

double ulp(double exact) { return std::ldexp(1.0, std::ilogb(exact) - 23); }
double two_ulps(double, double exact) { return 2 * ulp(exact); }
double trigonometric(double, double) { return 0x1.6a09e6p-21; }  // 2^-20.5

constexpr Approximation kApproximations[] = {
    {"div.approx", [](double a, double b) { return a / b; }, two_ulps, "PTX ISA, div: 2 ulp"},
    {"div.full", [](double a, double b) { return a / b; }, two_ulps, "PTX ISA, div: 2 ulp"},
    {"rcp.approx", [](double a, double) { return 1 / a; }, [](double, double exact) { return ulp(exact); },
     "PTX ISA, rcp: 1 ulp"},
    {"sqrt.approx", [](double a, double) { return std::sqrt(a); },
     [](double, double exact) { return 0x1p-23 * exact; }, "PTX ISA, sqrt: relative 2^-23"},
    {"rsqrt.approx", [](double a, double) { return 1 / std::sqrt(a); },
     [](double, double exact) { return 0x1.125fbep-23 * exact; }, "PTX ISA, rsqrt: relative 2^-22.9"},
    {"ex2.approx", [](double a, double) { return std::exp2(a); },
     [](double, double exact) { return 0x1p-22 * exact; }, "PTX ISA, ex2: relative 2^-22"},
    {"lg2.approx", [](double a, double) { return std::log2(a); },
     [](double a, double exact) { return 0x1p-22 * (a > 0.5 && a < 2 ? 1 : std::fabs(exact)); },
     "PTX ISA, lg2: absolute 2^-22 in (0.5, 2), relative 2^-22 outside"},
    {"sin.approx", [](double a, double) { return std::sin(a); }, trigonometric,
     "PTX ISA, sin: absolute 2^-20.5 in [-2pi, 2pi]"},
    {"cos.approx", [](double a, double) { return std::cos(a); }, trigonometric,
     "PTX ISA, cos: absolute 2^-20.5 in [-2pi, 2pi]"},
    {"tanh.approx", [](double a, double) { return std::tanh(a); },
     [](double, double exact) { return 0x1p-11 * std::fabs(exact); }, "PTX ISA, tanh: relative 2^-11"},
};

// The instruction is a function of its operands, as a device's is: the same operands give the same result
// wherever, whenever and on whatever host thread they come. What is zero, infinite, NaN or subnormal stays,
// and 2^0 = 1, which the PTX ISA guarantees.
template <size_t I>
float moved(uint64_t seed, float a, float b, float nearest) {
  constexpr const Approximation& op = kApproximations[I];
  if (!std::isnormal(nearest) || (I == 5 && a == 0)) return nearest;
  const double exact = op.exact(static_cast<double>(a), static_cast<double>(b));
  const double most = op.error(static_cast<double>(a), exact);
  uint64_t random =
      hash_bits(hash_bits(seed, I), uint64_t{std::bit_cast<uint32_t>(a)} << 32 | std::bit_cast<uint32_t>(b));
  const double part = std::ldexp(static_cast<double>(random >> 11), -52) - 1;  // [-1, 1)
  const auto result = static_cast<float>(exact + part * std::max(0.0, most - ulp(exact) / 2));
  const bool bounded = I < 7 || std::fabs(result) <= 1;  // sin, cos, tanh
  return std::fabs(static_cast<double>(result) - exact) <= most && bounded ? result : nearest;
}
static_assert(std::string_view(kApproximations[5].name) == "ex2.approx" &&
              std::string_view(kApproximations[7].name) == "sin.approx");

// Runs the form as it is, then moves its results.
template <size_t I, bool Ftz>
void approximate(Warp& warp, const Instruction& instruction) {
  std::array<float, kLanes> a{}, b{};
  std::copy_n(warp.row<float>(instruction.r[1]), kLanes, a.begin());
  if (I < 2) std::copy_n(warp.row<float>(instruction.r[2]), kLanes, b.begin());
  FormTable::instance().row(static_cast<int>(instruction.form)).run(warp, instruction);
  float* d = warp.row<float>(instruction.r[0]);
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const auto in = [&](float value) { return Ftz ? flush(value) : value; };
    d[lane] = moved<I>(warp.launch->options->seed, in(a[lane]), in(b[lane]), d[lane]);
  }
}

template <size_t... I>
void add_approximations(Replacements& forms, std::index_sequence<I...>) {
  const auto add = [&](const std::string& name, Handler run) {
    const int number = FormTable::instance().find(name);
    if (number >= 0) forms[static_cast<size_t>(number)].run = run;  // tanh has no .ftz
  };
  (add(std::string(kApproximations[I].name) + ".f32", approximate<I, false>), ...);
  (add(std::string(kApproximations[I].name) + ".ftz.f32", approximate<I, true>), ...);
}

constexpr int kNoExponent = std::numeric_limits<int>::min() / 2;

}  // namespace

std::span<const Approximation> approximations() { return kApproximations; }

void perturbed_matrix_step(uint64_t seed, const TensorCoreModel& model, MatrixShape shape,
                           MatrixFormat a_format, std::span<const std::uint32_t> a, MatrixFormat b_format,
                           std::span<const std::uint32_t> b, AccumulatorFormat accumulator,
                           std::span<const std::uint32_t> c, std::span<std::uint32_t> d) {
  const std::vector<std::uint32_t> start(c.begin(), c.end());  // d may be c
  fused_matrix_step(model, shape, a_format, a, b_format, b, accumulator, start, d);
  const bool half = accumulator == AccumulatorFormat::f16;
  const int unused_bits = half ? 0 : 23 - model.output_fraction_bits;
  const Format result = half ? kF16 : Format{8, model.output_fraction_bits, true, 0};
  const auto value = [&](std::uint32_t bits) { return vm::decode(bits >> unused_bits, result); };
  const auto values = [](MatrixFormat format, std::span<const std::uint32_t> bits) {
    std::vector<double> decoded(bits.size());
    for (size_t i = 0; i < bits.size(); ++i) decoded[i] = matrix_value(format, bits[i]);
    return decoded;
  };
  const std::vector<double> left = values(a_format, a), right = values(b_format, b);
  const auto n = static_cast<size_t>(shape.n), depth = static_cast<size_t>(shape.k),
             step = static_cast<size_t>(model.step);
  for (size_t i = 0; i < static_cast<size_t>(shape.m); ++i) {
    for (size_t j = 0; j < n; ++j) {
      std::uint32_t& out = d[i * n + j];
      if (!std::isfinite(value(out))) continue;
      double sum =
          half ? value(start[i * n + j]) : static_cast<double>(std::bit_cast<float>(start[i * n + j]));
      uint64_t random = hash_bits(seed, start[i * n + j]);
      for (size_t k = 0; k < depth; ++k)
        random = hash_bits(random, uint64_t{a[i * depth + k]} << 32 | b[k * n + j]);
      for (size_t first = 0; first < depth; first += step) {
        const size_t end = std::min(first + step, depth);
        int largest = sum == 0 ? kNoExponent : std::ilogb(sum);
        for (size_t k = first; k < end; ++k) {
          const double x = left[i * depth + k], y = right[k * n + j];
          if (x != 0 && y != 0) largest = std::max(largest, std::ilogb(x) + std::ilogb(y));
        }
        if (largest == kNoExponent) continue;  // zeros
        const int unit = largest - model.fraction_bits;
        double total = 0;
        const auto take = [&](double term) {
          random = hash_bits(random, end);
          const double scaled = std::ldexp(term, -unit);
          total += random & 1 ? std::floor(scaled) : std::ceil(scaled);
        };
        take(sum);
        for (size_t k = first; k < end; ++k) take(left[i * depth + k] * right[k * n + j]);
        random = hash_bits(random, end);
        const Round mode = half ? Round::nearest : random & 1 ? Round::down : Round::up;
        out = encode(std::ldexp(total, unit), result, mode) << unused_bits;
        sum = value(out);
        if (!std::isfinite(sum)) break;
      }
    }
  }
}

const Replacements& perturbed_forms() {
  static const Replacements forms = [] {
    const FormTable& table = FormTable::instance();
    Replacements all(table.rows().size());
    add_approximations(all, std::make_index_sequence<std::size(kApproximations)>());
    return all;
  }();
  return forms;
}

}  // namespace attest::vm
