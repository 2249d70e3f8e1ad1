// The keys are listed once a query token, the scores once a row.
#include "reference/row_scores.h"

#include <algorithm>
#include <limits>

#include "reference/mask.h"

namespace attest {

double dot_product(const double* a, const double* b, Index count) {
  constexpr Index kLanes = 8;
  double sums[kLanes] = {};
  Index i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (Index lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (Index lane = 0; i < count; ++i, ++lane) sums[lane] += a[i] * b[i];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

const double* RowScores::key_row(Index token) const {
  return cache_->keys.data() + (token * inputs_.heads.kv_heads + kv_head_) * inputs_.heads.key_dim;
}
const double* RowScores::rope_key_row(Index token) const {
  return cache_->rope_keys.data() + token * inputs_.heads.rope_dim;
}
const double* RowScores::value_row(Index token) const {
  if (inputs_.heads.family == Family::latent) return key_row(token);
  return cache_->values.data() + (token * inputs_.heads.kv_heads + kv_head_) * inputs_.heads.value_dim;
}

void RowScores::see(Index query) {
  const Index position = tokens() - inputs_.query_tokens + query;
  keys.clear();
  for (Index token = 0; token < tokens(); ++token) {
    if (sees(inputs_.mask, position, token, cache_->left_padding)) keys.push_back(token);
  }
}

void RowScores::read(Index batch, Index query, Index row) {
  const HeadConfig& heads = inputs_.heads;
  cache_ = &inputs_.sequences[static_cast<std::size_t>(batch)];
  if (batch != seen_batch_ || query != seen_query_) see(query);
  seen_batch_ = batch;
  seen_query_ = query;

  const Index call_row = batch * inputs_.query_tokens + query;
  const bool latent = heads.family == Family::latent;
  kv_head_ = heads.kv_head_of_row(static_cast<int>(row));
  query_row_ = inputs_.queries.data() + (call_row * heads.rows() + row) * heads.key_dim;
  const Index head = heads.query_head_of_row(static_cast<int>(row));
  rope_query_row_ =
      latent ? inputs_.rope_queries.data() + (call_row * heads.query_heads + head) * heads.rope_dim : nullptr;

  scaled.clear();
  scores.clear();
  maximum = -std::numeric_limits<double>::infinity();
  for (Index token : keys) {
    double score = dot_product(query_row_, key_row(token), heads.key_dim);
    if (latent) score += dot_product(rope_query_row_, rope_key_row(token), heads.rope_dim);
    scaled.push_back(inputs_.scale * score);
    scores.push_back(capped(inputs_.mask, scaled.back()));
    maximum = std::max(maximum, scores.back());
  }
}

}  // namespace attest
