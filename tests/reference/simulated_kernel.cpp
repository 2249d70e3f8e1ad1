// Every float operation is one call that rounds (and flushes), so that the plan's roundings can be counted
// here.
#include "tests/reference/simulated_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "reference/random.h"
#include "reference/row_scores.h"

namespace attest {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

class Simulation {
 public:
  Simulation(const SimulatedKernel& kernel, const DecodeInputs& inputs)
      : kernel_(kernel), plan_(kernel.plan), inputs_(inputs), row_(inputs) {}

  void run_row(Index batch, Index query, Index row, double* output, double* lse);

 private:
  struct Partial {
    std::vector<float> output;
    float lse = kMinusInfinity;
  };

  // One f32 operation's result: flushed when the plan says so.
  float flush(float x) const {
    return plan_.flush_to_zero && std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x;
  }
  float add(float a, float b) const { return flush(flush(a) + flush(b)); }
  float mul(float a, float b) const { return flush(flush(a) * flush(b)); }
  float fma(float a, float b, float c) const { return flush(std::fma(flush(a), flush(b), flush(c))); }
  float rounded(double x) const { return flush(static_cast<float>(x)); }
  // In [-1, 1].
  double error() {
    if (!kernel_.random_errors) return kernel_.function_error;
    return kernel_.function_error * (2 * random_uniform(kernel_.seed, 99, draws_++) - 1);
  }
  // ex2(0) is 1 exactly. The last rounding is part of the allowed 2^-22.
  float ex2(float x) {
    if (x == 0) return 1;
    return rounded(std::exp2(static_cast<double>(flush(x))) * (1 + error() * (0x1p-22 - 0x1p-24)));
  }
  float lg2(float x) {
    return rounded(std::log2(static_cast<double>(x)) * (1 + error() * (0x1p-22 - 0x1p-24)));
  }
  float reciprocal(float x) { return rounded(1 / static_cast<double>(x) * (1 + error() * 0x1p-24)); }

  float dot(const double* query, const double* key, Index width, float sum) const;
  float step(const double* a, const double* b, Index count, float sum) const;
  float score(Index token) const;
  Partial split(const std::vector<Index>& tokens, Index first, Index end);

  const SimulatedKernel& kernel_;
  const ArithmeticPlan& plan_;
  const DecodeInputs& inputs_;
  RowScores row_;
  std::uint64_t draws_ = 0;
};

// One tensor-core step: sum + a . b over up to plan.step_products (at most 16) products; everything is cut
// off at plan.fraction_bits below the largest exponent, added exactly, and cut off to float.
float Simulation::step(const double* a, const double* b, Index count, float sum) const {
  const auto exponent = [](double x) { return x == 0 ? -126 : std::max(std::ilogb(x), -126); };
  int largest = sum == 0 ? -1000 : exponent(static_cast<double>(sum));
  for (Index i = 0; i < count; ++i) {
    const bool zero = a[i] == 0 || b[i] == 0;
    if (zero && !kernel_.zeros_align) continue;
    largest = std::max(largest, exponent(a[i]) + exponent(b[i]));
  }
  if (largest == -1000) return 0;
  const int shift = plan_.fraction_bits - largest;
  double total = std::trunc(std::ldexp(static_cast<double>(sum), shift));  // at most 2^(F + 6): exact
  for (Index i = 0; i < count; ++i) total += std::trunc(std::ldexp(a[i] * b[i], shift));
  if (total == 0) return 0;
  const int drop = std::max(std::ilogb(total) - 23, -149 + shift);  // lowest bit that float keeps
  return static_cast<float>(std::ldexp(std::trunc(std::ldexp(total, -drop)), drop - shift));
}

float Simulation::dot(const double* query, const double* key, Index width, float sum) const {
  if (plan_.dot == ArithmeticPlan::Dot::tensor_core) {
    for (Index i = 0; i < width; i += plan_.step_products) {
      sum = step(query + i, key + i, std::min<Index>(plan_.step_products, width - i), sum);
    }
    return sum;
  }
  std::vector<float> lanes(static_cast<std::size_t>(kernel_.dot_lanes), 0.0f);
  lanes[0] = sum;
  for (Index i = 0; i < width; ++i) {
    float& lane = lanes[static_cast<std::size_t>(i % kernel_.dot_lanes)];
    lane = fma(static_cast<float>(query[i]), static_cast<float>(key[i]), lane);
  }
  for (std::size_t half = lanes.size() / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) lanes[i] = add(lanes[i], lanes[i + half]);
  }
  return lanes[0];
}

