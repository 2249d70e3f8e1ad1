// Lanes wait in Warp::at_warpgroup until the last one of the four warps is there.
#include "jit/vm/warpgroup.h"

#include <algorithm>
#include <bit>

#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

// The warps of the block that belong together with `warp`.
std::span<Warp> together(Warp& warp) {
  std::vector<Warp>& warps = warp.block->warps;
  const size_t first = warp.index / kWarpsTogether * kWarpsTogether;
  return std::span(warps).subspan(first, std::min<size_t>(kWarpsTogether, warps.size() - first));
}

std::string text_at(const Warp& warp, uint32_t pc) {
  const Code& code = *warp.launch->code;
  return "line " + std::to_string(code.instructions[pc].line) + " `" + code.texts[pc] + "`";
}

void require_whole(Warp& warp, const Instruction& instruction, std::span<Warp> warps) {
  if (warps.size() < kWarpsTogether)
    trap(warp, instruction, Rule::divergent_barrier, warp.mask,
         "a warpgroup is four warps, the first a multiple of 4; the block has only " +
             std::to_string(warps.size()) + " from warp " + std::to_string(warps[0].index) + " on");
  for (const Warp& other : warps) {
    if (other.living != kAllLanes)
      trap(warp, instruction, Rule::divergent_barrier, warp.mask,
           "all 128 lanes of the warpgroup must execute this; lanes " + lane_list(~other.living) +
               " of warp " + std::to_string(other.index) +
               (other.existing == kAllLanes ? " have exited" : " are missing"));
  }
}

// All lanes of all warps wait: at the same instruction?
void require_same_place(Warp& warp, const Instruction& instruction, std::span<Warp> warps) {
  for (const Warp& other : warps) {
    for (uint32_t rest = other.living; rest; rest &= rest - 1) {
      const uint32_t pc = other.lane_pc[static_cast<size_t>(std::countr_zero(rest))];
      if (pc != instruction.pc)
        trap(warp, instruction, Rule::divergent_barrier, warp.mask,
             "the warps of a warpgroup must execute the same instruction, warp " +
                 std::to_string(other.index) + " is at " + text_at(other, pc));
    }
  }
}

void meet(Warp& warp, const Instruction& instruction) {
  const uint32_t arriving = warp.mask;
  const uint32_t skipping = warp.group & ~arriving;
  warp.park(arriving, instruction.pc);
  warp.park(skipping, warp.pc);
  warp.at_warpgroup |= arriving;
  const std::span<Warp> warps = together(warp);
  for (const Warp& other : warps)
    if (other.living == 0 || other.at_warpgroup != other.living) return;
  require_same_place(warp, instruction, warps);
  for (Warp& each : warps) each.mask = each.living;
  instruction.evaluate(warps[0], instruction);
  for (Warp& each : warps) {
    for (uint32_t rest = each.at_warpgroup; rest; rest &= rest - 1) ++each.lane_pc[std::countr_zero(rest)];
    each.at_warpgroup = 0;
  }
  ++warp.block->changes;
}

}  // namespace

std::shared_ptr<std::vector<Warpgroup>> make_warpgroups(const Code& code, uint32_t warps) {
  if (code.hazards.names.empty()) return nullptr;
  auto groups = std::make_shared<std::vector<Warpgroup>>((warps + kWarpsTogether - 1) / kWarpsTogether);
  for (Warpgroup& group : *groups) group.registers.resize(code.hazards.names.size());
  return groups;
}

void meet_warpgroup(Warp& warp, const Instruction& instruction) {
  require_whole(warp, instruction, together(warp));
  meet(warp, instruction);
}

void meet_existing_warps(Warp& warp, const Instruction& instruction) { meet(warp, instruction); }

std::string missing_of_warpgroup(const Block& block, const Warp& warp) {
  std::string text;
  const size_t first = warp.index / kWarpsTogether * kWarpsTogether;
  for (size_t i = first; i < std::min(first + kWarpsTogether, block.warps.size()); ++i) {
    const Warp& other = block.warps[i];
    const uint32_t missing = other.living & ~other.at_warpgroup;
    if (other.living != 0 && missing == 0) continue;
    text += text.empty() ? "" : ", ";
    if (other.living == 0)
      text += "warp " + std::to_string(i) + ", which has exited";
    else
      text += "lanes " + lane_list(missing) + " of warp " + std::to_string(i);
  }
  return text;
}

}  // namespace attest::vm
