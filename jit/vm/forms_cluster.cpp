// Clusters of blocks: barrier.cluster, addresses in another block's shared memory; and griddepcontrol, by
// which a grid waits for the one before it.
#include <bit>
#include <string>
#include <vector>

#include "jit/vm/barrier.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

// Instruction::variant of barrier.cluster.
constexpr uint8_t kAligned = 1;
constexpr uint8_t kRelaxed = 2;  // an arrival that orders nothing
constexpr uint8_t kWait = 4;

void notify(Warp& warp, const Instruction& instruction, uint32_t lanes, uint64_t phase) {
  if (!observed(warp)) return;
  Site site = site_of(warp, instruction);
  site.lanes = lanes;
  const ClusterBarrierEvent event{site, warp.block->cluster_number, phase, !(instruction.variant & kRelaxed)};
  for (Observer* observer : warp.launch->observers) {
    if (instruction.variant & kWait)
      observer->cluster_wait(event);
    else
      observer->cluster_arrive(event);
  }
}

// Threads of the cluster that live, and those of them that arrived in the open phase.
struct Count {
  uint64_t living = 0, arrived = 0;
};
Count count(const std::vector<Block*>& cluster) {
  Count all;
  for (const Block* block : cluster) {
    for (const Warp& warp : block->warps) {
      all.living += static_cast<uint64_t>(std::popcount(warp.living));
      all.arrived += static_cast<uint64_t>(std::popcount(warp.cluster_arrived & warp.living));
    }
  }
  return all;
}

// Ends the phase if every living thread of the cluster has arrived: those that wait go on. Threads that have
// exited are not waited for (PTX ISA, exit).
bool complete(const std::vector<Block*>& cluster) {
  const Count threads = count(cluster);
  if (threads.arrived == 0 || threads.arrived != threads.living) return false;
  const uint64_t phase = cluster[0]->cluster_phase;
  for (Block* block : cluster) {
    ++block->cluster_phase;
    ++block->changes;
    ++block->own_changes;
    for (Warp& warp : block->warps) {
      warp.cluster_passed |= warp.cluster_arrived;
      warp.cluster_arrived = 0;
    }
  }
  for (Block* block : cluster) {
    for (Warp& warp : block->warps) {
      const uint32_t through = warp.at_cluster & ~warp.cluster_halted;
      for (uint32_t left = through; left;) {
        const uint32_t pc = warp.lane_pc[std::countr_zero(left)];
        uint32_t same = 0;
        for (uint32_t rest = left; rest; rest &= rest - 1)
          if (warp.lane_pc[std::countr_zero(rest)] == pc) same |= rest & (0u - rest);
        notify(warp, warp.launch->code->instructions[pc], same, phase);
        left &= ~same;
      }
      for (uint32_t rest = through; rest; rest &= rest - 1) ++warp.lane_pc[std::countr_zero(rest)];
      warp.at_cluster &= ~through;
      warp.cluster_passed &= ~through;
    }
  }
  return true;
}

// The lanes stay at the instruction; `halted`: until the rest of the warp is there.
void stay(Warp& warp, const Instruction& instruction, uint32_t lanes, bool halted) {
  const uint32_t skipping = warp.group & ~lanes;
  warp.park(skipping, warp.pc);
  warp.park(lanes, pc_of(warp, instruction));
  warp.at_cluster |= lanes;
  if (halted) warp.cluster_halted |= lanes;
}

void arrive_now(Warp& warp, const Instruction& instruction, uint32_t lanes) {
  if (const uint32_t twice = lanes & (warp.cluster_arrived | warp.cluster_passed))
    trap(warp, instruction, Rule::barrier_count, twice,
         "arrives at the cluster barrier a second time without having waited for the first");
  notify(warp, instruction, lanes, warp.block->cluster_phase);
  warp.cluster_arrived |= lanes;
  complete(*warp.block->cluster);
}

