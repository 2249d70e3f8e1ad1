// An arithmetic plan as the numbers that the formulas of error_bounds.md use.
#pragma once

#include <limits>
#include <numbers>
#include <string>

#include "reference/decode_call.h"

namespace attest::rounding {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kU = 0x1p-24;    // unit roundoff of f32
constexpr double kW = 0x1p-126;   // smallest normal f32
constexpr double kEps = 0x1p-22;  // relative error of ex2.approx, lg2.approx (PTX ISA; to be calibrated)
constexpr double kReference = 0x1p-53;  // unit roundoff of the truth itself
constexpr double kLog2e = std::numbers::log2e_v<double>;
constexpr double kLn2 = std::numbers::ln2_v<double>;

// Relative error of a sum of products in which every product passes through at most n f32 roundings:
//   computed = sum_i q_i k_i (1 + d_i),  |d_i| <= (1 + u)^n - 1 <= n u / (1 - n u) = gamma_n.
// A product is rounded once (or, fused, together with its first addition), and every addition that rounds
// merges at least one further term into it. So n is at most the number of terms, whatever the order: a chain
// of fma, or chains in 32 lanes that warp shuffles add up. A kernel that knows its longest chain declares the
// smaller number.
double gamma(Index roundings);

// "1.23e-05": for the sentences of preconditions.
std::string short_text(double value);

struct PlanArithmetic {
  ArithmeticPlan plan;
  bool tensor_core = false;
  double g = 0;               // relative error of one tensor-core step
  double products = 0;        // d: products of a score
  double dot_factor = 0;      // n_q g, or gamma of the dot chain
  double exponent_scale = 0;  // a u: what is multiplied by |s_j| + max |s| + 1
  double scale_error = 0;     // relative error of the scale as a float
  double splits = 1;          // S
  double merged = 0;          // S if S > 1 else 0
  double probability = 0;     // u_P
  double lost_weight = 0;     // weight, relative to the largest, below which a probability may underflow
  double lost_quantum = 0;    // absolute error of such a probability
  double underflow_unit = 0;  // largest absolute error of one f32 operation that underflows

  // Of a row that sees `keys` keys and whose maximum changes `changes` times:
  double denominator_error(double keys, double changes) const;  // g_l
  double maximum_error(double changes) const { return changes * (kEps + 2 * kU); }
  double exponent_error(double score, double max_abs_score) const;  // a u (|s_j| + max |s| + 1)
};

// Throws std::invalid_argument when the plan makes no sense.
PlanArithmetic plan_arithmetic(const ArithmeticPlan& plan, const DecodeInputs& inputs);

}  // namespace attest::rounding
