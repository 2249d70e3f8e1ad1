// Grouped-tied attention: one tied state per group is the position-free half of its keys and all of its
// values; the rotated half of the keys is one for all heads.
//
//   [q_n | q_r]_h = x W_q,h, q_r <- R_t(q_r)     u_g = x W_kv,g     k_r = R_j(x W_rope)
//   score = (q_n . u_g[:dn] + q_r . k_r) / sqrt(dn + dr)     o_h = sum p u_g,     g = h / (H / G)
//
// As a latent kernel sees it: latent g is u_g, and the absorbed query is q_n with zeros for the rest of u_g.
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

std::vector<WeightShape> weights(const AttentionConfig& c) {
  const Index D = c.hidden;
  return {{"c_q.weight", {Index{c.query_heads} * (c.nope_dim + c.rope_dim), D}},
          {"kv_proj.weight", {Index{c.kv_heads} * c.value_dim, D}},
          {"W_rope_k.weight", {c.rope_dim, D}}};
}

void project(const Layer& layer, Projected& p) {
  const AttentionConfig& c = layer.config;
  const RopeTable table = rope(layer, p);
  const auto x = matrix(p.hidden);                                               // [S, D]
  const Tensor<double> q = split_heads(linear(layer, "c_q", x), c.query_heads);  // [S, H, dn | dr]
  p.queries = join(columns(q, 0, c.nope_dim), rotated(table, columns(q, c.nope_dim, c.rope_dim)));
  p.cache["latents"] = split_heads(linear(layer, "kv_proj", x), c.kv_heads);  // [S, G, dv]
  const Tensor<double> rope_key = rotated(table, split_heads(linear(layer, "W_rope_k", x), 1));
  p.cache["rope_keys"] = as_tensor(matrix(rope_key), {p.tokens(), c.rope_dim});
}

std::vector<CachePart> cache(const AttentionConfig& c) {
  return {{"latents", {c.kv_heads, c.value_dim}}, {"rope_keys", {c.rope_dim}}};
}

Expanded expand(const Layer& layer, const Projected& p) {
  const AttentionConfig& c = layer.config;
  const Tensor<double> state = repeat_heads(p.cache.at("latents"), c.query_heads / c.kv_heads);  // [S, H, dv]
  const Tensor<double>& rope_key = p.cache.at("rope_keys");
  const Tensor<double> shared =
      repeat_heads(as_tensor(matrix(rope_key), {p.tokens(), 1, c.rope_dim}), c.query_heads);  // [S, H, dr]
  return {.keys = join(columns(state, 0, c.nope_dim), shared), .values = state};
}

Absorbed absorb(const Layer& layer, const Projected& p, Index query_tokens) {
  const AttentionConfig& c = layer.config;
  const Tensor<double> queries = last(p.queries, query_tokens);
  const Tensor<double> nothing{query_tokens, c.query_heads, c.value_dim - c.nope_dim};
  return {.queries = join(columns(queries, 0, c.nope_dim), nothing),
          .rope_queries = columns(queries, c.nope_dim, c.rope_dim),
          .cache = {.keys = p.cache.at("latents"), .values = {}, .rope_keys = p.cache.at("rope_keys")}};
}

std::vector<WeightSlice> slices(const AttentionConfig& c, const Holding& rank) {
  return {rows_of_heads("c_q.weight", rank.query_heads, c.nope_dim + c.rope_dim),
          rows_of_heads("kv_proj.weight", rank.kv_heads, c.value_dim), whole("W_rope_k.weight")};
}

}  // namespace

VariantMaths grouped_tied() {
  return {.variant = Variant::gta,
          .weights = weights,
          .project = project,
          .cache = cache,
          .expand = expand,
          .absorb = absorb,
          .slices = slices};
}

}  // namespace attest::reference
