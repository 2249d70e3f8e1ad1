// One attention layer in double precision: its weights, its projections, its materialised form, and the
// decode form that a kernel computes, for every variant.
//
// Symbols: S tokens of a sequence, B sequences, T query tokens (the last of each sequence), D hidden width, H
// query heads, rows = H * branches (row r is branch r / H of head r mod H), dn/dr/dv position-free, rotated
// and value width.
//
//   hidden --project--> queries, cache --expand--------> keys, values --softmax--> rows --combine--> [T, D]
//   materialised
//                                      --decode_inputs-> absorbed ----attend----> rows --finish----> [T, D]
//                                      decode form
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "reference/attention_config.h"
#include "reference/decode_call.h"
#include "reference/factored_call.h"
#include "reference/mask_spec.h"
#include "reference/number_formats.h"
#include "reference/rope.h"
#include "reference/tensor.h"

namespace attest {

// Name as released, without the layer's prefix ("q_a_proj.weight") -> values. nn.Linear weights are [out,
// in]; raw parameters (kv_b_proj of MLRA and GLA-4: [latent, in, out]) are as released.
using Weights = std::map<std::string, Tensor<double>>;

struct WeightShape {
  std::string name;
  std::vector<Index> shape;
};
// What `config` needs, in the order of the released modules. Throws std::invalid_argument with
// config.problems().
std::vector<WeightShape> weight_shapes(const AttentionConfig& config);
// Throws std::invalid_argument naming the first tensor that is missing or has another shape. Further tensors
// are ignored.
void check_weights(const AttentionConfig& config, const Weights& weights);
// Linear weights are normal with variance 1 / in (so that every width gives scores of order one), gains 1 +
// 0.1 normal, biases 0.1 normal. A tensor depends on seed and name only, element by element.
Weights random_weights(const AttentionConfig& config, std::uint64_t seed);
Tensor<double> random_weight(const WeightShape& shape, std::uint64_t seed);

// What the sum over a head's branches is multiplied by: MLRA-4 1/2, MLRA-2 1/sqrt(2) (its no-scale ablation:
// 1), else 1. A rank that holds some of the branches scales by the whole layer's number.
double branch_scale(const AttentionConfig& config);

// The tokens that a layer reads, of one sequence.
struct Tokens {
  Tensor<double> hidden;            // [S, D]
  Index first_position = 0;         // token i stands at first_position + i on every axis, unless
  std::vector<Position> positions;  // [S] says otherwise
  Index left_padding = 0;           // tokens at the front of the sequence that nobody may see
  Index first_token =
      0;  // tokens of the sequence before these (cached already), which MTLA's chunks are counted from
};

// Queries and cache entries of one sequence; everything is rotated as the released code caches it.
struct Projected {
  Tensor<double> hidden;                        // [S, D], for the gate
  Tensor<double> queries;                       // [S, H, dn + dr], position-free part first
  std::map<std::string, Tensor<double>> cache;  // parts named as in cache_parts(config): [S, part's shape..]
  std::vector<Position> positions;              // [S]
  Index left_padding = 0;
  Index first_token = 0;  // 0 for a whole sequence
  Index tokens() const { return hidden.size(0); }
};
Projected project(const AttentionConfig& config, const Weights& weights, const Tokens& tokens);

// Adds new tokens to a cache: `fresh` was projected with first_token = cached.tokens(). An empty `cached`
// becomes `fresh`.
void append(Projected& cached, const Projected& fresh);

// Results of softmax attention before up-projection, branch sum, gate and output projection.
struct RowResults {
  Tensor<double> output;  // [T, rows, width]; zeros for a row that sees nothing
  Tensor<double> lse;     // [T, rows] natural log-sum-exp; -infinity for a row that sees nothing
  Tensor<double> scores;  // [T, rows, S] scaled and capped; -infinity where masked
};
// Every token of the sequence is a query; keys and values of every row are written out.
RowResults materialised(const AttentionConfig& config, const Weights& weights, const Projected& projected,
                        const MaskSpec& mask);

// The decode call of the last `query_tokens` tokens of each sequence, values rounded to `storage` (f64: not
// at all). Latent variants: absorbed queries over latents; grouped ones: their keys and values. Throws
// std::invalid_argument for the factored family (see factored_inputs), for unequal configurations, and for
// what a variant cannot do (MTLA: several query tokens, windows).
DecodeInputs decode_inputs(const AttentionConfig& config, const Weights& weights,
                           std::span<const Projected> sequences, Index query_tokens, const MaskSpec& mask,
                           Format storage);
// The same call with keys and values written out per row, as a grouped call of `rows` heads: how a grouped
// kernel computes any variant. Results are finished with finish_materialised.
DecodeInputs materialised_inputs(const AttentionConfig& config, const Weights& weights,
                                 std::span<const Projected> sequences, Index query_tokens,
                                 const MaskSpec& mask, Format storage);
// The same call in factor space (TPA, LRKV).
FactoredInputs factored_inputs(const AttentionConfig& config, const Weights& weights,
                               std::span<const Projected> sequences, Index query_tokens, const MaskSpec& mask,
                               Format storage);

// From a decode call's results [B, T, rows, width] to the layer's output [B, T, D]: up-projection of every
// row, branch sum and scale, gate, output projection.
Tensor<double> finish(const AttentionConfig& config, const Weights& weights,
                      std::span<const Projected> sequences, const Tensor<double>& results);
// The same without up-projection, for rows that are already values [B, T, rows, dv].
Tensor<double> finish_materialised(const AttentionConfig& config, const Weights& weights,
                                   std::span<const Projected> sequences, const Tensor<double>& results);

// Hidden states to layer output [S, D] in one go, every token a query: materialised form.
Tensor<double> materialised_layer(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                                  const MaskSpec& mask = {});
// The last `query_tokens` of each sequence through the decode form, [B, T, D].
Tensor<double> decode_layer(const AttentionConfig& config, const Weights& weights,
                            std::span<const Tokens> sequences, Index query_tokens, const MaskSpec& mask = {},
                            Format storage = Format::f64);

// The same from projections, for a caller that keeps caches.
Tensor<double> decode_projected(const AttentionConfig& config, const Weights& weights,
                                std::span<const Projected> sequences, Index query_tokens,
                                const MaskSpec& mask = {}, Format storage = Format::f64);

}  // namespace attest
