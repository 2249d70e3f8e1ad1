// Grouped-query attention, with multi-head (a KV head per query head) and multi-query (one for all) as its
// ends.
//
//   q_h = R_t(x W_q,h)   k_g = R_j(x W_k,g)   v_g = x W_v,g   g = h / (H / G)
//   o_h = softmax(q_h k_g^T / sqrt(dn + dr)) v_g        y = concat_h(o_h [* sigmoid(x W_gate)]) W_o
//
// A head's first dr elements rotate and its last dn pass (partial rotary). Qwen2 adds biases to q, k, v;
// Qwen3 norms q and k per head before they rotate.
#include "reference/variants/grouped.h"
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

std::vector<WeightShape> weights(const AttentionConfig& c) {
  const Index D = c.hidden, dk = c.nope_dim + c.rope_dim, H = c.query_heads, G = c.kv_heads;
  std::vector<WeightShape> shapes = {
      {"c_q.weight", {H * dk, D}}, {"c_k.weight", {G * dk, D}}, {"c_v.weight", {G * c.value_dim, D}}};
  if (c.qkv_bias) {
    shapes.insert(shapes.end(),
                  {{"c_q.bias", {H * dk}}, {"c_k.bias", {G * dk}}, {"c_v.bias", {G * c.value_dim}}});
  }
  if (c.qk_norm) shapes.insert(shapes.end(), {{"q_norm.weight", {dk}}, {"k_norm.weight", {dk}}});
  return shapes;
}

void project(const Layer& layer, Projected& p) {
  const AttentionConfig& c = layer.config;
  const RopeTable table = rope(layer, p);
  const auto x = matrix(p.hidden);                                         // [S, D]
  Tensor<double> q = split_heads(linear(layer, "c_q", x), c.query_heads);  // [S, H, dr | dn]
  Tensor<double> k = split_heads(linear(layer, "c_k", x), c.kv_heads);     // [S, G, dr | dn]
  if (c.qk_norm) {
    rms_norm_heads(q, layer.tensor("q_norm.weight"), c.norm_epsilon);
    rms_norm_heads(k, layer.tensor("k_norm.weight"), c.norm_epsilon);
  }
  p.queries = rotate_first(layer, table, q);
  p.cache["keys"] = rotate_first(layer, table, k);
  p.cache["values"] = split_heads(linear(layer, "c_v", x), c.kv_heads);
}

std::vector<WeightSlice> slices(const AttentionConfig& c, const Holding& rank) {
  const Index dk = c.nope_dim + c.rope_dim;
  std::vector<WeightSlice> cuts = {rows_of_heads("c_q.weight", rank.query_heads, dk),
                                   rows_of_heads("c_k.weight", rank.kv_heads, dk),
                                   rows_of_heads("c_v.weight", rank.kv_heads, c.value_dim)};
  if (c.qkv_bias) {
    cuts.insert(cuts.end(), {rows_of_heads("c_q.bias", rank.query_heads, dk),
                             rows_of_heads("c_k.bias", rank.kv_heads, dk),
                             rows_of_heads("c_v.bias", rank.kv_heads, c.value_dim)});
  }
  if (c.qk_norm) cuts.insert(cuts.end(), {whole("q_norm.weight"), whole("k_norm.weight")});
  return cuts;
}

VariantMaths with_heads(Variant variant) {
  return {.variant = variant,
          .weights = weights,
          .project = project,
          .cache = grouped_cache,
          .expand = grouped_expand,
          .absorb = grouped_absorb,
          .slices = slices,
          .gate = "c_gated.weight"};
}

}  // namespace

std::vector<CachePart> grouped_cache(const AttentionConfig& c) {
  return {{"keys", {c.kv_heads, c.nope_dim + c.rope_dim}}, {"values", {c.kv_heads, c.value_dim}}};
}

Expanded grouped_expand(const Layer& layer, const Projected& p) {
  const Index group = layer.config.query_heads / layer.config.kv_heads;
  return {.keys = repeat_heads(p.cache.at("keys"), group),
          .values = repeat_heads(p.cache.at("values"), group)};
}

Absorbed grouped_absorb(const Layer&, const Projected& p, Index query_tokens) {
  return {.queries = last(p.queries, query_tokens),
          .rope_queries = {},
          .cache = {.keys = p.cache.at("keys"), .values = p.cache.at("values"), .rope_keys = {}}};
}

VariantMaths multi_head() { return with_heads(Variant::mha); }
VariantMaths multi_query() { return with_heads(Variant::mqa); }
VariantMaths grouped_query() { return with_heads(Variant::gqa); }

}  // namespace attest::reference
