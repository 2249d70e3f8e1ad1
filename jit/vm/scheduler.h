// Decides which lanes run next: lockstep, one lane at a time, or at random from a seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jit/vm/hash.h"
#include "jit/vm/machine.h"
#include "jit/vm/warp.h"

namespace attest::vm {

// Blocks that must be alive together: a cluster, or a single block.
struct Cluster {
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<Block*> by_rank;
  uint64_t number = 0;
  uint64_t passes = 0;
};

// Gives every warp of the cluster a turn in this order (shuffled: a few random turns), which is that of the
// launch or, for a while, another one. False when all lanes have exited, or when nobody can go on before the
// primary grid has ended (griddepcontrol.wait).
// Throws Trap: what the kernel does wrong, a deadlock, a spent budget.
bool advance(Cluster& cluster, Schedule order);

// Everybody who waits, block by block where there are several; empty if nobody does.
std::string who_waits(const Cluster& cluster);

// For reports: where the warp goes on, and one instruction of it, in serial order or else lockstep. The warp
// must be runnable.
uint32_t next_pc(const Warp& warp);
void step(Warp& warp);

}  // namespace attest::vm
