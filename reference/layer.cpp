// One attention layer: the steps that are the same for every variant.
#include "reference/layer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "reference/attend.h"
#include "reference/random.h"
#include "reference/variants/steps.h"
#include "reference/variants/variant_maths.h"

namespace attest {
namespace {

using reference::Absorbed;
using reference::Expanded;
using reference::Layer;
using reference::maths;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void require_valid(const AttentionConfig& config) {
  const std::vector<std::string> problems = config.problems();
  if (!problems.empty()) throw std::invalid_argument(problems.front());
}

// MTLA merges tokens, so masks in units of tokens have no meaning for its entries.
void require_mask(const AttentionConfig& config, const MaskSpec& mask) {
  const std::vector<std::string> problems = mask.problems();
  if (!problems.empty()) throw std::invalid_argument(problems.front());
  if (config.variant == Variant::mtla && (!mask.causal || mask.window != 0)) {
    throw std::invalid_argument(config.variant_name() + ": mask " + mask.name() +
                                ": expected a causal one without window, as cache entries are merged tokens");
  }
}

// FNV-1a: a tensor's random stream follows from its name.
std::uint64_t stream_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  return hash;
}

// Per-head branch sum and scale: [T, rows, dv] -> [T, H * dv].
Matrix branch_sum(const AttentionConfig& config, const Tensor<double>& rows) {
  const Index heads = config.query_heads, width = config.value_dim;
  Matrix sum = Matrix::Zero(rows.size(0), heads * width);
  const ConstMatrixMap all(rows.data(), rows.size(0), rows.size(1) * width);
  for (Index branch = 0; branch < config.branches(); ++branch) {
    sum += all.middleCols(branch * heads * width, heads * width);
  }
  return sum * branch_scale(config);
}

// Gate and output projection of the last T tokens: [T, H * dv] -> [T, D].
Matrix project_out(const Layer& layer, const Projected& projected, Matrix heads) {
  const reference::VariantMaths& variant = maths(layer.config.variant);
  if (layer.config.gated) {
    const Matrix x = matrix(projected.hidden).bottomRows(heads.rows());
    const Matrix gate = product_transposed(x, layer.matrix(variant.gate));
    heads.array() /= gate.unaryExpr([](double g) { return 1 + std::exp(-g); }).array();
  }
  return product_transposed(heads, layer.matrix(variant.output_projection));
}

// One sequence's [T, rows, width] of results [B, T, rows, width].
Tensor<double> results_of(const Tensor<double>& results, Index batch) {
  Tensor<double> part{results.size(1), results.size(2), results.size(3)};
  std::copy_n(results.data() + batch * part.count(), part.count(), part.data());
  return part;
}

Tensor<double> finish_rows(const AttentionConfig& config, const Weights& weights,
                           std::span<const Projected> sequences, const Tensor<double>& results,
                           bool up_project) {
  if (results.shape().size() != 4 || results.size(0) != static_cast<Index>(sequences.size())) {
    throw std::invalid_argument("finish: results " + shape_text(results.shape()) + ": expected [" +
                                std::to_string(sequences.size()) + ", T, rows, width]");
  }
  const Layer layer{config, weights};
  const reference::VariantMaths& variant = maths(config.variant);
  const Index tokens = results.size(1);
  Tensor<double> output{results.size(0), tokens, config.hidden};
  for (Index b = 0; b < results.size(0); ++b) {
    Tensor<double> rows = results_of(results, b);
    if (up_project && variant.up_project != nullptr) rows = variant.up_project(layer, rows);
    const std::vector<Index> expected = {tokens, layer.rows(), config.value_dim};
    if (rows.shape() != expected) {
      throw std::invalid_argument("finish: rows " + shape_text(rows.shape()) + ": expected " +
                                  shape_text(expected));
    }
    const Projected& projected = sequences[static_cast<std::size_t>(b)];
    matrix(output).middleRows(b * tokens, tokens) = project_out(layer, projected, branch_sum(config, rows));
  }
  return output;
}

void round_all(Tensor<double>& x, Format storage) {
  if (storage == Format::f64) return;
  for (double& value : x.elements()) value = round_to(storage, value);
}

// [part of sequence 0; part of sequence 1; ..] -> [B, T, ..]
Tensor<double> stack(const std::vector<Tensor<double>>& parts) {
  if (parts.empty() || parts.front().shape().empty()) return {};
  std::vector<Index> shape = parts.front().shape();
  shape.insert(shape.begin(), static_cast<Index>(parts.size()));
  Tensor<double> all(shape);
  double* to = all.data();
  for (const Tensor<double>& part : parts) to = std::copy(part.elements().begin(), part.elements().end(), to);
  return all;
}

void require_whole(const AttentionConfig& config, const Projected& sequence) {
  if (sequence.first_token != 0) {
    throw std::invalid_argument(config.variant_name() + ": tokens from " +
                                std::to_string(sequence.first_token) +
                                " on: expected a whole sequence (append to its cache first)");
  }
}

void require_queries(const AttentionConfig& config, std::span<const Projected> sequences,
                     Index query_tokens) {
  if (config.variant == Variant::mtla && query_tokens != 1) {
    throw std::invalid_argument(config.variant_name() + ": " + std::to_string(query_tokens) +
                                " query tokens: expected 1, as every token changes the last cache entry");
  }
  for (const Projected& sequence : sequences) {
    require_whole(config, sequence);
    if (query_tokens < 1 || query_tokens > sequence.tokens()) {
      throw std::invalid_argument(config.variant_name() + ": " + std::to_string(query_tokens) +
                                  " query tokens of a sequence of " + std::to_string(sequence.tokens()));
    }
  }
}

}  // namespace

