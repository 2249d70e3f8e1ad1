// Wrong decode forms, one function each.
#include "reference/known_defects.h"

#include <cmath>

#include "reference/attend.h"
#include "reference/variants/steps.h"

namespace attest {
namespace {

using Sequences = std::span<const Projected>;

// FlashAttention's default scale, (width of q + width of qv)^(-1/2) = (dr + latent)^(-1/2), instead of (dn +
// dr)^(-1/2).
Tensor<double> default_scale(const AttentionConfig& config, const Weights& weights, Sequences sequences,
                             Index T, const MaskSpec& mask) {
  DecodeInputs inputs = decode_inputs(config, weights, sequences, T, mask, Format::f64);
  inputs.scale = 1 / std::sqrt(static_cast<double>(config.rope_dim) + config.latent_dim);
  return finish(config, weights, sequences, attend(inputs).output);
}

// The softmax scale without YaRN's squared magnitude.
Tensor<double> plain_scale(const AttentionConfig& config, const Weights& weights, Sequences sequences,
                           Index T, const MaskSpec& mask) {
  DecodeInputs inputs = decode_inputs(config, weights, sequences, T, mask, Format::f64);
  inputs.scale = 1 / std::sqrt(static_cast<double>(config.nope_dim) + config.rope_dim);
  return finish(config, weights, sequences, attend(inputs).output);
}

// MFA-KR with rotated keys in the cache, used as values as they are.
Tensor<double> rotated_values(const AttentionConfig& config, const Weights& weights, Sequences sequences,
                              Index T, const MaskSpec& mask) {
  DecodeInputs inputs = decode_inputs(config, weights, sequences, T, mask, Format::f64);
  for (SequenceCache& cache : inputs.sequences) cache.values = cache.keys;
  return finish(config, weights, sequences, attend(inputs).output);
}

// LRKV as the paper describes its cache: RoPE(k_sh) + RoPE(r) B^T, the residual's r elements rotated among
// themselves.
Tensor<double> rotated_residual(const AttentionConfig& config, const Weights& weights, Sequences sequences,
                                Index T, const MaskSpec& mask) {
  DecodeInputs inputs = materialised_inputs(config, weights, sequences, T, mask, Format::f64);
  const reference::Layer layer{config, weights};
  const Tensor<double>& up = layer.tensor("key_up");  // [H, r, dr | dn]
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const Projected& p = sequences[b];
    const Tensor<double> factors = reference::rotated(rope_table(config.rope, config.key_rank, p.positions),
                                                      p.cache.at("key_factors"));  // [S, H, r]
    const Tensor<double>& shared = p.cache.at("shared_keys");                      // rotated, [S, dn | dr]
    for (Index h = 0; h < config.query_heads; ++h) {
      const ConstMatrixMap basis(up.data() + h * up.size(1) * up.size(2), up.size(1), up.size(2));
      const Matrix residual = product(head(factors, h), basis);  // [S, dr | dn]
      StridedMap keys = head(inputs.sequences[b].keys, h);
      keys = matrix(shared);
      keys.leftCols(config.nope_dim) += residual.rightCols(config.nope_dim);
      keys.rightCols(config.rope_dim) += residual.leftCols(config.rope_dim);
    }
  }
  return finish_materialised(config, weights, sequences, attend(inputs).output);
}

// TPA's factor-space decode with scale_k = scale_v = 1 instead of 1 / rank.
Tensor<double> undivided_factors(const AttentionConfig& config, const Weights& weights, Sequences sequences,
                                 Index T, const MaskSpec& mask) {
  FactoredInputs inputs = factored_inputs(config, weights, sequences, T, mask, Format::f64);
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    inputs.sequences[b].key_factors = sequences[b].cache.at("key_factors");
    inputs.sequences[b].value_factors = sequences[b].cache.at("value_factors");
  }
  return finish(config, weights, sequences, attend(inputs).output);
}

// Left padding not masked: its entries are attended like any token.
Tensor<double> attended_padding(const AttentionConfig& config, const Weights& weights, Sequences sequences,
                                Index T, const MaskSpec& mask) {
  DecodeInputs inputs = decode_inputs(config, weights, sequences, T, mask, Format::f64);
  for (SequenceCache& cache : inputs.sequences) cache.left_padding = 0;
  return finish(config, weights, sequences, attend(inputs).output);
}

AttentionConfig small_with_yarn() {
  AttentionConfig config = small_config("mla-no-scale");
  config.rope.scaling = RopeScaling::yarn;
  config.rope.pairing = RopePairing::interleaved;
  config.rope.factor = 40;
  config.rope.original_tokens = 4096;
  config.rope.yarn_mscale = config.rope.yarn_mscale_all_dim = 1;
  return config;
}

constexpr KnownDefect kDefects[] = {
    {"default-scale",
     "released MLRA generation path (mlra_4_gen.py, mlra_2_gen.py): FlashAttention's default softmax scale, "
     "right only "
     "when the latent is as wide as a head",
     "absorption-equivalence", [] { return small_config("mlra-4"); }, default_scale},
    {"rotated-values", "MFA-KR with keys cached after rotation and used as values", "absorption-equivalence",
     [] { return small_config("mfa-kr"); }, rotated_values},
    {"rotated-residual", "LRKV paper: 'RoPE(K_h) = RoPE(K_sh) + RoPE(R_h) B_h^T'", "translation-equivariance",
     [] { return small_config("lrkv"); }, rotated_residual},
    {"undivided-factors", "TPA's flashtpa_decode_torch.py: scale_k = scale_v = 1 by default",
     "absorption-equivalence", [] { return small_config("tpa"); }, undivided_factors},
    {"yarn-magnitude-dropped",
     "transformers' DeepSeek-V2 before pull request 47435: the softmax scale lacks the squared YaRN "
     "magnitude",
     "absorption-equivalence", small_with_yarn, plain_scale},
    {"attended-padding", "released MLRA generation path: attention_mask is accepted and ignored",
     "translation-equivariance", [] { return small_config("mlra-2"); }, attended_padding},
};

}  // namespace

std::span<const KnownDefect> known_defects() { return kDefects; }

}  // namespace attest
