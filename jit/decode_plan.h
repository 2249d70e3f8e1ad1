// How a decode call is laid out and cut: everything that must not change its result but for rounding.
#pragma once

#include <cstdint>
#include <string>

#include "reference/tensor.h"

namespace attest {

// What lies where a kernel must not look: left padding, the rest of the last page, unused pages and row
// padding.
enum class UnusedContent { zeros, nan };

struct DecodePlan {
  std::string kernel = "naive";  // or "fast": see kernels()
  Index page_tokens = 0;         // 0: one page holds the longest sequence
  std::uint64_t page_seed = 0;   // order of the pages in the pool; 0: in order, without unused pages
  UnusedContent unused = UnusedContent::nan;
  Index value_row_padding = 8;  // elements between a value row's end and the next row: keys and values then
                                // differ in their strides whatever their widths are
  // Exactly one decides: parts of this many tokens (batch-invariant), else this many even parts a sequence,
  // else (both 0) balanced over the device's processors.
  Index split_tokens = 0;
  Index splits = 1;

  bool operator==(const DecodePlan&) const = default;
};

}  // namespace attest
