// The truth about one row of a large decode call whose elements are hashed: computed token by token in double
// precision, so that millions of cached tokens need no memory.
#pragma once

#include <vector>

#include "bench/shapes.h"

namespace attest::bench {

struct StreamedRow {
  std::vector<double> output;    // [value_dim]
  std::vector<double> absolute;  // [value_dim] sum over keys of probability times |value|
  double lse = 0;                // natural
  double widest_score = 0;       // largest over keys of scale * sum over elements of |q k|
};

// Where the elements of token `token` of sequence `sequence` lie: page tables as the benchmark lays them out.
using SlotOfToken = Index (*)(const DecodeShape& shape, Index sequence, Index token);

// Row `row` of sequence `sequence`: softmax(scale * q k) v over all cached tokens. Elements are
// hashed_element() of their place in queries [B, rows, key_dim], rope queries [B, query_heads, rope_dim],
// keys [slots, kv_heads, key_dim], values likewise, rope keys [slots, rope_dim].
StreamedRow stream_row(const DecodeShape& shape, double scale, SlotOfToken slot_of_token, Index sequence,
                       int row);

// Bound on what f32 arithmetic may do to that row, to first order: scores are sums of n = key_dim + rope_dim
// products, each rounded once (n u), scaled and exponentiated with a relative error of 2^-21; a part adds up
// `part_tokens` terms and rescales once a tile; the parts are added. Numerator and denominator both, hence
// twice.
//   |error| <= 2 * absolute * ((n + 4) u * widest_score + 2^-21 * (2 + tiles) + (part_tokens + parts) u),  u
//   = 2^-24
std::vector<double> row_bound(const DecodeShape& shape, const StreamedRow& row, Index part_tokens,
                              Index parts, Index tile_tokens);

}  // namespace attest::bench
