// Feeds a RaceObserver with events made by hand.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {

struct Who {
  uint32_t block = 0, warp = 0, lanes = kAllLanes;
};
inline constexpr uint32_t kLeader = 1;                  // lane 0
inline constexpr uint64_t kFull = 8192, kEmpty = 8200;  // mbarriers
inline constexpr uint64_t remote(uint64_t rank, uint64_t offset) {
  return (rank + 1) << kSharedRankShift | offset;
}

// Two blocks of 64 threads, one cluster, and a global buffer of 64 KiB. Each event happens at a line of its
// own number.
class Script {
 public:
  Script() {
    options_.grid.x = options_.cluster.x = 2;
    options_.block.x = 64;
    global = memory_.allocate(1 << 16, "data");
    observer_.launch_begin({"k", options_, memory_});
    for (uint32_t block : {0u, 1u}) observer_.block_begin({block, 0, 0}, block);
  }
  ~Script() { finish(); }
  std::vector<Race> finish() {
    if (!finished_) {
      for (uint32_t block : {0u, 1u}) observer_.block_end({block, 0, 0}, block);
      observer_.launch_end({"k", options_, memory_});
    }
    finished_ = true;
    return observer_.races();
  }

  uint64_t global = 0;

  // Lane i touches `bytes` at address + i * bytes; in shared memory unless it is a global address.
  void store(int line, Who who, uint64_t address, uint32_t bytes = 4) {
    touch(line, who, Touch::store, address, bytes, bytes);
  }
  void load(int line, Who who, uint64_t address, uint32_t bytes = 4) {
    touch(line, who, Touch::load, address, bytes, bytes);
  }
  void touch(int line, Who who, Touch touch, uint64_t address, uint32_t bytes, uint64_t stride) {
    access(line, who, address, bytes, stride, touch, {});
  }
  void arrive(int line, Who who, uint64_t barrier) {
    access(line, who, barrier, 8, 0, Touch::atomic, {.order = Order::release, .scope = Scope::cta});
  }
  void wait(int line, Who who, uint64_t barrier) {
    access(line, who, barrier, 8, 0, Touch::load, {.order = Order::acquire, .scope = Scope::cta});
  }
  void poll(int line, Who who, uint64_t barrier) {
    access(line, who, barrier, 8, 0, Touch::load, {.order = Order::relaxed, .scope = Scope::cta});
  }
  void fence(Who who) { observer_.fence({site(908, who), Order::acq_rel, Scope::cta}); }
  // Warp 0 or 1 arrives at a barrier that the other one waits at.
  void hand_over(uint32_t block, uint32_t from) {
    observer_.barrier_arrive({site(910, {block, from}), 1, 64, false});
    observer_.barrier_arrive({site(910, {block, 1 - from}), 1, 64, true});
    observer_.barrier_release({block, 0, 0}, block, 1);
  }
  void phase(Who who, uint64_t barrier) { observer_.mbarrier_phase(site(909, who), barrier); }
  void block_barrier(uint32_t block = 0) {
    for (uint32_t warp : {0u, 1u}) observer_.barrier_arrive({site(900, {block, warp}), 0, 0, true});
    observer_.barrier_release({block, 0, 0}, block, 0);
  }
  void warp_barrier(Who who) { observer_.warp_sync({site(901, who), who.lanes, true}); }
  void proxy_fence(Who who, Space space = Space::generic) { observer_.proxy_fence(site(902, who), space); }

  // Starts an operation that touches one range; gives its number.
  uint64_t start(int line, Who who, Touch touch, uint64_t address, uint64_t bytes, bool proxy = true) {
    observer_.async_begin({site(line, who), ++last_});
    extend(last_, who, touch, address, bytes, proxy);
    return last_;
  }
  void extend(uint64_t actor, Who who, Touch touch, uint64_t address, uint64_t bytes, bool proxy = true) {
    observer_.async_access({site(903, who), actor, space_of(address), touch, address, bytes, proxy});
  }
  void wait_group(uint64_t actor, Who who, bool reads_only = false) {
    observer_.async_end({site(904, who), actor, reads_only});
  }
  void complete(uint64_t actor, Who who, uint64_t barrier) {
    observer_.async_end({site(905, who), actor, false, true, barrier});
  }
  void cluster_arrive(Who who, uint64_t phase, bool orders = true) {
    observer_.cluster_arrive({site(906, who), 0, phase, orders});
  }
  void cluster_wait(Who who, uint64_t phase) { observer_.cluster_wait({site(907, who), 0, phase, true}); }
  void cluster_barrier(uint64_t phase) {
    for (uint32_t block : {0u, 1u})
      for (uint32_t warp : {0u, 1u}) cluster_arrive({block, warp}, phase);
    for (uint32_t block : {0u, 1u})
      for (uint32_t warp : {0u, 1u}) cluster_wait({block, warp}, phase);
  }

 private:
  Space space_of(uint64_t address) const { return address >= global ? Space::global : Space::shared; }
  const Site& site(int line, Who who) {
    Site& at = sites_[line];
    at = {{who.block, 0, 0}, who.block, who.warp, who.lanes, line, 0, static_cast<uint32_t>(line), "it"};
    return at;
  }
  void access(int line, Who who, uint64_t address, uint32_t bytes, uint64_t stride, Touch touch,
              MemoryQualifiers how) {
    std::array<uint64_t, kLanes> addresses;
    for (uint32_t lane = 0; lane < kLanes; ++lane) addresses[lane] = address + lane * stride;
    observer_.access({site(line, who), space_of(address), touch, bytes, addresses, how});
  }

  Memory memory_;
  LaunchOptions options_;
  RaceObserver observer_;
  std::map<int, Site> sites_;
  uint64_t last_ = 0;
  bool finished_ = false;
};

}  // namespace attest::vm
