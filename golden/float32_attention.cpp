// Queries, keys and values of every row as the released files make them; then softmax, branches, gate, output
// projection.
#include "golden/float32_attention.h"

#include <cmath>
#include <functional>
#include <stdexcept>

namespace attest::golden {
namespace {

Matrix join(const Matrix& a, const Matrix& b) {
  Matrix y(a.rows(), a.cols() + b.cols());
  y << a, b;
  return y;
}

struct Layer {
  const AttentionConfig& config;
  const Weights& weights;
  const Float32Rope& rope;
  const Matrix& x;
  Float32Noise& noise;

  ConstMatrixMap weight(const std::string& name) const { return matrix(weights.at(name)); }
  Matrix projected(const Matrix& from, const std::string& name) const {
    const auto bias = weights.find(name + ".bias");
    return noise.linear(from, weight(name + ".weight"),
                        bias == weights.end() ? Matrix() : Matrix(matrix(bias->second)));
  }
  // RMSNorm, and the factor sqrt(D / width) that the released MLA family multiplies a bottleneck by.
  Matrix bottleneck(const Matrix& from, const std::string& gain, bool scaled) const {
    const Matrix normed = noise.rms_norm(from, weight(gain), config.norm_epsilon);
    if (!scaled || config.unscaled) return normed;
    return noise.scale(normed,
                       std::sqrt(static_cast<double>(config.hidden) / static_cast<double>(from.cols())));
  }
  Matrix rotated(const Matrix& head) const { return noise.rotate(head, rope.cosine, rope.sine, rope.pairs); }
  // The first rope_dim columns rotate, the rest pass.
  Matrix rotated_front(const Matrix& head) const {
    const Matrix front = rotated(head.middleCols(0, config.rope_dim));
    return join(front, head.middleCols(config.rope_dim, config.nope_dim));
  }
};

// What a row's softmax reads.
struct Row {
  Matrix q, k, v;
};
using RowOf = std::function<Row(Index head, Index branch)>;

// MHA, MQA, GQA and MFA: heads of q, groups of k and v.
RowOf grouped_rows(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const bool mfa = c.variant == Variant::mfa;
  const Matrix q =
      mfa ? layer.projected(layer.bottleneck(layer.projected(layer.x, "c_q"), "q_layernorm.weight", false),
                            "w_q")
          : layer.projected(layer.x, "c_q");
  const Matrix k = layer.projected(layer.x, "c_k"), v = layer.projected(layer.x, "c_v");
  return [=, &layer, &c](Index head, Index) {
    const Index width = c.nope_dim + c.rope_dim, group = head / (c.query_heads / c.kv_heads);
    Matrix query = q.middleCols(head * width, width), key = k.middleCols(group * width, width);
    if (c.qk_norm) {
      query = layer.noise.rms_norm(query, layer.weight("q_norm.weight"), c.norm_epsilon);
      key = layer.noise.rms_norm(key, layer.weight("k_norm.weight"), c.norm_epsilon);
    }
    return Row{layer.rotated_front(query), layer.rotated_front(key),
               v.middleCols(group * c.value_dim, c.value_dim)};
  };
}

// GTA: the value of a group is also the position-free half of its key.
RowOf tied_rows(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const Matrix q = layer.projected(layer.x, "c_q"), state = layer.projected(layer.x, "kv_proj");
  const Matrix rope_key = layer.rotated(layer.projected(layer.x, "W_rope_k"));
  return [=, &layer, &c](Index head, Index) {
    const Index width = c.nope_dim + c.rope_dim, group = head / (c.query_heads / c.kv_heads);
    const Matrix query = q.middleCols(head * width, width),
                 tied = state.middleCols(group * c.value_dim, c.value_dim);
    return Row{join(query.middleCols(0, c.nope_dim), layer.rotated(query.middleCols(c.nope_dim, c.rope_dim))),
               join(tied.middleCols(0, c.nope_dim), rope_key), tied};
  };
}

// TPA: heads are 1/R sum_r A[h, r] B[r], B rotated; A [T, H * R], B [T, R * width].
RowOf factored_rows(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const auto factors = [&](const std::string& which) {
    return std::pair(layer.projected(layer.x, "c_qkv.W_A_" + which),
                     layer.projected(layer.x, "c_qkv.W_B_" + which));
  };
  const auto contracted = [&layer](const std::pair<Matrix, Matrix>& ab, Index head, Index rank, Index width,
                                   bool rotate_b) {
    Matrix sum = Matrix::Zero(ab.first.rows(), width);
    for (Index r = 0; r < rank; ++r) {
      const Matrix plain = ab.second.middleCols(r * width, width);
      const Matrix b = rotate_b ? layer.rotated_front(plain) : plain;
      const Matrix a = ab.first.col(head * rank + r).replicate(1, width);
      sum = layer.noise.add(sum, layer.noise.multiply(a, b));
    }
    return layer.noise.scale(sum, 1 / static_cast<double>(rank));
  };
  return [=, &c, q = factors("q"), k = factors("k"), v = factors("v")](Index head, Index) {
    const Index width = c.nope_dim + c.rope_dim;
    return Row{contracted(q, head, c.query_rank, width, true), contracted(k, head, c.key_rank, width, true),
               contracted(v, head, c.value_rank, c.value_dim, false)};
  };
}

std::string gain_name(const AttentionConfig& c, Index latent) {
  if (c.variant == Variant::mla) return "kv_a_layernorm.weight";
  if (c.variant == Variant::gla_2) return "kv_a_layernorm_" + std::to_string(latent + 1) + ".weight";
  return "kv_a_layernorms." + std::to_string(latent) + ".weight";
}

// [heads served * (nope + value), latent width]
Matrix up_projection(const Layer& layer, Index latent) {
  const AttentionConfig& c = layer.config;
  if (c.variant == Variant::mla) return layer.weight("kv_b_proj.weight");
  if (c.variant == Variant::gla_2) return layer.weight("kv_b_proj_" + std::to_string(latent + 1) + ".weight");
  const Tensor<double>& stack = layer.weights.at("kv_b_proj");  // [latent, in, out]
  return ConstMatrixMap(stack.data() + latent * stack.size(1) * stack.size(2), stack.size(1), stack.size(2))
      .transpose();
}

// MLA, GLA and MLRA. Which latent serves (head, branch), and as which of its heads:
//   MLA, GLA     latent head / (H / L)                 MLRA-4   latent `branch`, every head
//   MLRA-2       latent 2 branch + (head >= H / 2), half of the heads each
RowOf latent_rows(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  Matrix q;
  if (c.query_rank > 0) {
    q = layer.projected(layer.bottleneck(layer.projected(layer.x, "q_a_proj"), "q_a_layernorm.weight", true),
                        "q_b_proj");
  } else {
    q = layer.projected(layer.x, "q_proj");
  }
  const Matrix down = layer.projected(layer.x, "kv_a_proj_with_mqa");
  const Matrix rope_key = layer.rotated(down.middleCols(c.latent_heads * c.latent_dim, c.rope_dim));
  std::vector<Matrix> keys_and_values;
  for (Index l = 0; l < c.latent_heads; ++l) {
    const Matrix latent =
        layer.bottleneck(down.middleCols(l * c.latent_dim, c.latent_dim), gain_name(c, l), true);
    keys_and_values.push_back(layer.noise.linear(latent, up_projection(layer, l)));
  }
  return [=, &layer, &c](Index head, Index branch) {
    const Index served = Index{c.query_heads} * c.branches() / c.latent_heads;
    const Index latent = branch * (c.latent_heads / c.branches()) + head / served;
    const Index width = c.nope_dim + c.rope_dim, block = c.nope_dim + c.value_dim;
    const Matrix query = q.middleCols(head * width, width);
    const Matrix kv = keys_and_values[static_cast<size_t>(latent)].middleCols(head % served * block, block);
    return Row{join(query.middleCols(0, c.nope_dim), layer.rotated(query.middleCols(c.nope_dim, c.rope_dim))),
               join(kv.middleCols(0, c.nope_dim), rope_key), kv.middleCols(c.nope_dim, c.value_dim)};
  };
}

struct VariantRow {
  Variant variant;
  RowOf (*rows)(const Layer&);
};
constexpr VariantRow kVariants[] = {
    {Variant::mha, grouped_rows},   {Variant::mqa, grouped_rows},  {Variant::gqa, grouped_rows},
    {Variant::mfa, grouped_rows},   {Variant::gta, tied_rows},     {Variant::tpa, factored_rows},
    {Variant::mla, latent_rows},    {Variant::gla_2, latent_rows}, {Variant::gla_4, latent_rows},
    {Variant::mlra_2, latent_rows}, {Variant::mlra_4, latent_rows}};

const VariantRow* find(Variant variant) {
  for (const VariantRow& row : kVariants) {
    if (row.variant == variant) return &row;
  }
  return nullptr;
}

}  // namespace

bool has_float32_attention(Variant variant) { return find(variant) != nullptr; }

Matrix attention_in_float32(const AttentionConfig& config, const Weights& weights, const Float32Rope& rope,
                            const Matrix& x, Float32Noise& noise) {
  const VariantRow* variant = find(config.variant);
  if (variant == nullptr) throw std::invalid_argument(config.variant_name() + ": no float32 form is known");
  const Layer layer{config, weights, rope, x, noise};
  const RowOf row_of = variant->rows(layer);
  const Index width = config.value_dim;
  const int branches = config.branches();
  Matrix heads(x.rows(), config.query_heads * width);
  for (Index head = 0; head < config.query_heads; ++head) {
    Matrix sum = Matrix::Zero(x.rows(), width);
    for (Index branch = 0; branch < branches; ++branch) {
      const Row row = row_of(head, branch);
      Matrix out = noise.causal_attention(row.q, row.k, row.v, config.scale());
      // Released code scales each branch and then adds; the ablation without scales adds plainly.
      if (branches > 1 && !config.unscaled)
        out = noise.scale(out, 1 / std::sqrt(static_cast<double>(branches)));
      sum = branches > 1 ? noise.add(sum, out) : out;
    }
    heads.middleCols(head * width, width) = sum;
  }
  if (config.gated) {
    const bool grouped = weights.count("c_gated.weight") != 0;
    heads = noise.multiply(heads, noise.sigmoid(layer.projected(x, grouped ? "c_gated" : "gated_proj")));
  }
  return layer.projected(heads, "c_proj");
}

}  // namespace attest::golden
