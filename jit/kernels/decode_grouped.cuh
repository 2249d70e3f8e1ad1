// Naive decode of the grouped family: score = q . k, value = v, kRows query heads read one KV head.
#pragma once

#include "block_work.cuh"
#include "online_softmax.cuh"

namespace attest {

template <int kKeyDim, int kValueDim, int kRows>
struct DecodeGroupedShape : BlockShape<kRows> {
  using Base = BlockShape<kRows>;
  static constexpr int kKeyStride = kKeyDim | 1;  // odd, so that 32 lanes reading 32 keys meet no bank twice
  static constexpr int kSharedBytes =
      4 * (Base::kRowsPerBlock * kKeyDim + Base::kTileTokens * (kKeyStride + kValueDim));
};

// Grid: units * T * kv_heads * kRowTiles blocks of kThreads. Dynamic shared memory: kSharedBytes.
// A lane scores one token of a tile for all rows of its warp; then a lane accumulates every 32nd element of
// the value.
template <class Element, int kKeyDim, int kValueDim, int kRows>
__global__ void __launch_bounds__(BlockShape<kRows>::kThreads)
    decode_grouped(const __grid_constant__ DecodeArgs args) {
  using Shape = DecodeGroupedShape<kKeyDim, kValueDim, kRows>;
  extern __shared__ float shared[];
  float* const queries = shared;                                        // [kRowsPerBlock, kKeyDim]
  float* const keys = queries + Shape::kRowsPerBlock * kKeyDim;         // [kTileTokens, kKeyStride]
  float* const values = keys + Shape::kTileTokens * Shape::kKeyStride;  // [kTileTokens, kValueDim]

  const BlockWork work = block_work<Shape::kRowTiles, Shape::kRowsPerBlock>(args);
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const long long rows = static_cast<long long>(args.kv_heads) * kRows;
  const long long head_row = static_cast<long long>(work.kv_head) * kRows + work.first_row;

  for (int index = threadIdx.x; index < Shape::kRowsPerBlock * kKeyDim; index += Shape::kThreads) {
    const int row = index / kKeyDim;
    const long long at = row_index(args, work.unit.sequence, work.query_token, rows, head_row + row);
    const Element* query = static_cast<const Element*>(args.queries) + at * kKeyDim;
    queries[index] = work.first_row + row < kRows ? query[index % kKeyDim].value() : 0.0f;
  }

  const float* const warp_queries = queries + warp * Shape::kRowsPerWarp * kKeyDim;
  const int warp_row = work.first_row + warp * Shape::kRowsPerWarp;
  SoftmaxRow<kValueDim> state[Shape::kRowsPerWarp];

  for (int tile = work.unit.begin; tile < work.unit.end; tile += Shape::kTileTokens) {
    for (int slot = warp; slot < Shape::kTileTokens; slot += Shape::kWarps) {
      const bool visible =
          work.visible(args.mask, tile + slot);  // others are never read: they may hold anything
      const Element* key = nullptr;
      const Element* value = nullptr;
      if (visible) {
        key = token_row<Element>(args.keys, work.pages, args.page_tokens, tile + slot, work.kv_head);
        value = token_row<Element>(args.values, work.pages, args.page_tokens, tile + slot, work.kv_head);
      }
      for (int element = lane; element < kKeyDim; element += 32) {
        keys[slot * Shape::kKeyStride + element] = visible ? key[element].value() : 0.0f;
      }
      for (int element = lane; element < kValueDim; element += 32) {
        values[slot * kValueDim + element] = visible ? value[element].value() : 0.0f;
      }
    }
    __syncthreads();  // the tile (and, the first time, the queries) are complete

    const bool visible = work.visible(args.mask, tile + lane);
    if (warp_row < kRows && __any_sync(kAllLanes, visible)) {
      const float* const key = keys + lane * Shape::kKeyStride;
      float scores[Shape::kRowsPerWarp] = {};
#pragma unroll 8
      for (int element = 0; element < kKeyDim; ++element) {
        for (int row = 0; row < Shape::kRowsPerWarp; ++row) {
          scores[row] = __fmaf_rn(warp_queries[row * kKeyDim + element], key[element], scores[row]);
        }
      }
      float probabilities[Shape::kRowsPerWarp];
      for (int row = 0; row < Shape::kRowsPerWarp; ++row) {
        if (args.cap_scale != 0.0f) scores[row] = tanhf(__fmul_rn(scores[row], args.cap_scale));
        probabilities[row] =
            state[row].add_scores(visible ? scores[row] : kNegativeInfinity, args.exponent_scale);
      }
#pragma unroll 4
      for (int slot = 0; slot < Shape::kTileTokens; ++slot) {
        for (int row = 0; row < Shape::kRowsPerWarp; ++row) {
          state[row].add_values(__shfl_sync(kAllLanes, probabilities[row], slot), values + slot * kValueDim);
        }
      }
    }
    __syncthreads();  // every warp is done with the tile
  }

  for (int row = 0; row < Shape::kRowsPerWarp; ++row) {
    if (warp_row + row >= kRows) return;
    const long long at =
        row_index(args, work.unit.part, work.query_token, rows, head_row + warp * Shape::kRowsPerWarp + row);
    state[row].store(args.partial_outputs + at * kValueDim, args.partial_lse + at);
  }
}

}  // namespace attest
