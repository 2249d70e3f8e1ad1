// The fast path is a warp whose lanes are all there; the slow one collects them.
#include "jit/vm/rendezvous.h"

#include <bit>
#include <string>

#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

constexpr uint32_t kMembers = 4;  // operand of the member mask

void notify(const Warp& warp, const Instruction& instruction, uint32_t members) {
  if (!observed(warp)) return;
  const Site site = site_of(warp, instruction);
  const bool orders =
      instruction.r[0] == kNoRow && instruction.r[1] == kNoRow;  // bar.warp.sync has no other operand
  for (Observer* observer : warp.launch->observers) observer->warp_sync({site, members, orders});
}

// Two instructions that lanes may execute together although they stand at different lines.
bool same_operation(const Instruction& a, const Instruction& b) {
  return a.run == b.run && a.evaluate == b.evaluate && a.variant == b.variant && a.immediate == b.immediate;
}

uint32_t width_of(const Instruction& instruction, size_t slot) {
  return instruction.widths >> (2 * slot) & 3;
}
bool is_target(const Instruction& instruction, size_t slot) {
  return (instruction.widths >> (16 + slot) & 1) != 0;
}

void copy_lane(Warp& warp, uint32_t width, uint32_t from, uint32_t to, uint32_t lane) {
  if (width == 1) {
    uint32_t& target = warp.predicate(to);
    target = (target & ~(1u << lane)) | (warp.predicate(from) & (1u << lane));
  } else if (width == 2) {
    warp.row<uint32_t>(to)[lane] = warp.row<uint32_t>(from)[lane];
  } else {
    warp.row<uint64_t>(to)[lane] = warp.row<uint64_t>(from)[lane];
  }
}

// The lanes of `set` stand at different instructions: gather their operands into scratch rows, do it once,
// scatter.
void evaluate_gathered(Warp& warp, uint32_t set) {
  const Code& code = *warp.launch->code;
  const auto lane_instruction = [&](uint32_t lane) -> const Instruction& {
    return code.instructions[warp.lane_pc[lane]];
  };
  Instruction together = lane_instruction(static_cast<uint32_t>(std::countr_zero(set)));
  for (size_t slot = 0; slot < 6; ++slot)
    if (width_of(together, slot)) together.r[slot] = code.scratch_row + static_cast<uint32_t>(slot) * 256;
  for (uint32_t rest = set; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const Instruction& own = lane_instruction(lane);
    for (size_t slot = 0; slot < 6; ++slot)
      if (width_of(own, slot) && !is_target(own, slot))
        copy_lane(warp, width_of(own, slot), own.r[slot], together.r[slot], lane);
  }
  warp.mask = set;
  together.evaluate(warp, together);
  for (uint32_t rest = set; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const Instruction& own = lane_instruction(lane);
    for (size_t slot = 0; slot < 6; ++slot)
      if (width_of(own, slot) && is_target(own, slot))
        copy_lane(warp, width_of(own, slot), together.r[slot], own.r[slot], lane);
  }
}

// The waiting lanes of `set` have all arrived: do it and let them go on.
void complete(Warp& warp, uint32_t set, uint32_t members) {
  const Code& code = *warp.launch->code;
  const uint32_t pc = warp.lane_pc[std::countr_zero(set)];
  bool one_place = true;
  for (uint32_t rest = set; rest; rest &= rest - 1)
    one_place = one_place && warp.lane_pc[std::countr_zero(rest)] == pc;
  const Instruction& instruction = code.instructions[pc];
  const uint32_t mask = warp.mask;
  warp.mask = set;
  notify(warp, instruction, members);
  if (one_place)
    instruction.evaluate(warp, instruction);
  else
    evaluate_gathered(warp, set);
  warp.mask = mask;
  for (uint32_t rest = set; rest; rest &= rest - 1) ++warp.lane_pc[std::countr_zero(rest)];
  warp.at_collective &= ~set;
}

