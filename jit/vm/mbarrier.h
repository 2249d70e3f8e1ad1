// The barrier in shared memory (mbarrier): its 64 bits, and what may be done to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "jit/vm/code.h"

namespace attest::vm {

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
  void settle() {
    if (pending != 0 || bytes != 0) return;
    parity = !parity;
    pending = expected;
  }
};

// Each throws Trap (Rule::asynchronous) in the name of `lane`. The word at `place`, which must be a living
// barrier's.
BarrierWord living(Warp& warp, const Instruction& instruction, const std::byte* place, uint32_t lane);
// Takes `arrivals` off the pending ones.
void drop(Warp& warp, const Instruction& instruction, BarrierWord& word, uint32_t arrivals, uint32_t lane);
// Adds to the bytes still to come.
void add_bytes(Warp& warp, const Instruction& instruction, BarrierWord& word, int64_t bytes, uint32_t lane);

}  // namespace attest::vm
