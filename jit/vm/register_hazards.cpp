// One state per watched register and warpgroup; the decoder has listed which instruction names which.
#include "jit/vm/register_hazards.h"

#include <string>

namespace attest::vm {
namespace {

std::string place(const Code& code, uint32_t pc) {
  return "line " + std::to_string(code.instructions[pc].line) + " `" + code.texts[pc] + "`";
}

std::string count(uint64_t number, const char* what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

std::string in_flight(const Warpgroup& group) {
  const uint64_t open = group.issued - std::max(group.committed, group.completed);
  return count(group.groups.size(), "group") + " pending" +
         (open ? ", " + count(open, "wgmma") + " not committed" : "");
}

}  // namespace

void touch_registers(Warp& warp, const Instruction& instruction) {
  if (instruction.run == meet_warpgroup) return;  // take_registers() looks at a wgmma's
  const Code& code = *warp.launch->code;
  const WatchedRegisters& watched = code.hazards;
  Warpgroup& group = *warp.warpgroup;
  std::string names;
  const WatchedRegister* busy = nullptr;
  for (uint32_t i = watched.first[instruction.pc]; i < watched.first[instruction.pc + 1]; ++i) {
    WatchedRegister& each = group.registers[watched.named[i]];
    if (each.last_user > group.completed) {
      names += (names.empty() ? "" : ", ") + watched.names[watched.named[i]];
      if (!busy) busy = &each;
    } else if (each.touched_at == WatchedRegister::kClean) {
      each.touched_at = instruction.pc;
      each.touched_by = warp.index;
    }
  }
  if (!busy) return;
  trap(warp, instruction, Rule::asynchronous, warp.mask,
       "R7: " + names + (busy->accumulator ? " belongs to the accumulator" : " belongs to A") +
           " of the wgmma in line " + std::to_string(busy->user->line) + ", which is in flight (" +
           in_flight(group) + "): wgmma.commit_group and wgmma.wait_group must come first");
}

void take_registers(const Warp& warp, const Instruction& instruction, Warpgroup& group, size_t accumulators,
                    uint64_t number, bool (*same_shape)(const Instruction&, const Instruction&)) {
  const Code& code = *warp.launch->code;
  const WatchedRegisters& watched = code.hazards;
  const uint32_t first = watched.first[instruction.pc], last = watched.first[instruction.pc + 1];
  for (uint32_t i = first; i < last; ++i) {
    const WatchedRegister& each = group.registers[watched.named[i]];
    const std::string& name = watched.names[watched.named[i]];
    const bool accumulator = i - first < accumulators;
    const char* part = accumulator ? " of the accumulator" : " of A";
    if (each.touched_at == WatchedRegister::kNeverFenced)
      trap(warp, instruction, Rule::asynchronous, kAllLanes,
           "R7: no wgmma.fence came before this first use of " + name + part);
    if (each.touched_at != WatchedRegister::kClean)
      trap(warp.block->warps[each.touched_by], instruction, Rule::asynchronous, kAllLanes,
           "R7: " + name + part + " was touched in " + place(code, each.touched_at) +
               " since the last wgmma.fence");
    if (each.last_user <= group.completed) continue;
    const bool allowed =
        accumulator ? each.accumulator && same_shape(*each.user, instruction) : !each.accumulator;
    if (!allowed)
      trap(warp, instruction, Rule::asynchronous, kAllLanes,
           "R7: " + name + part + (each.accumulator ? " is accumulated into" : " is read as A") +
               " by the wgmma in line " + std::to_string(each.user->line) +
               (accumulator && each.accumulator ? ", which has another shape and" : ", which") +
               " is in flight (" + in_flight(group) + ")");
  }
  for (uint32_t i = first; i < last; ++i) {
    WatchedRegister& each = group.registers[watched.named[i]];
    each.last_user = number;
    each.user = &instruction;
    each.accumulator = i - first < accumulators;
  }
}

void fence_registers(Warpgroup& group) {
  for (WatchedRegister& each : group.registers) each.touched_at = WatchedRegister::kClean;
}

void require_nothing_in_flight(const Warp& warp, const Instruction& instruction) {
  const Warpgroup& group = *warp.warpgroup;
  if (group.pending.empty()) return;
  trap(warp, instruction, Rule::asynchronous, warp.mask,
       "the lanes end while the wgmma in line " + std::to_string(group.pending[0].instruction->line) +
           " is in flight (" + in_flight(group) + "): its result was never waited for");
}

}  // namespace attest::vm
