// Which part of the call a block computes: one work unit, one query token, one KV head, one tile of that
// head's rows.
#pragma once

#include "paged_cache.cuh"

namespace attest {

// How rows (results a token that read one KV head) are laid over blocks of 4 warps, and tokens over tiles of
// one a lane.
template <int kRows>
struct BlockShape {
  static constexpr int kWarps = 4;
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kTileTokens = 32;
  static constexpr int kRowsPerWarp = kRows > 12 ? 4 : (kRows + kWarps - 1) / kWarps;
  static constexpr int kRowsPerBlock = kWarps * kRowsPerWarp;
  static constexpr int kRowTiles = (kRows + kRowsPerBlock - 1) / kRowsPerBlock;
};

struct BlockWork {
  WorkUnit unit;
  const int* pages;  // of the unit's sequence
  int query_token;   // 0 .. T-1
  int kv_head;
  int first_row;  // of this block, counted within the KV head
  int padding;
  long long position;  // of the query in its sequence; negative: it sees nothing when the mask is causal

  // True when this block's query sees `token` and the token is part of the block's unit.
  __device__ bool visible(const MaskArgs& mask, int token) const {
    return token < unit.end && sees(mask, position, padding, token);
  }
};

// Blocks are numbered with the row tile fastest, then the KV head, the query token and the unit.
template <int kRowTiles, int kRowsPerBlock>
__device__ BlockWork block_work(const DecodeArgs& args) {
  unsigned index = blockIdx.x;
  BlockWork work;
  work.first_row = static_cast<int>(index % kRowTiles) * kRowsPerBlock;
  index /= kRowTiles;
  work.kv_head = static_cast<int>(index % args.kv_heads);
  index /= args.kv_heads;
  work.query_token = static_cast<int>(index % args.query_tokens);
  index /= args.query_tokens;
  work.unit = args.units[index];
  work.pages = args.page_table + work.unit.sequence * args.pages_per_sequence;
  work.padding = args.left_padding[work.unit.sequence];
  work.position =
      static_cast<long long>(args.cached_tokens[work.unit.sequence]) - args.query_tokens + work.query_token;
  return work;
}

// Index of (leading, query token, row) in [.., T, R]: leading is a sequence or a part, R the call's rows a
// token.
__device__ inline long long row_index(const DecodeArgs& args, int leading, int query_token, long long rows,
                                      long long row) {
  return (static_cast<long long>(leading) * args.query_tokens + query_token) * rows + row;
}

}  // namespace attest
