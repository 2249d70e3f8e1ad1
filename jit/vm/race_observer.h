// Finds data races: two accesses to the same bytes, one of them a write, that nothing orders.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "jit/vm/observer.h"

namespace attest::vm {

// What one side of a race did.
struct RaceSide {
  int line = 0;
  std::string instruction;
  uint64_t block = 0;  // number, x fastest
  uint32_t warp = 0;
  uint32_t lanes = 0;  // those that touched the place
};

struct Race {
  enum class Kind { write_write, read_write, write_read, atomic_plain, non_coherent };
  Kind kind = Kind::write_write;
  Space space = Space::global;
  std::string place;  // "shared memory offset 64", "buffer 'out' offset 12"
  RaceSide earlier, later;
  uint64_t occurrences = 1;  // the same two instructions, other places or threads
  // "write-write race at shared memory offset 64: PTX line 12 `st.shared...` block 0 warp 0 lanes 3 and ..."
  std::string text() const;
};

// Orders accesses by happens-before: program order of a lane; bar.warp.sync; barriers, named ones between the
// warps that arrive and those that wait; fences with atomics, relaxed or volatile accesses; release and
// acquire. Launches are ordered as wholes. An order that only this run's schedule happened to give does not
// count, so one run is enough for every schedule of the same accesses. Not modelled: asynchronous copies and
// mbarriers.
//
// Two atomics never race, unless one has .cta scope and the blocks differ. Lanes of one instruction that
// write the same bytes race with each other. ld.global.nc of bytes that the same launch writes is a finding
// of its own (rule R14). Shared and global memory are watched; precision is a byte.
class RaceObserver : public Observer {
 public:
  RaceObserver();
  ~RaceObserver() override;

  // One entry for every pair of instructions and kind, in the order found; of all launches so far.
  std::vector<Race> races() const;
  void forget();

  void launch_begin(const LaunchEvent& event) override;
  void launch_end(const LaunchEvent& event) override;
  void block_begin(Dim3 block, uint64_t number) override;
  void block_end(Dim3 block, uint64_t number) override;
  void access(const AccessEvent& event) override;
  void barrier_arrive(const BarrierEvent& event) override;
  void barrier_release(Dim3 block, uint64_t number, uint32_t barrier) override;
  void fence(const FenceEvent& event) override;
  void warp_sync(const WarpSyncEvent& event) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attest::vm
