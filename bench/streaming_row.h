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

// How a kernel computes a row, as far as the bound must know.
struct RowArithmetic {
  Index part_tokens = 0;  // of the longest part
  Index parts = 1;        // that are merged
  Index tile_tokens = 1;  // between two looks at the running maximum
  // Largest relative error of one term of a sum: f32 fused multiply-adds round it once (2^-24); a tensor-core
  // step of 16 aligns 17 terms to the largest and truncates them to 24 bits or more, at most 17/16 * 2^-24 of
  // their magnitudes a term (2^-23 covers it).
  double term_error = 0x1p-24;
  double probability_error =
      0;  // probabilities rounded for the product with values: 2^-9 for bf16, 2^-12 for f16
};

// Bound on what rounding may do to that row, to first order: scores are sums of n = key_dim + rope_dim
// products; they are scaled and exponentiated with a relative error of 2^-21; a part adds up its terms and
// rescales once a tile; the parts are added. Numerator and denominator both, hence twice.
//   |error| <= 2 * absolute * ((n + 4) e * widest_score + 2^-21 * (2 + tiles) + (part_tokens + parts) e +
//   probability_error)
std::vector<double> row_bound(const DecodeShape& shape, const StreamedRow& row,
                              const RowArithmetic& arithmetic);

}  // namespace attest::bench
