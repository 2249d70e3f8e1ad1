// What the files of asynchronous instructions share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "jit/vm/each_lane.h"
#include "jit/vm/warp.h"

namespace attest::vm {

// Runs `f` with warp.mask = lanes.
template <class F>
void with_mask(Warp& warp, uint32_t lanes, F f) {
  const uint32_t mask = warp.mask;
  warp.mask = lanes;
  f();
  warp.mask = mask;
}

// Whether an operation that starts now does what it may as early as is legal, or as late (lockstep late,
// serial early, shuffled at random).
bool starts_early(Warp& warp);

// Arrivals that wait for copies (cp.async.mbarrier.arrive) become due when somebody waits for their barrier,
// the one at `place`: that is as late as they may be.
void settle_copy_arrivals(Warp& waiting, const std::byte* place);

}  // namespace attest::vm
