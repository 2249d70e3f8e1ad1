// What rounding a call's inputs to a storage format can do to its exact result: the price of storing a cache.
#pragma once

#include <string>

#include "reference/decode_call.h"
#include "reference/number_formats.h"
#include "reference/rope_spec.h"

namespace attest {

struct RoundingBounds {
  Tensor<double> output;     // [B, T, rows, value_dim]
  Tensor<double> lse;        // [B, T, rows]
  std::string inconclusive;  // empty, or why there is no bound
};

// Bounds |attend(stored) - attend(ideal)|. `ideal` holds queries, keys and values as exact numbers, rotated
// by an ideal rotation; `stored` is what the kernel is given: rotated parts off by a relative
// `rotation_error` r of their norm (a table of sines and cosines in a short format), every element then
// rounded once to `storage` (f64: not at all), and the softmax scale rounded to float. `inputs` are either of
// the two before the rounding: the bound is symmetric. With u the unit roundoff, d the smallest subnormal,
// e(x) = u |x| + d, z the scale's relative rounding 2^-24:
//   w_j  = scale * [ sum_i ( (|q_i| + e(q_i)) (|k_ji| + e(k_ji)) - |q_i k_ji| ) (1 + z) + z sum_i |q_i k_ji|
//                    + 5 r |q_rotated| |k_rotated,j| ]                          bounds the move of score j,
//                    for r <= 0.02
//          (two rotations of relative error r; a soft cap's slope is at most 1)
//   T    = sum_j p_j expm1(w_j)                                               must be below 1/2
//   |o~ - o|     <= sum_j p_j expm1(w_j) |v_j - o| / (1 - T)  +  sum_j p_j exp(w_j) e(v_j) / (1 - T)
//   |lse~ - lse| <= -ln(1 - T)
// since p~_j = p_j exp(d_j) / sum_k p_k exp(d_k) with |d_j| <= w_j, and sum_j p_j (v_j - o) = 0.
RoundingBounds rounding_bounds(const DecodeInputs& inputs, Format storage, double rotation_error = 0);

// The relative error of one rotation at positions up to `last_position` through the tables of `rope`: the
// angle's product rounded to float, then sine and cosine rounded to float, for bf16 tables once more; each of
// the two elements of a pair gets the errors of two products, at most 2 of the pair's norm together. 0 for
// exact tables.
double rotation_error(const RopeSpec& rope, Index last_position);

}  // namespace attest
