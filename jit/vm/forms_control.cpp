// Branches, calls, returns and exits.
#include <algorithm>
#include <cstring>
#include <vector>

#include "jit/vm/bulk.h"
#include "jit/vm/control.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/register_hazards.h"
#include "jit/vm/warp.h"

namespace attest::vm {

void negate_predicate(Warp& warp, const Instruction& instruction) {
  warp.predicate(instruction.r[0]) = ~warp.predicate(instruction.r[1]);
}

void narrow_row(Warp& warp, const Instruction& instruction) {
  const uint64_t* from = warp.row<uint64_t>(instruction.r[1]);
  uint32_t* to = warp.row<uint32_t>(instruction.r[0]);
  for (uint32_t lane = 0; lane < kLanes; ++lane) to[lane] = static_cast<uint32_t>(from[lane]);
}

void exit_lanes(Warp& warp, const Instruction& instruction) {
  if (warp.warpgroup) require_nothing_in_flight(warp, instruction);
  warp.living &= ~warp.mask;
  warp.group &= ~warp.mask;
  ++warp.block->changes;
  if (!warp.group) warp.stop = 0;
  const auto alive = [](const Warp& each) { return each.living != 0; };
  if (!warp.living && std::none_of(warp.block->warps.begin(), warp.block->warps.end(), alive))
    end_bulk(*warp.block);
}

namespace {

bool same_kind(const Place& a, const Place& b) {
  return a.in_register == b.in_register && a.wide == b.wide && a.predicate == b.predicate &&
         a.bytes == b.bytes;
}
}  // namespace

bool same_signature(const std::vector<Place>& a, const std::vector<Place>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!same_kind(a[i], b[i])) return false;
  return true;
}

namespace {

// Lanes of the mask go to `target`, the rest of the group to the next instruction.
void jump(Warp& warp, uint32_t target) {
  if (warp.mask == warp.group) {
    warp.pc = target;
    return;
  }
  const uint32_t rest = warp.group & ~warp.mask;
  warp.park(warp.mask, target);
  warp.park(rest, warp.pc);
}

// bra{.uni} label;      PTX ISA: control-flow-instructions-bra
void branch(Warp& warp, const Instruction& instruction) { jump(warp, instruction.list); }

void decode_branch(Decoder& decoder, const syntax::Instruction& in, Instruction&) {
  if (in.operands.size() != 1 || in.operands[0].kind != syntax::Operand::Kind::name)
    decoder.fail("expected one label");
  decoder.branch_to(in.operands[0].name);
}

// brx.idx{.uni} index, table;      PTX ISA: control-flow-instructions-brx-idx
// The table's branches stand right behind; an index past its end is an error of the kernel.
void branch_indexed(Warp& warp, const Instruction& instruction) {
  const uint32_t* index = warp.row<uint32_t>(instruction.r[0]);
  const uint32_t table = pc_of(warp, instruction) + 1;
  const auto size = static_cast<uint32_t>(instruction.immediate);
  uint32_t bad = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) bad |= static_cast<uint32_t>(index[lane] >= size) << lane;
  if (bad & warp.mask)
    trap(warp, instruction, Rule::other, bad & warp.mask,
         "branch index " + std::to_string(index[std::countr_zero(bad & warp.mask)]) + " in a table of " +
             std::to_string(size));
  const uint32_t mask = warp.mask;
  const uint32_t rest = warp.group & ~mask;
  warp.park(rest, table + size);
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    if (mask >> lane & 1) warp.lane_pc[lane] = table + index[lane];
  warp.group = 0;
  warp.stop = 0;
}

void decode_branch_indexed(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 2 || in.operands[1].kind != syntax::Operand::Kind::name)
    decoder.fail("expected an index and a table");
  out.r[0] = decoder.source(in.operands[0], 'w');
  const std::vector<std::string>& targets = decoder.branch_table(in.operands[1].name);
  out.immediate = static_cast<int64_t>(targets.size());
  size_t ahead = 0;
  for (const std::string& label : targets) {
    Instruction jump_to;
    jump_to.run = branch;
    decoder.branch_to(label, ++ahead);
    decoder.emit_after(jump_to);
  }
}

