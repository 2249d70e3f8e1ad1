// The inner loop, and the three ways to choose its lanes.
#include "jit/vm/scheduler.h"

#include <algorithm>
#include <bit>
#include <string>

#include "jit/vm/barrier.h"
#include "jit/vm/register_hazards.h"
#include "jit/vm/rendezvous.h"
#include "jit/vm/spinning.h"

namespace attest::vm {
namespace {

constexpr uint32_t kNever = kNoRow;  // no pc
constexpr uint64_t kSlice =
    512;  // warp-instructions before somebody else gets a turn: short, for those who spin

// Runs warp.group from warp.pc until it must regroup or `steps` instructions are done. Returns the
// instructions done. kWatched: an observer wants to hear of each instruction; kHazards: registers may be in
// flight.
template <bool kWatched, bool kHazards>
uint64_t run_group(Warp& warp, uint64_t steps) {
  const Instruction* const code = warp.launch->code->instructions.data();
  uint64_t lanes = 0;
  uint64_t left = steps;
  do {
    const Instruction& instruction = code[warp.pc];
    uint32_t mask = warp.group;
    if (instruction.guard != kNoRow) {
      const uint32_t guard = warp.predicate(instruction.guard);
      mask &= instruction.guard_negated ? ~guard : guard;
    }
    ++warp.pc;
    lanes += static_cast<uint64_t>(std::popcount(mask));
    warp.mask = mask;
    if constexpr (kWatched) {
      const Site site = site_of(warp, instruction);
      for (Observer* observer : warp.launch->observers) observer->instruction(site);
    }
    if (!mask) continue;
    if constexpr (kHazards) check_registers(warp, instruction);
    instruction.run(warp, instruction);
  } while (--left && warp.pc < warp.stop);
  for (uint32_t rest = warp.group; rest; rest &= rest - 1) warp.lane_pc[std::countr_zero(rest)] = warp.pc;
  const uint64_t done = steps - left;
  Launch& launch = *warp.launch;
  launch.warp_instructions.fetch_add(done, std::memory_order_relaxed);
  const uint64_t total = launch.lane_instructions.fetch_add(lanes, std::memory_order_relaxed) + lanes;
  if (total > launch.options->instruction_budget)
    trap(warp, code[warp.pc < launch.code->instructions.size() ? warp.pc : 0], Rule::budget, warp.group,
         "the budget of " + std::to_string(launch.options->instruction_budget) +
             " lane-instructions is spent (an endless loop?)");
  return done;
}

uint64_t run(Warp& warp, uint64_t steps) {
  const bool watched = warp.launch->watched;
  if (warp.warpgroup)
    return watched ? run_group<true, true>(warp, steps) : run_group<false, true>(warp, steps);
  return watched ? run_group<true, false>(warp, steps) : run_group<false, false>(warp, steps);
}

// The lanes of `candidates` with the lowest pc; `stop` is where the next ones wait.
void form_lowest(Warp& warp, uint32_t candidates, uint32_t runnable) {
  uint32_t lowest = kNever;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t pc = candidates >> lane & 1 ? warp.lane_pc[lane] : kNever;
    lowest = std::min(lowest, pc);
  }
  uint32_t group = 0, stop = kNever;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t pc = runnable >> lane & 1 ? warp.lane_pc[lane] : kNever;
    group |= static_cast<uint32_t>(pc == lowest) << lane;
    stop = std::min(stop, pc > lowest ? pc : kNever);
  }
  warp.group = group & runnable;
  warp.pc = lowest;
  warp.stop = stop;
}

// Lockstep: lowest pc first; lanes that got no turn for a whole slice come first in the next one, so that
// lanes that spin on what other lanes of their warp will do do not hold them up for ever.
uint64_t turn_lockstep(Warp& warp, uint64_t slice) {
  uint64_t done = 0;
  while (done < slice) {
    const uint32_t runnable = warp.runnable();
    if (!runnable) break;
    const uint32_t starved = warp.starved & runnable;
    form_lowest(warp, starved ? starved : runnable, runnable);
    if (starved) warp.stop = kNever;
    warp.starved = 0;
    done += run(warp, slice - done);
  }
  const uint32_t runnable = warp.runnable();
  if (done >= slice) warp.starved = runnable & ~warp.group;
  return done;
}

