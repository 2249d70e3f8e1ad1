// The barrier in shared memory (mbarrier): its 64 bits, and what may be done to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>

#include "jit/vm/code.h"
#include "jit/vm/trap.h"

namespace attest::vm {

struct Block;

// The opaque 64 bits: expected and pending arrivals (20 bits each), bytes still to come (22 bits, signed),
// the phase's parity, and a bit that a living barrier has.
struct BarrierWord {
  uint32_t expected = 0, pending = 0;
  int32_t bytes = 0;
  bool parity = false, valid = false;

  static constexpr uint32_t kMost = (1u << 20) - 1;
  static BarrierWord read(const std::byte* from) {
    uint64_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return unpack(bits);
  }
  static BarrierWord unpack(uint64_t bits) {
    BarrierWord word;
    word.expected = bits & kMost;
    word.pending = bits >> 20 & kMost;
    word.bytes = static_cast<int32_t>(static_cast<uint32_t>(bits >> 40 & 0x3fffff) << 10) >> 10;
    word.parity = (bits >> 62 & 1) != 0;
    word.valid = (bits >> 63 & 1) != 0;
    return word;
  }
  uint64_t pack() const {
    return expected | uint64_t{pending} << 20 | (uint64_t{static_cast<uint32_t>(bytes)} & 0x3fffff) << 40 |
           uint64_t{parity} << 62 | uint64_t{valid} << 63;
  }
  void write(std::byte* to) const {
    const uint64_t bits = pack();
    std::memcpy(to, &bits, sizeof bits);
  }
  // A phase ends when nobody and nothing is awaited any more; the next one expects as many again.
  bool settle() {
    if (pending != 0 || bytes != 0) return false;
    parity = !parity;
    pending = expected;
    return true;
  }
};

// What is remembered of a living barrier beside its bits: what they were last, so that a store over them is
// noticed, and how many phases are over.
struct LivingBarrier {
  uint64_t bits = 0;
  uint64_t phase = 0;
};

// The living barriers of one block, by offset in its shared memory.
struct Mbarriers {
  std::map<uint64_t, LivingBarrier> living;
};

// In whose name something is done; traps say so.
struct Doer {
  const Warp& warp;
  const Instruction& instruction;
  uint32_t lane;
};

// The block of the warp's cluster in whose shared memory `at` lies; the warp's own if it lies in none.
Block& block_of(const Warp& warp, const std::byte* at);
// The block of the barrier at `at`. Traps if that is not in shared memory, or with `local` in another
// block's.
Block& barrier_block(const Doer& doer, const std::byte* at, bool local);

// What one operation does to the current phase. Bytes first, then arrivals.
struct BarrierChange {
  uint32_t arrivals = 0;
  int64_t bytes = 0;     // more to come (expect_tx), or have come (negative: complete_tx)
  uint32_t awaited = 0;  // arrivals that nobody counted on so far (cp.async.mbarrier.arrive without .noinc)
  bool leaves = false;   // later phases do not expect these arrivals either (arrive_drop)
};

// All throw Trap (Rule::asynchronous) for what must not be done: a barrier that lives already, that does not
// live, that was overwritten; more arrivals than are awaited; counts that leave their range; bytes that
// nobody expects and nobody can expect any more. `at` is the barrier's place in `block`'s shared memory.
void make_barrier(const Doer& doer, Block& block, std::byte* at, uint32_t arrivals);
void end_barrier(const Doer& doer, Block& block, std::byte* at);
BarrierWord look_at_barrier(const Doer& doer, Block& block, const std::byte* at);
// Returns the word before the change. A phase that awaits nothing more ends.
BarrierWord change_barrier(const Doer& doer, Block& block, std::byte* at, const BarrierChange& change);
// Phases of a living barrier that are over.
uint64_t phases_over(const Block& block, const std::byte* at);

// "the mbarrier at shared offset 8 (1 of 2 arrivals and 512 bytes to come)"
std::string barrier_text(const Block& block, const std::byte* at);

}  // namespace attest::vm
