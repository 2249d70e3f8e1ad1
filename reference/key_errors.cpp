// Scores, then the running maximum, then weights: each needs the errors of the one before.
#include "reference/key_errors.h"

#include <algorithm>
#include <cmath>

#include "reference/running_maximum.h"

namespace attest::rounding {

// A_j = sum_i max(|q_i|, W) max(|k_i|, W) over non-zero products.
double KeyErrors::magnitude(Index token) const {
  const auto piece = [](const double* query, const double* key, Index width) {
    constexpr Index kLanes = 8;  // as in dot_product()
    double sums[kLanes] = {};
    const auto add = [&](Index lane, Index i) {
      const double size = std::fabs(key[i]);
      sums[lane] += query[i] * (size == 0 ? 0.0 : size < kW ? kW : size);
    };
    Index i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      for (Index lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
    }
    for (Index lane = 0; i < width; ++i, ++lane) add(lane, i);
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
  };
  double sum = piece(clamped_query_.data(), scores_.key_row(token), inputs_.heads.key_dim);
  if (inputs_.heads.rope_dim > 0) {
    sum += piece(clamped_rope_.data(), scores_.rope_key_row(token), inputs_.heads.rope_dim);
  }
  return sum;
}

// Products with a subnormal operand, which .ftz instructions take for zero.
double KeyErrors::flushed(Index token) const {
  const auto piece = [](const double* query, const double* key, Index width) {
    double sum = 0;
    for (Index i = 0; i < width; ++i) {
      if (std::fabs(query[i]) < kW || std::fabs(key[i]) < kW) sum += std::fabs(query[i] * key[i]);
    }
    return sum;
  };
  double sum = piece(scores_.query_row(), scores_.key_row(token), inputs_.heads.key_dim);
  if (inputs_.heads.rope_dim > 0) {
    sum += piece(scores_.rope_query_row(), scores_.rope_key_row(token), inputs_.heads.rope_dim);
  }
  return sum;
}

// sig_j, and the unnormalised weights.
std::string KeyErrors::score_errors() {
  const double cap = inputs_.mask.softcap, scale = inputs_.scale;
  const auto clamp = [](std::vector<double>& out, const double* in, int width) {
    out.resize(static_cast<std::size_t>(width));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = in[i] == 0 ? 0 : std::max(std::fabs(in[i]), kW);
  };
  clamp(clamped_query_, scores_.query_row(), inputs_.heads.key_dim);
  if (inputs_.heads.rope_dim > 0) clamp(clamped_rope_, scores_.rope_query_row(), inputs_.heads.rope_dim);

  const std::size_t count = scores_.keys.size();
  for (std::vector<double>* part : {&score_error, &weight, &weight_error, &low_, &high_}) part->resize(count);
  max_abs_score = 0;
  z = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const double score = scores_.scores[j], scaled = std::fabs(scores_.scaled[j]);
    const double size = magnitude(scores_.keys[j]);
    if (!(size < 0x1p127)) return "sum |q k| = " + short_text(size) + " of a key, expected less than 2^127";
    if (!(scaled * kLog2e < 0x1p127)) {
      return "score " + short_text(scaled) + ", expected less than 2^127 / log2(e)";
    }
    double error = scale * a_.dot_factor * (size + kW);
    if (!a_.tensor_core) {
      // Each of the additions, at most two a product, may underflow.
      error += scale * 2 * a_.products * a_.underflow_unit * (1 + a_.dot_factor);
      if (a_.plan.flush_to_zero && subnormal_operands_) error += scale * flushed(scores_.keys[j]);
    }
    error += (a_.products + 4) * kReference * (size * scale + scaled) + a_.scale_error * scaled;
    if (cap > 0) {
      // cap * tanh(s / cap): tanh is 1-Lipschitz; argument and product together round six times.
      error += cap * a_.plan.tanh_error + 6 * kU * std::min(scaled, cap);
    }
    score_error[j] = error;
    low_[j] = score - error;
    high_[j] = score + error;
    max_abs_score = std::max(max_abs_score, std::fabs(score));
    weight[j] = std::exp(score - scores_.maximum);
    z += weight[j];
  }
  return "";
}

