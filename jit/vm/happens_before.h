// Who knows of whose past: the order of events in a launch, kept as clocks of blocks.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "jit/vm/clocks.h"

namespace attest::vm {

// A place in the program at which lanes of a warp do something.
struct Where {
  uint32_t block, warp, lanes, pc;
};

// The order of one launch. All warps of a block share one clock; whatever gives knowledge away moves it on,
// so that later events are told from what was given. What the whole block has waited for lies below one
// clock, and what all lanes of a warp have met for below another: only later events need a closer look.
//
// An asynchronous operation has a slot of its block for itself: it reads at the slot's clock and writes one
// later. A slot is used again by an operation whose starter knows of the previous one's end, so that knowing
// of the later one rightly means knowing of both.
class HappensBefore {
 public:
  class View;

  void begin_block(uint32_t block, uint32_t threads);
  void end_block(uint32_t block);

  // The stamp of something that happens now.
  Stamp now(const Where& where);
  View view(uint32_t block, uint32_t warp);

  void warp_barrier(uint32_t block, uint32_t warp, uint32_t lanes);
  // A barrier of some warps: arrivals collect, completion gives what they knew to those that wait.
  // whole_block: the barrier is for every living thread of the block, however many have exited.
  void arrive(uint32_t block, uint32_t barrier, uint32_t warp, uint32_t lanes, bool waits, bool whole_block);
  void complete(uint32_t block, uint32_t barrier);

  // What others learn from lanes that release now; their later events are not part of it.
  Knowledge publish(uint32_t block, uint32_t warp, uint32_t lanes);
  void learn(uint32_t block, uint32_t warp, uint32_t lanes, const Knowledge& knowledge);
  // The async proxy sees from now on what the lanes know of global or of shared memory (generic: of both),
  // and whoever learns from them knows that. A fence of several lanes counts as one behind all of them.
  void proxy_fence(uint32_t block, uint32_t warp, uint32_t lanes, Space space);

  // Operations have numbers. Several lanes, one call after another, may start the same one.
  // The others throw std::logic_error for an operation that nobody started.
  void begin_operation(uint64_t number, const Where& starter);
  Stamp stamp_of_operation(uint64_t number, bool writes) const;
  View view_of_operation(uint64_t number) const;
  // What is learnt from the end of the operation, or of its reads.
  Knowledge end_operation(uint64_t number, bool reads_only) const;

 private:
  using Meetings = std::array<std::array<uint32_t, kLanes>, kLanes>;
  struct Arrival {
    uint32_t warp, lanes;
    bool waits, whole_block;
    Knowledge knowledge;
  };
  struct Warp {
    uint32_t existing = kAllLanes;
    uint32_t met = 0;                    // every lane is ordered after the others' events up to here
    std::unique_ptr<Meetings> meetings;  // [lane][other]: where that is later than `met`
    Knowledge knowledge;                 // of all lanes
    std::map<uint32_t, Knowledge> of_lane;
  };
  struct Slot {
    uint32_t clock = 0;
    uint64_t operation = 0;
  };
  struct Block {
    uint32_t clock = 1;
    uint32_t passed = 0;  // every thread is ordered after the block's events up to here
    uint32_t threads = 0;
    std::vector<Warp> warps;
    std::vector<Slot> slots;
    size_t next_slot = 0;
    std::vector<uint64_t> recycled;  // operations whose slots others have taken
    Knowledge knowledge;             // of all threads
    std::map<uint32_t, std::vector<Arrival>> barriers;
  };
  struct Operation {
    Where starter;
    uint32_t unit, clock;
    Knowledge start;
  };

  Block& block_of(uint32_t block);
  const Operation& operation(uint64_t number) const;
  uint32_t free_slot(uint32_t block, const Knowledge& knowledge);
  void meet(Block& block, Warp& warp, uint32_t lanes);
  void block_barrier(uint32_t block);

  std::unordered_map<uint32_t, std::unique_ptr<Block>> blocks_;
  std::unordered_map<uint64_t, Operation> operations_;
  uint32_t cached_number_ = 0;
  Block* cached_ = nullptr;
};

// What lanes of a warp, or an operation, see when they touch memory. Valid until the order changes.
class HappensBefore::View {
 public:
  // Whether everything that `earlier` stands for is ordered before what each of `lanes` does now.
  bool after(const Stamp& earlier, uint32_t lanes) {
    if (block_ && earlier.block == number_ && !earlier.operation()) {
      if (earlier.clock <= block_->passed) return true;
      if (earlier.unit == unit_ &&
          (earlier.clock <= warp_->met || (earlier.lanes == lanes && (lanes & (lanes - 1)) == 0)))
        return true;
    }
    return after_slowly(earlier, lanes);
  }
  // Whether a fence.proxy.async for this space stands between `earlier` and the start of this operation.
  bool fenced(const Stamp& earlier, Space space);

 private:
  friend class HappensBefore;
  bool after_slowly(const Stamp& earlier, uint32_t lanes);
  void look_up(const Stamp& earlier);

  uint32_t number_ = 0, unit_ = 0;  // block and unit
  const Block* block_ = nullptr;    // null for an operation
  const Warp* warp_ = nullptr;
  const Operation* operation_ = nullptr;
  // What was looked up last: neighbouring bytes mostly have the same history.
  Stamp looked_up_;
  bool valid_ = false;
  uint32_t known_ = 0, fenced_global_ = 0, fenced_shared_ = 0;  // lanes
};

}  // namespace attest::vm
