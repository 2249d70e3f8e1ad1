// Finds blocks that only spin: what they can see and what they are is what it was before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/scheduler.h"

namespace attest::vm {

// What the host threads of a launch know of each other. Whoever changes something begins another epoch. Whose
// state came again within an epoch goes on like that until somebody else changes something; when that holds
// of everybody in the same epoch, nobody ever will.
class Stillness {
 public:
  explicit Stillness(size_t threads) : still_in_(threads, 0) {}
  void changed() { ++epoch_; }
  uint64_t epoch() const { return epoch_; }
  // True when now all are still in this epoch.
  bool still(size_t thread, uint64_t epoch);
  // The thread has nothing left to run.
  void ended(size_t thread) { still(thread, kForever); }

 private:
  static constexpr uint64_t kForever = ~uint64_t{0};
  std::atomic<uint64_t> epoch_{1};
  std::mutex mutex_;
  std::vector<uint64_t> still_in_;  // by thread; 0 = in none
};

// Watches the clusters of one host thread. It is sure of itself: a state that comes again without anything
// having changed in between comes for ever, since lockstep and serial order depend on nothing else. A
// shuffled schedule goes on in lockstep order when nothing has changed for long, until something does: that
// order is as legal as any other. What is not found (loops that count, read a clock or repeat an atomic that
// changes memory) spends the instruction budget.
class LivelockWatch {
 public:
  LivelockWatch(Stillness& all, size_t thread, Schedule schedule)
      : all_(all), thread_(thread), schedule_(schedule) {}
  // In which the clusters have their turns.
  Schedule order() const;
  // After every resident cluster has had a turn and none can join; turns that were short are one round
  // together. Throws Trap.
  void round(const std::vector<std::unique_ptr<Cluster>>& resident);
  // Something changed that is not in the clusters: one ended or joined.
  void disturb();

 private:
  Stillness& all_;
  size_t thread_;
  Schedule schedule_;
  uint64_t changes_ = 0;            // of all blocks, own ones aside, when last looked at
  uint64_t ticks_ = 0, epoch_ = 0;  // when last looked at
  uint64_t quiet_ = 0;              // rounds without a change
  uint64_t mark_ = 0;               // the round whose state is remembered
  uint64_t state_ = 0;
};

}  // namespace attest::vm