double branch_scale(const AttentionConfig& config) {
  if (config.variant == Variant::mlra_4) return 0.5;
  if (config.variant == Variant::mlra_2) return config.unscaled ? 1 : std::sqrt(0.5);
  return 1;
}

std::vector<WeightShape> weight_shapes(const AttentionConfig& config) {
  require_valid(config);
  const reference::VariantMaths& variant = maths(config.variant);
  const Index heads = Index{config.query_heads} * config.value_dim;
  std::vector<WeightShape> shapes = variant.weights(config);
  if (config.gated) shapes.push_back({variant.gate, {heads, config.hidden}});
  shapes.push_back({variant.output_projection, {config.hidden, heads}});
  return shapes;
}

void check_weights(const AttentionConfig& config, const Weights& weights) {
  for (const WeightShape& want : weight_shapes(config)) {
    const auto found = weights.find(want.name);
    if (found == weights.end()) {
      throw std::invalid_argument(config.variant_name() + ": weight '" + want.name +
                                  "' is missing: expected " + shape_text(want.shape));
    }
    if (found->second.shape() != want.shape) {
      throw std::invalid_argument(config.variant_name() + ": weight '" + want.name + "' has shape " +
                                  shape_text(found->second.shape()) + ": expected " + shape_text(want.shape));
    }
  }
}

Weights random_weights(const AttentionConfig& config, std::uint64_t seed) {
  Weights weights;
  for (const WeightShape& shape : weight_shapes(config)) weights[shape.name] = random_weight(shape, seed);
  return weights;
}

Tensor<double> random_weight(const WeightShape& shape, std::uint64_t seed) {
  const std::uint64_t stream = stream_of(shape.name);
  const bool is_vector = shape.shape.size() == 1, is_bias = shape.name.ends_with("bias");
  // Linear weights [out, in] and raw parameters [latent or head, in, out]: `in` is the second axis.
  const double mean = is_vector && !is_bias ? 1 : 0;
  const double spread =
      is_vector ? 0.1 : 1 / std::sqrt(static_cast<double>(std::max<Index>(shape.shape[1], 1)));
  Tensor<double> x(shape.shape);
  for (Index i = 0; i < x.count(); ++i) {
    x.data()[i] = mean + spread * random_normal(seed ^ static_cast<std::uint64_t>(Stream::weights), stream,
                                                static_cast<std::uint64_t>(i));
  }
  return x;
}

