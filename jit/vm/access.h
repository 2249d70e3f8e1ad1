// Checked access of a warp to memory: space, bounds, alignment, permission and initialisation, once per warp
// when it can be.
#pragma once

#include <cstddef>
#include <cstdint>

#include "jit/vm/observer.h"
#include "jit/vm/warp.h"

namespace attest::vm {

struct alignas(64) LaneAddresses {
  uint64_t at[kLanes];
};

// Where the lanes' bytes are on the host, after all checks passed.
struct Resolved {
  bool together = false;     // every lane's bytes are at base + (address - low)
  bool consecutive = false;  // together, all 32 lanes, lane l at base + l * bytes
  bool same = false;         // together, one address
  std::byte* base = nullptr;
  uint64_t low = 0;
  std::byte* lane[kLanes];  // when not together
  LaneAddresses* addresses = nullptr;
  std::byte* of(uint32_t l) const { return together ? base + (addresses->at[l] - low) : lane[l]; }
};

// Address operand of a memory instruction: row r[5] (kNoRow = absolute) plus the immediate.
void lane_addresses(const Warp& warp, const Instruction& instruction, LaneAddresses& out);

// Checks `bytes` bytes (a power of two, also the alignment) at each address of warp.mask in
// instruction.memory.space, tells the observers, marks stored bytes as initialised, and says where they are.
// Throws Trap. Addresses of lanes outside the mask are overwritten.
void resolve(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t bytes,
             Touch touch, Resolved& out);

// Shared memory of another block of the cluster exists from that block's first instruction to its last (CUDA
// programming guide, distributed shared memory). Why it cannot be reached now: "has not begun ...", "has
// ended ..."; null if it can.
const char* unreachable(const Block& remote);

}  // namespace attest::vm
