// Multi-head latent attention (DeepSeek-V2): one latent that all heads read. Without a query rank the query
// is one projection.
#include "reference/variants/latent.h"
#include "reference/variants/steps.h"

namespace attest::reference {
namespace {

constexpr LatentLayout kLayout = {
    .scaled = true,
    .latent_weights =
        [](const AttentionConfig& c) {
          return std::vector<WeightShape>{
              {"kv_a_layernorm.weight", {c.latent_dim}},
              {"kv_b_proj.weight", {Index{c.query_heads} * (c.nope_dim + c.value_dim), c.latent_dim}}};
        },
    .normed = [](const Layer& layer, Index,
                 const MatrixRef& c) { return scaled_rms_norm(layer, c, "kv_a_layernorm.weight"); },
    .up = [](const Layer& layer, Index) -> Matrix { return layer.matrix("kv_b_proj.weight"); },
    .latent_slices =
        [](const AttentionConfig& c, const Holding& rank) {
          return std::vector<WeightSlice>{
              whole("kv_a_layernorm.weight"),
              rows_of_heads("kv_b_proj.weight", rank.query_heads, c.nope_dim + c.value_dim)};
        },
};

}  // namespace

VariantMaths latent_attention() { return latent_maths<kLayout>(Variant::mla); }

}  // namespace attest::reference
