// Composes a trap's text: where first, then what happened.
#include "jit/vm/trap.h"

#include <utility>

namespace attest::vm {
namespace {

std::string place(int line, const std::string& instruction, Dim3 block, uint32_t warp,
                  const std::vector<uint32_t>& lanes) {
  uint32_t mask = 0;
  for (uint32_t lane : lanes) mask |= 1u << lane;
  std::string text = "PTX line " + std::to_string(line) + " `" + instruction + "` block (" +
                     std::to_string(block.x) + "," + std::to_string(block.y) + "," + std::to_string(block.z) +
                     ") warp " + std::to_string(warp);
  if (mask) text += (lanes.size() == 1 ? " lane " : " lanes ") + lane_list(mask);
  return text;
}

}  // namespace

const char* rule_name(Rule rule) {
  switch (rule) {
    case Rule::out_of_bounds:
      return "out-of-bounds";
    case Rule::wrong_space:
      return "wrong-space";
    case Rule::misaligned:
      return "misaligned";
    case Rule::uninitialised:
      return "uninitialised";
    case Rule::permission:
      return "permission";
    case Rule::use_after_free:
      return "use-after-free";
    case Rule::divergent_barrier:
      return "divergent-barrier";
    case Rule::barrier_count:
      return "barrier-count";
    case Rule::deadlock:
      return "deadlock";
    case Rule::budget:
      return "budget";
    case Rule::inactive_lane:
      return "inactive-lane";
    case Rule::lane_not_in_mask:
      return "lane-not-in-mask";
    case Rule::divergent_operand:
      return "divergent-operand";
    case Rule::bad_call:
      return "bad-call";
    case Rule::trap_instruction:
      return "trap-instruction";
    case Rule::race:
      return "race";
    case Rule::asynchronous:
      return "asynchronous";
    case Rule::other:
      return "other";
  }
  return "unknown";
}

std::string lane_list(uint32_t mask) {
  std::string text;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1)) continue;
    uint32_t last = lane;
    while (last + 1 < 32 && (mask >> (last + 1) & 1)) ++last;
    if (!text.empty()) text += ", ";
    text += std::to_string(lane);
    if (last > lane) text += "-" + std::to_string(last);
    lane = last;
  }
  return text;
}

Trap::Trap(Rule rule_, int line, std::string instruction_, Dim3 block_, uint32_t warp_,
           std::vector<uint32_t> lanes_, const std::string& what_happened)
    : std::runtime_error(place(line, instruction_, block_, warp_, lanes_) + ": " + what_happened),
      rule(rule_),
      ptx_line(line),
      instruction(std::move(instruction_)),
      block(block_),
      warp(warp_),
      lanes(std::move(lanes_)),
      message(what_happened) {}

}  // namespace attest::vm
