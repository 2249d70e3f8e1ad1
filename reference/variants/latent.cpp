// What all variants share that cache latents and one rotated key.
//
//   c_q = sqrt(D / d_q) RMSNorm(x W_qa)      [q_n | q_r]_h = c_q W_qb,h           q_r <- R_t(q_r)
//   [c_0 .. c_{L-1} | k_r] = x W_kva         c_l <- sqrt(D / d_l) RMSNorm_l(c_l)  k_r <- R_j(k_r)
//   materialised   [k_n | v]_{l,h} = c_l U_{l,h}^T   score = s (q_n . k_n + q_r . k_r)              o = sum p
//   v absorbed       q'_{l,h} = q_n UK_{l,h}           score = s (q' . c_l + q_r . k_r)    z = sum p c_l, o =
//   z UV_{l,h}^T
#include "reference/variants/latent.h"

#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

Index rows_per_latent(const Layer& layer) { return layer.rows() / layer.config.latent_heads; }

// The rows of U_l that make a head's key, or its value.
auto key_rows(const Layer& layer, const Matrix& up, Index head) {
  const Index dn = layer.config.nope_dim;
  return up.middleRows(head * (dn + layer.config.value_dim), dn);
}
auto value_rows(const Layer& layer, const Matrix& up, Index head) {
  const Index dn = layer.config.nope_dim, dv = layer.config.value_dim;
  return up.middleRows(head * (dn + dv) + dn, dv);
}

}  // namespace

Index heads_per_latent(const AttentionConfig& c) {
  return Index{c.query_heads} * c.branches() / c.latent_heads;
}

Range heads_in_latent(const AttentionConfig& c, const Holding& rank) {
  const Index served = heads_per_latent(c);
  return {rank.query_heads.first % served, std::min(rank.query_heads.count, served)};
}

std::vector<WeightShape> latent_weights(const AttentionConfig& c, const LatentLayout& layout) {
  const Index D = c.hidden, dq = c.query_rank, q = Index{c.query_heads} * (c.nope_dim + c.rope_dim);
  std::vector<WeightShape> shapes;
  if (dq > 0) {
    shapes = {{"q_a_proj.weight", {dq, D}}, {"q_a_layernorm.weight", {dq}}, {"q_b_proj.weight", {q, dq}}};
  } else {
    shapes = {{"q_proj.weight", {q, D}}};
  }
  shapes.push_back({"kv_a_proj_with_mqa.weight", {c.rank_latent_width() + c.rope_dim, D}});
  const std::vector<WeightShape> latents = layout.latent_weights(c);
  shapes.insert(shapes.end(), latents.begin(), latents.end());
  return shapes;
}

void latent_project(const Layer& layer, Projected& p, const LatentLayout& layout) {
  const AttentionConfig& c = layer.config;
  const Index dn = c.nope_dim, dr = c.rope_dim, dl = c.latent_dim, L = c.latent_heads, S = p.tokens();
  const RopeTable table = rope(layer, p);
  const auto x = matrix(p.hidden);  // [S, D]

  Matrix q;  // [S, H * (dn | dr)]
  if (c.query_rank > 0) {
    Matrix low = rms_norm(linear(layer, "q_a_proj", x), layer.tensor("q_a_layernorm.weight"), c.norm_epsilon);
    if (layout.scaled) low *= bottleneck_scale(c, c.query_rank);
    q = linear(layer, "q_b_proj", low);
  } else {
    q = linear(layer, "q_proj", x);
  }
  const Tensor<double> heads = split_heads(q, c.query_heads);
  p.queries = join(columns(heads, 0, dn), rotated(table, columns(heads, dn, dr)));

  const Matrix kv = linear(layer, "kv_a_proj_with_mqa", x);  // [S, L * dl | dr]
  Tensor<double> latents{S, L, dl};
  for (Index l = 0; l < L; ++l) head(latents, l) = layout.normed(layer, l, kv.middleCols(l * dl, dl));
  p.cache["latents"] = std::move(latents);
  const Tensor<double> rope_key = rotated(table, split_heads(kv.rightCols(dr), 1));
  p.cache["rope_keys"] = as_tensor(matrix(rope_key), {S, dr});
}

std::vector<CachePart> latent_cache(const AttentionConfig& c) {
  return {{"latents", {c.latent_heads, c.latent_dim}}, {"rope_keys", {c.rope_dim}}};
}

Expanded latent_expand(const Layer& layer, const Projected& p, const LatentLayout& layout) {
  const AttentionConfig& c = layer.config;
  const Index dn = c.nope_dim, dr = c.rope_dim, served = rows_per_latent(layer);
  const Tensor<double>&latents = p.cache.at("latents"), &rope_keys = p.cache.at("rope_keys");
  Expanded rows{.keys = Tensor<double>{p.tokens(), layer.rows(), dn + dr},
                .values = Tensor<double>{p.tokens(), layer.rows(), c.value_dim}};
  for (Index l = 0; l < c.latent_heads; ++l) {
    const Matrix up = layout.up(layer, l), latent = head(latents, l);
    for (Index h = 0; h < served; ++h) {
      const Index row = l * served + h;
      head(rows.keys, row, 0, dn) = product_transposed(latent, key_rows(layer, up, h));
      head(rows.keys, row, dn, dr) = matrix(rope_keys);
      head(rows.values, row) = product_transposed(latent, value_rows(layer, up, h));
    }
  }
  return rows;
}

