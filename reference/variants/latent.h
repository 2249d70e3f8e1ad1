// What all variants share that cache latents and one rotated key: low-rank queries, materialised and absorbed
// form.
//
// Latent l is read by rows [l, l + 1) * rows / L; row r belongs to head r mod H. Its up-projection U_l holds,
// for every head it serves, dn rows that make the head's key and dv rows that make its value.
#pragma once

#include "reference/variants/variant_maths.h"

namespace attest::reference {

// Where released variants differ.
struct LatentLayout {
  bool scaled;  // normed bottlenecks times sqrt(D / rank)
  // Weights of norm and up-projection.
  std::vector<WeightShape> (*latent_weights)(const AttentionConfig&);
  // Latent l, [S, latent_dim] as projected, normed.
  Matrix (*normed)(const Layer&, Index latent, const MatrixRef&);
  // U_l [heads it serves * (dn + dv), latent_dim], head by head [dn key rows | dv value rows].
  Matrix (*up)(const Layer&, Index latent);
  std::vector<WeightSlice> (*latent_slices)(const AttentionConfig&, const Holding&);
};

Index heads_per_latent(const AttentionConfig& config);
// The rank's heads, counted from the first head that each of its latents serves.
Range heads_in_latent(const AttentionConfig& config, const Holding& rank);

std::vector<WeightShape> latent_weights(const AttentionConfig& config, const LatentLayout& layout);
void latent_project(const Layer& layer, Projected& projected, const LatentLayout& layout);
std::vector<CachePart> latent_cache(const AttentionConfig& config);
Expanded latent_expand(const Layer& layer, const Projected& projected, const LatentLayout& layout);
Absorbed latent_absorb(const Layer& layer, const Projected& projected, Index query_tokens,
                       const LatentLayout& layout);
Tensor<double> latent_up_project(const Layer& layer, const Tensor<double>& rows, const LatentLayout& layout);
std::vector<WeightSlice> latent_slices(const AttentionConfig& config, const Holding& rank,
                                       const LatentLayout& layout);

// The row of the variant table.
template <const LatentLayout& kLayout>
VariantMaths latent_maths(Variant variant) {
  return {.variant = variant,
          .weights = [](const AttentionConfig& c) { return latent_weights(c, kLayout); },
          .project = [](const Layer& layer, Projected& p) { latent_project(layer, p, kLayout); },
          .cache = latent_cache,
          .expand = [](const Layer& layer, const Projected& p) { return latent_expand(layer, p, kLayout); },
          .absorb = [](const Layer& layer, const Projected& p,
                       Index query_tokens) { return latent_absorb(layer, p, query_tokens, kLayout); },
          .up_project = [](const Layer& layer,
                           const Tensor<double>& rows) { return latent_up_project(layer, rows, kLayout); },
          .slices = [](const AttentionConfig& c,
                       const Holding& rank) { return latent_slices(c, rank, kLayout); }};
}

// c_l = sqrt(D / d_l) RMSNorm(c; gain), the scale dropped in the no-scale ablation.
Matrix scaled_rms_norm(const Layer& layer, const MatrixRef& latent, const std::string& gain);

// The layout of GLA-4 and MLRA: a norm per latent, and one raw parameter kv_b_proj [L, latent_dim, heads *
// (dn + dv)], input-major.
extern const LatentLayout kStacked;
// Gains of the rank's latents, renumbered.
std::vector<WeightSlice> gain_slices(const Holding& rank, std::string (*name)(Index));

}  // namespace attest::reference