// --- calls ---

uint64_t lane_value(const Warp& warp, uint32_t lane, const Place& place) {
  if (place.predicate) return warp.predicate(place.at) >> lane & 1;
  return place.wide ? warp.row<uint64_t>(place.at)[lane] : warp.row<uint32_t>(place.at)[lane];
}
void set_lane_value(Warp& warp, uint32_t lane, const Place& place, uint64_t value) {
  if (place.predicate) {
    uint32_t& bits = warp.predicate(place.at);
    bits = (bits & ~(1u << lane)) | static_cast<uint32_t>(value) << lane;
  } else if (place.wide) {
    warp.row<uint64_t>(place.at)[lane] = value;
  } else {
    warp.row<uint32_t>(place.at)[lane] = static_cast<uint32_t>(value);
  }
}

constexpr size_t kDeepest = 4096;

// A lane enters a function in which it already is: what it has there is kept until the inner call returns.
void save(Warp& warp, const Instruction& instruction, uint32_t index, uint32_t lane) {
  const Code& code = *warp.launch->code;
  const FunctionCode& function = code.functions[index];
  if (warp.saved[lane].size() >= kDeepest)
    trap(warp, instruction, Rule::bad_call, 1u << lane,
         "'" + function.name + "' has called itself " + std::to_string(kDeepest) + " times");
  SavedCall& saved = warp.saved[lane].emplace_back();
  saved.function = index;
  for (const Place& row : function.rows) saved.registers.push_back(lane_value(warp, lane, row));
  const uint64_t from = uint64_t{lane} * code.frame_bytes + function.frame_begin;
  const uint64_t bytes = function.frame_end - function.frame_begin;
  saved.frame.assign(warp.frame + from, warp.frame + from + bytes);
  saved.frame_initialised.assign(warp.frame_initialised + from, warp.frame_initialised + from + bytes);
}
void restore(Warp& warp, uint32_t index, uint32_t lane) {
  if (warp.saved[lane].empty() || warp.saved[lane].back().function != index) return;
  const Code& code = *warp.launch->code;
  const FunctionCode& function = code.functions[index];
  const SavedCall& saved = warp.saved[lane].back();
  for (size_t i = 0; i < function.rows.size(); ++i)
    set_lane_value(warp, lane, function.rows[i], saved.registers[i]);
  const uint64_t to = uint64_t{lane} * code.frame_bytes + function.frame_begin;
  std::copy(saved.frame.begin(), saved.frame.end(), warp.frame + to);
  std::copy(saved.frame_initialised.begin(), saved.frame_initialised.end(), warp.frame_initialised + to);
  warp.saved[lane].pop_back();
}

// Passes a lane's arguments. They are taken before anything of the callee changes: it may be the caller
// itself.
void enter(Warp& warp, const Instruction& instruction, const CallSite& call, uint32_t index, uint32_t lanes) {
  const Code& code = *warp.launch->code;
  const FunctionCode& function = code.functions[index];
  uint32_t* back = warp.row<uint32_t>(function.return_row);
  std::vector<std::byte> bytes;
  std::vector<uint8_t> initialised;
  std::vector<uint64_t> values(call.arguments.size());
  for (uint32_t rest = lanes; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t frame = uint64_t{lane} * code.frame_bytes;
    bytes.clear();
    initialised.clear();
    for (size_t i = 0; i < call.arguments.size(); ++i) {
      const Place& from = call.arguments[i];
      if (from.in_register) {
        values[i] = lane_value(warp, lane, from);
      } else {
        const uint64_t at = frame + from.at;
        bytes.insert(bytes.end(), warp.frame + at, warp.frame + at + from.bytes);
        initialised.insert(initialised.end(), warp.frame_initialised + at,
                           warp.frame_initialised + at + from.bytes);
      }
    }
    if (back[lane] != kNoRow) save(warp, instruction, index, lane);
    std::memset(warp.frame_initialised + frame + function.frame_begin, 0,
                function.frame_end - function.frame_begin);
    size_t taken = 0;
    for (size_t i = 0; i < call.arguments.size(); ++i) {
      const Place& to = function.parameters[i];
      if (to.in_register) {
        set_lane_value(warp, lane, to, values[i]);
      } else {
        std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(taken), to.bytes, warp.frame + frame + to.at);
        std::copy_n(initialised.begin() + static_cast<std::ptrdiff_t>(taken), to.bytes,
                    warp.frame_initialised + frame + to.at);
        taken += to.bytes;
      }
    }
    back[lane] = warp.pc;
  }
}

