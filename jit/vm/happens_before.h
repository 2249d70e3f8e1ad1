// Who knows of whose past: the order of events in a launch, kept as clocks of warps and epochs of blocks.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "jit/vm/code.h"

namespace attest::vm {

// When and by whom a place was touched. `lanes` of one warp, at the warp's `clock`, in the block's `epoch`.
struct Stamp {
  uint64_t block = 0;
  uint32_t epoch = 0;
  uint32_t clock = 0;
  uint32_t lanes = 0;  // 0 = nobody
  uint32_t pc = 0;
  uint16_t warp = 0;
  bool atomic = false;
  bool block_scope = false;  // an atomic of .cta scope
};

struct LaneId {
  uint64_t block;
  uint32_t warp;
  uint32_t lane;
};

// Events that somebody is ordered after: whole epochs of blocks, and single lanes up to a clock of their
// warp.
struct Knowledge {
  std::map<uint64_t, uint32_t> blocks;   // block -> all of its epochs below this
  std::map<uint64_t, uint32_t> threads;  // thread -> clock, inclusive
  void join(const Knowledge& other);
  bool empty() const { return blocks.empty() && threads.empty(); }
  static uint64_t thread(uint64_t block, uint32_t warp, uint32_t lane) {
    return (block << 10) | (warp << 5) | lane;
  }
};

// The order of one launch. Block-wide barriers begin a new epoch of their block, so that within a block only
// events of the current epoch need a closer look: clocks between the warps, and between the lanes of each
// warp.
class HappensBefore {
 public:
  void begin_block(uint64_t block, uint32_t threads);
  void end_block(uint64_t block);
  bool has_block(uint64_t block) const { return blocks_.count(block) > 0; }

  // The stamp of something that `lanes` do now.
  Stamp now(uint64_t block, uint32_t warp, uint32_t lanes, uint32_t pc) const;
  // Whether everything that `earlier` stands for is ordered before what `lane` does now.
  bool ordered(const Stamp& earlier, const LaneId& lane) const;

  void block_barrier(uint64_t block);
  void warp_barrier(uint64_t block, uint32_t warp, uint32_t lanes);
  // A barrier of some warps: arrivals collect, completion gives what they knew to those that wait.
  // whole_block: the barrier is for every living thread of the block, however many have exited.
  void arrive(uint64_t block, uint32_t barrier, uint32_t warp, uint32_t lanes, bool waits, bool whole_block);
  // True if every thread of the block arrived; then it was block-wide.
  bool complete(uint64_t block, uint32_t barrier);

  // What others learn from a lane that releases now; its later events are not part of it.
  Knowledge publish(const LaneId& lane);
  void learn(const LaneId& lane, const Knowledge& knowledge);

 private:
  struct Arrival {
    uint32_t warp, lanes, clock;
    bool waits, whole_block;
    std::vector<uint32_t> seen;
    Knowledge knowledge;
  };
  struct WarpOrder {
    uint32_t existing = kAllLanes;
    uint32_t clock = 1;
    std::vector<uint32_t> seen;  // per warp of the block: all its lanes up to this clock
    std::array<std::array<uint32_t, kLanes>, kLanes>
        lanes{};          // [lane][other]: clock of the other that it is ordered after
    Knowledge knowledge;  // of all lanes
    std::map<uint32_t, Knowledge> of_lane;
  };
  struct BlockOrder {
    uint32_t epoch = 0;
    uint32_t threads = 0;
    std::vector<WarpOrder> warps;
    Knowledge knowledge;  // of all threads
    std::map<uint32_t, std::vector<Arrival>> barriers;
  };
  static bool knows(const Knowledge& knowledge, const Stamp& stamp);
  void order_lanes(WarpOrder& warp, uint32_t lanes);

  std::map<uint64_t, BlockOrder> blocks_;
};

}  // namespace attest::vm
