// Multi-matrix factorisation attention: many wide query heads from a normed bottleneck, one key and value
// head; and MFA-KR, whose value is made from its key.
//
//   q_h = R_t(RMSNorm(x W_c) W_q,h)     k = x W_k     score = q_h . R_j(k) / sqrt(dn + dr)
//   MFA      v = x W_v                                          o_h = sum p v
//   MFA-KR   v = k + alpha (.) (N k), k before its rotation     z_h = sum p k,  o_h = z_h + alpha (.) (N z_h)
//
// MFA-KR caches the unrotated key and rotates it when it is loaded: a rotated key would be a wrong value. Its
// names have no released code: value_matrix is N [C, C] and value_gain alpha [C].
#include "reference/variants/grouped.h"
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

std::vector<WeightShape> shared_weights(const AttentionConfig& c) {
  const Index D = c.hidden, dk = c.nope_dim + c.rope_dim;
  return {{"c_q.weight", {c.query_rank, D}},
          {"q_layernorm.weight", {c.query_rank}},
          {"w_q.weight", {c.query_heads * dk, c.query_rank}},
          {"c_k.weight", {dk, D}}};
}
std::vector<WeightShape> weights(const AttentionConfig& c) {
  std::vector<WeightShape> shapes = shared_weights(c);
  shapes.push_back({"c_v.weight", {c.value_dim, c.hidden}});
  return shapes;
}
std::vector<WeightShape> key_reuse_weights(const AttentionConfig& c) {
  std::vector<WeightShape> shapes = shared_weights(c);
  shapes.insert(shapes.end(), {{"value_matrix", {c.value_dim, c.value_dim}}, {"value_gain", {c.value_dim}}});
  return shapes;
}

// q_h = R_t(RMSNorm(x W_c) W_q,h), [S, H, dn | dr]
Tensor<double> queries(const Layer& layer, const Projected& p, const RopeTable& table) {
  const Matrix low = rms_norm(linear(layer, "c_q", matrix(p.hidden)), layer.tensor("q_layernorm.weight"),
                              layer.config.norm_epsilon);
  return rotate_first(layer, table, split_heads(linear(layer, "w_q", low), layer.config.query_heads));
}

void project(const Layer& layer, Projected& p) {
  const RopeTable table = rope(layer, p);
  const auto x = matrix(p.hidden);
  p.queries = queries(layer, p, table);
  p.cache["keys"] = rotate_first(layer, table, split_heads(linear(layer, "c_k", x), 1));
  p.cache["values"] = split_heads(linear(layer, "c_v", x), 1);
}

void key_reuse_project(const Layer& layer, Projected& p) {
  p.queries = queries(layer, p, rope(layer, p));
  p.cache["keys"] = split_heads(linear(layer, "c_k", matrix(p.hidden)), 1);  // not rotated
}

std::vector<CachePart> key_reuse_cache(const AttentionConfig& c) { return {{"keys", {1, c.value_dim}}}; }

// z + alpha (.) (N z), row by row; the same map makes v of k and o of z.
Tensor<double> key_reuse_value(const Layer& layer, const Tensor<double>& z) {
  Tensor<double> values(z.shape());
  const Matrix turned = product_transposed(matrix(z), layer.matrix("value_matrix"));
  matrix(values) = matrix(z) + turned * layer.matrix("value_gain").row(0).asDiagonal();
  return values;
}

Expanded key_reuse_expand(const Layer& layer, const Projected& p) {
  const Tensor<double>& k = p.cache.at("keys");  // [S, 1, C]
  return {.keys = repeat_heads(rotate_first(layer, rope(layer, p), k), layer.config.query_heads),
          .values = repeat_heads(key_reuse_value(layer, k), layer.config.query_heads)};
}

Absorbed key_reuse_absorb(const Layer& layer, const Projected& p, Index query_tokens) {
  const Tensor<double>& k = p.cache.at("keys");
  return {.queries = last(p.queries, query_tokens),
          .rope_queries = {},
          .cache = {.keys = rotate_first(layer, rope(layer, p), k), .values = k, .rope_keys = {}}};
}

std::vector<WeightSlice> shared_slices(const AttentionConfig& c, const Holding& rank) {
  return {whole("c_q.weight"), whole("q_layernorm.weight"),
          rows_of_heads("w_q.weight", rank.query_heads, c.nope_dim + c.rope_dim), whole("c_k.weight")};
}
std::vector<WeightSlice> slices(const AttentionConfig& c, const Holding& rank) {
  std::vector<WeightSlice> all = shared_slices(c, rank);
  all.push_back(whole("c_v.weight"));
  return all;
}
std::vector<WeightSlice> key_reuse_slices(const AttentionConfig& c, const Holding& rank) {
  std::vector<WeightSlice> all = shared_slices(c, rank);
  all.insert(all.end(), {whole("value_matrix"), whole("value_gain")});
  return all;
}

}  // namespace

VariantMaths multi_matrix() {
  return {.variant = Variant::mfa,
          .weights = weights,
          .project = project,
          .cache = grouped_cache,
          .expand = grouped_expand,
          .absorb = grouped_absorb,
          .slices = slices};
}

VariantMaths multi_matrix_key_reuse() {
  return {.variant = Variant::mfa_kr,
          .weights = key_reuse_weights,
          .project = key_reuse_project,
          .cache = key_reuse_cache,
          .expand = key_reuse_expand,
          .absorb = key_reuse_absorb,
          .up_project = key_reuse_value,
          .slices = key_reuse_slices};
}

}  // namespace attest::reference