// Lanes that need not wait, because the phase at which they arrived is over. The others trap or wait.
uint32_t wait_now(Warp& warp, const Instruction& instruction, uint32_t lanes) {
  if (const uint32_t without = lanes & ~(warp.cluster_arrived | warp.cluster_passed))
    trap(warp, instruction, Rule::barrier_count, without,
         "waits at the cluster barrier without having arrived at it");
  const uint32_t through = lanes & warp.cluster_passed;
  if (through) notify(warp, instruction, through, warp.block->cluster_phase - 1);
  warp.cluster_passed &= ~through;
  return through;
}

// barrier.cluster.arrive{.release, .relaxed}{.aligned}; barrier.cluster.wait{.acquire}{.aligned};    PTX ISA:
// parallel-synchronization-and-communication-instructions-barrier-cluster
void arrive(Warp& warp, const Instruction& instruction) {
  if ((instruction.variant & kAligned) && warp.mask != warp.living)
    return stay(warp, instruction, warp.mask, true);
  arrive_now(warp, instruction, warp.mask);
}
void wait(Warp& warp, const Instruction& instruction) {
  const uint32_t lanes = warp.mask;
  if ((instruction.variant & kAligned) && lanes != warp.living) return stay(warp, instruction, lanes, true);
  const uint32_t waiting = lanes & ~wait_now(warp, instruction, lanes);
  if (waiting) stay(warp, instruction, waiting, false);
}

// mapa d, a, b: the address in the block of rank b that corresponds to a.      PTX ISA:
// data-movement-and-conversion-instructions-mapa. getctarank d, a: the rank of the block whose memory a is.
// Window: where shared memory begins in a's address space.
uint64_t rank_of(const Warp& warp, const Instruction& instruction, uint32_t lane, uint64_t offset) {
  const uint64_t tag = offset >> kSharedRankShift;
  if (tag > warp.block->cluster->size())
    trap(warp, instruction, Rule::wrong_space, 1u << lane,
         "the address lies in the shared memory of no block of the cluster");
  return tag ? tag - 1 : warp.block->rank;
}

template <class T, uint64_t Window>
void map_address(Warp& warp, const Instruction& instruction) {
  const T* a = warp.row<T>(instruction.r[1]);
  const uint32_t* b = warp.row<uint32_t>(instruction.r[2]);
  T* d = warp.row<T>(instruction.r[0]);
  const size_t blocks = warp.block->cluster->size();
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t offset = uint64_t{a[lane]} - Window;
    rank_of(warp, instruction, lane, offset);
    if (b[lane] >= blocks)
      trap(warp, instruction, Rule::out_of_bounds, 1u << lane,
           "rank " + std::to_string(b[lane]) + " in a cluster of " + std::to_string(blocks));
    const uint64_t within = offset & ((uint64_t{1} << kSharedRankShift) - 1);
    d[lane] = static_cast<T>(Window + ((uint64_t{b[lane]} + 1) << kSharedRankShift) + within);
  }
}

template <class T, uint64_t Window>
void block_of_address(Warp& warp, const Instruction& instruction) {
  const T* a = warp.row<T>(instruction.r[1]);
  uint32_t* d = warp.row<uint32_t>(instruction.r[0]);
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    d[lane] = static_cast<uint32_t>(rank_of(warp, instruction, lane, uint64_t{a[lane]} - Window));
  }
}

// griddepcontrol.wait: until the primary grid has ended.      PTX ISA:
// parallel-synchronization-and-communication-instructions-griddepcontrol
void wait_for_primary(Warp& warp, const Instruction&) {
  if (warp.launch->prerequisites_met) return;
  const uint32_t lanes = warp.mask, skipping = warp.group & ~lanes;
  warp.park(skipping, warp.pc);
  warp.park(lanes, warp.pc);  // behind the instruction
  warp.at_dependency |= lanes;
}
void nothing(Warp&, const Instruction&) {}

}  // namespace

