// Multi-head low-rank attention: four latents, each with its own softmax; branches of a head are summed
// (layer.cpp) after the up-projection and scaled by (number of branches)^(-1/2).
//
//   MLRA-4   every latent serves all heads:                 o_h = 1/2 sum_{l < 4} Attn(q_h; K, V of c_l)
//   MLRA-2   latents 0 and 2 serve the first half of the heads, 1 and 3 the second (the released order; the
//   paper's equation
//            pairs 0 with 1 and 2 with 3):                  o_h = 1/sqrt(2) (Attn(q_h; c_g) + Attn(q_h;
//            c_{2+g})), g = h / (H/2)
#include "reference/variants/latent.h"

namespace attest::reference {
VariantMaths low_rank_2() { return latent_maths<kStacked>(Variant::mlra_2); }
VariantMaths low_rank_4() { return latent_maths<kStacked>(Variant::mlra_4); }

}  // namespace attest::reference
