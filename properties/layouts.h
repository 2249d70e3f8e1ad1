// The few layer layouts in which a variant is tried: few, because every head configuration is a compilation.
#pragma once

#include <string_view>
#include <vector>

#include "reference/attention_config.h"

namespace attest {

// Valid layouts of a variant ("mlra-4", "mla-gated"), smallest first:
//   1. the fewest heads that the variant allows;
//   2. small_config(): every axis another size;
//   3. eight heads, so that 2, 4 and 8 ranks can share them;
//   4. an odd number of heads a group (released code is only ever run on powers of two).
std::vector<AttentionConfig> layouts(std::string_view variant_name);

// Elements that one token of this layer touches: what "smaller layout" means to shrinking.
double layout_size(const AttentionConfig& config);

}  // namespace attest
