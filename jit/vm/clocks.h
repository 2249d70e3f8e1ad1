// Vector clocks: which events somebody is ordered after.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "jit/vm/code.h"

namespace attest::vm {

// Units of a block are its warps and, from this number on, the slots of its asynchronous operations.
inline constexpr uint32_t kFirstSlot = 32;

// Who touched a place, when and how: `lanes` of a warp, or an asynchronous operation that they started.
struct Stamp {
  uint32_t block = 0;
  uint32_t clock = 0;  // of the block; for an operation, its slot's
  uint32_t lanes = 0;  // 0 = nobody
  uint32_t pc : 24 = 0;
  uint32_t warp : 8 = 0;
  uint32_t unit : 24 = 0;
  bool reads : 1 = false;
  bool writes : 1 = false;
  bool atomic : 1 = false;       // atomic, relaxed, volatile, ...: does not race with its like
  bool block_scope : 1 = false;  // of .cta scope
  bool async_proxy : 1 = false;
  bool synchronous : 1 = false;  // an operation that is over when its lanes go on

  bool operation() const { return unit >= kFirstSlot; }
};
static_assert(sizeof(Stamp) == 20);

// Events that somebody is ordered after: of lanes of units up to a clock, and of whole blocks up to a clock
// (all lanes of all warps, no operations).
class Clocks {
 public:
  bool empty() const { return entries_.empty(); }
  void join(const Clocks& other) { join(other.entries_); }
  void add(uint32_t block, uint32_t unit, uint32_t clock, uint32_t lanes);
  void add_block(uint32_t block, uint32_t clock);
  // Of the lanes of the stamp's unit, those whose events up to the stamp's clock are in here; all for an
  // operation.
  uint32_t covered(const Stamp& stamp) const;
  // Drops what is known of single warps of a block.
  void drop_warps(uint32_t block);

 private:
  struct Entry {
    uint64_t unit;
    uint32_t clock;
    uint32_t lanes;
  };
  static uint64_t whole(uint32_t block) { return uint64_t{block} << 25; }
  static uint64_t key(uint32_t block, uint32_t unit) { return whole(block) + 1 + unit; }
  void join(std::span<const Entry> other);

  std::vector<Entry> entries_;  // by unit, then newest first; a lane of a unit appears once
};

// What somebody is ordered after, and what of that a fence.proxy.async on the way showed to the async proxy:
// of global and of shared memory, since a fence may be for one of them.
struct Knowledge {
  Clocks known, fenced_global, fenced_shared;
  bool empty() const { return known.empty() && fenced_global.empty() && fenced_shared.empty(); }
  void join(const Knowledge& other) {
    known.join(other.known);
    fenced_global.join(other.fenced_global);
    fenced_shared.join(other.fenced_shared);
  }
};

}  // namespace attest::vm
