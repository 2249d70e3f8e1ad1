// What can be watched while a kernel runs: a class of empty hooks; checkers and counters override what they
// need.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "jit/vm/code.h"
#include "jit/vm/trap.h"

namespace attest::vm {

struct LaunchOptions;
class Memory;

struct LaunchEvent {
  std::string_view entry;
  const LaunchOptions& options;
  const Memory& memory;
};

// Where something happens. `lanes` are those that take part.
struct Site {
  Dim3 block;
  uint64_t block_number = 0;  // x fastest
  uint32_t warp = 0;
  uint32_t lanes = 0;
  int line = 0;
  uint32_t form = 0;  // index into supported_forms()
  uint32_t pc = 0;
  std::string_view text;
};

enum class Touch : uint8_t { load, store, atomic };

// One warp-wide access, already checked. `space` is never generic: each lane's address was resolved, and
// lanes in different spaces come as separate events. Addresses are device addresses for global and constant
// memory, offsets for the other spaces (shared memory of another block of the cluster: (rank + 1) << 24 |
// offset).
struct AccessEvent {
  const Site& site;
  Space space;
  Touch touch;
  uint32_t bytes;  // per lane
  std::span<const uint64_t, kLanes> addresses;
  MemoryQualifiers qualifiers;
};

struct BarrierEvent {
  const Site& site;
  uint32_t barrier;
  uint32_t expected;  // threads; 0 = all of the block
  bool waits;         // false for bar.arrive
};

struct FenceEvent {
  const Site& site;
  Order order;
  Scope scope;
  bool mbarrier_init = false;  // orders mbarrier.init alone
};

// Lanes of one warp met: bar.warp.sync, shfl.sync, vote.sync, ...
struct WarpSyncEvent {
  const Site& site;
  uint32_t members;
  bool orders_memory;  // bar.warp.sync does; the others only line lanes up
};

// An asynchronous operation (a bulk copy, a wgmma) is an actor of its own: what it touches is ordered after
// its start, and before whoever learns of its end. Actors have numbers that a launch gives out once, from 1
// on.
struct AsyncBeginEvent {
  const Site& site;  // who started it
  uint64_t actor;
};

// A range of bytes that an actor touches. Addresses are as in AccessEvent. `async_proxy`: through the async
// proxy, which does not see generic accesses without a fence.proxy.async between.
struct AsyncAccessEvent {
  const Site& site;
  uint64_t actor;
  Space space;
  Touch touch;
  uint64_t address;
  uint64_t bytes;
  bool async_proxy = true;
};

// The actor has touched what it will touch (`reads_only`: read what it will read). Who learns of it: the
// lanes of `site` (wait_group), or with `barrier` everybody who acquires from the mbarrier at `address` in
// shared memory.
struct AsyncEndEvent {
  const Site& site;
  uint64_t actor;
  bool reads_only = false;
  bool barrier = false;
  uint64_t address = 0;  // of the mbarrier, as in AccessEvent
};

// barrier.cluster: lanes arrive (arrive) or got through (wait). `orders` is false for .relaxed arrivals.
struct ClusterBarrierEvent {
  const Site& site;
  uint64_t cluster;  // number of the cluster
  uint64_t phase;    // that the lanes arrived at or waited for
  bool orders;
};

// With host_threads > 1 the hooks are called from several threads at once (never for the same block).
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void launch_begin(const LaunchEvent&) {}
  virtual void launch_end(const LaunchEvent&) {}
  virtual void block_begin(Dim3 /*block*/, uint64_t /*number*/) {}
  virtual void block_end(Dim3 /*block*/, uint64_t /*number*/) {}
  // False: instruction() does nothing, and need not be called once for every instruction.
  virtual bool watches_instructions() const { return true; }
  virtual void instruction(const Site&) {}  // before it is executed; lanes may be 0 (guard false everywhere)
  virtual void access(const AccessEvent&) {}
  virtual void barrier_arrive(const BarrierEvent&) {}
  virtual void barrier_release(Dim3 /*block*/, uint64_t /*number*/, uint32_t /*barrier*/) {}
  virtual void fence(const FenceEvent&) {}
  virtual void warp_sync(const WarpSyncEvent&) {}
  virtual void async_begin(const AsyncBeginEvent&) {}
  virtual void async_access(const AsyncAccessEvent&) {}
  virtual void async_end(const AsyncEndEvent&) {}
  // The phase of the mbarrier at `address` (as in AccessEvent) is over. What was released to it or ended at
  // it before this belongs to the phase; what comes later to the next one.
  virtual void mbarrier_phase(const Site&, uint64_t /*address*/) {}
  virtual void proxy_fence(const Site&, Space /*global, shared or generic: both*/) {}  // fence.proxy.async
  virtual void cluster_arrive(const ClusterBarrierEvent&) {}
  virtual void cluster_wait(const ClusterBarrierEvent&) {}
};

}  // namespace attest::vm
