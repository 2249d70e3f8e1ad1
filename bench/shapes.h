// What is timed: decode calls by head configuration, cached tokens and batch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reference/head_config.h"
#include "reference/tensor.h"

namespace attest::bench {

// One decode call of one query token a sequence; every sequence has `cached_tokens` tokens, its query's own
// included.
struct DecodeShape {
  HeadConfig heads;
  Index cached_tokens = 0;
  Index batch = 1;

  // "decode/latent-h64-l1-b1-c128-r64-bf16/cached=4096/batch=1/vm".
  std::string name(std::string_view device) const;
  // Cached elements of one token; every one is read at least once.
  Index elements_per_token() const;
  // Bytes that any kernel must move: the cache once, queries once, results once.
  double least_bytes() const;
};

// What one rank of a served model computes, as published decode measurements have it: MHA and GQA of eight
// heads, GQA with 8 query heads on one KV head, unsharded MLA of 64 heads, GLA-2 on two ranks, MLRA-2 and
// MLRA-4 on four.
std::vector<HeadConfig> published_heads();
// Batch 1 at 128K to 2M cached tokens, and batch 128 at 4096.
std::vector<DecodeShape> device_shapes();
// Sizes that a CPU runs in milliseconds.
std::vector<DecodeShape> host_shapes();

}  // namespace attest::bench