// call (results), function, (arguments);      PTX ISA: control-flow-instructions-call
}  // namespace

void call_direct(Warp& warp, const Instruction& instruction) {
  const Code& code = *warp.launch->code;
  const CallSite& call = code.calls[instruction.list];
  const auto index = static_cast<uint32_t>(call.function);
  enter(warp, instruction, call, index, warp.mask);
  jump(warp, code.functions[index].entry_pc);
}

namespace {

// call (results), %pointer, (arguments), prototype;
void call_indirect(Warp& warp, const Instruction& instruction) {
  const Code& code = *warp.launch->code;
  const CallSite& call = code.calls[instruction.list];
  const uint64_t* pointer = warp.row<uint64_t>(instruction.r[0]);
  const uint32_t mask = warp.mask;
  const uint32_t rest = warp.group & ~mask;
  for (uint32_t left = mask; left;) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    uint32_t same = 0;
    for (uint32_t other = left; other; other &= other - 1)
      if (pointer[std::countr_zero(other)] == pointer[lane]) same |= other & (0u - other);
    uint32_t index = 0;
    for (uint32_t i = 1; i < code.functions.size(); ++i)
      if (kFunctionWindow + 16 * uint64_t{code.functions[i].number} == pointer[lane]) index = i;
    if (!index) trap(warp, instruction, Rule::bad_call, same, "a call to an address that is no function's");
    const FunctionCode& function = code.functions[index];
    if (!same_signature(call.arguments, function.parameters) ||
        !same_signature(call.results, function.results))
      trap(warp, instruction, Rule::bad_call, same,
           "a call to '" + function.name + "', whose parameters are others");
    enter(warp, instruction, call, index, same);
    for (uint32_t other = same; other; other &= other - 1)
      warp.lane_pc[static_cast<uint32_t>(std::countr_zero(other))] = function.entry_pc;
    left &= ~same;
  }
  warp.park(rest, warp.pc);
  warp.group = 0;
  warp.stop = 0;
}

// After a call: results of the function that returned last, lane by lane.
void take_results(Warp& warp, const Instruction& instruction) {
  const Code& code = *warp.launch->code;
  const CallSite& call = code.calls[instruction.list];
  const uint32_t* callee = warp.row<uint32_t>(code.callee_row);
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const FunctionCode& function = code.functions[callee[lane]];
    const uint64_t frame = uint64_t{lane} * code.frame_bytes;
    for (size_t i = 0; i < call.results.size(); ++i) {
      const Place& from = function.results[i];
      const Place& to = call.results[i];
      if (to.in_register) {
        set_lane_value(warp, lane, to, lane_value(warp, lane, from));
      } else {
        std::memmove(warp.frame + frame + to.at, warp.frame + frame + from.at, from.bytes);
        std::memmove(warp.frame_initialised + frame + to.at, warp.frame_initialised + frame + from.at,
                     from.bytes);
      }
    }
  }
}