Absorbed latent_absorb(const Layer& layer, const Projected& p, Index query_tokens,
                       const LatentLayout& layout) {
  const AttentionConfig& c = layer.config;
  const Index dn = c.nope_dim, served = rows_per_latent(layer);
  const Tensor<double> queries = last(p.queries, query_tokens);
  Absorbed call{.queries = Tensor<double>{query_tokens, layer.rows(), c.latent_dim},
                .rope_queries = columns(queries, dn, c.rope_dim),
                .cache = {.keys = p.cache.at("latents"), .values = {}, .rope_keys = p.cache.at("rope_keys")}};
  for (Index l = 0; l < c.latent_heads; ++l) {
    const Matrix up = layout.up(layer, l);
    for (Index h = 0; h < served; ++h) {
      const Index row = l * served + h;
      head(call.queries, row) = product(head(queries, row % layer.heads(), 0, dn), key_rows(layer, up, h));
    }
  }
  return call;
}

Tensor<double> latent_up_project(const Layer& layer, const Tensor<double>& rows, const LatentLayout& layout) {
  const AttentionConfig& c = layer.config;
  const Index served = rows_per_latent(layer);
  Tensor<double> values{rows.size(0), layer.rows(), c.value_dim};
  for (Index l = 0; l < c.latent_heads; ++l) {
    const Matrix up = layout.up(layer, l);
    for (Index h = 0; h < served; ++h) {
      const Index row = l * served + h;
      head(values, row) = product_transposed(head(rows, row), value_rows(layer, up, h));
    }
  }
  return values;
}

std::vector<WeightSlice> latent_slices(const AttentionConfig& c, const Holding& rank,
                                       const LatentLayout& layout) {
  const Index dk = c.nope_dim + c.rope_dim;
  std::vector<WeightSlice> slices;
  if (c.query_rank > 0) {
    slices = {whole("q_a_proj.weight"), whole("q_a_layernorm.weight"),
              rows_of_heads("q_b_proj.weight", rank.query_heads, dk)};
  } else {
    slices = {rows_of_heads("q_proj.weight", rank.query_heads, dk)};
  }
  std::vector<Range> rows;
  for (Index l : rank.latents) rows.push_back({l * c.latent_dim, c.latent_dim});
  rows.push_back({c.rank_latent_width(), c.rope_dim});
  slices.push_back({"kv_a_proj_with_mqa.weight", "kv_a_proj_with_mqa.weight", {{0, rows}}});
  const std::vector<WeightSlice> latents = layout.latent_slices(c, rank);
  slices.insert(slices.end(), latents.begin(), latents.end());
  return slices;
}

Matrix scaled_rms_norm(const Layer& layer, const MatrixRef& latent, const std::string& gain) {
  const AttentionConfig& c = layer.config;
  return rms_norm(latent, layer.tensor(gain), c.norm_epsilon) * bottleneck_scale(c, c.latent_dim);
}

std::vector<WeightSlice> gain_slices(const Holding& rank, std::string (*name)(Index)) {
  std::vector<WeightSlice> slices;
  for (std::size_t i = 0; i < rank.latents.size(); ++i) {
    slices.push_back({name(static_cast<Index>(i)), name(rank.latents[i]), {}});
  }
  return slices;
}

namespace {

std::string stacked_gain(Index latent) { return "kv_a_layernorms." + std::to_string(latent) + ".weight"; }

std::vector<WeightShape> stacked_weights(const AttentionConfig& c) {
  std::vector<WeightShape> shapes;
  for (Index l = 0; l < c.latent_heads; ++l) shapes.push_back({stacked_gain(l), {c.latent_dim}});
  shapes.push_back(
      {"kv_b_proj", {c.latent_heads, c.latent_dim, heads_per_latent(c) * (c.nope_dim + c.value_dim)}});
  return shapes;
}

Matrix stacked_normed(const Layer& layer, Index latent, const MatrixRef& c) {
  return scaled_rms_norm(layer, c, stacked_gain(latent));
}

Matrix stacked_up(const Layer& layer, Index latent) {
  const Tensor<double>& stack = layer.tensor("kv_b_proj");
  const double* first = stack.data() + latent * stack.size(1) * stack.size(2);
  return ConstMatrixMap(first, stack.size(1), stack.size(2)).transpose();
}

std::vector<WeightSlice> stacked_slices(const AttentionConfig& c, const Holding& rank) {
  std::vector<WeightSlice> slices = gain_slices(rank, stacked_gain);
  std::vector<Range> latents;
  for (Index l : rank.latents) latents.push_back({l, 1});
  const Range heads = times(heads_in_latent(c, rank), c.nope_dim + c.value_dim);
  slices.push_back({"kv_b_proj", "kv_b_proj", {{0, latents}, {2, {heads}}}});
  return slices;
}

}  // namespace

constexpr LatentLayout kStacked = {.scaled = true,
                                   .latent_weights = stacked_weights,
                                   .normed = stacked_normed,
                                   .up = stacked_up,
                                   .latent_slices = stacked_slices};

}  // namespace attest::reference