// Lanes that wait with the same operation and member mask as `lane`; for an .aligned one, at its very place.
uint32_t companions(const Warp& warp, uint32_t lane) {
  const Code& code = *warp.launch->code;
  const Instruction& own = code.instructions[warp.lane_pc[lane]];
  uint32_t set = 0;
  for (uint32_t rest = warp.at_collective; rest; rest &= rest - 1) {
    const auto other = static_cast<uint32_t>(std::countr_zero(rest));
    const Instruction& elsewhere = code.instructions[warp.lane_pc[other]];
    const bool together = own.run == meet_warp ? &elsewhere == &own : same_operation(own, elsewhere);
    if (together && warp.lane_wait[other] == warp.lane_wait[lane]) set |= 1u << other;
  }
  return set;
}

bool try_complete(Warp& warp, uint32_t lane) {
  const uint32_t members = warp.lane_wait[lane];
  const uint32_t arrived = companions(warp, lane);
  if ((members & warp.living) & ~arrived) return false;
  complete(warp, arrived, members);
  return true;
}

// Every living lane waits for others of its warp, and those at an .aligned instruction wait in vain.
void require_together(Warp& warp) {
  const Code& code = *warp.launch->code;
  for (uint32_t rest = warp.at_collective; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const Instruction& own = code.instructions[warp.lane_pc[lane]];
    if (own.run != meet_warp) continue;
    const uint32_t together = companions(warp, lane), others = warp.living & ~together;
    const uint32_t pc = warp.lane_pc[std::countr_zero(others)];
    trap(warp, own, Rule::divergent_barrier, together,
         "an .aligned instruction is for the whole warp, but lanes " + lane_list(others) + " wait at line " +
             std::to_string(code.instructions[pc].line) + " `" + code.texts[pc] + "`");
  }
}

}  // namespace

void meet_members(Warp& warp, const Instruction& instruction) {
  const uint32_t* members = warp.row<uint32_t>(instruction.r[kMembers]);
  const uint32_t first = members[std::countr_zero(warp.mask)];
  uint32_t differs = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    differs |= static_cast<uint32_t>(members[lane] != first) << lane;
  if (!(differs & warp.mask) && (first & warp.living) == warp.mask) {  // everybody is here
    if (observed(warp)) notify(warp, instruction, first);
    instruction.evaluate(warp, instruction);
    return;
  }
  const uint32_t arriving = warp.mask;
  for (uint32_t rest = arriving; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    if (!(members[lane] >> lane & 1))
      trap(warp, instruction, Rule::lane_not_in_mask, 1u << lane,
           "the member mask names lanes " + lane_list(members[lane]) +
               ", not the lane that executes the instruction");
    warp.lane_wait[lane] = members[lane];
  }
  const uint32_t skipping = warp.group & ~arriving;
  warp.park(arriving, pc_of(warp, instruction));
  warp.park(skipping, warp.pc);
  warp.at_collective |= arriving;
  for (uint32_t rest = arriving; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    if (warp.at_collective >> lane & 1) try_complete(warp, lane);
  }
}

void meet_warp(Warp& warp, const Instruction& instruction) {
  if (warp.mask == warp.living) {
    if (observed(warp)) notify(warp, instruction, warp.existing);
    instruction.evaluate(warp, instruction);
    return;
  }
  const uint32_t arriving = warp.mask;
  const uint32_t skipping = warp.group & ~arriving;
  const uint32_t here = pc_of(warp, instruction);
  warp.park(arriving, here);
  warp.park(skipping, warp.pc);
  warp.at_collective |= arriving;
  uint32_t together = 0;
  for (uint32_t rest = arriving; rest; rest &= rest - 1)
    warp.lane_wait[std::countr_zero(rest)] = warp.existing;
  for (uint32_t rest = warp.at_collective; rest; rest &= rest - 1)
    if (warp.lane_pc[std::countr_zero(rest)] == here) together |= rest & (0u - rest);
  if (together == warp.living) complete(warp, together, warp.existing);
}

bool retry_rendezvous(Warp& warp) {
  bool any = false;
  for (uint32_t rest = warp.at_collective; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    if (warp.at_collective >> lane & 1) any = try_complete(warp, lane) || any;
  }
  if (!any && warp.at_collective == warp.living) require_together(warp);
  return any;
}

}  // namespace attest::vm
