// Where a cached token lies, and which tokens a query sees.
#pragma once

#include "decode_args.cuh"

namespace attest {

// First element of one head of one token. 64-bit throughout: a cache may hold more than 2^31 elements.
template <class Element>
__device__ const Element* token_row(const PagedArgs& cache, const int* pages, int page_tokens, int token,
                                    int head) {
  const long long page = pages[token / page_tokens];
  const long long slot = token % page_tokens;
  return static_cast<const Element*>(cache.base) + page * cache.page_stride + slot * cache.token_stride +
         head * cache.head_stride;
}

// True when the query at `position` sees `token` of a sequence with `padding` unused tokens in front.
__device__ inline bool sees(const MaskArgs& mask, long long position, int padding, int token) {
  if (token < padding) return false;
  if (mask.causal && token > position) return false;
  return mask.window == 0 || token > position - mask.window || token < padding + mask.sink_tokens;
}

}  // namespace attest
