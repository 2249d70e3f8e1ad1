// One attention layer: projection, materialised form, and the way from rows to the output, as they are for
// every variant.
#include "reference/layer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "reference/attend.h"
#include "reference/variants/steps.h"
#include "reference/variants/variant_maths.h"

namespace attest {
namespace {

using reference::Expanded;
using reference::Layer;
using reference::maths;
using reference::require_mask;
using reference::require_valid;
using reference::require_whole;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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

}  // namespace

double branch_scale(const AttentionConfig& config) {
  if (config.variant == Variant::mlra_4) return 0.5;
  if (config.variant == Variant::mlra_2) return config.unscaled ? 1 : std::sqrt(0.5);
  return 1;
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
