// Grouped latent attention: latent l serves heads l H / L .. (l + 1) H / L - 1. GLA-2 and GLA-4 differ in how
// weights are stored.
#include "reference/variants/latent.h"
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

std::string gain_of_two(Index latent) { return "kv_a_layernorm_" + std::to_string(latent + 1) + ".weight"; }
std::string up_of_two(Index latent) { return "kv_b_proj_" + std::to_string(latent + 1) + ".weight"; }

constexpr LatentLayout kTwo = {
    .scaled = true,
    .latent_weights =
        [](const AttentionConfig& c) {
          std::vector<WeightShape> shapes;
          for (Index l = 0; l < c.latent_heads; ++l) shapes.push_back({gain_of_two(l), {c.latent_dim}});
          for (Index l = 0; l < c.latent_heads; ++l) {
            shapes.push_back(
                {up_of_two(l), {heads_per_latent(c) * (c.nope_dim + c.value_dim), c.latent_dim}});
          }
          return shapes;
        },
    .normed = [](const Layer& layer, Index l,
                 const MatrixRef& c) { return scaled_rms_norm(layer, c, gain_of_two(l)); },
    .up = [](const Layer& layer, Index l) -> Matrix { return layer.matrix(up_of_two(l)); },
    .latent_slices =
        [](const AttentionConfig& c, const Holding& rank) {
          std::vector<WeightSlice> slices = gain_slices(rank, gain_of_two);
          const Range heads = times(heads_in_latent(c, rank), c.nope_dim + c.value_dim);
          for (std::size_t i = 0; i < rank.latents.size(); ++i) {
            slices.push_back({up_of_two(static_cast<Index>(i)), up_of_two(rank.latents[i]), {{0, {heads}}}});
          }
          return slices;
        },
};

}  // namespace

VariantMaths grouped_latent_2() { return latent_maths<kTwo>(Variant::gla_2); }
VariantMaths grouped_latent_4() { return latent_maths<kStacked>(Variant::gla_4); }

}  // namespace attest::reference
