// What a variant stores for every token, and how many elements of it one tensor-parallel rank holds and
// loads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reference/attention_config.h"
#include "reference/tensor.h"

namespace attest {

// One named part of a token's cache entry, as project() fills it.
struct CachePart {
  std::string name;          // "keys", "latents", "rope_keys", ...
  std::vector<Index> shape;  // of one token: {kv_heads, key_dim}
};
std::vector<CachePart> cache_parts(const AttentionConfig& config);

// Elements of one token's entry. MTLA merges `stride` tokens into an entry: its elements / stride.
double cached_elements_per_token(const AttentionConfig& config);
// The same on one of `ranks` ranks, which all hold and load the same number; throws std::invalid_argument
// with the reason when the layer cannot be dealt to so many.
double cached_elements_per_token(const AttentionConfig& config, int ranks);

// The layer that published per-device tables describe: 64 query heads of width 128, 8 KV heads (GQA, GTA),
// rotated width 64 and latents of 512 together, TPA ranks 2 and 2, MFA heads of 256; MTLA and LRKV as their
// papers' defaults at that width.
AttentionConfig published_config(std::string_view variant_name);

}  // namespace attest
