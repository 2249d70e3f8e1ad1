// Formats become unit roundoffs, chains become factors.
#include "reference/plan_arithmetic.h"

#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "reference/words.h"

namespace attest::rounding {
namespace {

void check(const ArithmeticPlan& plan) {
  std::vector<std::string> found;
  const auto at_least = [&](const std::string& what, double value, double least) {
    if (!(value >= least) || std::isinf(value)) {
      found.push_back("plan: " + what + " " + words::print(value) + ": expected " + words::print(least) +
                      " or more");
    }
  };
  at_least("splits", static_cast<double>(plan.splits), 1);
  at_least("tile_tokens", static_cast<double>(plan.tile_tokens), 1);
  at_least("sum_chain", static_cast<double>(plan.sum_chain), 0);
  at_least("dot_chain", static_cast<double>(plan.dot_chain), 0);
  at_least("value_chain", static_cast<double>(plan.value_chain), 0);
  at_least("fraction_bits", plan.fraction_bits, 1);
  at_least("step_products", plan.step_products, 1);
  at_least("tanh_error", plan.tanh_error, 0);
  if (!found.empty()) throw std::invalid_argument("error_bounds: " + words::join(found, "; "));
}

}  // namespace

double gamma(Index roundings) {
  const double x = static_cast<double>(roundings) * kU;
  return x < 1 ? x / (1 - x) : kInfinity;
}

std::string short_text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  return buffer;
}

double PlanArithmetic::denominator_error(double keys, double changes) const {
  const double chain = plan.sum_chain > 0 ? static_cast<double>(plan.sum_chain) : keys;
  return (chain + 2 * changes + merged) * kU;
}

double PlanArithmetic::exponent_error(double score, double max_abs_score) const {
  return exponent_scale * (std::fabs(score) + max_abs_score + 1);
}

PlanArithmetic plan_arithmetic(const ArithmeticPlan& plan, const DecodeInputs& inputs) {
  check(plan);
  PlanArithmetic a;
  a.plan = plan;
  a.tensor_core = plan.dot == ArithmeticPlan::Dot::tensor_core;
  a.g = 17 * std::ldexp(1.0, -plan.fraction_bits) + 0x1p-23;
  const Index key_dim = inputs.heads.key_dim, rope_dim = inputs.heads.rope_dim, k = plan.step_products;
  a.products = static_cast<double>(key_dim + rope_dim);
  if (a.tensor_core) {
    a.dot_factor = a.g * static_cast<double>((key_dim + k - 1) / k + (rope_dim + k - 1) / k);
  } else {
    a.dot_factor = gamma(plan.dot_chain > 0 ? plan.dot_chain : key_dim + rope_dim);
  }
  // With a soft-cap, maximum and exponent come from a score that was rounded before it is scaled by log2(e).
  a.exponent_scale = (plan.fused_exponent && inputs.mask.softcap == 0 ? 4 : 6) * kU;
  a.scale_error = round_to(Format::f32, inputs.scale) == inputs.scale ? 0 : kU;
  a.splits = static_cast<double>(plan.splits);
  a.merged = plan.splits > 1 ? a.splits : 0;
  const bool rounds = plan.probability == Format::f16 || plan.probability == Format::bf16;
  a.probability = rounds ? info(plan.probability).unit_roundoff() : 0;
  const bool half = plan.probability == Format::f16;
  a.lost_weight = half ? 0x1p-14 : 0x1p-125;
  a.lost_quantum = half ? 0x1p-25 : 0x1p-133;
  a.underflow_unit = plan.flush_to_zero ? kW : 0x1p-149;
  return a;
}

}  // namespace attest::rounding