Projected project(const AttentionConfig& config, const Weights& weights, const Tokens& tokens) {
  require_valid(config);
  if (tokens.hidden.shape().size() != 2 || tokens.hidden.size(1) != config.hidden) {
    throw std::invalid_argument(config.variant_name() + ": hidden states " +
                                shape_text(tokens.hidden.shape()) + ": expected [tokens, " +
                                std::to_string(config.hidden) + "]");
  }
  const Index count = tokens.hidden.size(0);
  if (!tokens.positions.empty() && static_cast<Index>(tokens.positions.size()) != count) {
    throw std::invalid_argument(config.variant_name() + ": " + std::to_string(tokens.positions.size()) +
                                " positions for " + std::to_string(count) + " tokens");
  }
  if (tokens.first_token < 0 || tokens.left_padding < 0 || tokens.left_padding > tokens.first_token + count) {
    throw std::invalid_argument(config.variant_name() + ": left padding " +
                                std::to_string(tokens.left_padding) + " of a sequence of " +
                                std::to_string(tokens.first_token + count) + " tokens");
  }
  Projected projected;
  projected.hidden = tokens.hidden;
  projected.left_padding = tokens.left_padding;
  projected.first_token = tokens.first_token;
  projected.positions = tokens.positions;
  for (Index i = 0; tokens.positions.empty() && i < count; ++i) {
    const Index at = tokens.first_position + i;
    projected.positions.push_back({at, at, at});
  }
  maths(config.variant).project(Layer{config, weights}, projected);
  return projected;
}

void append(Projected& cached, const Projected& fresh) {
  if (cached.hidden.shape().empty()) {
    cached = fresh;
    return;
  }
  if (fresh.first_token != cached.first_token + cached.tokens() ||
      fresh.left_padding != cached.left_padding) {
    throw std::invalid_argument("append: token " + std::to_string(fresh.first_token) + " with left padding " +
                                std::to_string(fresh.left_padding) + " to a cache of " +
                                std::to_string(cached.tokens()) + " tokens with left padding " +
                                std::to_string(cached.left_padding));
  }
  const auto extend = [](Tensor<double>& to, const Tensor<double>& more) {
    std::vector<Index> shape = to.shape();
    shape[0] += more.size(0);
    Tensor<double> both(shape);
    std::copy(to.elements().begin(), to.elements().end(), both.elements().begin());
    std::copy(more.elements().begin(), more.elements().end(), both.elements().end() - more.count());
    to = std::move(both);
  };
  extend(cached.hidden, fresh.hidden);
  extend(cached.queries, fresh.queries);
  for (auto& [name, part] : cached.cache) extend(part, fresh.cache.at(name));
  cached.positions.insert(cached.positions.end(), fresh.positions.begin(), fresh.positions.end());
}

// scores[t, row, j] = s <q_{t, row mod H}, k_{j, row}>, capped and masked; output[t, row] = sum_j softmax_j
// v_{j, row}.
RowResults materialised(const AttentionConfig& config, const Weights& weights, const Projected& projected,
                        const MaskSpec& mask) {
  require_mask(config, mask);
  require_whole(config, projected);
  const Layer layer{config, weights};
  const Expanded expanded = maths(config.variant).expand(layer, projected);
  const Index S = projected.tokens(), rows = layer.rows(), first = projected.left_padding, seen = S - first;
  RowResults results{Tensor<double>{S, rows, config.value_dim}, Tensor<double>{S, rows},
                     Tensor<double>{S, rows, S}};
  std::fill(results.scores.elements().begin(), results.scores.elements().end(), -kInfinity);
  std::fill(results.lse.elements().begin(), results.lse.elements().end(), -kInfinity);
  for (Index row = 0; row < rows; ++row) {
    // Padding is left out altogether, so that nothing it holds can matter.
    const Matrix q = head(projected.queries, row % layer.heads());
    const Matrix k = head(expanded.keys, row).bottomRows(seen),
                 v = head(expanded.values, row).bottomRows(seen);
    Matrix weight = product_transposed(q, k) * config.scale();  // [S, seen]
    for (Index t = 0; t < S; ++t) {
      double maximum = -kInfinity;
      for (Index j = 0; j < seen; ++j) {
        double& score = weight(t, j);
        const bool last_of_chunk = first + j == t || (j + 1) % expanded.stride == 0;
        const bool visible = last_of_chunk && sees(mask, t, first + j, first);
        score = visible ? capped(mask, score) : -kInfinity;
        if (visible) maximum = std::max(maximum, score);
        results.scores(t, row, first + j) = score;
      }
      if (maximum == -kInfinity) {
        weight.row(t).setZero();
        continue;
      }
      for (double& score : weight.row(t)) score = std::exp(score - maximum);
      const double sum = weight.row(t).sum();
      weight.row(t) /= sum;
      results.lse(t, row) = maximum + std::log(sum);
    }
    head(results.output, row) = product(weight, v);
  }
  return results;
}

