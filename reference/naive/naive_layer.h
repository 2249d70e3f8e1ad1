// The second reference of a whole attention layer, hidden states to output: it exists to catch the mistakes
// of the first.
//
// Two references, because one that is wrong would make every kernel that copies it right. This one is written
// from the papers' equations and the released code's definitions, in the materialised form alone: every head
// of every branch gets its keys and values written out, token by token, in long double. It shares with the
// first (reference/layer.h) the vocabulary, that is configurations, masks and tensors as values, and nothing
// else: no Eigen, and no helper that finds a head, a latent, a visible key, an angle, a norm or a scale.
// Where an equation can be read in two ways, it takes the other one:
//   LRKV    multiplies W_sh + U_h B_h^T out and projects with that (the first adds projected residuals)
//   MFA-KR  makes the value's weight matrix (the first maps keys to values)
//   TPA     contracts and then rotates (the first rotates the factors)
//   MTLA    sums every query's cache entries anew (the first uses the strided mask)
//   masks   are rules about ages and numbers (the first compares indices)
// Only the layout of released weights has one definition (names and axes), and golden files check that.
#pragma once

#include <map>
#include <string>

#include "reference/attention_config.h"
#include "reference/mask_spec.h"
#include "reference/naive/naive_rope.h"
#include "reference/tensor.h"

namespace attest::naive {

using LayerWeights = std::map<std::string, Tensor<double>>;  // names and shapes as released

// One sequence.
struct LayerTokens {
  Tensor<double> hidden;      // [S, D]
  std::vector<Place> places;  // [S]; empty: token i stands at i on every axis
  Index left_padding = 0;
};

struct LayerOutput {
  Tensor<double> output;    // [S, D]; every token is a query
  Tensor<double> absolute;  // [S, D]: Number::size of every output
};

// For small sizes: cost is S^2 times all widths. Throws std::invalid_argument for a layer that is not whole
// (a rank's share of the latents), for what definitions.h and rope_angle refuse, std::out_of_range for a
// missing weight.
LayerOutput layer(const AttentionConfig& config, const LayerWeights& weights, const LayerTokens& tokens,
                  const MaskSpec& mask);

}  // namespace attest::naive
