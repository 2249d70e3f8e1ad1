// One row's softmax over tokens that arrive in tiles: a running maximum, and sums that are rescaled when it
// rises.
#pragma once

#include "element.cuh"

namespace attest {

// State of one row, in the registers of one warp. Element e of the result lives in lane e % 32, slot e / 32.
// With exponents x_j (base 2), maximum M = max x_j so far:  sum = sum_j 2^(x_j - M) over this lane's tokens,
// result[e] = sum_j 2^(x_j - M) v_j[e].
template <int kValueDim>
struct SoftmaxRow {
  static constexpr int kSlots = (kValueDim + 31) / 32;
  float maximum = kNegativeInfinity;
  float sum = 0.0f;
  float result[kSlots] = {};

  // One tile of 32 tokens, one a lane. score: of this lane's token, -infinity where the query does not see
  // it; at least one lane's is finite. Exponents are score * exponent_scale, rounded once, together with the
  // subtraction. Returns this lane's probability, relative to the new maximum.
  __device__ float add_scores(float score, float exponent_scale) {
    const float new_maximum = fmaxf(maximum, __fmul_rn(warp_max(score), exponent_scale));
    const float rescale = exp2_approx(__fsub_rn(maximum, new_maximum));
    const float probability = exp2_approx(__fmaf_rn(score, exponent_scale, -new_maximum));
    sum = __fmaf_rn(sum, rescale, probability);
    for (int slot = 0; slot < kSlots; ++slot) result[slot] = __fmul_rn(result[slot], rescale);
    maximum = new_maximum;
    return probability;
  }

  // values: row of one token, `probability` its weight (the same in every lane).
  __device__ void add_values(float probability, const float* values) {
    for (int slot = 0; slot < kSlots; ++slot) {
      const int element = slot * 32 + threadIdx.x % 32;
      if (element < kValueDim) result[slot] = __fmaf_rn(probability, values[element], result[slot]);
    }
  }

  // Writes the normalised result and the base-2 log-sum-exp of the tokens seen. A row that saw none writes
  // only -infinity: whoever merges must not read its result.
  __device__ void store(float* output, float* lse) const {
    const float total = warp_sum(sum);
    const int lane = threadIdx.x % 32;
    if (lane == 0) *lse = total > 0.0f ? __fadd_rn(maximum, log2_approx(total)) : kNegativeInfinity;
    if (!(total > 0.0f)) return;
    for (int slot = 0; slot < kSlots; ++slot) {
      const int element = slot * 32 + lane;
      if (element < kValueDim) output[element] = __fdiv_rn(result[slot], total);
    }
  }
};

}  // namespace attest
