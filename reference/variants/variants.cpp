// The table of variants.
#include <array>
#include <stdexcept>

#include "reference/variants/variant_maths.h"

namespace attest::reference {

const VariantMaths& maths(Variant variant) {
  static const std::array<VariantMaths, 15> kTable = {
      multi_head(),
      multi_query(),
      grouped_query(),
      latent_attention(),
      grouped_latent_2(),
      grouped_latent_4(),
      grouped_tied(),
      multi_matrix(),
      multi_matrix_key_reuse(),
      tensor_product(),
      tensor_parallel_latent(),
      temporal_latent(),
      low_rank_key_value(),
      low_rank_2(),
      low_rank_4(),
  };
  for (const VariantMaths& row : kTable) {
    if (row.variant == variant) return row;
  }
  throw std::invalid_argument("maths: not an attention variant");
}

}  // namespace attest::reference
