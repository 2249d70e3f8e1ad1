// From projected sequences to the calls that kernels compute: absorbed or grouped, written out, and in factor
// space.
#include <algorithm>
#include <stdexcept>

#include "reference/layer.h"
#include "reference/variants/steps.h"
#include "reference/variants/variant_maths.h"

namespace attest {
namespace {

using reference::Absorbed;
using reference::Expanded;
using reference::Layer;
using reference::maths;
using reference::require_mask;
using reference::require_whole;

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

}  // namespace attest
