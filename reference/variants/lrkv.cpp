// Low-rank key value attention: every head's key and value is a shared one plus a low-rank residual of its
// own.
//
//   k_h = k_sh + r_h B_h^T    k_sh = x W_k (d wide), r_h = x U_h (r wide), B_h a parameter [d, r];   v_h
//   likewise, never rotated keys are rotated as a sum: K_h = R_j(norm(k_h)), norm = RMSNorm with gain g when
//   qk_norm is on, else nothing decode form    score = s n_{j,h} (q . R_j(g k_sh) + sum_u r_{h,u} q . R_j(g
//   B_h,u)),   n = 1 / RMS(k_h), or 1
//
// The paper rotates r itself and keeps B, which is another score, as the rotation does not commute with B_h
// (known_defects.h). Exact and with a fixed query is: q . R_j(b) = sum over pairs of (q1 b1 + q2 b2) cos a_j
// + (q2 b1 - q1 b2) sin a_j. The brackets need no key, so they are the absorbed query; cosines and sines
// follow from the position. RMS(k_h) comes from the Gram matrix of B_h: |k_h|^2 = |k_sh|^2 + 2 (k_sh B_h) . r
// + r (B_h^T B_h) r^T. No code is released; names are ours: key_down is U [H r, D], key_up is B^T stacked [H,
// r, d].
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

std::vector<WeightShape> weights(const AttentionConfig& c) {
  const Index D = c.hidden, H = c.query_heads, dk = c.nope_dim + c.rope_dim;
  std::vector<WeightShape> shapes = {{"c_q.weight", {H * dk, D}},
                                     {"c_k.weight", {dk, D}},
                                     {"c_v.weight", {c.value_dim, D}},
                                     {"key_down.weight", {H * c.key_rank, D}},
                                     {"key_up", {H, c.key_rank, dk}},
                                     {"value_down.weight", {H * c.value_rank, D}},
                                     {"value_up", {H, c.value_rank, c.value_dim}}};
  if (c.qk_norm) shapes.insert(shapes.end(), {{"q_norm.weight", {dk}}, {"k_norm.weight", {dk}}});
  return shapes;
}

// B_h^T of head h, [r, d]
ConstMatrixMap basis(const Layer& layer, const std::string& name, Index h) {
  const Tensor<double>& stack = layer.tensor(name);
  return {stack.data() + h * stack.size(1) * stack.size(2), stack.size(1), stack.size(2)};
}

// shared_j + r_{j,h} B_h^T, [S, H, d]
Tensor<double> sums(const Layer& layer, const Matrix& shared, const Tensor<double>& factors,
                    const std::string& up) {
  Tensor<double> all{shared.rows(), layer.heads(), shared.cols()};
  for (Index h = 0; h < layer.heads(); ++h)
    head(all, h) = shared + product(head(factors, h), basis(layer, up, h));
  return all;
}

// 1 / RMS of every head's summed key, [S, H], from the Gram matrix.
Tensor<double> inverse_rms(const Layer& layer, const Matrix& shared, const Tensor<double>& factors) {
  Tensor<double> scales{shared.rows(), layer.heads()};
  const auto width = static_cast<double>(shared.cols());
  for (Index h = 0; h < layer.heads(); ++h) {
    const Matrix up = basis(layer, "key_up", h), gram = product_transposed(up, up);
    const Matrix mixed = product_transposed(shared, up);
    const Matrix r = head(factors, h), turned = product(r, gram);
    for (Index j = 0; j < shared.rows(); ++j) {
      const double square =
          shared.row(j).squaredNorm() + 2 * mixed.row(j).dot(r.row(j)) + turned.row(j).dot(r.row(j));
      scales(j, h) = 1 / std::sqrt(square / width + layer.config.norm_epsilon);
    }
  }
  return scales;
}

void project(const Layer& layer, Projected& p) {
  const AttentionConfig& c = layer.config;
  const RopeTable table = rope(layer, p);
  const auto x = matrix(p.hidden);
  Tensor<double> q = split_heads(linear(layer, "c_q", x), c.query_heads);
  if (c.qk_norm) rms_norm_heads(q, layer.tensor("q_norm.weight"), c.norm_epsilon);
  p.queries = rotate_first(layer, table, q);

  Matrix shared = linear(layer, "c_k", x);  // [S, dr | dn]
  Tensor<double> factors = split_heads(linear(layer, "key_down", x), c.query_heads);
  if (c.qk_norm) {
    p.cache["key_scales"] = inverse_rms(layer, shared, factors);
    shared = shared * layer.matrix("k_norm.weight").row(0).asDiagonal();
  }
  const Tensor<double> rotated_key = rotate_first(layer, table, split_heads(shared, 1));
  p.cache["shared_keys"] = as_tensor(matrix(rotated_key), {p.tokens(), layer.key_dim()});
  p.cache["key_factors"] = std::move(factors);
  p.cache["shared_values"] = as_tensor(linear(layer, "c_v", x), {p.tokens(), c.value_dim});
  p.cache["value_factors"] = split_heads(linear(layer, "value_down", x), c.query_heads);
}

