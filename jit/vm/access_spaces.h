// The state spaces that resolve() asks, a file each: they check `mask`'s lanes, mark stored bytes as
// initialised and say where the bytes are. They throw Trap, and tell no observers.
#pragma once

#include <cstdint>

#include "jit/vm/access.h"

namespace attest::vm {

// Global memory, or constant memory: addresses of buffers (access_global.cpp).
void resolve_buffers(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t mask,
                     uint32_t bytes, Touch touch, bool constant, Resolved& out);
// Shared memory, of the block itself or of another one of its cluster: (rank + 1) << 24 | offset names that
// of a block of the cluster, plain offsets the own one (access_shared.cpp).
void resolve_shared(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t mask,
                    uint32_t bytes, Touch touch, Resolved& out);
// A lane's own memory: .local variables and call parameters; and the kernel's parameters
// (access_private.cpp).
void resolve_local(Warp& warp, const Instruction& instruction, const LaneAddresses& addresses, uint32_t mask,
                   uint32_t bytes, Touch touch, Resolved& out);
void resolve_param(Warp& warp, const Instruction& instruction, const LaneAddresses& addresses, uint32_t mask,
                   uint32_t bytes, Touch touch, Resolved& out);

}  // namespace attest::vm