// Serial: the lowest runnable lane alone, until it waits; the next slice begins with the next lane.
uint64_t turn_serial(Warp& warp, uint64_t slice) {
  uint64_t done = 0;
  while (done < slice) {
    uint32_t runnable = warp.runnable();
    if (!runnable) break;
    if (runnable & warp.starved) runnable &= warp.starved;
    warp.group = runnable & (0u - runnable);
    warp.pc = warp.lane_pc[std::countr_zero(runnable)];
    warp.stop = kNever;
    warp.starved &= ~warp.group;
    done += run(warp, slice - done);
  }
  if (done >= slice && !warp.starved) warp.starved = warp.runnable() & ~warp.group;
  return done;
}

// Shuffled: some of the lanes that stand where a random lane stands, for a random number of instructions.
uint64_t turn_shuffled(Warp& warp, uint64_t& random) {
  const uint32_t runnable = warp.runnable();
  if (!runnable) return 0;
  const uint64_t draw = next_random(random);
  uint32_t pick = runnable;
  for (uint64_t skip = (draw & 0xFF) % static_cast<uint64_t>(std::popcount(runnable)); skip; --skip)
    pick &= pick - 1;
  const auto lane = static_cast<uint32_t>(std::countr_zero(pick));
  uint32_t group = 0;
  for (uint32_t rest = runnable; rest; rest &= rest - 1)
    if (warp.lane_pc[std::countr_zero(rest)] == warp.lane_pc[lane]) group |= rest & (0u - rest);
  if (draw >> 8 & 1) group &= static_cast<uint32_t>(draw >> 32) | 1u << lane;
  warp.group = group;
  warp.pc = warp.lane_pc[lane];
  warp.stop = kNever;
  constexpr uint64_t kLengths[4] = {1, 4, 16, 64};
  const uint64_t length = 1 + (draw >> 16 & 0xFF) % kLengths[draw >> 10 & 3];
  uint64_t done = 0;
  while (done < length && warp.group) {  // stop = 0 only says that the group changed
    const uint32_t before = warp.group;
    done += run(warp, length - done);
    if (warp.stop == 0 || warp.group != before) break;
  }
  return done;
}

bool alive(const Block& block) {
  return std::any_of(block.warps.begin(), block.warps.end(),
                     [](const Warp& warp) { return warp.living != 0; });
}

// After the warps' turns: whoever waits only for lanes that are gone goes on.
bool release_waiting(Block& block) {
  bool any = false;
  for (Warp& warp : block.warps) {
    if (warp.at_collective && !warp.runnable()) any = retry_rendezvous(warp) || any;
    any = settle_barrier(warp) || any;
    any = settle_cluster_barrier(warp) || any;
  }
  any = retry_barriers(block) || any;
  return retry_cluster_barrier(block) || any;
}

// Everybody waits: at barriers, or by testing an mbarrier that nothing can change.
[[noreturn]] void livelock(const Cluster& cluster) {
  std::string text;
  const Warp* first = nullptr;
  for (const std::unique_ptr<Block>& block : cluster.blocks) {
    const std::string stuck = who_is_stuck(*block), waits = who_waits(*block);
    if (stuck.empty() && waits.empty()) continue;
    if (!text.empty()) text += "; ";
    if (cluster.blocks.size() > 1) text += "block " + std::to_string(block->rank) + " of the cluster: ";
    text += stuck + (stuck.empty() || waits.empty() ? "" : "; ") + waits;
    for (const Warp& warp : block->warps)
      if (!first && warp.runnable()) first = &warp;
  }
  trap(*first, first->launch->code->instructions[vain_test(*first)], Rule::deadlock, first->runnable(),
       "deadlock: nobody can go on: " + text);
}