// N_m and n_pv, from the tiles that the seen keys may lie in.
void KeyErrors::count_changes() {
  const auto count = static_cast<Index>(scores_.keys.size());
  const Index tile = a_.plan.tile_tokens, k = a_.plan.step_products;
  const Index span = scores_.keys.back() - scores_.keys.front() + 1;
  const Index tiles = scores_.tokens() <= tile ? 1 : (span + tile - 1) / tile + 1;
  Index most = std::min(tiles, count) - 1;
  if (a_.plan.contiguous_splits && most > 0) {
    most = std::min(most, maximum_changes(low_, high_, a_.plan.splits > 1));
  }
  changes = static_cast<double>(most);
  const Index steps_a_tile = (std::min(tile, scores_.tokens()) + k - 1) / k;
  steps = static_cast<double>(std::min(count, steps_a_tile * tiles));
}

std::string KeyErrors::compute() {
  std::string problem = score_errors();
  if (!problem.empty()) return problem;
  count_changes();

  const std::size_t count = scores_.keys.size();
  const auto n = static_cast<double>(count);
  lambda_range_ = max_abs_score * kLog2e + std::log2(std::max(2.0, n)) + 1;
  merge_error = a_.plan.splits > 1 ? kLn2 * (8 * kU * lambda_range_ + kEps * std::log2(n)) + kEps : 0;
  const double common = kEps + a_.maximum_error(changes) + merge_error;
  total = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const double exponent = a_.exponent_error(scores_.scores[j], max_abs_score);
    double error = std::expm1(score_error[j] + exponent + common);
    if (a_.plan.sum_of_rounded_probability) error = (1 + error) * (1 + a_.probability) - 1;
    weight[j] /= z;
    weight_error[j] = error;
    total += weight[j] * error;
  }
  if (!(total <= 0.25)) {
    return "T = " + short_text(total) + " (error of the weights), expected at most 0.25";
  }
  const Index chain = a_.plan.value_chain > 0 ? a_.plan.value_chain : static_cast<Index>(count);
  value_factor = a_.tensor_core ? steps * a_.g : gamma(chain);
  tiny = 2 * value_factor * kW + 2 * (2 + a_.splits) * a_.underflow_unit;
  if (!a_.tensor_core) tiny += (n + changes) * a_.underflow_unit;
  return "";
}

double KeyErrors::log_sum_exp(double truth_lse, std::string& problem) const {
  const auto n = static_cast<double>(scores_.keys.size());
  const double g_l = a_.denominator_error(n, changes);
  if (!(g_l <= 0.01)) {
    problem = "g_l = " + short_text(g_l) + " (additions in the denominator), expected at most 0.01";
    return kInfinity;
  }
  const double rounded = a_.plan.sum_of_rounded_probability ? 1.01 * a_.probability : 0;
  const double common = kEps + a_.maximum_error(changes) + merge_error + g_l + rounded;
  double sum = 0;  // T_L
  for (std::size_t j = 0; j < scores_.keys.size(); ++j) {
    const double exponent = a_.exponent_error(scores_.scores[j], max_abs_score);
    sum += weight[j] * std::expm1(score_error[j] + exponent + common);
  }
  if (!(sum <= 0.25)) {
    problem = "T_L = " + short_text(sum) + " (error of the log-sum-exp), expected at most 0.25";
    return kInfinity;
  }
  const double logarithms = (a_.plan.splits > 1 ? 2 : 1) * kEps * std::log2(std::max(2.0, n));
  const double lse2 = std::fabs(truth_lse) * kLog2e;
  const double bits = -kLog2e * std::log1p(-sum) + logarithms + 4 * kU * (lse2 + lambda_range_) + n * kW;
  return kLn2 * bits + (n + 4) * kReference;
}

}  // namespace attest::rounding
