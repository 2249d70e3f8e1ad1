// Merges the many partial results of the fast kernel: merge_splits with four warps a row. The order depends
// on the number of parts alone: the same plan gives the same bits.
#pragma once

#include "decode_args.cuh"
#include "element.cuh"

namespace attest {

struct MergeWideShape {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
};

// Grid: B * T * R blocks of MergeWideShape::kThreads: one row each. Warps take the parts in turn, then their
// sums are added.
template <int kValueDim>
__global__ void __launch_bounds__(MergeWideShape::kThreads)
    merge_wide(const __grid_constant__ MergeArgs args) {
  constexpr int kWarps = MergeWideShape::kWarps;
  constexpr int kSlots = (kValueDim + 31) / 32;
  __shared__ float warp_maximum[kWarps];
  __shared__ float warp_sum_of_weights[kWarps];
  __shared__ float warp_result[kWarps][kValueDim];
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const unsigned sequence = blockIdx.x / args.rows;
  const unsigned row = blockIdx.x % args.rows;
  const int begin = args.first_part[sequence];
  const int end = args.first_part[sequence + 1];

  float maximum = kNegativeInfinity;
  for (int part = begin + static_cast<int>(threadIdx.x); part < end; part += MergeWideShape::kThreads) {
    maximum = fmaxf(maximum, args.partial_lse[static_cast<long long>(part) * args.rows + row]);
  }
  maximum = warp_max(maximum);
  if (lane == 0) warp_maximum[warp] = maximum;
  __syncthreads();
  for (int other = 0; other < kWarps; ++other) maximum = fmaxf(maximum, warp_maximum[other]);

  float sum = 0.0f;
  float result[kSlots] = {};
#pragma unroll 4
  for (int part = begin + warp; part < end; part += kWarps) {
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
  if (lane == 0) warp_sum_of_weights[warp] = sum;
  for (int slot = 0; slot < kSlots; ++slot) {
    const int element = slot * 32 + lane;
    if (element < kValueDim) warp_result[warp][element] = result[slot];
  }
  __syncthreads();

  constexpr float kNaturalLogOf2 = 0.693147180559945309f;
  const long long at = static_cast<long long>(blockIdx.x);
  float total = 0.0f;
  for (int other = 0; other < kWarps; ++other) total = __fadd_rn(total, warp_sum_of_weights[other]);
  if (threadIdx.x == 0) {
    args.lse[at] =
        total > 0.0f ? __fmul_rn(kNaturalLogOf2, __fadd_rn(maximum, log2_approx(total))) : kNegativeInfinity;
  }
  for (int element = threadIdx.x; element < kValueDim; element += MergeWideShape::kThreads) {
    float merged = 0.0f;
    for (int other = 0; other < kWarps; ++other) merged = __fadd_rn(merged, warp_result[other][element]);
    args.outputs[at * kValueDim + element] = total > 0.0f ? __fdiv_rn(merged, total) : 0.0f;
  }
}

}  // namespace attest
