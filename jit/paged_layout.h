// The inputs of a decode call as the bytes that kernels read: encoded elements, paged caches and page tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "jit/decode_plan.h"
#include "jit/kernels/decode_args.cuh"
#include "reference/decode_call.h"

namespace attest {

// One pool of pages. Keys lie [page, token, head, element], values [page, head, token, element] with padded
// rows.
struct PagedPool {
  std::vector<std::byte> bytes;  // empty: the family has none
  PagedArgs strides{};           // base: null
};

struct PagedLayout {
  std::vector<std::byte> queries, rope_queries;
  PagedPool keys, values, rope_keys;
  std::vector<int> page_table;  // [B, pages_per_sequence]; entries without a page are 2147480000
  Index pages_per_sequence = 0;
  Index page_tokens = 0;
  Index pages = 0;  // of each pool
  std::vector<int> cached_tokens, left_padding;
};

// Throws std::invalid_argument when inputs.problems() is not empty, for a storage format that kernels do not
// read, and when a length or a page number leaves 31 bits.
PagedLayout lay_out(const DecodeInputs& inputs, const DecodePlan& plan);

}  // namespace attest
