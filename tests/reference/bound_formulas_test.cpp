// error_bounds() against the formulas of reference/error_bounds.md written out a second time, as they stand
// there: a term that is lost would otherwise hide in the slack of the others.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "reference/attend.h"
#include "reference/error_bounds.h"
#include "reference/random.h"

namespace attest {
namespace {

// One row: a query, keys and values of its own, everything seen.
struct OneRow {
  std::vector<double> query;
  std::vector<std::vector<double>> keys;
  std::vector<double> values;
  double scale = 1;
  double softcap = 0;
  Format storage = Format::bf16;
};

DecodeInputs inputs_of(const OneRow& row) {
  const auto width = static_cast<Index>(row.query.size()), tokens = static_cast<Index>(row.keys.size());
  DecodeInputs inputs;
  inputs.heads = {.key_dim = static_cast<int>(width), .value_dim = 1, .storage = row.storage};
  inputs.scale = row.scale;
  inputs.mask.softcap = row.softcap;
  inputs.queries = Tensor<double>{1, 1, 1, width};
  SequenceCache cache;
  cache.keys = Tensor<double>{tokens, 1, width};
  cache.values = Tensor<double>{tokens, 1, 1};
  std::copy(row.query.begin(), row.query.end(), inputs.queries.data());
  std::copy(row.values.begin(), row.values.end(), cache.values.data());
  for (std::size_t s = 0; s < row.keys.size(); ++s) {
    std::copy(row.keys[s].begin(), row.keys[s].end(), cache.keys.data() + static_cast<Index>(s) * width);
  }
  inputs.sequences = {cache};
  return inputs;
}

struct Formulas {
  double output, lse;
};

// Letters as in the document. Scores in natural units; S, L, F, n_q, n_pv, N_m, th, Th, om, lam, eta, E_th,
// B', J, U.
Formulas formulas(const OneRow& row, const ArithmeticPlan& plan) {
  const double u = std::exp2(-24), W = std::exp2(-126), eps = std::exp2(-22);
  const double log2e = std::numbers::log2e_v<double>, ln2 = std::numbers::ln2_v<double>;
  const bool tensor = plan.dot == ArithmeticPlan::Dot::tensor_core;
  const std::size_t L = row.keys.size(), d = row.query.size();
  const auto n = static_cast<double>(L), S = static_cast<double>(plan.splits);
  const double unit = plan.flush_to_zero ? W : std::exp2(-149);  // of one f32 operation that underflows
  const auto gamma = [&](double roundings) { return roundings * u / (1 - roundings * u); };
  const double g = 17 * std::exp2(-plan.fraction_bits) + std::exp2(-23);
  const auto unit_of = [](Format format) {
    return format == Format::bf16 ? std::exp2(-8) : format == Format::f16 ? std::exp2(-11) : 0.0;
  };
  const double u_P = unit_of(plan.probability);

  std::vector<double> s(L), sig(L);
  double largest = 0, top = -1e300;
  for (std::size_t j = 0; j < L; ++j) {
    double dot = 0, A = 0, flushed = 0;
    for (std::size_t i = 0; i < d; ++i) {
      const double q = std::fabs(row.query[i]), k = std::fabs(row.keys[j][i]);
      dot += row.query[i] * row.keys[j][i];
      if (q > 0 && k > 0) A += std::max(q, W) * std::max(k, W);
      if (q < W || k < W) flushed += q * k;
    }
    s[j] = row.scale * dot;
    const auto width = static_cast<double>(d);
    const double factor = tensor ? std::ceil(width / plan.step_products) * g
                                 : gamma(plan.dot_chain > 0 ? static_cast<double>(plan.dot_chain) : width);
    sig[j] = factor * (A + W) * row.scale;
    if (!tensor) sig[j] += row.scale * 2 * width * unit * (1 + factor);
    if (!tensor && plan.flush_to_zero) sig[j] += row.scale * flushed;
    if (row.softcap > 0) {
      sig[j] += row.softcap * plan.tanh_error + 6 * u * std::min(std::fabs(s[j]), row.softcap);
      s[j] = row.softcap * std::tanh(s[j] / row.softcap);
    }
    largest = std::max(largest, std::fabs(s[j]));
    top = std::max(top, s[j]);
  }
  // N_m: keys that may raise the maximum, in the worse direction, from the first key or (splits) from any.
  double N = 0;
  for (const bool backwards : {false, true}) {
    for (std::size_t start = 0; start < (plan.splits > 1 ? L : std::min<std::size_t>(L, 1)); ++start) {
      double count = 0, floor = -1e300;
      for (std::size_t step = start; step < L; ++step) {
        const std::size_t j = backwards ? L - 1 - step : step;
        if (step > start && s[j] + sig[j] > floor) ++count;
        floor = std::max(floor, s[j] - sig[j]);
      }
      N = std::max(N, count);
    }
  }
  const auto tile = static_cast<double>(plan.tile_tokens);
  const double tiles = n <= tile ? 1 : std::ceil(n / tile) + 1;
  N = std::min({N, tiles - 1, n - 1});
  if (!plan.contiguous_splits) N = std::min(tiles, n) - 1;

  const double Lam = largest * log2e + std::log2(std::max(2.0, n)) + 1;
  const double om = plan.splits == 1 ? 0 : ln2 * (8 * u * Lam + eps * std::log2(n)) + eps;
  const double a = plan.fused_exponent && row.softcap == 0 ? 4 : 6;
  double Z = 0, o = 0, B = 0;
  for (std::size_t j = 0; j < L; ++j) Z += std::exp(s[j] - top);
  for (std::size_t j = 0; j < L; ++j) o += std::exp(s[j] - top) / Z * row.values[j];
  const double value_steps = std::ceil(std::min(tile, n) / plan.step_products) * tiles;
  const double value_sum = tensor ? std::min(n, value_steps) * g
                                  : gamma(plan.value_chain > 0 ? static_cast<double>(plan.value_chain) : n);
  const double g_l =
      ((plan.sum_chain > 0 ? static_cast<double>(plan.sum_chain) : n) + 2 * N + (S > 1 ? S : 0)) * u;
  const double lam = g_l / (1 - g_l);
  const double eta = (1 + (plan.sum_of_rounded_probability ? 0 : u_P)) * (1 + value_sum) *
                         std::pow(1 + u, N + 6 + (S > 1 ? S : 0)) -
                     1;
  double T = 0, T_L = 0, E_th = 0, lost = 0, lost_values = 0, most = 0;
  for (std::size_t j = 0; j < L; ++j) {
    const double p = std::exp(s[j] - top) / Z, v = row.values[j];
    const double th = sig[j] + a * u * (std::fabs(s[j]) + largest + 1) + eps + N * (eps + 2 * u);
    double Th = std::expm1(th + om);
    if (plan.sum_of_rounded_probability) Th = (1 + Th) * (1 + u_P) - 1;
    T += p * Th;
    T_L += p * std::expm1(th + om + g_l + (plan.sum_of_rounded_probability ? 1.01 * u_P : 0));
    E_th += p * Th * std::fabs(v - o);
    B += p * (1 + Th) * std::fabs(v);
    const bool in_J = plan.probability == Format::f16 ? p * Z < std::exp2(-14) : (top - s[j]) * log2e > 125;
    if (in_J) {
      lost += p * std::fabs(v - o);
      lost_values += std::fabs(v);
    }
    most = std::max(most, std::fabs(v));
  }
  E_th /= 1 - T;
  B /= 1 - T;
  const double quantum = plan.probability == Format::f16 ? std::exp2(-25) : std::exp2(-133);
  const double U = 1.01 / (1 - T) * (lost + quantum / Z * lost_values);
  double tiny = 2 * value_sum * W + 2 * (2 + S) * unit;
  if (tensor) tiny += std::min(n, value_steps) * std::exp2(4 - plan.fraction_bits - 126) * most;
  if (!tensor) tiny += (n + N) * unit;
  double D = E_th + (eta * B + lam * (std::fabs(o) + E_th)) / (1 - lam) + U + tiny;
  if (S > 1 && unit_of(plan.partial) > 0) {
    D += 1.01 *
         (unit_of(plan.partial) * B + (plan.partial == Format::bf16 ? std::exp2(-134) : std::exp2(-25)));
  }
  const double u_o = plan.output == Format::f32 ? u : unit_of(plan.output);
  const double smallest = plan.output == Format::bf16  ? std::exp2(-134)
                          : plan.output == Format::f16 ? std::exp2(-25)
                                                       : std::exp2(-150);
  const double lse2 = std::fabs(top + std::log(Z)) * log2e;
  const double bits = -log2e * std::log(1 - T_L) + (1 + (S > 1)) * eps * std::log2(std::max(2.0, n)) +
                      4 * u * (lse2 + Lam) + n * W;
  return {D + std::max(u_o * (std::fabs(o) + D), smallest), ln2 * bits};
}

void expect_formulas(const OneRow& row, const ArithmeticPlan& plan, const std::string& what) {
  const DecodeInputs inputs = inputs_of(row);
  const DecodeBounds bounds = error_bounds(inputs, attend(inputs), plan);
  ASSERT_EQ(bounds.inconclusive, "") << what;
  const Formulas expected = formulas(row, plan);
  // error_bounds() adds the truth's own rounding, some 1e-15 of the magnitudes.
  EXPECT_NEAR(bounds.output(0, 0, 0, 0) / expected.output, 1, 1e-7) << what;
  EXPECT_NEAR(bounds.lse(0, 0, 0) / expected.lse, 1, 1e-7) << what;
}

std::vector<ArithmeticPlan> plans() {
  std::vector<ArithmeticPlan> all;
  for (const bool tensor : {false, true}) {
    for (std::uint64_t i = 0; i < 60; ++i) {
      const auto pick = [&](std::uint64_t what, std::uint64_t count) {
        return random_bits(i, what, tensor ? 1 : 0) % count;
      };
      const Index splits[] = {1, 2, 7}, tiles[] = {1, 4, 16, 64}, chains[] = {0, 0, 50};
      const Format formats[] = {Format::f32, Format::bf16, Format::f16};
      ArithmeticPlan plan;
      if (tensor) plan.dot = ArithmeticPlan::Dot::tensor_core;
      plan.fraction_bits = pick(0, 2) == 0 ? 25 : 23;
      plan.step_products = pick(14, 3) == 0 ? 8 : 16;
      plan.splits = splits[pick(1, 3)];
      plan.tile_tokens = tiles[pick(2, 4)];
      plan.sum_chain = chains[pick(3, 3)];
      plan.dot_chain = chains[pick(4, 3)];
      plan.value_chain = chains[pick(5, 3)];
      plan.probability = formats[pick(6, 3)];
      plan.partial = formats[pick(7, 3)];
      plan.output = formats[pick(8, 3)];
      plan.sum_of_rounded_probability = pick(9, 2) == 0;
      plan.fused_exponent = pick(10, 2) == 0;
      plan.flush_to_zero = pick(11, 2) == 0;
      plan.contiguous_splits = pick(12, 4) != 0;
      plan.tanh_error = pick(13, 2) == 0 ? 0x1p-11 : 0x1p-22;
      all.push_back(plan);
    }
  }
  return all;
}

OneRow random_row(std::uint64_t seed, std::size_t width, std::size_t tokens) {
  std::uint64_t draws = 0;
  const auto draw = [&] { return round_to(Format::bf16, random_normal(seed, 50, draws++)); };
  OneRow row{.query = std::vector<double>(width), .keys = {}, .values = {}, .scale = 0.25};
  for (double& x : row.query) x = draw();
  for (std::size_t s = 0; s < tokens; ++s) {
    row.keys.emplace_back(width);
    for (double& x : row.keys.back()) x = draw();
    row.values.push_back(draw());
  }
  return row;
}

TEST(BoundFormulas, HoldOnRandomRowsForEveryPlan) {
  std::uint64_t seed = 0;
  for (const ArithmeticPlan& plan : plans()) {
    ++seed;
    OneRow row = random_row(seed, seed % 2 == 0 ? 16 : 24, seed % 5 == 0 ? 1 : 5 + seed % 30);
    row.softcap = seed % 3 == 0 ? 2 : 0;
    expect_formulas(row, plan, "plan " + std::to_string(seed));
  }
}

TEST(BoundFormulas, HoldWhereScoresRiseWithinTheirErrors) {
  // Equal exact scores of cancelling products: only the tolerance makes the maximum change.
  for (const ArithmeticPlan& plan : plans()) {
    OneRow row{.query = {64, -64, 1}, .keys = {}, .values = {}};
    for (int s = 0; s < 20; ++s) {
      row.keys.push_back({16.0 + s, 16.0 + s, 1 + (s % 4) * 0x1p-7});
      row.values.push_back(s - 9.5);
    }
    expect_formulas(row, plan, "climbing");
  }
}

TEST(BoundFormulas, HoldWhereWeightsUnderflow) {
  for (const ArithmeticPlan& plan : plans()) {
    if (plan.output == Format::f16 || plan.partial == Format::f16) continue;  // the value leaves f16
    OneRow row{.query = {1, 1},
               .keys = {{0, 0}, {-87, -0.5}, {-89, 0.25}, {-9, 0}},
               .values = {1, 0x1p100, 0x1p90, 2}};
    expect_formulas(row, plan, "underflow");
    row.values = {0, 0x1p-120, -0x1p-127, 0x1p-130};
    expect_formulas(row, plan, "subnormal values");
  }
}

TEST(BoundFormulas, HoldForSubnormalOperands) {
  for (const ArithmeticPlan& plan : plans()) {
    const OneRow row{.query = {0x1p-130, 1, 0},
                     .keys = {{0x1p125, 0.5, 3}, {0x1p127, 0x1p-131, 1}, {0, 1, 0x1p-129}},
                     .values = {1, -2, 0.5}};
    expect_formulas(row, plan, "subnormal operands");
    // Where nothing but underflow is left of the score's error.
    const OneRow faint{.query = {0x1p-60, 0x1p-61},
                       .keys = {{0x1p-70, 0}, {0x1p-80, 0x1p-90}},
                       .values = {1, 1},
                       .scale = 0x1p120};
    expect_formulas(faint, plan, "faint");
    // Subnormal keys that a huge query makes matter.
    const OneRow lifted{.query = {0x1p110, 0x1p109},
                        .keys = {{0x1p-130, 0x1p-131}, {0x1p-133, 0}},
                        .values = {1, -1},
                        .scale = 0x1p15};
    expect_formulas(lifted, plan, "lifted");
  }
}

}  // namespace
}  // namespace attest