DecodeInputs decode_inputs(const AttentionConfig& config, const Weights& weights,
                           std::span<const Projected> sequences, Index query_tokens, const MaskSpec& mask,
                           Format storage) {
  require_mask(config, mask);
  require_queries(config, sequences, query_tokens);
  const reference::VariantMaths& variant = maths(config.variant);
  if (variant.absorb == nullptr) {
    throw std::invalid_argument(config.variant_name() +
                                ": decodes in factor space: use factored_inputs, or materialised_inputs");
  }
  DecodeInputs inputs;
  inputs.heads = head_config(config, storage);
  inputs.scale = config.scale();
  inputs.mask = mask;
  inputs.query_tokens = query_tokens;
  std::vector<Tensor<double>> queries, rope_queries;
  for (const Projected& sequence : sequences) {
    Absorbed call = variant.absorb(Layer{config, weights}, sequence, query_tokens);
    call.cache.left_padding = call.drops_padding ? 0 : sequence.left_padding;
    for (Tensor<double>* part : {&call.cache.keys, &call.cache.values, &call.cache.rope_keys})
      round_all(*part, storage);
    queries.push_back(std::move(call.queries));
    rope_queries.push_back(std::move(call.rope_queries));
    inputs.sequences.push_back(std::move(call.cache));
  }
  inputs.queries = stack(queries);
  inputs.rope_queries = stack(rope_queries);
  round_all(inputs.queries, storage);
  round_all(inputs.rope_queries, storage);
  return inputs;
}

DecodeInputs materialised_inputs(const AttentionConfig& config, const Weights& weights,
                                 std::span<const Projected> sequences, Index query_tokens,
                                 const MaskSpec& mask, Format storage) {
  require_mask(config, mask);
  require_queries(config, sequences, query_tokens);
  const Layer layer{config, weights};
  const auto rows = static_cast<int>(layer.rows());
  DecodeInputs inputs;
  inputs.heads = {.family = Family::grouped,
                  .query_heads = rows,
                  .kv_heads = rows,
                  .branches = 1,
                  .key_dim = static_cast<int>(layer.key_dim()),
                  .rope_dim = 0,
                  .value_dim = config.value_dim,
                  .key_rank = 0,
                  .value_rank = 0,
                  .storage = storage};
  inputs.scale = config.scale();
  inputs.mask = mask;
  inputs.query_tokens = query_tokens;
  std::vector<Tensor<double>> queries;
  for (const Projected& sequence : sequences) {
    Expanded expanded = maths(config.variant).expand(layer, sequence);
    SequenceCache cache{.keys = std::move(expanded.keys),
                        .values = std::move(expanded.values),
                        .rope_keys = {},
                        .left_padding = sequence.left_padding};
    if (expanded.stride > 1) {  // the entries that the last token sees: chunk ends and itself
      std::vector<Index> entries;
      for (Index j = sequence.left_padding; j < sequence.tokens(); ++j) {
        if ((j - sequence.left_padding + 1) % expanded.stride == 0 || j + 1 == sequence.tokens())
          entries.push_back(j);
      }
      for (Tensor<double>* part : {&cache.keys, &cache.values}) {
        Tensor<double> kept{static_cast<Index>(entries.size()), rows, part->size(2)};
        const Index width = rows * part->size(2);
        for (std::size_t e = 0; e < entries.size(); ++e) {
          std::copy_n(part->data() + entries[e] * width, width, kept.data() + static_cast<Index>(e) * width);
        }
        *part = std::move(kept);
      }
      cache.left_padding = 0;
    }
    round_all(cache.keys, storage);
    round_all(cache.values, storage);
    Tensor<double> per_row{query_tokens, rows, layer.key_dim()};
    const Tensor<double> per_head = reference::last(sequence.queries, query_tokens);
    for (Index row = 0; row < rows; ++row) head(per_row, row) = head(per_head, row % layer.heads());
    round_all(per_row, storage);
    queries.push_back(std::move(per_row));
    inputs.sequences.push_back(std::move(cache));
  }
  inputs.queries = stack(queries);
  return inputs;
}

