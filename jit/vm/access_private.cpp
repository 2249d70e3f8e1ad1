// What each lane has for itself, and the kernel's parameters.
#include <bit>
#include <cstring>
#include <string>

#include "jit/vm/access_fault.h"
#include "jit/vm/access_spaces.h"
#include "jit/vm/region.h"
#include "jit/vm/warp.h"

namespace attest::vm {

void resolve_local(Warp& warp, const Instruction& instruction, const LaneAddresses& addresses, uint32_t mask,
                   uint32_t bytes, Touch touch, Resolved& out) {
  const AccessFault fault(warp, instruction, bytes, touch);
  const uint64_t size = warp.launch->code->frame_bytes;
  if (const uint32_t bad = outside(addresses, mask, bytes, 0, size))
    fault.fail(Rule::out_of_bounds, bad,
               "local memory offset " +
                   std::to_string(static_cast<int64_t>(addresses.at[std::countr_zero(bad)])) +
                   ", which ends at " + std::to_string(size));
  if (const uint32_t bad = misaligned_lanes(addresses, mask, bytes))
    fault.fail(Rule::misaligned, bad,
               "local memory offset " + std::to_string(addresses.at[std::countr_zero(bad)]) +
                   ", which is not aligned to " + std::to_string(bytes));
  uint32_t bad = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t at = lane * size + addresses.at[lane];
    out.lane[lane] = warp.frame + at;
    uint8_t* flags = warp.frame_initialised + at;
    if (touch == Touch::store)
      std::memset(flags, 1, bytes);
    else if (!all_set(flags, bytes))
      bad |= 1u << lane;
  }
  if (bad && warp.launch->options->check_memory && !instruction.memory.call_parameter)
    fault.fail(Rule::uninitialised, bad,
               "local memory offset " + std::to_string(addresses.at[std::countr_zero(bad)]) +
                   ": some of these bytes were never written");
  out.together = out.consecutive = out.same = false;
}

void resolve_param(Warp& warp, const Instruction& instruction, const LaneAddresses& addresses, uint32_t mask,
                   uint32_t bytes, Touch touch, Resolved& out) {
  const AccessFault fault(warp, instruction, bytes, touch);
  if (touch != Touch::load) fault.fail(Rule::permission, mask, "a kernel parameter, which is read-only");
  const uint64_t size = warp.launch->params.size();
  if (const uint32_t bad = outside(addresses, mask, bytes, 0, size))
    fault.fail(Rule::out_of_bounds, bad,
               "parameter offset " +
                   std::to_string(static_cast<int64_t>(addresses.at[std::countr_zero(bad)])) +
                   ", which ends at " + std::to_string(size));
  if (const uint32_t bad = misaligned_lanes(addresses, mask, bytes))
    fault.fail(Rule::misaligned, bad,
               "parameter offset " + std::to_string(addresses.at[std::countr_zero(bad)]) +
                   ", which is not aligned to " + std::to_string(bytes));
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    out.lane[lane] =
        const_cast<std::byte*>(warp.launch->params.data()) + addresses.at[lane];  // only ever read
  }
  out.together = out.consecutive = out.same = false;
}

}  // namespace attest::vm
