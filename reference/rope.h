// Rotary position embedding: inverse frequencies of every scaling law, cosine and sine tables, and the
// rotation itself.
//
// Symbols: d rotated width, i pair (0 <= i < d / 2), b base, t position, f_i inverse frequency, A magnitude
// on cos and sin. Sources: released code of MLRA and of transformers' rope utilities, as listed in each law's
// comment.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "reference/rope_spec.h"
#include "reference/tensor.h"

namespace attest {

// Where a token stands: one number on every axis for text, (time, height, width) for M-RoPE.
using Position = std::array<Index, 3>;

struct RopeFrequencies {
  std::vector<double> inverse;  // [d / 2] radians a token
  double magnitude = 1;  // A: cosines and sines are multiplied by it, so that scores grow by its square
};
// `tokens`: length of the sequence, for laws that depend on it (dynamic NTK, LongRoPE). Throws
// std::invalid_argument with spec.problems(dim).
RopeFrequencies rope_frequencies(const RopeSpec& spec, int dim, Index tokens);

// YaRN's magnitude: 1 for factor <= 1, else 0.1 * mscale * ln(factor) + 1. DeepSeek multiplies its softmax
// scale by the square of yarn_magnitude(factor, mscale_all_dim).
double yarn_magnitude(double factor, double mscale);
// Which position axis (0 time, 1 height, 2 width) pair i reads under M-RoPE; 0 for every pair without
// sections.
int rope_axis(const RopeSpec& spec, int pair);

// Cosines and sines, times the magnitude, in spec.table's precision.
struct RopeTable {
  RopePairing pairing = RopePairing::half_split;
  Tensor<double> cosine;  // [S, d / 2]
  Tensor<double> sine;
};
// `tokens` as above; 0: one more than the largest position.
RopeTable rope_table(const RopeSpec& spec, int dim, std::span<const Position> positions, Index tokens = 0);

// x [S, heads, d] rotated in place, token by token: y1 = x1 c - x2 s, y2 = x2 c + x1 s for every pair (x1,
// x2).
void rotate(const RopeTable& table, Tensor<double>& x);
// The two elements of pair i.
inline std::array<Index, 2> rope_pair(RopePairing pairing, Index dim, Index pair) {
  if (pairing == RopePairing::half_split) return {pair, pair + dim / 2};
  return {2 * pair, 2 * pair + 1};
}

// What a table of less than double precision costs at one position.
struct RopePrecision {
  Index position = 0;
  double angle_error =
      0;  // largest |angle - exact angle| over the pairs, radians (f32: frequency and product rounded)
  double table_error = 0;  // largest error of a cosine or sine
  double score_error =
      0;  // largest possible |score error| / (|q| |k|) of a query here and a key `distance` tokens before,
          // over all q, k: the spectral norm of R_t^T R_j - exact R_{j - t}, for the worst pair and distance
};
// Keys stand 1, 2, 4, 8, .. tokens before the query, and at position 0.
RopePrecision rope_precision(const RopeSpec& spec, int dim, Index position);
// One line a position and table format: what float32 and bfloat16 tables cost there.
std::string rope_precision_report(RopeSpec spec, int dim, std::span<const Index> positions);

}  // namespace attest
