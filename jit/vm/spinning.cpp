// A test in vain costs a comparison; only a warp that repeats it undisturbed is looked at closely.
#include "jit/vm/spinning.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "jit/vm/async.h"
#include "jit/vm/mbarrier.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

constexpr uint32_t kPatience = Spin{}.patience, kMostPatience = 1u << 12;

uint64_t happened_in(const Block& block) {
  uint64_t sum = 0;
  for (const Block* each : *block.cluster) sum += each->changes + each->global_loads;
  return sum;
}

}  // namespace

uint64_t state_of(const Warp& warp, uint32_t placed) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](uint64_t word) {
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
  };
  for (const uint32_t mask :
       {warp.living, warp.at_barrier, warp.counted, warp.at_collective, warp.at_cluster, warp.at_warpgroup,
        warp.cluster_halted, warp.cluster_arrived, warp.cluster_passed, warp.starved, warp.group})
    add(mask);
  each_lane(warp.living, [&](uint32_t lane) {
    add(warp.saved[lane].size());
    if (placed >> lane & 1) add(warp.lane_pc[lane]);
  });
  for (uint32_t at = 0; at < warp.launch->code->file_bytes; at += 8) {
    uint64_t word;
    std::memcpy(&word, warp.registers + at, sizeof word);
    add(word);
  }
  return hash;
}

void note_vain_test(Warp& warp, const Instruction& instruction, uint32_t lanes,
                    const std::array<const std::byte*, kLanes>& barrier) {
  Block& block = *warp.block;
  if (!block.spinning) {
    block.spinning = std::make_shared<Spinning>();
    block.spinning->warps.resize(block.warps.size());
  }
  Spin& spin = block.spinning->warps[warp.index];
  const uint64_t happened = happened_in(block);
  if (spin.happened != happened) spin = {.happened = happened};
  if ((lanes & ~spin.stuck) == 0) return;
  if (++spin.tests < spin.patience) return;
  if (!spin.anchored) {
    spin.anchored = true;
    spin.pc = instruction.pc;
    spin.lanes = lanes;
    spin.state = state_of(warp, ~warp.group);
    return;
  }
  const bool again = spin.pc == instruction.pc && spin.lanes == lanes;
  if (again && state_of(warp, ~warp.group) == spin.state) {
    spin.stuck |= lanes;
    each_lane(lanes, [&](uint32_t lane) { spin.barrier[lane] = barrier[lane]; });
    spin.anchored = false;
    spin.tests = 0;
    spin.patience = kPatience;
  } else if (again || spin.tests > 2 * spin.patience) {  // something counts, or others test: look less often
    spin.anchored = false;
    spin.tests = 0;
    spin.patience = std::min(2 * spin.patience, kMostPatience);
  }
}

bool all_stuck(const std::vector<Block*>& blocks) {
  bool any = false;
  for (const Block* block : blocks) {
    for (const Warp& warp : block->warps) {
      if (!warp.runnable()) continue;
      if (!block->spinning) return false;
      const Spin& spin = block->spinning->warps[warp.index];
      if ((warp.runnable() & ~spin.stuck) || spin.happened != happened_in(*block)) return false;
      any = true;
    }
  }
  return any;
}

uint32_t vain_test(const Warp& warp) { return warp.block->spinning->warps[warp.index].pc; }

std::string who_is_stuck(const Block& block) {
  std::string text;
  for (const Warp& warp : block.warps) {
    if (!block.spinning) break;
    const Spin& spin = block.spinning->warps[warp.index];
    for (uint32_t left = warp.runnable() & spin.stuck; left;) {
      const std::byte* const barrier = spin.barrier[std::countr_zero(left)];
      uint32_t same = 0;
      each_lane(left,
                [&](uint32_t lane) { same |= static_cast<uint32_t>(spin.barrier[lane] == barrier) << lane; });
      left &= ~same;
      text += (text.empty() ? "" : "; ") + std::string("warp ") + std::to_string(warp.index) + " lanes " +
              lane_list(same) + " test " + barrier_text(block_of(warp, barrier), barrier) + " in vain";
    }
  }
  return text;
}

}  // namespace attest::vm