float Simulation::score(Index token) const {
  float sum = dot(row_.query_row(), row_.key_row(token), inputs_.heads.key_dim, 0);
  if (inputs_.heads.rope_dim > 0) {
    sum = dot(row_.rope_query_row(), row_.rope_key_row(token), inputs_.heads.rope_dim, sum);
  }
  return sum;
}

// Online softmax over the seen tokens in [first, end), tile by tile.
Simulation::Partial Simulation::split(const std::vector<Index>& tokens, Index first, Index end) {
  const auto width = static_cast<std::size_t>(inputs_.heads.value_dim);
  const double cap = inputs_.mask.softcap;
  const auto scale = static_cast<float>(inputs_.scale);
  const float log2e = static_cast<float>(std::numbers::log2e_v<double>);
  const float c = cap > 0 ? log2e : mul(scale, log2e);  // from a score to base-2 units
  const bool fused = plan_.fused_exponent && cap == 0;
  const bool tensor = plan_.dot == ArithmeticPlan::Dot::tensor_core;

  Partial partial;
  partial.output.assign(width, 0.0f);
  float maximum = kMinusInfinity, sum = 0;
  const Index tiles = (end - first + plan_.tile_tokens - 1) / plan_.tile_tokens;
  for (Index count = 0; count < tiles; ++count) {
    const Index tile = kernel_.reversed ? tiles - 1 - count : count;
    const Index tile_first = first + tile * plan_.tile_tokens;
    const Index tile_end = std::min(end, tile_first + plan_.tile_tokens);
    std::vector<Index> seen;
    std::vector<float> scores;
    for (Index token : tokens) {
      if (token < tile_first || token >= tile_end || token == kernel_.dropped_key) continue;
      seen.push_back(token);
      float s = score(token);
      if (cap > 0) {
        const float x = mul(s, rounded(inputs_.scale / cap));
        s = mul(rounded(std::tanh(static_cast<double>(x)) + error() * plan_.tanh_error * 0.99), rounded(cap));
      }
      scores.push_back(s);
    }
    if (seen.empty()) continue;
    const float tile_maximum = *std::max_element(scores.begin(), scores.end());
    if (tile_maximum > maximum) {
      if (maximum != kMinusInfinity) {
        const float alpha = fused ? ex2(add(mul(maximum, c), -mul(tile_maximum, c)))
                                  : ex2(mul(c, add(maximum, -tile_maximum)));
        sum = mul(sum, alpha);
        for (float& element : partial.output) element = mul(element, alpha);
      }
      maximum = tile_maximum;
    }
    std::vector<double> weights(static_cast<std::size_t>(tile_end - tile_first), 0.0);
    for (std::size_t j = 0; j < seen.size(); ++j) {
      const float exponent =
          fused ? fma(scores[j], c, -mul(maximum, c)) : add(mul(scores[j], c), -mul(maximum, c));
      const float p = ex2(exponent);
      const double stored = round_to(plan_.probability, static_cast<double>(p));
      sum = add(sum, plan_.sum_of_rounded_probability ? static_cast<float>(stored) : p);
      weights[static_cast<std::size_t>(seen[j] - tile_first)] = stored;
      if (tensor) continue;
      const double* value = row_.value_row(seen[j]);
      for (std::size_t i = 0; i < width; ++i) {
        partial.output[i] = fma(static_cast<float>(stored), static_cast<float>(value[i]), partial.output[i]);
      }
    }
    for (std::size_t i = 0; tensor && i < width; ++i) {
      for (Index start = tile_first; start < tile_end; start += plan_.step_products) {
        double p[16], v[16];
        const Index steps = std::min<Index>(plan_.step_products, tile_end - start);
        for (Index k = 0; k < steps; ++k) {
          p[k] = weights[static_cast<std::size_t>(start - tile_first + k)];
          v[k] = row_.value_row(start + k)[i];
        }
        partial.output[i] = step(p, v, steps, partial.output[i]);
      }
    }
  }
  if (maximum == kMinusInfinity) return partial;
  const float inverse = reciprocal(sum);
  for (float& element : partial.output) element = mul(element, inverse);
  partial.lse = add(mul(maximum, c), lg2(sum));
  return partial;
}

