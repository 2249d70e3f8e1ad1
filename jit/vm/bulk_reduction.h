// What cp.reduce.async.bulk does to an element.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "jit/vm/bulk.h"

namespace attest::vm {

// One reduction of one element type: add of u32, ...
struct BulkReduction {
  std::string_view operation;  // "add", "min", ...
  std::string_view type;       // as in PTX: "u32", "f16", "b32", ...
  uint32_t bytes;
  Combine combine;
  bool in_shared;  // also where the destination is shared memory
};

std::span<const BulkReduction> bulk_reductions();
// Null if there is none.
const BulkReduction* find_reduction(std::string_view operation, std::string_view type);

}  // namespace attest::vm
