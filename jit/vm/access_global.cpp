// Buffers: what all lanes ask of one is checked at once, else buffer by buffer.
#include <bit>
#include <string>

#include "jit/vm/access_fault.h"
#include "jit/vm/access_spaces.h"
#include "jit/vm/memory.h"
#include "jit/vm/region.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

bool bad_permission(const Buffer& buffer, Touch touch) {
  return (touch != Touch::load && buffer.access == Access::read) ||
         (touch != Touch::store && buffer.access == Access::write);
}

// Everything that can be wrong about lanes that all name `buffer`.
void check_buffer(const Warp& warp, const Instruction& instruction, const Buffer& buffer, bool constant,
                  const LaneAddresses& addresses, uint32_t mask, uint32_t bytes, Touch touch) {
  const AccessFault fault(warp, instruction, bytes, touch);
  const uint64_t sample = addresses.at[std::countr_zero(mask)];
  if (buffer.freed)
    fault.fail(Rule::use_after_free, mask, buffer_place(buffer, sample) + ", which was freed");
  if (const uint32_t bad = outside(addresses, mask, bytes, buffer.address, buffer.bytes)) {
    const uint64_t address = addresses.at[std::countr_zero(bad)];
    fault.fail(Rule::out_of_bounds, bad,
               buffer_place(buffer, address) + (address < buffer.address
                                                    ? ", before its first byte"
                                                    : ", which ends at " + std::to_string(buffer.bytes)));
  }
  if (buffer.constant != constant)
    fault.fail(Rule::wrong_space, mask,
               buffer_place(buffer, sample) +
                   (constant ? ", which is no constant memory" : ", which is constant memory"));
  if (bad_permission(buffer, touch))
    fault.fail(Rule::permission, mask,
               buffer_place(buffer, sample) +
                   (buffer.access == Access::read ? ", which is read-only" : ", which is write-only"));
  if (const uint32_t bad = misaligned_lanes(addresses, mask, bytes))
    fault.fail(Rule::misaligned, bad,
               buffer_place(buffer, addresses.at[std::countr_zero(bad)]) + ", which is not aligned to " +
                   std::to_string(bytes));
}

Region region_of(const Buffer& buffer) {
  return {buffer.data, buffer.complete ? nullptr : buffer.initialised.get(), buffer.address, buffer.bytes};
}

[[noreturn]] void unwritten_global(const Warp& warp, const Instruction& instruction, const Buffer& buffer,
                                   const Region& region, const LaneAddresses& addresses, uint32_t lanes,
                                   uint32_t bytes, Touch touch) {
  const uint64_t address = addresses.at[std::countr_zero(lanes)];
  AccessFault(warp, instruction, bytes, touch)
      .fail(Rule::uninitialised, lanes,
            buffer_place(buffer, address) + ": byte " +
                std::to_string(first_unwritten(region, address, bytes) - buffer.address) +
                " was never written");
}

// Lanes that name different buffers, or something is wrong.
void resolve_buffers_slowly(Warp& warp, const Instruction& instruction, LaneAddresses& addresses,
                            uint32_t mask, uint32_t bytes, Touch touch, bool constant, Resolved& out) {
  Memory& memory = *warp.launch->memory;
  for (uint32_t left = mask; left;) {
    const auto first = static_cast<uint32_t>(std::countr_zero(left));
    Buffer* buffer = memory.find(addresses.at[first]);
    uint32_t same = 0;
    for (uint32_t rest = left; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      if (memory.find(addresses.at[lane]) == buffer) same |= 1u << lane;
    }
    if (!buffer)
      AccessFault(warp, instruction, bytes, touch)
          .fail(Rule::out_of_bounds, same, window_text(addresses.at[first]));
    check_buffer(warp, instruction, *buffer, constant, addresses, same, bytes, touch);
    const Region region = region_of(*buffer);
    if (region.initialised) {
      const uint32_t bad = flags_of_lanes(region, addresses, same, bytes, touch);
      if (bad && warp.launch->options->check_memory)
        unwritten_global(warp, instruction, *buffer, region, addresses, bad, bytes, touch);
    }
    for (uint32_t rest = same; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      out.lane[lane] = buffer->data + (addresses.at[lane] - buffer->address);
    }
    left &= ~same;
  }
  out.together = out.consecutive = out.same = false;
}

}  // namespace

void resolve_buffers(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t mask,
                     uint32_t bytes, Touch touch, bool constant, Resolved& out) {
  if (mask != kAllLanes) fill_idle(addresses, mask);
  const Extent range = extent(addresses);
  Buffer* buffer = warp.launch->memory->find(range.low);
  const uint64_t offset = buffer ? range.low - buffer->address : 0;
  if (buffer && !buffer->freed && offset < buffer->bytes && range.high - range.low < buffer->bytes &&
      range.high - buffer->address + bytes <= buffer->bytes && buffer->constant == constant &&
      !bad_permission(*buffer, touch)) {
    const Region region = region_of(*buffer);
    uint32_t unwritten = 0;
    if (settle(region, addresses, mask, bytes, touch, range, out, unwritten)) {
      if (unwritten && warp.launch->options->check_memory)
        unwritten_global(warp, instruction, *buffer, region, addresses, unwritten, bytes, touch);
      return;
    }
  }
  resolve_buffers_slowly(warp, instruction, addresses, mask, bytes, touch, constant, out);
}

}  // namespace attest::vm