void Simulation::run_row(Index batch, Index query, Index row, double* output, double* lse) {
  row_.read(batch, query, row);
  const auto width = static_cast<std::size_t>(inputs_.heads.value_dim);
  const float ln2 = static_cast<float>(std::numbers::ln2_v<double>);
  const Index tokens = row_.tokens(), chunk = std::max<Index>(1, (tokens + plan_.splits - 1) / plan_.splits);
  std::vector<Partial> parts;
  for (Index first = 0; first < tokens; first += chunk) {
    parts.push_back(split(row_.keys, first, std::min(tokens, first + chunk)));
  }
  Partial merged;
  merged.output.assign(width, 0.0f);
  if (plan_.splits == 1 && !parts.empty()) {
    merged = parts[0];
    merged.lse = mul(merged.lse, ln2);
  } else {
    float maximum = kMinusInfinity, sum = 0;
    for (Partial& part : parts) {
      if (kernel_.natural_partials) part.lse = mul(part.lse, ln2);
      for (float& element : part.output) {
        element = static_cast<float>(round_to(plan_.partial, static_cast<double>(element)));
      }
      maximum = std::max(maximum, part.lse);
    }
    if (maximum != kMinusInfinity) {
      const float log2e = static_cast<float>(std::numbers::log2e_v<double>);
      for (const Partial& part : parts) {
        if (part.lse == kMinusInfinity) continue;
        const float distance = add(part.lse, -maximum);
        const float weight = ex2(kernel_.natural_partials ? mul(distance, log2e) : distance);
        sum = add(sum, weight);
        for (std::size_t i = 0; i < width; ++i)
          merged.output[i] = fma(weight, part.output[i], merged.output[i]);
      }
      const float inverse = reciprocal(sum);
      for (float& element : merged.output) element = mul(element, inverse);
      merged.lse =
          kernel_.natural_partials ? add(maximum, mul(lg2(sum), ln2)) : mul(add(maximum, lg2(sum)), ln2);
    }
  }
  for (std::size_t i = 0; i < width; ++i) {
    output[i] = round_to(plan_.output, static_cast<double>(merged.output[i]));
  }
  *lse = static_cast<double>(merged.lse);
}

}  // namespace

SimulatedResult run(const SimulatedKernel& kernel, const DecodeInputs& inputs) {
  const auto batch = static_cast<Index>(inputs.sequences.size());
  const Index rows = inputs.heads.rows(), width = inputs.heads.value_dim, queries = inputs.query_tokens;
  SimulatedResult result{std::vector<double>(static_cast<std::size_t>(batch * queries * rows * width)),
                         std::vector<double>(static_cast<std::size_t>(batch * queries * rows))};
  Simulation simulation(kernel, inputs);
  for (Index place = 0; place < batch * queries * rows; ++place) {
    simulation.run_row(place / rows / queries, place / rows % queries, place % rows,
                       result.output.data() + place * width, result.lse.data() + place);
  }
  return result;
}

}  // namespace attest
