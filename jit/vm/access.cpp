// Which space the lanes' addresses are in, and who is told. The common case is one space for all lanes.
#include "jit/vm/access.h"

#include <bit>

#include "jit/vm/access_spaces.h"
#include "jit/vm/memory.h"

namespace attest::vm {
namespace {

void notify(Warp& warp, const Instruction& instruction, Space space, const LaneAddresses& addresses,
            uint32_t bytes, Touch touch, uint32_t lanes) {
  Site site = site_of(warp, instruction);
  site.lanes = lanes;
  const AccessEvent event{
      site, space, touch, bytes, std::span<const uint64_t, kLanes>(addresses.at, kLanes), instruction.memory};
  for (Observer* observer : warp.launch->observers) observer->access(event);
}

void resolve_unobserved(Warp& warp, const Instruction& instruction, Space space, LaneAddresses& addresses,
                        uint32_t lanes, uint32_t bytes, Touch touch, Resolved& out) {
  switch (space) {
    case Space::global:
      return resolve_buffers(warp, instruction, addresses, lanes, bytes, touch, false, out);
    case Space::constant:
      return resolve_buffers(warp, instruction, addresses, lanes, bytes, touch, true, out);
    case Space::shared:
      return resolve_shared(warp, instruction, addresses, lanes, bytes, touch, out);
    case Space::local:
      return resolve_local(warp, instruction, addresses, lanes, bytes, touch, out);
    case Space::param:
      return resolve_param(warp, instruction, addresses, lanes, bytes, touch, out);
    default:
      break;
  }
  trap(warp, instruction, Rule::wrong_space, lanes, "an access to a space that has no memory");
}

// `lanes` of the warp in a space that is not generic; addresses are relative to that space.
void resolve_space(Warp& warp, const Instruction& instruction, Space space, LaneAddresses& addresses,
                   uint32_t lanes, uint32_t bytes, Touch touch, Resolved& out) {
  Block& block = *warp.block;
  if (touch != Touch::load) {
    ++block.changes;
    block.own_changes += touch == Touch::store && space != Space::global;
  } else if (space == Space::global) {
    ++block.global_loads;
  }
  if (observed(warp)) {  // once it is known to be allowed; resolving changes the addresses
    const LaneAddresses asked = addresses;
    resolve_unobserved(warp, instruction, space, addresses, lanes, bytes, touch, out);
    notify(warp, instruction, space, asked, bytes, touch, lanes);
  } else {
    resolve_unobserved(warp, instruction, space, addresses, lanes, bytes, touch, out);
  }
}

struct Window {
  Space space;
  uint64_t base;
};
Window window_of(const Memory& memory, uint64_t address) {
  switch (address / kWindowBytes) {
    case 1:
      return {Space::shared, kSharedWindow};
    case 2:
      return {Space::local, kLocalWindow};
    case 3:
      return {Space::param, kParamWindow};
    default:
      break;
  }
  const Buffer* buffer = memory.find(address);
  return {buffer && buffer->constant ? Space::constant : Space::global,
          0};  // what is neither explains itself there
}

void resolve_generic(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t bytes,
                     Touch touch, Resolved& out) {
  const uint32_t all = warp.mask;
  const Memory& memory = *warp.launch->memory;
  bool first_group = true;
  for (uint32_t left = all; left;) {
    const Window window = window_of(memory, addresses.at[std::countr_zero(left)]);
    uint32_t lanes = 0;
    for (uint32_t rest = left; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      if (window_of(memory, addresses.at[lane]).space == window.space) lanes |= 1u << lane;
    }
    if (first_group && lanes == all) {
      if (window.base)
        for (uint64_t& address : addresses.at) address -= window.base;
      return resolve_space(warp, instruction, window.space, addresses, all, bytes, touch, out);
    }
    first_group = false;
    LaneAddresses part = addresses;
    for (uint64_t& address : part.at) address -= window.base;
    Resolved some;
    some.addresses = &part;
    resolve_space(warp, instruction, window.space, part, lanes, bytes, touch, some);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      out.lane[lane] = some.of(lane);
    }
    left &= ~lanes;
  }
  out.together = out.consecutive = out.same = false;
}

}  // namespace

void lane_addresses(const Warp& warp, const Instruction& instruction, LaneAddresses& out) {
  const auto offset = static_cast<uint64_t>(instruction.immediate);
  if (instruction.r[5] == kNoRow) {
    for (uint64_t& address : out.at) address = offset;
  } else if (instruction.wide_address) {
    const uint64_t* base = warp.row<uint64_t>(instruction.r[5]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) out.at[lane] = base[lane] + offset;
  } else {
    const uint32_t* base = warp.row<uint32_t>(instruction.r[5]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) out.at[lane] = base[lane] + offset;
  }
}

void resolve(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t bytes,
             Touch touch, Resolved& out) {
  out.addresses = &addresses;
  const Space space = instruction.memory.space;
  if (space == Space::generic)
    resolve_generic(warp, instruction, addresses, bytes, touch, out);
  else
    resolve_space(warp, instruction, space, addresses, warp.mask, bytes, touch, out);
}

}  // namespace attest::vm
