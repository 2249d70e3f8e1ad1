// Merges the partial results of a sequence's splits, in the order of the splits: the same plan gives the same
// bits.
#pragma once

#include "decode_args.cuh"
#include "element.cuh"

namespace attest {

// Grid: B * T * R blocks of kThreads: one warp a row.
template <int kValueDim>
__global__ void __launch_bounds__(32) merge_splits(const __grid_constant__ MergeArgs args) {
  constexpr int kSlots = (kValueDim + 31) / 32;
  const int lane = threadIdx.x;
  const unsigned sequence = blockIdx.x / args.rows;
  const unsigned row = blockIdx.x % args.rows;
  const int begin = args.first_part[sequence];
  const int end = args.first_part[sequence + 1];

  float maximum = kNegativeInfinity;
  for (int part = begin; part < end; ++part) {
    maximum = fmaxf(maximum, args.partial_lse[static_cast<long long>(part) * args.rows + row]);
  }
  float sum = 0.0f;
  float result[kSlots] = {};
  for (int part = begin; part < end; ++part) {
    const long long at = static_cast<long long>(part) * args.rows + row;
    const float lse = args.partial_lse[at];
    if (lse == kNegativeInfinity) continue;  // the part saw nothing and wrote no result
    const float weight = exp2_approx(__fsub_rn(lse, maximum));
    sum = __fadd_rn(sum, weight);
    for (int slot = 0; slot < kSlots; ++slot) {
      const int element = slot * 32 + lane;
      if (element < kValueDim) {
        result[slot] = __fmaf_rn(weight, args.partial_outputs[at * kValueDim + element], result[slot]);
      }
    }
  }

  constexpr float kNaturalLogOf2 = 0.693147180559945309f;
  const long long at = static_cast<long long>(blockIdx.x);
  if (lane == 0) {
    args.lse[at] =
        sum > 0.0f ? __fmul_rn(kNaturalLogOf2, __fadd_rn(maximum, log2_approx(sum))) : kNegativeInfinity;
  }
  for (int slot = 0; slot < kSlots; ++slot) {
    const int element = slot * 32 + lane;
    if (element < kValueDim)
      args.outputs[at * kValueDim + element] = sum > 0.0f ? __fdiv_rn(result[slot], sum) : 0.0f;
  }
}

}  // namespace attest
