// The shared memory of the warp's block, or of another one of its cluster while that lives.
#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "jit/vm/access_fault.h"
#include "jit/vm/access_spaces.h"
#include "jit/vm/region.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

// `addresses` are offsets into the block's shared memory.
void resolve_shared_of(const Block& block, Warp& warp, const Instruction& instruction,
                       LaneAddresses& addresses, uint32_t mask, uint32_t bytes, Touch touch, Resolved& out) {
  const AccessFault fault(warp, instruction, bytes, touch);
  const auto place = [&](uint64_t address) {
    const std::string whose =
        &block == warp.block ? "" : " of the cluster's block of rank " + std::to_string(block.rank);
    return "shared memory" + whose + " offset " + std::to_string(static_cast<int64_t>(address));
  };
  const Extent range = extent(addresses);
  if (range.high >= block.shared_bytes || bytes > block.shared_bytes - range.high) {
    const uint32_t bad = outside(addresses, mask, bytes, 0, block.shared_bytes);
    fault.fail(
        Rule::out_of_bounds, bad,
        place(addresses.at[std::countr_zero(bad)]) + ", which ends at " + std::to_string(block.shared_bytes));
  }
  const Region region{block.shared.get(), block.shared_initialised.get(), 0, block.shared_bytes};
  uint32_t unwritten = 0;
  if (!settle(region, addresses, mask, bytes, touch, range, out, unwritten)) {
    const uint32_t bad = misaligned_lanes(addresses, mask, bytes);
    fault.fail(
        Rule::misaligned, bad,
        place(addresses.at[std::countr_zero(bad)]) + ", which is not aligned to " + std::to_string(bytes));
  }
  if (unwritten && warp.launch->options->check_memory) {
    const uint64_t address = addresses.at[std::countr_zero(unwritten)];
    fault.fail(Rule::uninitialised, unwritten,
               place(address) + ": byte " + std::to_string(first_unwritten(region, address, bytes)) +
                   " was never written");
  }
}

// Only .shared::cluster and generic addresses reach another block's shared memory.
void check_remote(const Block& remote, const Warp& warp, const Instruction& instruction, uint32_t lanes,
                  uint32_t bytes, Touch touch) {
  const AccessFault fault(warp, instruction, bytes, touch);
  const std::string whose = "shared memory of the cluster's block of rank " + std::to_string(remote.rank);
  if (instruction.memory.space == Space::shared && !instruction.memory.shared_cluster)
    fault.fail(Rule::wrong_space, lanes,
               whose + "; .shared means .shared::cta, another block's memory needs .shared::cluster");
  if (const char* why = unreachable(remote))
    fault.fail(Rule::use_after_free, lanes, whose + ", which " + why);
}

}  // namespace

const char* unreachable(const Block& remote) {
  if (remote.ticks == 0) return "has not begun: a cluster barrier must come first";
  if (std::none_of(remote.warps.begin(), remote.warps.end(), [](const Warp& each) { return each.living; }))
    return "has ended: a cluster barrier must keep it until the last access";
  return nullptr;
}

void resolve_shared(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t mask,
                    uint32_t bytes, Touch touch, Resolved& out) {
  if (mask != kAllLanes) fill_idle(addresses, mask);
  const std::vector<Block*>& cluster = *warp.block->cluster;
  const auto tag_of = [&](uint32_t lane) { return addresses.at[lane] >> kSharedRankShift; };
  uint64_t tags = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) tags |= tag_of(lane);
  if (tags == 0) return resolve_shared_of(*warp.block, warp, instruction, addresses, mask, bytes, touch, out);
  bool first = true;
  for (uint32_t left = mask; left;) {  // block by block
    const uint64_t tag = tag_of(static_cast<uint32_t>(std::countr_zero(left)));
    uint32_t lanes = 0;
    for (uint32_t rest = left; rest; rest &= rest - 1)
      if (tag_of(static_cast<uint32_t>(std::countr_zero(rest))) == tag) lanes |= rest & (0u - rest);
    // What names no block of the cluster is an offset past the end.
    const bool named = tag != 0 && tag - 1 < cluster.size();
    const Block& block = named ? *cluster[tag - 1] : *warp.block;
    if (&block != warp.block) check_remote(block, warp, instruction, lanes, bytes, touch);
    LaneAddresses part = addresses;
    if (lanes != kAllLanes) fill_idle(part, lanes);
    if (named)
      for (uint64_t& address : part.at) address -= tag << kSharedRankShift;
    if (first && lanes == mask) {
      addresses = part;
      return resolve_shared_of(block, warp, instruction, addresses, mask, bytes, touch, out);
    }
    first = false;
    Resolved some;
    some.addresses = &part;
    resolve_shared_of(block, warp, instruction, part, lanes, bytes, touch, some);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      out.lane[lane] = some.of(lane);
    }
    left &= ~lanes;
  }
  out.together = out.consecutive = out.same = false;
}

}  // namespace attest::vm
