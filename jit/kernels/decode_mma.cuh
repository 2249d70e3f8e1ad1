// Fast decode of both families on tensor cores (mma.sync, sm_80 and later), with the tiles copied
// asynchronously.
#pragma once

#include "block_work.cuh"
#include "tensor_core.cuh"

namespace attest {

// Warps of a block: kRowWarps tiles of 16 rows; warps that have the same rows take different tokens of a tile
// (kTokenWarps), each with its own partial result, or different columns of the result (kColumnWarps).
template <bool kLatent, int kKeyDim, int kRopeDim, int kValueDim, int kRows>
struct DecodeMmaShape {
  static constexpr int kRowWarps = kRows > 32 ? 4 : kRows > 16 ? 2 : 1;
  static constexpr int kTokenWarps = 4 / kRowWarps;
  static constexpr int kColumnWarps = kValueDim > 256 ? 2 : 1;
  static constexpr int kWarps = kRowWarps * kTokenWarps * kColumnWarps;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowsPerBlock = 16 * kRowWarps;
  static constexpr int kRowTiles = (kRows + kRowsPerBlock - 1) / kRowsPerBlock;
  static constexpr int kWidth =
      kKeyDim + kRopeDim;  // a query or a key: the key or latent part, then the rotated
  static constexpr int kTileTokens = kWidth > 320 ? 32 * (kTokenWarps > 2 ? 2 : 1) : 64;
  static constexpr int kWarpTokens = kTileTokens / kTokenWarps;
  static constexpr int kWarpColumns = kValueDim / kColumnWarps;
  static constexpr int kStages = 2;
  // 8 elements more, so that 8 rows of 16 bytes meet no bank twice.
  static constexpr int kKeyStride = kWidth + 8;
  static constexpr int kValueStride = kLatent ? kKeyStride : kValueDim + 8;
  static constexpr int kValueElements = kLatent ? 0 : kTileTokens * kValueStride;
  static constexpr int kStageElements = kTileTokens * kKeyStride + kValueElements;
  static constexpr int kSharedBytes = 2 * (kRowsPerBlock * kKeyStride + kStages * kStageElements);
  static_assert(kKeyDim % 16 == 0 && kRopeDim % 16 == 0 && kWarpColumns % 16 == 0,
                "widths are multiples of 16");
};

// Starts the copies of one tile. Warps take tokens in turn; a lane looks up the rows of one of its warp's
// tokens, then all lanes copy those rows 16 bytes each. A token that the query does not see becomes zeros.
template <class Element, class Shape, bool kLatent, int kKeyDim, int kRopeDim, int kValueDim>
__device__ void copy_tile(const DecodeArgs& args, const BlockWork& work, int tile, Element* keys,
                          Element* values) {
  constexpr int kTokens = Shape::kTileTokens / Shape::kWarps;  // of this warp
  static_assert(kTokens * Shape::kWarps == Shape::kTileTokens && kTokens <= 32,
                "every warp copies as many tokens");
  const int lane = threadIdx.x % 32;
  const int first = threadIdx.x / 32 * kTokens;
  const bool visible = lane < kTokens && work.visible(args.mask, tile + first + lane);
  const Element* key =
      static_cast<const Element*>(args.keys.base);  // any address will do for a token not seen
  const Element* other = key;                       // its value, or its rotated key
  if (visible) {
    key = token_row<Element>(args.keys, work.pages, args.page_tokens, tile + first + lane, work.kv_head);
    other = kLatent ? token_row<Element>(args.rope_keys, work.pages, args.page_tokens, tile + first + lane, 0)
                    : token_row<Element>(args.values, work.pages, args.page_tokens, tile + first + lane,
                                         work.kv_head);
  }
  const auto copy_row = [&](Element* to, unsigned long long from, int elements, bool present) {
    for (int element = 8 * lane; element < elements; element += 8 * 32) {
      copy_async(shared_address(to + element),
                 reinterpret_cast<const Element*>(from) + (present ? element : 0), present);
    }
  };
  for (int token = 0; token < kTokens; ++token) {
    const bool present = __shfl_sync(kAllLanes, visible, token);
    const unsigned long long key_row =
        __shfl_sync(kAllLanes, reinterpret_cast<unsigned long long>(key), token);
    const unsigned long long other_row =
        __shfl_sync(kAllLanes, reinterpret_cast<unsigned long long>(other), token);
    Element* const to = keys + (first + token) * Shape::kKeyStride;
    copy_row(to, key_row, kKeyDim, present);
    if (kLatent) {
      copy_row(to + kKeyDim, other_row, kRopeDim, present);
    } else {
      copy_row(values + (first + token) * Shape::kValueStride, other_row, kValueDim, present);
    }
  }
}

// Grid: units * T * kv_heads * kRowTiles blocks of kThreads. Dynamic shared memory: kSharedBytes. Unit u
// writes the parts u.part * kTokenWarps and the kTokenWarps - 1 after it.
template <class Element, bool kLatent, int kKeyDim, int kRopeDim, int kValueDim, int kRows>
__global__ void __launch_bounds__(DecodeMmaShape<kLatent, kKeyDim, kRopeDim, kValueDim, kRows>::kThreads)
    decode_mma(const __grid_constant__ DecodeArgs args) {
  using Shape = DecodeMmaShape<kLatent, kKeyDim, kRopeDim, kValueDim, kRows>;
  using Core = TensorCore<Element>;
  constexpr int kTokenTiles = Shape::kWarpTokens / 8;    // of 8 tokens, this warp's
  constexpr int kColumnTiles = Shape::kWarpColumns / 8;  // of 8 columns, this warp's
  static_assert(kTokenTiles % 2 == 0, "tokens are taken 16 at a time");
  extern __shared__ __align__(128) unsigned char shared[];
  Element* const queries = reinterpret_cast<Element*>(shared);                 // [kRowsPerBlock, kKeyStride]
  Element* const stages = queries + Shape::kRowsPerBlock * Shape::kKeyStride;  // [kStages, keys then values]

  const BlockWork work = block_work<Shape::kRowTiles, Shape::kRowsPerBlock>(args);
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int row_warp = warp % Shape::kRowWarps;
  const int token_warp = warp / Shape::kRowWarps % Shape::kTokenWarps;
  const int column_warp = warp / (Shape::kRowWarps * Shape::kTokenWarps);
  const long long rows = static_cast<long long>(args.kv_heads) * kRows;
  const long long head_row = static_cast<long long>(work.kv_head) * kRows + work.first_row;

  // Rows beyond kRows are zero; their results are never written.
  for (int index = 8 * threadIdx.x; index < Shape::kRowsPerBlock * Shape::kWidth;
       index += 8 * Shape::kThreads) {
    const int row = index / Shape::kWidth;
    const int element = index % Shape::kWidth;
    const bool present = work.first_row + row < kRows;
    const Element* from = static_cast<const Element*>(args.queries);
    if (present && element < kKeyDim) {
      from += row_index(args, work.unit.sequence, work.query_token, rows, head_row + row) * kKeyDim + element;
    } else if (present) {
      const int query_head = static_cast<int>((head_row + row) % args.query_heads);
      from = static_cast<const Element*>(args.rope_queries) +
             row_index(args, work.unit.sequence, work.query_token, args.query_heads, query_head) * kRopeDim +
             element - kKeyDim;
    }
    copy_async(shared_address(queries + row * Shape::kKeyStride + element), from, present);
  }

  const auto start_tile = [&](int tile, int stage) {
    Element* const keys = stages + stage * Shape::kStageElements;
    if (tile < work.unit.end) {
      copy_tile<Element, Shape, kLatent, kKeyDim, kRopeDim, kValueDim>(
          args, work, tile, keys, keys + Shape::kTileTokens * Shape::kKeyStride);
    }
    commit_copies();
  };
  start_tile(work.unit.begin, 0);

  // Rows g = lane / 4 and g + 8 of this warp's 16.
  float maximum[2] = {kNegativeInfinity, kNegativeInfinity};
  float sum[2] = {};
  float result[kColumnTiles][4] = {};
  // ldmatrix: this lane's row and column inside a 16 x 16 block of four matrices, for A and V, and for K.
  const int block_row = lane % 16, block_column = lane / 16 * 8;
  const int key_row = lane % 8 + lane / 16 * 8, key_column = lane / 8 % 2 * 8;
  const unsigned query_block =
      shared_address(queries + (16 * row_warp + block_row) * Shape::kKeyStride + block_column);

  int stage = 0;
  for (int tile = work.unit.begin; tile < work.unit.end; tile += Shape::kTileTokens, stage ^= 1) {
    start_tile(tile + Shape::kTileTokens, stage ^ 1);
    wait_for_copies<1>();
    __syncthreads();  // every thread's copies of this tile have arrived

    const Element* const keys = stages + stage * Shape::kStageElements;
    const Element* const values = kLatent ? keys : keys + Shape::kTileTokens * Shape::kKeyStride;
    const int first = token_warp * Shape::kWarpTokens;  // of this warp's tokens in the tile

    // scores[token tile][0..1]: row g, tokens 2t, 2t+1; [2..3]: row g+8
    float scores[kTokenTiles][4] = {};
    const unsigned key_block = shared_address(keys + (first + key_row) * Shape::kKeyStride + key_column);
#pragma unroll 4
    for (int step = 0; step < Shape::kWidth; step += 16) {
      unsigned query[4];
      load_matrices(query, query_block + 2 * step);
#pragma unroll
      for (int pair = 0; pair < kTokenTiles / 2; ++pair) {
        unsigned key[4];
        load_matrices(key, key_block + 2 * (16 * pair * Shape::kKeyStride + step));
        Core::multiply_add(scores[2 * pair], query, key[0], key[1]);
        Core::multiply_add(scores[2 * pair + 1], query, key[2], key[3]);
      }
    }

    float highest[2] = {kNegativeInfinity, kNegativeInfinity};
#pragma unroll
    for (int token = 0; token < kTokenTiles; ++token) {
#pragma unroll
      for (int index = 0; index < 4; ++index) {
        float& score = scores[token][index];
        if (args.cap_scale != 0.0f) score = tanhf(__fmul_rn(score, args.cap_scale));
        if (!work.visible(args.mask, tile + first + 8 * token + lane % 4 * 2 + index % 2))
          score = kNegativeInfinity;
        highest[index / 2] = fmaxf(highest[index / 2], score);
      }
    }
    float rescale[2], subtract[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      highest[half] = fmaxf(highest[half], __shfl_xor_sync(kAllLanes, highest[half], 1));
      highest[half] = fmaxf(highest[half], __shfl_xor_sync(kAllLanes, highest[half], 2));
      const float new_maximum = fmaxf(maximum[half], __fmul_rn(highest[half], args.exponent_scale));
      // A row that has seen nothing yet keeps zeros: -infinity minus -infinity must not be formed.
      subtract[half] = new_maximum == kNegativeInfinity ? 0.0f : new_maximum;
      rescale[half] = exp2_approx(__fsub_rn(maximum[half], subtract[half]));
      maximum[half] = new_maximum;
      sum[half] = __fmul_rn(sum[half], rescale[half]);
    }
#pragma unroll
    for (int column = 0; column < kColumnTiles; ++column) {
#pragma unroll
      for (int index = 0; index < 4; ++index)
        result[column][index] = __fmul_rn(result[column][index], rescale[index / 2]);
    }

    const unsigned value_block = shared_address(values + (first + block_row) * Shape::kValueStride +
                                                column_warp * Shape::kWarpColumns + block_column);
#pragma unroll
    for (int pair = 0; pair < kTokenTiles / 2; ++pair) {
      unsigned probability[4];
#pragma unroll
      for (int token = 0; token < 2; ++token) {
        float(&exponents)[4] = scores[2 * pair + token];
#pragma unroll
        for (int index = 0; index < 4; ++index) {
          exponents[index] =
              exp2_approx(__fmaf_rn(exponents[index], args.exponent_scale, -subtract[index / 2]));
          sum[index / 2] = __fadd_rn(sum[index / 2], exponents[index]);
        }
        probability[2 * token] = Core::pack(exponents[0], exponents[1]);
        probability[2 * token + 1] = Core::pack(exponents[2], exponents[3]);
      }
#pragma unroll
      for (int column = 0; column < kColumnTiles; column += 2) {
        unsigned value[4];
        load_matrices_transposed(value, value_block + 2 * (16 * pair * Shape::kValueStride + 8 * column));
        Core::multiply_add(result[column], probability, value[0], value[1]);
        Core::multiply_add(result[column + 1], probability, value[2], value[3]);
      }
    }
    __syncthreads();  // every warp is done with the tile
  }
  wait_for_copies<0>();

#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float total = __fadd_rn(sum[half], __shfl_xor_sync(kAllLanes, sum[half], 1));
    total = __fadd_rn(total, __shfl_xor_sync(kAllLanes, total, 2));
    const int row = 16 * row_warp + 8 * half + lane / 4;
    if (work.first_row + row >= kRows) continue;
    const int part = work.unit.part * Shape::kTokenWarps + token_warp;
    const long long at = row_index(args, part, work.query_token, rows, head_row + row);
    if (lane % 4 == 0 && column_warp == 0) {
      args.partial_lse[at] = total > 0.0f ? __fadd_rn(maximum[half], log2_approx(total)) : kNegativeInfinity;
    }
    if (!(total > 0.0f)) continue;
    float* const output =
        args.partial_outputs + at * kValueDim + column_warp * Shape::kWarpColumns + lane % 4 * 2;
#pragma unroll
    for (int column = 0; column < kColumnTiles; ++column) {
      output[8 * column] = __fdiv_rn(result[column][2 * half], total);
      output[8 * column + 1] = __fdiv_rn(result[column][2 * half + 1], total);
    }
  }
}

}  // namespace attest
