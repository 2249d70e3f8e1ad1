// What all variants share that cache plain keys and values: GQA with its ends, and MFA.
#pragma once

#include "reference/variants/variant_maths.h"

namespace attest::reference {

// "keys" [kv_heads, dn + dr] and "values" [kv_heads, dv].
std::vector<CachePart> grouped_cache(const AttentionConfig& config);
// K_h = k_{h / (H / G)}, V_h likewise.
Expanded grouped_expand(const Layer& layer, const Projected& projected);
Absorbed grouped_absorb(const Layer& layer, const Projected& projected, Index query_tokens);

}  // namespace attest::reference
