// Finds blocks that only spin: nothing in memory changes, and lanes and registers are what they were before.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "jit/vm/scheduler.h"

namespace attest::vm {

// Watches the clusters of one host thread. It is sure of itself: a state that comes again without anything
// having changed in between comes for ever, since lockstep and serial order depend on nothing else. What it
// does not find (loops that count, read a clock or repeat an atomic; the shuffled schedule) spends the
// instruction budget.
class LivelockWatch {
 public:
  // After every resident cluster has had a turn and none can join. Throws Trap.
  void round(const std::vector<std::unique_ptr<Cluster>>& resident);
  // Something changed that is not in the clusters: one ended or joined.
  void disturb() { quiet_ = 0; }

 private:
  uint64_t changes_ = 0;  // of all blocks, when last looked at
  uint64_t quiet_ = 0;    // rounds without a change
  uint64_t mark_ = 0;     // the round whose state is remembered
  uint64_t state_ = 0;
};

}  // namespace attest::vm