bool settle_cluster_barrier(Warp& warp) {
  if (!warp.cluster_halted || warp.runnable() || warp.at_dependency) return false;
  const auto first = static_cast<uint32_t>(std::countr_zero(warp.cluster_halted));
  const Instruction& instruction = warp.launch->code->instructions[warp.lane_pc[first]];
  uint32_t together = 0;
  for (uint32_t rest = warp.at_cluster; rest; rest &= rest - 1)
    if (warp.lane_pc[std::countr_zero(rest)] == warp.lane_pc[first]) together |= rest & (0u - rest);
  warp.mask = together;
  if (together != warp.living) {
    const uint32_t others = warp.living & ~together;
    const uint32_t pc = warp.lane_pc[std::countr_zero(others)];
    trap(warp, instruction, Rule::divergent_barrier, together,
         "these lanes are at an aligned cluster barrier, lanes " + lane_list(others) +
             " of the warp wait at line " + std::to_string(warp.launch->code->instructions[pc].line) + " `" +
             warp.launch->code->texts[pc] + "`");
  }
  warp.cluster_halted &= ~together;
  uint32_t through = together;
  if (instruction.variant & kWait) through = wait_now(warp, instruction, together);
  for (uint32_t rest = through; rest; rest &= rest - 1) ++warp.lane_pc[std::countr_zero(rest)];
  warp.at_cluster &= ~through;
  if (!(instruction.variant & kWait)) arrive_now(warp, instruction, together);
  return true;
}

bool retry_cluster_barrier(Block& block) { return complete(*block.cluster); }

std::string cluster_arrivals(const Block& block) {
  const Count threads = count(*block.cluster);
  return std::to_string(threads.arrived) + " of " + std::to_string(threads.living) +
         " threads of the cluster arrived";
}

void release_dependency(Block& block) {
  for (Warp& warp : block.warps) warp.at_dependency = 0;
}

void add_cluster_forms(FormTable& table) {
  const char* section = "parallel-synchronization-and-communication-instructions-barrier-cluster";
  for (const uint8_t aligned : {uint8_t{0}, kAligned}) {
    const std::string tail = aligned ? ".aligned" : "";
    const auto add = [&](const std::string& name, Handler run, uint8_t variant, const char* meaning) {
      table.add({.name = "barrier.cluster." + name + tail,
                 .operands = "",
                 .run = run,
                 .section = section,
                 .meaning = meaning,
                 .variant = static_cast<uint8_t>(variant | aligned)});
    };
    for (const char* order : {"", ".release"})
      add(std::string("arrive") + order, arrive, 0, "Counts as arrived at the cluster's barrier.");
    add("arrive.relaxed", arrive, kRelaxed, "Counts as arrived, and orders no memory.");
    for (const char* order : {"", ".acquire"})
      add(std::string("wait") + order, wait, kWait, "Waits for the phase at which the thread arrived.");
  }
  section = "data-movement-and-conversion-instructions-mapa";
  const char* meaning = "The corresponding address in the shared memory of a block of the cluster.";
  table.add({"mapa.shared::cluster.u32", "Www", map_address<uint32_t, 0>, section, meaning});
  table.add({"mapa.shared::cluster.u64", "Qqw", map_address<uint64_t, 0>, section, meaning});
  table.add({"mapa.u64", "Qqw", map_address<uint64_t, kSharedWindow>, section, meaning});
  section = "data-movement-and-conversion-instructions-getctarank";
  meaning = "The rank of the block whose shared memory the address is in.";
  table.add({"getctarank.shared::cluster.u32", "Ww", block_of_address<uint32_t, 0>, section, meaning});
  table.add({"getctarank.shared::cluster.u64", "Wq", block_of_address<uint64_t, 0>, section, meaning});
  table.add({"getctarank.u64", "Wq", block_of_address<uint64_t, kSharedWindow>, section, meaning});
  section = "parallel-synchronization-and-communication-instructions-griddepcontrol";
  table.add({"griddepcontrol.launch_dependents", "", nothing, section,
             "Lets the next grid begin; when it begins is the host's choice here."});
  table.add({"griddepcontrol.wait", "", wait_for_primary, section,
             "Waits for the end of the grid before (Machine::launch_dependent)."});
}

}  // namespace attest::vm
