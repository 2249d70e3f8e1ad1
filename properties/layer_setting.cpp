// Layers from seeds, and error bounds carried from a kernel's results to the layer's output.
#include "properties/layer_setting.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "properties/rounding.h"
#include "reference/random.h"

namespace attest {
namespace {

bool factored(const AttentionConfig& config) { return info(config.variant).family == Family::factored; }

}  // namespace

LayerCase layer_of(const Problem& problem) {
  LayerCase layer{problem.attention, random_weights(problem.attention, problem.seed), {}};
  const Index width = problem.attention.hidden;
  for (std::size_t b = 0; b < problem.cached_tokens.size(); ++b) {
    const Index padding = problem.left_padding[b];
    Tokens tokens;
    tokens.hidden = Tensor<double>{problem.cached_tokens[b], width};
    tokens.left_padding = padding;
    const auto stream = static_cast<std::uint64_t>(Stream::hidden) + 1000 * (b + 1);
    for (Index i = 0; i < tokens.hidden.count(); ++i) {
      const Index at = i - padding * width;
      tokens.hidden.data()[i] = at < 0 ? std::numeric_limits<double>::quiet_NaN()
                                       : random_normal(problem.seed, stream, static_cast<std::uint64_t>(at));
    }
    layer.sequences.push_back(std::move(tokens));
  }
  return layer;
}

Tokens without_padding(const Tokens& tokens, Index first_position) {
  const Index width = tokens.hidden.size(1);
  Tokens bare;
  bare.first_position = first_position;
  bare.hidden = Tensor<double>{tokens.hidden.size(0) - tokens.left_padding, width};
  std::copy_n(tokens.hidden.data() + tokens.left_padding * width, bare.hidden.count(), bare.hidden.data());
  return bare;
}

std::vector<Projected> project_all(const AttentionConfig& config, const Weights& weights,
                                   const std::vector<Tokens>& sequences) {
  std::vector<Projected> projected;
  for (const Tokens& tokens : sequences) projected.push_back(project(config, weights, tokens));
  return projected;
}

DecodeInputs call_of(const AttentionConfig& config, const Weights& weights,
                     const std::vector<Projected>& sequences, const Problem& problem, Format storage) {
  const auto form = factored(config) ? materialised_inputs : decode_inputs;
  DecodeInputs call = form(config, weights, sequences, problem.query_tokens, problem.mask, storage);
  if (storage != Format::f64) call.scale = round_to(Format::f32, call.scale);  // as kernels take it
  return call;
}

Tensor<double> finish_call(const AttentionConfig& config, const Weights& weights,
                           const std::vector<Projected>& sequences, const Tensor<double>& results) {
  return factored(config) ? finish_materialised(config, weights, sequences, results)
                          : finish(config, weights, sequences, results);
}

Tensor<double> propagated(const AttentionConfig& config, const Weights& weights,
                          const std::vector<Projected>& sequences, const Tensor<double>& errors) {
  AttentionConfig ungated = config;
  ungated.gated = false;
  Weights magnitudes = weights;
  for (auto& [name, tensor] : magnitudes) {
    for (double& value : tensor.elements()) value = std::abs(value);
  }
  return finish_call(ungated, magnitudes, sequences, errors);
}

LayerRun run_layer(KernelUnderTest& kernel, const AttentionConfig& config, const Weights& weights,
                   const std::vector<Projected>& sequences, const Problem& problem, double rotation_error) {
  const DecodeInputs exact = call_of(config, weights, sequences, problem, Format::f64);
  const DecodeInputs stored = call_of(config, weights, sequences, problem, problem.storage);
  const BoundedRun run = run_bounded(kernel, stored, layout_of(problem));
  const RoundingBounds rounding = rounding_bounds(exact, problem.storage, rotation_error);
  LayerRun layer;
  layer.head_config = stored.heads.name();
  layer.inconclusive = !run.bounds.inconclusive.empty() ? run.bounds.inconclusive : rounding.inconclusive;
  layer.output = finish_call(config, weights, sequences, run.run.output);
  if (!layer.inconclusive.empty()) return layer;
  Tensor<double> errors = sum(run.bounds.output, rounding.output);
  // The double-precision way there and back has its own error.
  for (Index i = 0; i < errors.count(); ++i) errors.data()[i] += kIdentity * run.truth.absolute.data()[i];
  layer.bounds = propagated(config, weights, sequences, errors);
  for (double& bound : layer.bounds.elements()) bound += kIdentity * bound;
  return layer;
}

Tensor<double> materialised_output(const AttentionConfig& config, const Weights& weights,
                                   const std::vector<Tokens>& sequences, const Problem& problem) {
  const Index queries = problem.query_tokens, width = config.hidden;
  Tensor<double> output{std::ssize(sequences), queries, width};
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const Index cached = sequences[b].hidden.size(0);
    if (cached == 0) continue;
    const Tensor<double> all = materialised_layer(config, weights, sequences[b], problem.mask);
    std::copy_n(all.data() + (cached - queries) * width, queries * width,
                output.data() + static_cast<Index>(b) * queries * width);
  }
  return output;
}

Problem layer_level(Problem problem) {
  problem.data = DataFamily::normal;
  if (problem.attention.variant == Variant::mtla) {  // its cache merges tokens: one query token, no window
    problem.mask.causal = true;
    problem.query_tokens = 1;
    problem.mask.window = problem.mask.sink_tokens = 0;
  }
  constexpr Index kMostTokens = 40;
  for (std::size_t b = 0; b < problem.cached_tokens.size(); ++b) {
    // Query tokens are real ones: a padding token has no hidden state.
    problem.cached_tokens[b] = std::clamp(problem.cached_tokens[b], problem.query_tokens, kMostTokens);
    problem.left_padding[b] =
        std::min(problem.left_padding[b], problem.cached_tokens[b] - problem.query_tokens);
  }
  return problem;
}

}  // namespace attest
