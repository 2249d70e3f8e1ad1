// Multi-head temporal latent attention: MLA whose cache merges every `stride` tokens into one entry.
//
//   [q_n | q_r]_h = x W_q,h            [c | k_r] = x W_kva     c <- LayerNorm(c)      q_r, k_r rotate
//   w_j = sigmoid((PE(u) W_c + b_c) . (c_j W_p + b_p))         u = j / stride, the token's chunk
//   C_t = sum of w_j c_j over the chunk of t up to t           the entry of a chunk, and k_r of its last
//   token so far parallel      query t sees C_j, k_r,j of j = t and of every j <= t that ends its chunk
//   incremental   a token opens an entry or adds w c to the last one and overwrites its k_r; the query sees
//   all entries
//
// PE is the sine and cosine encoding of the chunk number (base 10000). Chunks are counted from the first
// token that is not padding. Released: interleaved RoPE, norm epsilon 1e-5, no biases but the norms' and the
// hypernetwork's.
#include <cmath>

#include "reference/variants/latent.h"
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

// For what MTLA shares with the latent family: the up-projection W_kvb.
constexpr LatentLayout kLayout = {
    .scaled = false,
    .latent_weights = nullptr,
    .normed = nullptr,
    .up = [](const Layer& layer, Index) -> Matrix { return layer.matrix("wkv_b.weight"); },
    .latent_slices = nullptr,
};

std::vector<WeightShape> weights(const AttentionConfig& c) {
  const Index D = c.hidden, dq = c.query_rank, q = Index{c.query_heads} * (c.nope_dim + c.rope_dim);
  const Index dc = c.latent_dim, quarter = c.latent_dim / 4;
  std::vector<WeightShape> shapes;
  if (dq > 0) {
    shapes = {
        {"wq_a.weight", {dq, D}}, {"q_norm.weight", {dq}}, {"q_norm.bias", {dq}}, {"wq_b.weight", {q, dq}}};
  } else {
    shapes = {{"wq.weight", {q, D}}};
  }
  shapes.insert(shapes.end(), {{"wkv_a.weight", {dc + c.rope_dim, D}},
                               {"kv_norm.weight", {dc}},
                               {"kv_norm.bias", {dc}},
                               {"wkv_b.weight", {Index{c.query_heads} * (c.nope_dim + c.value_dim), dc}},
                               {"hypernet_down.fc_c.weight", {quarter, dc}},
                               {"hypernet_down.fc_c.bias", {quarter}},
                               {"hypernet_down.fc_p.weight", {quarter, dc}},
                               {"hypernet_down.fc_p.bias", {quarter}}});
  return shapes;
}

Index chunk_of(const Projected& p, Index stride, Index token) {
  return std::max<Index>(p.first_token + token - p.left_padding, 0) / stride;
}

// PE(u) of every token's chunk, [S, dc]
Matrix chunk_encoding(const Projected& p, Index stride, Index width) {
  Matrix encoding(p.tokens(), width);
  for (Index token = 0; token < p.tokens(); ++token) {
    const auto chunk = static_cast<double>(chunk_of(p, stride, token));
    for (Index e = 0; e < width; ++e) {
      const double angle =
          chunk * std::exp(-static_cast<double>(e - e % 2) * std::log(10000.0) / static_cast<double>(width));
      encoding(token, e) = e % 2 == 0 ? std::sin(angle) : std::cos(angle);
    }
  }
  return encoding;
}