void decode_call(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  using Kind = syntax::Operand::Kind;
  size_t at = 0;
  std::vector<syntax::Operand> results, arguments;
  if (at < in.operands.size() && in.operands[at].kind == Kind::list) results = in.operands[at++].parts;
  if (at >= in.operands.size() || in.operands[at].kind != Kind::name) decoder.fail("expected a function");
  const syntax::Operand& callee = in.operands[at++];
  if (at < in.operands.size() && in.operands[at].kind == Kind::list) arguments = in.operands[at++].parts;
  const bool has_prototype = at < in.operands.size();
  if (has_prototype && !decoder.prototype(in.operands[at].name))
    decoder.fail("`" + in.operands[at].name + "` is no prototype");
  CallSite& call = decoder.new_call(out.list);
  for (const syntax::Operand& operand : results) call.results.push_back(decoder.place_of(operand));
  for (const syntax::Operand& operand : arguments) call.arguments.push_back(decoder.place_of(operand));
  if (decoder.find_register(callee.name)) {
    if (!has_prototype) decoder.fail("a call through a register needs a prototype");
    out.r[0] = decoder.source(callee, 'q');
    out.run = call_indirect;
  } else {
    call.function = static_cast<int>(decoder.function_index(callee.name));
  }
  if (!call.results.empty()) {
    Instruction take;
    take.run = take_results;
    take.list = out.list;
    decoder.emit_after(take);
  }
  decoder.callee_row();
}

void decode_return(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (!in.operands.empty()) decoder.fail("has no operands");
  if (decoder.in_entry())
    out.run = exit_lanes;
  else
    decoder.callee_row(), out.list = decoder.current_function_index();
}

// trap; brkpt;
void trap_instruction(Warp& warp, const Instruction& instruction) {
  trap(warp, instruction, Rule::trap_instruction, warp.mask, "the kernel ended itself");
}

void nothing(Warp&, const Instruction&) {}

}  // namespace

void return_lanes(Warp& warp, const Instruction& instruction) {
  const Code& code = *warp.launch->code;
  const FunctionCode& function = code.functions[instruction.list];
  uint32_t* back = warp.row<uint32_t>(function.return_row);
  uint32_t* callee = code.callee_row == kNoRow ? nullptr : warp.row<uint32_t>(code.callee_row);
  const uint32_t mask = warp.mask;
  const uint32_t rest = warp.group & ~mask;
  for (uint32_t left = mask; left; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    warp.lane_pc[lane] = back[lane];
    back[lane] = kNoRow;
    restore(warp, instruction.list, lane);
    if (callee) callee[lane] = instruction.list;
  }
  warp.park(rest, warp.pc);
  warp.group = 0;
  warp.stop = 0;
}

void add_control_forms(FormTable& table) {
  table.add(
      {"bra", "", branch, "control-flow-instructions-bra", "Goes to a label, lane by lane.", decode_branch});
  table.add({"brx.idx", "", branch_indexed, "control-flow-instructions-brx-idx",
             "Goes to a label of a .branchtargets table; an index past its end traps.",
             decode_branch_indexed});
  table.add({"call", "", call_direct, "control-flow-instructions-call",
             "Calls a device function, directly or through a register with a prototype.", decode_call});
  table.add({"ret", "", return_lanes, "control-flow-instructions-ret",
             "Returns from a function; in a kernel, exits.", decode_return});
  table.add({"exit", "", exit_lanes, "control-flow-instructions-exit", "Ends a lane."});
  table.add({"trap", "", trap_instruction, "miscellaneous-instructions-trap", "Ends the run with a trap."});
  table.add({"brkpt", "", trap_instruction, "miscellaneous-instructions-brkpt", "Ends the run with a trap."});
  table.add(
      {"nanosleep.u32", "w", nothing, "miscellaneous-instructions-nanosleep", "Sleeping changes no result."});
  table.add({"pmevent", "i", nothing, "miscellaneous-instructions-pmevent",
             "Performance events are not modelled."});
  table.add({"pmevent.mask", "i", nothing, "miscellaneous-instructions-pmevent",
             "Performance events are not modelled."});
}

}  // namespace attest::vm
