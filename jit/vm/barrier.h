// Block-wide barriers that know who arrived.
#pragma once

#include <string>

#include "jit/vm/code.h"

namespace attest::vm {

struct Warp;
struct Block;

// Called when no lane of the warp can run: a warp whose living lanes all wait at the same aligned barrier has
// arrived; lanes that wait at different instructions are a divergent barrier. True if the block made
// progress.
bool settle_barrier(Warp& warp);

// Completes barriers that wait only for lanes which have exited meanwhile. True if any completed.
bool retry_barriers(Block& block);

// The same for barrier.cluster: .aligned ones whose warp is there, and a phase whose other threads have
// exited.
bool settle_cluster_barrier(Warp& warp);
bool retry_cluster_barrier(Block& block);
// "2 of 64 threads of the cluster arrived".
std::string cluster_arrivals(const Block& block);

// Lets the lanes at griddepcontrol.wait go on.
void release_dependency(Block& block);

// "warp 0 lanes 0-31 wait at `bar.sync 1, 64;` (line 12): 32 of 64 threads arrived; ..." for everything that
// waits.
std::string who_waits(const Block& block);

}  // namespace attest::vm
