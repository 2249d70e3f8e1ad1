// What a kernel did wrong while it ran: the rule, the PTX line, the instruction, the block, the warp and the
// lanes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace attest::vm {

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
  bool operator==(const Dim3&) const = default;
};

enum class Rule {
  out_of_bounds,      // R1: outside its buffer, or no buffer at all
  wrong_space,        // R1: an address of another state space
  misaligned,         // R2
  uninitialised,      // R3: a byte that nobody wrote is read
  permission,         // R13: a write to a read-only buffer, a read of a write-only one
  use_after_free,     // the buffer was freed
  divergent_barrier,  // R9, R10: lanes of a warp at different barriers
  barrier_count,      // R9: more arrivals than expected, or counts that disagree
  deadlock,           // R12: everybody waits
  budget,             // R15: the instruction budget is spent
  inactive_lane,      // a shuffle reads a lane that takes no part
  lane_not_in_mask,   // a lane executes a .sync instruction whose member mask leaves it out
  divergent_operand,  // lanes give different values where the PTX ISA wants one
  bad_call,           // an indirect call to something that is no function of that signature
  trap_instruction,   // the kernel executed `trap` or `brkpt`
  race,               // R4: for observers
  asynchronous,       // R5 to R8: for observers and asynchronous instructions
  other,
};

// "out-of-bounds", "uninitialised", ...
const char* rule_name(Rule rule);

struct Trap : std::runtime_error {
  Trap(Rule rule_, int line, std::string instruction_, Dim3 block_, uint32_t warp_,
       std::vector<uint32_t> lanes_, const std::string& what_happened);

  Rule rule;
  int ptx_line;
  std::string instruction;
  Dim3 block;
  uint32_t warp;
  std::vector<uint32_t> lanes;
  std::string message;  // what happened, without the place
};

// "4-7, 9" for the set bits of a mask.
std::string lane_list(uint32_t mask);

}  // namespace attest::vm