std::vector<CachePart> cache(const AttentionConfig& c) {
  std::vector<CachePart> parts = {{"shared_keys", {c.nope_dim + c.rope_dim}},
                                  {"key_factors", {c.query_heads, c.key_rank}},
                                  {"shared_values", {c.value_dim}},
                                  {"value_factors", {c.query_heads, c.value_rank}}};
  if (c.qk_norm) parts.push_back({"key_scales", {c.query_heads}});
  return parts;
}

// From the hidden states, by the definition: sum, then norm, then rotation.
Expanded expand(const Layer& layer, const Projected& p) {
  const AttentionConfig& c = layer.config;
  const auto x = matrix(p.hidden);
  Tensor<double> keys = sums(layer, linear(layer, "c_k", x),
                             split_heads(linear(layer, "key_down", x), c.query_heads), "key_up");
  if (c.qk_norm) rms_norm_heads(keys, layer.tensor("k_norm.weight"), c.norm_epsilon);
  return {.keys = rotate_first(layer, rope(layer, p), keys),
          .values = sums(layer, linear(layer, "c_v", x),
                         split_heads(linear(layer, "value_down", x), c.query_heads), "value_up")};
}

AbsorbedFactors absorb(const Layer& layer, const Projected& p, Index query_tokens) {
  const AttentionConfig& c = layer.config;
  const Index dn = c.nope_dim, dr = c.rope_dim, pairs = dr / 2, H = c.query_heads, S = p.tokens();
  const Tensor<double> queries = last(p.queries, query_tokens);  // [T, H, dn | dr]
  // basis of token j: [1 | cosines | sines];  query of head h, term u: [q_n . b_n | q1 b1 + q2 b2 | q2 b1 -
  // q1 b2]
  const RopeTable table = rope(layer, p);
  Tensor<double> turns{S, 1, 1 + dr};
  for (Index j = 0; j < S; ++j) {
    turns(j, 0, 0) = 1;
    for (Index i = 0; i < pairs; ++i) {
      turns(j, 0, 1 + i) = table.cosine(j, i);
      turns(j, 0, 1 + pairs + i) = table.sine(j, i);
    }
  }
  Tensor<double> brackets{query_tokens, H, c.key_rank, 1 + dr};
  for (Index h = 0; h < H; ++h) {
    Matrix up = basis(layer, "key_up", h);  // [r, dr | dn]
    if (c.qk_norm) up = up * layer.matrix("k_norm.weight").row(0).asDiagonal();
    for (Index t = 0; t < query_tokens; ++t) {
      for (Index u = 0; u < c.key_rank; ++u) {
        double constant = 0;
        for (Index e = 0; e < dn; ++e) constant += queries(t, h, e) * up(u, dr + e);
        brackets(t, h, u, 0) = constant;
        for (Index i = 0; i < pairs; ++i) {
          const auto [first, second] = rope_pair(table.pairing, dr, i);
          const double q1 = queries(t, h, dn + first), q2 = queries(t, h, dn + second);
          brackets(t, h, u, 1 + i) = q1 * up(u, first) + q2 * up(u, second);
          brackets(t, h, u, 1 + pairs + i) = q2 * up(u, first) - q1 * up(u, second);
        }
      }
    }
  }
  FactoredCache cache{.shared_keys = p.cache.at("shared_keys"),
                      .key_factors = p.cache.at("key_factors"),
                      .key_basis = std::move(turns),
                      .key_scales = c.qk_norm ? p.cache.at("key_scales") : Tensor<double>{},
                      .shared_values = p.cache.at("shared_values"),
                      .value_factors = p.cache.at("value_factors"),
                      .value_basis = {}};
  return {.factor_queries = std::move(brackets), .cache = std::move(cache)};
}

// o_h = z_sh + z_r B_h^T
Tensor<double> up_project(const Layer& layer, const Tensor<double>& rows) {
  const Index dv = layer.config.value_dim, rank = layer.config.value_rank;
  Tensor<double> values{rows.size(0), layer.heads(), dv};
  for (Index h = 0; h < layer.heads(); ++h) {
    head(values, h) = head(rows, h, 0, dv) + product(head(rows, h, dv, rank), basis(layer, "value_up", h));
  }
  return values;
}

std::vector<WeightSlice> slices(const AttentionConfig& c, const Holding& rank) {
  std::vector<WeightSlice> all = {rows_of_heads("c_q.weight", rank.query_heads, c.nope_dim + c.rope_dim),
                                  whole("c_k.weight"),
                                  whole("c_v.weight"),
                                  rows_of_heads("key_down.weight", rank.query_heads, c.key_rank),
                                  rows_of_heads("key_up", rank.query_heads, 1),
                                  rows_of_heads("value_down.weight", rank.query_heads, c.value_rank),
                                  rows_of_heads("value_up", rank.query_heads, 1)};
  if (c.qk_norm) all.insert(all.end(), {whole("q_norm.weight"), whole("k_norm.weight")});
  return all;
}

}  // namespace

VariantMaths low_rank_key_value() {
  return {.variant = Variant::lrkv,
          .weights = weights,
          .project = project,
          .cache = cache,
          .expand = expand,
          .absorb_factors = absorb,
          .up_project = up_project,
          .slices = slices};
}

}  // namespace attest::reference
