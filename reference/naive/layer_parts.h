// What the families of the naive layer have to provide: queries, and keys and values written out.
#pragma once

#include <functional>

#include "reference/naive/naive_layer.h"

namespace attest::naive {

struct Layer {
  const AttentionConfig& config;
  const LayerWeights& weights;
  const LayerTokens& tokens;

  const Tensor<double>& weight(const std::string& name) const { return weights.at(name); }
  Row projected(const std::string& name, const Row& x) const { return linear(weight(name + ".weight"), x); }
  Index count() const { return tokens.hidden.size(0); }
  Row hidden(Index token) const;
  // Rotated at the token's place.
  Row turned(const Row& x, Index token) const;
  // The first rope_dim elements rotated, the rest as they are; and the same for the last ones.
  Row turned_front(const Row& x, Index token) const;
  Row turned_back(const Row& x, Index token) const;
};

using Heads = std::vector<Row>;  // one row a query head

// What one softmax term reads: a token, or several merged ones.
struct Entry {
  Index token = 0;                  // the last one in it, for the mask
  std::vector<Heads> keys, values;  // [branch][query head]
};

struct Written {
  std::vector<Heads> queries;                              // [token][query head]
  std::function<std::vector<Entry>(Index query)> entries;  // in the cache when that token asks
  Real scale = 1;                                          // of scores
  Real branch_scale = 1;                                   // of the sum over branches
};

Written grouped_query(const Layer& layer);    // naive_grouped.cpp: MHA, MQA, GQA
Written grouped_tied(const Layer& layer);     // naive_grouped.cpp
Written multi_matrix(const Layer& layer);     // naive_grouped.cpp: MFA, MFA-KR
Written latent(const Layer& layer);           // naive_latent.cpp: MLA, GLA, TPLA, MLRA
Written temporal_latent(const Layer& layer);  // naive_latent.cpp: MTLA
Written tensor_product(const Layer& layer);   // naive_factored_layer.cpp: TPA
Written low_rank(const Layer& layer);         // naive_factored_layer.cpp: LRKV

// 1 / sqrt(a key's width), unless the configuration gives the scale.
Real plain_scale(const AttentionConfig& config);
// For variants with one entry a token and one branch: key_and_value(token) -> keys and values of every head.
using KeysAndValues = std::pair<Heads, Heads>;
std::function<std::vector<Entry>(Index)> entry_a_token(
    const Layer& layer, const std::function<KeysAndValues(Index)>& keys_and_values);

}  // namespace attest::naive
