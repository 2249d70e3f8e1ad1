// Tensor product attention: queries, keys and values are averages of outer products of a factor over heads
// and one over a head's width, and the factors are what is cached.
//
//   A_Q [H, R_Q], B_Q [R_Q, d] = x W   q_h = 1/R_Q sum_r A_Q[h, r] R_t(B_Q[r]);   k_h, v_h likewise with R_K,
//   R_V (v not rotated) factor space   score = s/R_K sum_u A_K[h, u] (q_h . B_K[u])       o_h = sum_j p_j
//   1/R_V sum_u A_V[h, u] B_V[u]
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

struct Factors {
  Tensor<double> over_heads;  // A [S, H, R]
  Tensor<double> over_width;  // B [S, R, d]
};
Factors factors(const Layer& layer, const Projected& p, const std::string& which, Index rank) {
  const auto x = matrix(p.hidden);
  return {split_heads(linear(layer, "c_qkv.W_A_" + which, x), layer.config.query_heads),
          split_heads(linear(layer, "c_qkv.W_B_" + which, x), rank)};
}

// 1/R A B, token by token: [S, H, d]
Tensor<double> contract(const Tensor<double>& a, const Tensor<double>& b) {
  Tensor<double> heads{a.size(0), a.size(1), b.size(2)};
  const Index H = a.size(1), R = a.size(2), d = b.size(2);
  for (Index token = 0; token < a.size(0); ++token) {
    const ConstMatrixMap over_heads(a.data() + token * H * R, H, R),
        over_width(b.data() + token * R * d, R, d);
    MatrixMap(heads.data() + token * H * d, H, d) = product(over_heads, over_width) / static_cast<double>(R);
  }
  return heads;
}

std::vector<WeightShape> weights(const AttentionConfig& c) {
  const Index D = c.hidden, H = c.query_heads, dk = c.nope_dim + c.rope_dim;
  return {{"c_qkv.W_A_q.weight", {H * c.query_rank, D}},
          {"c_qkv.W_A_k.weight", {H * c.key_rank, D}},
          {"c_qkv.W_A_v.weight", {H * c.value_rank, D}},
          {"c_qkv.W_B_q.weight", {c.query_rank * dk, D}},
          {"c_qkv.W_B_k.weight", {c.key_rank * dk, D}},
          {"c_qkv.W_B_v.weight", {Index{c.value_rank} * c.value_dim, D}}};
}

void project(const Layer& layer, Projected& p) {
  const AttentionConfig& c = layer.config;
  const RopeTable table = rope(layer, p);
  const Factors q = factors(layer, p, "q", c.query_rank), k = factors(layer, p, "k", c.key_rank),
                v = factors(layer, p, "v", c.value_rank);
  p.queries = contract(q.over_heads, rotate_first(layer, table, q.over_width));
  p.cache["key_factors"] = k.over_heads;
  p.cache["key_basis"] = rotate_first(layer, table, k.over_width);
  p.cache["value_factors"] = v.over_heads;
  p.cache["value_basis"] = v.over_width;
}

std::vector<CachePart> cache(const AttentionConfig& c) {
  return {{"key_factors", {c.query_heads, c.key_rank}},
          {"key_basis", {c.key_rank, c.nope_dim + c.rope_dim}},
          {"value_factors", {c.query_heads, c.value_rank}},
          {"value_basis", {c.value_rank, c.value_dim}}};
}

Expanded expand(const Layer&, const Projected& p) {
  return {.keys = contract(p.cache.at("key_factors"), p.cache.at("key_basis")),
          .values = contract(p.cache.at("value_factors"), p.cache.at("value_basis"))};
}

AbsorbedFactors absorb(const Layer& layer, const Projected& p, Index) {
  FactoredCache cache{.shared_keys = {},
                      .key_factors = p.cache.at("key_factors"),
                      .key_basis = p.cache.at("key_basis"),
                      .key_scales = {},
                      .shared_values = {},
                      .value_factors = p.cache.at("value_factors"),
                      .value_basis = p.cache.at("value_basis")};
  matrix(cache.key_factors) /= layer.config.key_rank;
  matrix(cache.value_factors) /= layer.config.value_rank;
  return {.factor_queries = {}, .cache = std::move(cache)};
}

std::vector<WeightSlice> slices(const AttentionConfig& c, const Holding& rank) {
  return {rows_of_heads("c_qkv.W_A_q.weight", rank.query_heads, c.query_rank),
          rows_of_heads("c_qkv.W_A_k.weight", rank.query_heads, c.key_rank),
          rows_of_heads("c_qkv.W_A_v.weight", rank.query_heads, c.value_rank),
          whole("c_qkv.W_B_q.weight"),
          whole("c_qkv.W_B_k.weight"),
          whole("c_qkv.W_B_v.weight")};
}

}  // namespace

VariantMaths tensor_product() {
  return {.variant = Variant::tpa,
          .weights = weights,
          .project = project,
          .cache = cache,
          .expand = expand,
          .absorb_factors = absorb,
          .slices = slices};
}

}  // namespace attest::reference
