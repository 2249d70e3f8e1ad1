// Finds data races: two accesses to the same bytes, one of them a write, that nothing orders.
#pragma once

#include <memory>
#include <vector>

#include "jit/vm/observer.h"
#include "jit/vm/race.h"

namespace attest::vm {

// Orders accesses by happens-before: program order of a lane; bar.warp.sync; barriers, named ones between the
// warps that arrive and those that wait; barrier.cluster; fences with atomics, relaxed or volatile accesses;
// release and acquire. Who sees a phase of an mbarrier end is ordered after all arrivals and
// completions of it and of earlier phases, not after those of the next. Launches are ordered as wholes. An
// order that only this run's schedule happened to give does not count, so one run is enough for every
// schedule of the same accesses.
//
// Asynchronous operations (bulk copies, wgmma) are threads of their own: ordered after what their starter
// knew, and before whoever waited for their end, by wait_group or at the mbarrier that they complete on.
// Bytes that the generic proxy wrote and the async proxy reads or writes over need a fence.proxy.async in
// between as well (rule R6). cp.async is a write of the lane that started it, once when it is started and
// once when it is waited for: whoever is not ordered after the wait races with the second. Its read of the
// source is taken to happen at the start.
//
// Two atomics never race, unless one has .cta scope, the blocks differ and the memory is global (mbarrier
// operations have .cta scope by default, those of other blocks too). Lanes of one instruction that
// write the same bytes race with each other. ld.global.nc of bytes that the same launch writes is a finding
// of its own (rule R14). Shared and global memory are watched; precision is a byte. Buffers that kernels may
// only read need no watching.
class RaceObserver : public Observer {
 public:
  RaceObserver();
  ~RaceObserver() override;

  // One entry for every pair of instructions and kind, in the order found; of all launches so far.
  std::vector<Race> races() const;
  void forget();

  bool watches_instructions() const override { return false; }
  // Throws std::invalid_argument for a grid of 2^32 blocks or more.
  void launch_begin(const LaunchEvent& event) override;
  void launch_end(const LaunchEvent& event) override;
  void block_begin(Dim3 block, uint64_t number) override;
  void block_end(Dim3 block, uint64_t number) override;
  void access(const AccessEvent& event) override;
  void barrier_arrive(const BarrierEvent& event) override;
  void barrier_release(Dim3 block, uint64_t number, uint32_t barrier) override;
  void fence(const FenceEvent& event) override;
  void warp_sync(const WarpSyncEvent& event) override;
  void async_begin(const AsyncBeginEvent& event) override;
  void async_access(const AsyncAccessEvent& event) override;
  void async_end(const AsyncEndEvent& event) override;
  void mbarrier_phase(const Site& site, uint64_t address) override;
  void proxy_fence(const Site& site, Space space) override;
  void cluster_arrive(const ClusterBarrierEvent& event) override;
  void cluster_wait(const ClusterBarrierEvent& event) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attest::vm