FactoredInputs factored_inputs(const AttentionConfig& config, const Weights& weights,
                               std::span<const Projected> sequences, Index query_tokens, const MaskSpec& mask,
                               Format storage) {
  require_mask(config, mask);
  require_queries(config, sequences, query_tokens);
  const reference::VariantMaths& variant = maths(config.variant);
  if (variant.absorb_factors == nullptr) {
    throw std::invalid_argument(config.variant_name() + ": has no factors: use decode_inputs");
  }
  FactoredInputs inputs;
  inputs.scale = config.scale();
  inputs.mask = mask;
  inputs.query_tokens = query_tokens;
  std::vector<Tensor<double>> queries, factor_queries;
  for (const Projected& sequence : sequences) {
    reference::AbsorbedFactors call = variant.absorb_factors(Layer{config, weights}, sequence, query_tokens);
    call.cache.left_padding = sequence.left_padding;
    FactoredCache& cache = call.cache;
    for (Tensor<double>* part : {&cache.shared_keys, &cache.key_factors, &cache.key_basis, &cache.key_scales,
                                 &cache.shared_values, &cache.value_factors, &cache.value_basis}) {
      round_all(*part, storage);
    }
    queries.push_back(reference::last(sequence.queries, query_tokens));
    factor_queries.push_back(std::move(call.factor_queries));
    inputs.sequences.push_back(std::move(cache));
  }
  inputs.queries = stack(queries);
  inputs.factor_queries = stack(factor_queries);
  round_all(inputs.queries, storage);
  round_all(inputs.factor_queries, storage);
  return inputs;
}

Tensor<double> finish(const AttentionConfig& config, const Weights& weights,
                      std::span<const Projected> sequences, const Tensor<double>& results) {
  return finish_rows(config, weights, sequences, results, true);
}

Tensor<double> finish_materialised(const AttentionConfig& config, const Weights& weights,
                                   std::span<const Projected> sequences, const Tensor<double>& results) {
  return finish_rows(config, weights, sequences, results, false);
}

Tensor<double> materialised_layer(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                                  const MaskSpec& mask) {
  const Projected projected = project(config, weights, tokens);
  const RowResults results = materialised(config, weights, projected, mask);
  const Matrix heads = branch_sum(config, results.output);
  return as_tensor(project_out(Layer{config, weights}, projected, heads),
                   {projected.tokens(), config.hidden});
}

Tensor<double> decode_layer(const AttentionConfig& config, const Weights& weights,
                            std::span<const Tokens> sequences, Index query_tokens, const MaskSpec& mask,
                            Format storage) {
  std::vector<Projected> projected;
  for (const Tokens& tokens : sequences) projected.push_back(project(config, weights, tokens));
  return decode_projected(config, weights, projected, query_tokens, mask, storage);
}

Tensor<double> decode_projected(const AttentionConfig& config, const Weights& weights,
                                std::span<const Projected> sequences, Index query_tokens,
                                const MaskSpec& mask, Format storage) {
  const bool factored = maths(config.variant).absorb_factors != nullptr;
  const DecodeOutputs results =
      factored ? attend(factored_inputs(config, weights, sequences, query_tokens, mask, storage))
               : attend(decode_inputs(config, weights, sequences, query_tokens, mask, storage));
  return finish(config, weights, sequences, results.output);
}

}  // namespace attest