[[noreturn]] void deadlock(const Cluster& cluster) {
  for (const std::unique_ptr<Block>& block : cluster.blocks) {
    for (const Warp& warp : block->warps) {
      const uint32_t waiting = warp.waiting();
      if (!waiting) continue;
      const uint32_t pc = warp.lane_pc[std::countr_zero(waiting)];
      uint32_t same = 0;
      for (uint32_t rest = waiting; rest; rest &= rest - 1)
        if (warp.lane_pc[std::countr_zero(rest)] == pc) same |= rest & (0u - rest);
      trap(warp, warp.launch->code->instructions[pc], Rule::deadlock, same,
           "deadlock: " + who_waits(cluster));
    }
  }
  throw std::logic_error("a deadlock in which nobody waits");
}

bool waits_for_primary(const Cluster& cluster) {
  for (const std::unique_ptr<Block>& block : cluster.blocks)
    for (const Warp& warp : block->warps)
      if (warp.at_dependency) return true;
  return false;
}

// A turn for every warp of the block, in order.
bool pass_in_order(Block& block, bool serial) {
  bool any = false;
  const uint64_t budget = block.launch->options->instruction_budget;
  const uint64_t slice = std::min(kSlice, budget / kLanes + 1);
  for (Warp& warp : block.warps) {
    const uint64_t done = serial ? turn_serial(warp, slice) : turn_lockstep(warp, slice);
    block.ticks += done;
    any = any || done;
    if (warp.at_barrier & ~warp.counted) any = settle_barrier(warp) || any;
  }
  return any;
}

// Random turns of random warps, about as many as there are warps.
bool pass_shuffled(Block& block) {
  bool any = false;
  const size_t warps = block.warps.size();
  for (size_t i = 0; i < warps; ++i) {
    const size_t first = next_random(block.random) % warps;
    for (size_t j = 0; j < warps; ++j) {
      Warp& warp = block.warps[(first + j) % warps];
      if (!warp.runnable()) continue;
      const uint64_t done = turn_shuffled(warp, block.random);
      block.ticks += done;
      any = true;
      if (!warp.runnable() && (warp.at_barrier & ~warp.counted)) settle_barrier(warp);
      break;
    }
  }
  return any;
}

}  // namespace

std::string who_waits(const Cluster& cluster) {
  if (cluster.blocks.size() == 1) return who_waits(*cluster.blocks[0]);
  std::string text;
  for (const std::unique_ptr<Block>& block : cluster.blocks) {
    const std::string waiting = who_waits(*block);
    if (waiting.empty()) continue;
    text += (text.empty() ? "" : "; ") + std::string("in the block of rank ") + std::to_string(block->rank) +
            ": " + waiting;
  }
  return text;
}

uint32_t next_pc(const Warp& warp) {
  const uint32_t runnable = warp.runnable(), starved = warp.starved & runnable;
  const uint32_t candidates = starved ? starved : runnable;
  if (warp.launch->options->schedule == Schedule::serial) return warp.lane_pc[std::countr_zero(candidates)];
  uint32_t lowest = kNever;
  for (uint32_t rest = candidates; rest; rest &= rest - 1)
    lowest = std::min(lowest, warp.lane_pc[std::countr_zero(rest)]);
  return lowest;
}

void step(Warp& warp) {
  if (warp.launch->options->schedule == Schedule::serial)
    turn_serial(warp, 1);
  else
    turn_lockstep(warp, 1);
}

bool advance(Cluster& cluster, Schedule order) {
  bool any = false, living = false;
  const bool serial = order == Schedule::serial;
  const size_t count = cluster.blocks.size();
  for (size_t i = 0; i < count; ++i) {
    // Serial goes backwards through a cluster: what only works because block 0 comes first is seen in it.
    const std::unique_ptr<Block>& block = cluster.blocks[serial ? count - 1 - i : i];
    any = (order == Schedule::shuffled ? pass_shuffled(*block) : pass_in_order(*block, serial)) || any;
    any = release_waiting(*block) || any;
    living = living || alive(*block);
  }
  ++cluster.passes;
  if (living && !any) {
    if (waits_for_primary(cluster)) return false;
    deadlock(cluster);
  }
  if (living && all_stuck(cluster.by_rank)) livelock(cluster);
  return living;
}

}  // namespace attest::vm