void project(const Layer& layer, Projected& p) {
  const AttentionConfig& c = layer.config;
  const Index dn = c.nope_dim, dr = c.rope_dim, dc = c.latent_dim, S = p.tokens();
  const RopeTable table = rope(layer, p);
  const auto x = matrix(p.hidden);
  const auto normed = [&](const Matrix& values, const std::string& name) {
    return layer_norm(values, layer.tensor(name + ".weight"), layer.tensor(name + ".bias"), c.norm_epsilon);
  };
  const Matrix q = c.query_rank > 0 ? linear(layer, "wq_b", normed(linear(layer, "wq_a", x), "q_norm"))
                                    : linear(layer, "wq", x);
  const Tensor<double> heads = split_heads(q, c.query_heads);
  p.queries = join(columns(heads, 0, dn), rotated(table, columns(heads, dn, dr)));

  const Matrix kv = linear(layer, "wkv_a", x);
  Matrix latents = normed(kv.leftCols(dc), "kv_norm");
  const Matrix by_chunk = linear(layer, "hypernet_down.fc_c", chunk_encoding(p, c.stride, dc));
  const Matrix by_token = linear(layer, "hypernet_down.fc_p", latents);
  for (Index j = 0; j < S; ++j) latents.row(j) /= 1 + std::exp(-by_chunk.row(j).dot(by_token.row(j)));
  p.cache["latents"] = as_tensor(latents, {S, 1, dc});  // w_j c_j: an entry is a sum of these
  const Tensor<double> rope_key = rotated(table, split_heads(kv.rightCols(dr), 1));
  p.cache["rope_keys"] = as_tensor(matrix(rope_key), {S, dr});
}

// C_t of every token
Tensor<double> merged(const Layer& layer, const Projected& p) {
  const Index stride = layer.config.stride;
  Tensor<double> sums = p.cache.at("latents");
  MatrixMap rows = matrix(sums);
  for (Index t = p.left_padding + 1; t < p.tokens(); ++t) {
    if (chunk_of(p, stride, t) == chunk_of(p, stride, t - 1)) rows.row(t) += rows.row(t - 1);
  }
  return sums;
}

Expanded expand(const Layer& layer, const Projected& p) {
  Projected parallel = p;
  parallel.cache["latents"] = merged(layer, p);
  Expanded rows = latent_expand(layer, parallel, kLayout);
  rows.stride = layer.config.stride;
  return rows;
}

// The entries that the last token sees, made as the incremental form makes them.
Absorbed absorb(const Layer& layer, const Projected& p, Index query_tokens) {
  const Index stride = layer.config.stride, entries = (p.tokens() - p.left_padding + stride - 1) / stride;
  const Tensor<double>&latents = p.cache.at("latents"), &rope_keys = p.cache.at("rope_keys");
  Absorbed call = latent_absorb(layer, p, query_tokens, kLayout);
  Tensor<double> sums{entries, 1, layer.config.latent_dim}, keys{entries, layer.config.rope_dim};
  for (Index token = p.left_padding; token < p.tokens(); ++token) {
    const Index entry = (token - p.left_padding) / stride;
    matrix(sums).row(entry) += matrix(latents).row(token);
    matrix(keys).row(entry) = matrix(rope_keys).row(token);
  }
  call.cache.keys = std::move(sums);
  call.cache.rope_keys = std::move(keys);
  call.drops_padding = true;
  return call;
}

std::vector<WeightSlice> slices(const AttentionConfig& c, const Holding& rank) {
  const Index dk = c.nope_dim + c.rope_dim;
  std::vector<WeightSlice> all;
  if (c.query_rank > 0) {
    all = {whole("wq_a.weight"), whole("q_norm.weight"), whole("q_norm.bias"),
           rows_of_heads("wq_b.weight", rank.query_heads, dk)};
  } else {
    all = {rows_of_heads("wq.weight", rank.query_heads, dk)};
  }
  all.push_back(rows_of_heads("wkv_b.weight", rank.query_heads, c.nope_dim + c.value_dim));
  for (const char* name :
       {"wkv_a.weight", "kv_norm.weight", "kv_norm.bias", "hypernet_down.fc_c.weight",
        "hypernet_down.fc_c.bias", "hypernet_down.fc_p.weight", "hypernet_down.fc_p.bias"}) {
    all.push_back(whole(name));
  }
  return all;
}

}  // namespace

VariantMaths temporal_latent() {
  return {.variant = Variant::mtla,
          .weights = weights,
          .project = project,
          .cache = latent_cache,
          .expand = expand,
          .absorb = absorb,
          .up_project = [](const Layer& layer,
                           const Tensor<double>& rows) { return latent_up_project(layer, rows, kLayout); },
          .slices = slices,
          .output_projection = "wo.weight"};
}

}  // namespace attest::reference
