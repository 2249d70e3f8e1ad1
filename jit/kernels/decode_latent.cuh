// Naive decode of the latent family: score = q_rope . k_rope + q_latent . c, value = c. One rotated key
// serves all heads; kRows rows read one latent head.
#pragma once

#include "block_work.cuh"
#include "online_softmax.cuh"

namespace attest {

template <int kLatentDim, int kRopeDim, int kRows>
struct DecodeLatentShape : BlockShape<kRows> {
  using Base = BlockShape<kRows>;
  static constexpr int kWidth =
      kLatentDim + kRopeDim;  // a query or a cached token: the latent part, then the rotated
  static constexpr int kTokenStride =
      kWidth | 1;  // odd, so that 32 lanes reading 32 tokens meet no bank twice
  static constexpr int kSharedBytes = 4 * (Base::kRowsPerBlock * kWidth + Base::kTileTokens * kTokenStride);
};

// Grid: units * T * kv_heads * kRowTiles blocks of kThreads. Dynamic shared memory: kSharedBytes.
// A lane scores one token of a tile for all rows of its warp; then a lane accumulates every 32nd element of
// the latent.
template <class Element, int kLatentDim, int kRopeDim, int kRows>
__global__ void __launch_bounds__(BlockShape<kRows>::kThreads)
    decode_latent(const __grid_constant__ DecodeArgs args) {
  using Shape = DecodeLatentShape<kLatentDim, kRopeDim, kRows>;
  extern __shared__ float shared[];
  float* const queries = shared;                                         // [kRowsPerBlock, kWidth]
  float* const tokens = queries + Shape::kRowsPerBlock * Shape::kWidth;  // [kTileTokens, kTokenStride]

  const BlockWork work = block_work<Shape::kRowTiles, Shape::kRowsPerBlock>(args);
  const int latent_head = work.kv_head;
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const long long rows = static_cast<long long>(args.kv_heads) * kRows;
  const long long head_row = static_cast<long long>(latent_head) * kRows + work.first_row;

  for (int index = threadIdx.x; index < Shape::kRowsPerBlock * Shape::kWidth; index += Shape::kThreads) {
    const int row = index / Shape::kWidth;
    const int element = index % Shape::kWidth;
    const int query_head = static_cast<int>((head_row + row) % args.query_heads);
    const long long latent_at = row_index(args, work.unit.sequence, work.query_token, rows, head_row + row);
    const long long rope_at =
        row_index(args, work.unit.sequence, work.query_token, args.query_heads, query_head);
    float number = 0.0f;
    if (work.first_row + row < kRows) {
      number = element < kLatentDim
                   ? static_cast<const Element*>(args.queries)[latent_at * kLatentDim + element].value()
                   : static_cast<const Element*>(args.rope_queries)[rope_at * kRopeDim + element - kLatentDim]
                         .value();
    }
    queries[index] = number;
  }

  const float* const warp_queries = queries + warp * Shape::kRowsPerWarp * Shape::kWidth;
  const int warp_row = work.first_row + warp * Shape::kRowsPerWarp;
  SoftmaxRow<kLatentDim> state[Shape::kRowsPerWarp];

  for (int tile = work.unit.begin; tile < work.unit.end; tile += Shape::kTileTokens) {
    for (int slot = warp; slot < Shape::kTileTokens; slot += Shape::kWarps) {
      const bool visible =
          work.visible(args.mask, tile + slot);  // others are never read: they may hold anything
      const Element* latent = nullptr;
      const Element* rope_key = nullptr;
      if (visible) {
        latent = token_row<Element>(args.keys, work.pages, args.page_tokens, tile + slot, latent_head);
        rope_key = token_row<Element>(args.rope_keys, work.pages, args.page_tokens, tile + slot, 0);
      }
      float* const token = tokens + slot * Shape::kTokenStride;
      for (int element = lane; element < kLatentDim; element += 32) {
        token[element] = visible ? latent[element].value() : 0.0f;
      }
      for (int element = lane; element < kRopeDim; element += 32) {
        token[kLatentDim + element] = visible ? rope_key[element].value() : 0.0f;
      }
    }
    __syncthreads();  // the tile (and, the first time, the queries) are complete

    const bool visible = work.visible(args.mask, tile + lane);
    if (warp_row < kRows && __any_sync(kAllLanes, visible)) {
      const float* const key = tokens + lane * Shape::kTokenStride;
      float scores[Shape::kRowsPerWarp] = {};
#pragma unroll 8
      for (int element = 0; element < Shape::kWidth; ++element) {
        for (int row = 0; row < Shape::kRowsPerWarp; ++row) {
          scores[row] = __fmaf_rn(warp_queries[row * Shape::kWidth + element], key[element], scores[row]);
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
          state[row].add_values(__shfl_sync(kAllLanes, probabilities[row], slot),
                                tokens + slot * Shape::kTokenStride);
        }
      }
    }
    __syncthreads();  // every warp is done with the tile
  }

  for (int row = 0; row < Shape::kRowsPerWarp; ++row) {
    if (warp_row + row >= kRows) return;
    const long long at =
        row_index(args, work.unit.part, work.query_token, rows, head_row + warp * Shape::kRowsPerWarp + row);
    state[row].store(args.partial_outputs + at * kLatentDim, args.partial_lse + at);
  }
}

}  // namespace attest
