// The state of a warp and of its block while a kernel runs.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "jit/vm/code.h"
#include "jit/vm/machine.h"
#include "jit/vm/memory.h"
#include "jit/vm/observer.h"
#include "jit/vm/trap.h"

namespace attest::vm {

struct Block;
struct Launch;
struct BulkInFlight;
struct CopiesInFlight;
struct Warpgroup;
struct Mbarriers;
struct Spinning;

// What a recursive call saved of a function, to be put back when it returns.
struct SavedCall {
  uint32_t function = 0;
  std::vector<uint64_t> registers;
  std::vector<std::byte> frame;
  std::vector<uint8_t> frame_initialised;
};

struct Warp {
  std::byte* registers = nullptr;  // [row][lane], code.h
  uint32_t mask = 0;        // lanes that execute the current instruction: the group's, minus a false guard
  uint32_t group = 0;       // lanes that are at `pc` together
  uint32_t pc = 0;          // of the group's next instruction; control flow overwrites it
  uint32_t stop = 0;        // the group halts when pc reaches this: where other lanes wait; 0 = regroup now
  uint32_t existing = 0;    // lanes that the launch has
  uint32_t living = 0;      // lanes that have not exited
  uint32_t at_barrier = 0;  // lanes that wait at a block-wide barrier
  uint32_t counted = 0;     // of these, the lanes whose arrival was counted
  uint32_t at_collective = 0;  // lanes that wait for other lanes of this warp
  uint32_t at_cluster = 0;     // lanes that wait at barrier.cluster
  uint32_t cluster_halted =
      0;  // of these, lanes of an .aligned one that the rest of the warp has not reached
  uint32_t cluster_arrived = 0;  // lanes that arrived in the cluster barrier's phase that is open
  uint32_t cluster_passed = 0;   // lanes whose phase is complete, but that have not waited yet
  uint32_t at_dependency = 0;    // lanes at griddepcontrol.wait while the primary grid has not ended
  uint32_t at_warpgroup = 0;     // lanes that wait for other warps of their warpgroup
  uint32_t starved = 0;          // lanes that were not chosen in the last slice
  uint32_t index = 0;            // in the block
  alignas(64) std::array<uint32_t, kLanes> lane_pc{};  // of lanes outside the group
  alignas(
      64) std::array<uint32_t, kLanes> lane_wait{};  // barrier number or member mask that a waiting lane gave
  std::byte* frame = nullptr;                        // [lane][frame_bytes]
  uint8_t* frame_initialised = nullptr;
  std::array<std::vector<SavedCall>, kLanes> saved;
  uint32_t compared[2] = {0, 0};   // between a comparison and what is done with it (forms_compare.cpp)
  Warpgroup* warpgroup = nullptr;  // warpgroup.h; null in kernels without wgmma
  Block* block = nullptr;
  Launch* launch = nullptr;

  template <class T>
  T* row(uint32_t offset) const {
    return reinterpret_cast<T*>(registers + offset);
  }
  uint32_t& predicate(uint32_t offset) const { return *row<uint32_t>(offset); }
  // Lanes that wait for other lanes.
  uint32_t waiting() const { return at_barrier | at_collective | at_cluster | at_warpgroup; }
  uint32_t runnable() const { return living & ~waiting() & ~at_dependency; }
  // Takes lanes out of the group and leaves them at `at`; the group is formed anew afterwards.
  void park(uint32_t lanes, uint32_t at) {
    for (uint32_t rest = lanes; rest; rest &= rest - 1)
      lane_pc[static_cast<uint32_t>(std::countr_zero(rest))] = at;
    group &= ~lanes;
    stop = 0;
  }
};

struct Barrier {
  uint32_t expected = 0;  // threads, from an explicit count; 0 = every living thread of the block
  uint32_t arrived = 0;   // threads, counted as the PTX ISA does: a whole warp counts 32
  bool open = false;      // somebody arrived in this phase
  bool counted = false;   // this phase has an explicit count
  uint32_t population = 0;
  bool all = true, any = false;
};
inline constexpr uint32_t kBarriers = 16;

struct Block {
  Dim3 index;
  uint64_t linear = 0;
  uint32_t rank = 0;  // in its cluster
  std::vector<Warp> warps;
  std::unique_ptr<std::byte[]> arena;  // registers and frames of all warps
  std::unique_ptr<uint8_t[]> frame_flags;
  std::unique_ptr<std::byte[]> shared;
  std::unique_ptr<uint8_t[]> shared_initialised;
  uint64_t shared_bytes = 0;
  std::array<Barrier, kBarriers> barriers;
  std::vector<Block*>* cluster = nullptr;  // by rank; a block without a cluster is one of its own
  uint64_t cluster_number = 0;
  uint64_t cluster_phase = 0;  // of the cluster's barrier that is open
  Launch* launch = nullptr;
  uint64_t random = 0;  // state of the schedule's generator
  uint64_t ticks = 0;   // warp-instructions of this block so far
  std::shared_ptr<CopiesInFlight>
      copies;                            // of cp.async, per warp (forms_async.cpp); null while there are none
  std::shared_ptr<BulkInFlight> bulk;    // bulk.cpp; null while there was none
  std::shared_ptr<Mbarriers> mbarriers;  // mbarrier.h; null while there was none
  std::shared_ptr<Spinning> spinning;    // spinning.cpp; null while nobody tested a barrier in vain
  std::shared_ptr<std::vector<Warpgroup>> warpgroups;  // null in kernels without wgmma
  // For those who find out that nothing happens any more (spinning.h, livelock.h). `changes` grows with all
  // that lanes of other warps may learn of: memory, barriers, asynchronous operations, exits. What a load of
  // global memory gives may also have been changed from elsewhere.
  // `own_changes` are those of them that the state of the cluster's blocks shows: stores to shared and local
  // memory, barriers.
  uint64_t changes = 0, own_changes = 0, global_loads = 0;
};

struct Launch {
  const Code* code = nullptr;
  Code in_mode;  // what `code` is when an arithmetic mode replaces forms (arithmetic_mode.h)
  const LaunchOptions* options = nullptr;
  Memory* memory = nullptr;
  std::span<const std::byte> params;
  std::string entry;
  std::vector<std::byte> constants;  // Code::constants with the relocations applied
  std::span<Observer* const> observers;
  bool watched = false;  // an observer wants to hear of every instruction
  std::atomic<uint64_t> lane_instructions{0};
  std::atomic<uint64_t> warp_instructions{0};
  std::atomic<bool> cancelled{false};
  bool prerequisites_met = true;    // false: griddepcontrol.wait waits (Machine::launch_dependent)
  std::atomic<uint64_t> actors{0};  // asynchronous operations started so far; observer.h
  std::mutex at_end_mutex;
  std::vector<std::function<void()>> at_end;  // what asynchronous operations do after the last block
};

inline bool observed(const Warp& warp) { return !warp.launch->observers.empty(); }
Site site_of(const Warp& warp, const Instruction& instruction);
inline uint32_t pc_of(const Warp&, const Instruction& instruction) { return instruction.pc; }

// Ends the run: names the place and the lanes.
[[noreturn]] void trap(const Warp& warp, const Instruction& instruction, Rule rule, uint32_t lanes,
                       const std::string& what);

}  // namespace attest::vm
