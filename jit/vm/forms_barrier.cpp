// bar and barrier: arrival, completion, and what goes wrong on the way.
#include <algorithm>
#include <bit>
#include <string>

#include "jit/vm/barrier.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/warp.h"
#include "jit/vm/warpgroup.h"

namespace attest::vm {
namespace {

// Instruction::variant of a barrier.
constexpr uint8_t kAligned = 1;
constexpr uint8_t kArrive = 2;                            // does not wait
constexpr uint8_t kCounted = 4;                           // r[2] holds the thread count
constexpr uint8_t kPopulation = 8, kAll = 16, kAny = 32;  // bar.red; r[0] the result, r[3] the predicate

uint32_t uniform(const Warp& warp, const Instruction& instruction, size_t slot, const char* what) {
  const uint32_t* values = warp.row<uint32_t>(instruction.r[slot]);
  const uint32_t first = values[std::countr_zero(warp.mask)];
  uint32_t differs = 0;
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1)
    if (values[std::countr_zero(rest)] != first) differs |= rest & (0u - rest);
  if (differs)
    trap(warp, instruction, Rule::divergent_operand, differs,
         std::string("lanes give different ") + what + "s");
  return first;
}

uint32_t living_threads(const Block& block) {
  uint32_t threads = 0;
  for (const Warp& warp : block.warps)
    if (warp.living) threads += kLanes;  // a warp counts as a whole
  return threads;
}

const Instruction& lane_instruction(const Warp& warp, uint32_t lane) {
  return warp.launch->code->instructions[warp.lane_pc[lane]];
}

uint32_t waiting_at(const Warp& warp, uint32_t number) {
  uint32_t lanes = 0;
  for (uint32_t rest = warp.at_barrier; rest; rest &= rest - 1)
    if (warp.lane_wait[std::countr_zero(rest)] == number) lanes |= rest & (0u - rest);
  return lanes;
}

// Every waiting lane goes on; a reduction's result is written.
void release(Block& block, uint32_t number) {
  Barrier& barrier = block.barriers[number];
  for (Warp& warp : block.warps) {
    for (uint32_t rest = waiting_at(warp, number); rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      const Instruction& instruction = lane_instruction(warp, lane);
      if (instruction.variant & kPopulation) warp.row<uint32_t>(instruction.r[0])[lane] = barrier.population;
      if (instruction.variant & (kAll | kAny)) {
        const bool result = instruction.variant & kAll ? barrier.all : barrier.any;
        uint32_t& predicate = warp.predicate(instruction.r[0]);
        predicate = (predicate & ~(1u << lane)) | static_cast<uint32_t>(result) << lane;
      }
      ++warp.lane_pc[lane];
      warp.at_barrier &= ~(1u << lane);
      warp.counted &= ~(1u << lane);
    }
  }
  barrier = Barrier{};
  ++block.changes;
  ++block.own_changes;
  for (Observer* observer : block.launch->observers)
    observer->barrier_release(block.index, block.linear, number);
}

bool complete(Block& block, uint32_t number) {
  const Barrier& barrier = block.barriers[number];
  if (!barrier.open) return false;
  if (barrier.arrived < (barrier.counted ? barrier.expected : living_threads(block))) return false;
  release(block, number);
  return true;
}

// Whether every living thread of the block waits at a barrier for the whole block. Lanes may have exited
// after the others of their warp arrived one by one: the barrier does not wait for them (PTX ISA, exit).
bool held_up_by_nobody(const Block& block, uint32_t number) {
  const Barrier& barrier = block.barriers[number];
  if (!barrier.open || barrier.counted) return false;
  return std::all_of(block.warps.begin(), block.warps.end(), [&](const Warp& warp) {
    return (warp.living & ~(waiting_at(warp, number) & warp.counted)) == 0;
  });
}

// `lanes` of the warp arrive together; `threads` is what they count.
void arrive(Warp& warp, const Instruction& instruction, uint32_t lanes, uint32_t number, uint32_t threads) {
  Block& block = *warp.block;
  Barrier& barrier = block.barriers[number];
  const uint32_t mask = warp.mask;
  warp.mask = lanes;
  if (instruction.variant & kCounted) {
    const uint32_t expected = uniform(warp, instruction, 2, "thread count");
    if (expected == 0 || expected % kLanes)
      trap(warp, instruction, Rule::barrier_count, lanes,
           "a thread count of " + std::to_string(expected) + ", which is no multiple of 32");
    if (barrier.open && (!barrier.counted || barrier.expected != expected))
      trap(warp, instruction, Rule::barrier_count, lanes,
           "barrier " + std::to_string(number) + " for " + std::to_string(expected) +
               " threads, others arrived for " +
               (barrier.counted ? std::to_string(barrier.expected) : std::string("the whole block")));
    barrier.counted = true;
    barrier.expected = expected;
  } else if (barrier.open && barrier.counted) {
    trap(warp, instruction, Rule::barrier_count, lanes,
         "barrier " + std::to_string(number) + " for the whole block, others arrived for " +
             std::to_string(barrier.expected));
  }
  barrier.open = true;
  barrier.arrived += threads;
  if (barrier.counted && barrier.arrived > barrier.expected)
    trap(warp, instruction, Rule::barrier_count, lanes,
         "barrier " + std::to_string(number) + " expects " + std::to_string(barrier.expected) + " threads, " +
             std::to_string(barrier.arrived) + " arrived");
  if (instruction.variant & (kPopulation | kAll | kAny)) {
    const uint32_t values = warp.predicate(instruction.r[3]) & lanes;
    barrier.population += static_cast<uint32_t>(std::popcount(values));
    barrier.all = barrier.all && values == lanes;
    barrier.any = barrier.any || values != 0;
  }
  if (observed(warp)) {
    const Site site = site_of(warp, instruction);
    const BarrierEvent event{site, number, barrier.counted ? barrier.expected : 0,
                             !(instruction.variant & kArrive)};
    for (Observer* observer : warp.launch->observers) observer->barrier_arrive(event);
  }
  warp.mask = mask;
}

uint32_t barrier_number(const Warp& warp, const Instruction& instruction) {
  const uint32_t number = uniform(warp, instruction, 1, "barrier number");
  if (number >= kBarriers)
    trap(warp, instruction, Rule::other, warp.mask, "barrier " + std::to_string(number) + " of 16");
  return number;
}

// The lanes stay here until settle_barrier() knows where the other lanes of the warp have got.
void wait_for_warp(Warp& warp, const Instruction& instruction, uint32_t lanes, uint32_t number) {
  const uint32_t skipping = warp.group & ~lanes;
  for (uint32_t rest = lanes; rest; rest &= rest - 1) warp.lane_wait[std::countr_zero(rest)] = number;
  warp.park(skipping, warp.pc);
  warp.park(lanes, pc_of(warp, instruction));
  warp.at_barrier |= lanes;
}

// bar{.cta}.sync a{, b};  barrier{.cta}.sync{.aligned} a{, b};      PTX ISA:
// parallel-synchronization-and-communication-instructions-bar
void sync(Warp& warp, const Instruction& instruction) {
  const uint32_t lanes = warp.mask;
  const uint32_t number = barrier_number(warp, instruction);
  const bool whole = lanes == warp.living;
  wait_for_warp(warp, instruction, lanes, number);
  if (whole) {
    warp.counted |= lanes;
    arrive(warp, instruction, lanes, number, kLanes);
    complete(*warp.block, number);
  } else if (!(instruction.variant & kAligned)) {
    // Threads count one by one, and the last of a warp brings the lanes that do not exist or have exited.
    const uint32_t here = waiting_at(warp, number);
    const bool last = here == warp.living;
    warp.counted |= lanes;
    const auto before = static_cast<uint32_t>(std::popcount(here & ~lanes));
    arrive(warp, instruction, lanes, number,
           last ? kLanes - before : static_cast<uint32_t>(std::popcount(lanes)));
    complete(*warp.block, number);
  }
}

// bar{.cta}.arrive a, b;  Waits for no other warp, but for the living lanes of its own: a warp arrives as a
// whole, aligned or not.
void arrive_only(Warp& warp, const Instruction& instruction) {
  const uint32_t number = barrier_number(warp, instruction);
  if (warp.mask != warp.living) return wait_for_warp(warp, instruction, warp.mask, number);
  arrive(warp, instruction, warp.mask, number, kLanes);
  complete(*warp.block, number);
}

void decode_barrier(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const auto has = [&](const char* modifier) { return has_modifier(in, modifier); };
  if (in.opcode == "bar" || has("aligned")) out.variant |= kAligned;
  size_t at = 0;
  const bool reduction = has("red");
  if (reduction) {
    out.variant |= has("popc") ? kPopulation : has("and") ? kAll : kAny;
    if (in.operands.size() < 3) decoder.fail("too few operands");
    out.r[0] = decoder.target(in.operands[at++], has("popc") ? 'W' : 'P');
  }
  const size_t left = in.operands.size() - at - (reduction ? 1 : 0);
  if (left < 1 || left > 2) decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  out.r[1] = decoder.source(in.operands[at++], 'w');
  if (left == 2) {
    out.r[2] = decoder.source(in.operands[at++], 'w');
    out.variant |= kCounted;
  }
  if (reduction) out.r[3] = decoder.source(in.operands[at++], 'p');
  if (has("arrive")) {
    if (!(out.variant & kCounted)) decoder.fail("needs a thread count");
    out.variant |= kArrive;
  }
}

}  // namespace

bool settle_barrier(Warp& warp) {
  if (!(warp.at_barrier & ~warp.counted) || warp.runnable() || warp.at_dependency) return false;
  const uint32_t first = static_cast<uint32_t>(std::countr_zero(warp.at_barrier & ~warp.counted));
  const Instruction& instruction = lane_instruction(warp, first);
  // At the same instruction, or at the same unaligned one elsewhere.
  const bool anywhere = !(instruction.variant & kAligned);
  uint32_t together = 0;
  for (uint32_t rest = warp.at_barrier; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const Instruction& other = lane_instruction(warp, lane);
    if (warp.lane_pc[lane] == warp.lane_pc[first] ||
        (anywhere && other.run == instruction.run && other.variant == instruction.variant &&
         warp.lane_wait[lane] == warp.lane_wait[first]))
      together |= 1u << lane;
  }
  if (together != warp.living) {
    const uint32_t others = warp.living & ~together;
    const auto other = static_cast<uint32_t>(std::countr_zero(others));
    const Instruction& elsewhere = lane_instruction(warp, other);
    warp.mask = together;
    trap(warp, instruction, Rule::divergent_barrier, together,
         "these lanes wait at a barrier for the rest of their warp, lanes " + lane_list(others) +
             " of the warp wait at line " + std::to_string(elsewhere.line) + " `" +
             warp.launch->code->texts[warp.lane_pc[other]] + "`");
  }
  warp.mask = together;
  const uint32_t number = warp.lane_wait[first];
  if (instruction.variant & kArrive) {  // the whole warp is here: nobody needs to wait
    for (uint32_t rest = together; rest; rest &= rest - 1) ++warp.lane_pc[std::countr_zero(rest)];
    warp.at_barrier &= ~together;
  } else {
    warp.counted |= together;
  }
  arrive(warp, instruction, together, number, kLanes);
  complete(*warp.block, number);
  return true;
}

bool retry_barriers(Block& block) {
  bool any = false;
  for (uint32_t number = 0; number < kBarriers; ++number) {
    if (complete(block, number)) {
      any = true;
    } else if (held_up_by_nobody(block, number)) {
      release(block, number);
      any = true;
    }
  }
  return any;
}

std::string who_waits(const Block& block) {
  std::string text;
  for (const Warp& warp : block.warps) {
    for (uint32_t left = warp.waiting(); left;) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(left));
      uint32_t same = 0;
      for (uint32_t rest = left; rest; rest &= rest - 1)
        if (warp.lane_pc[std::countr_zero(rest)] == warp.lane_pc[lane]) same |= rest & (0u - rest);
      left &= ~same;
      const Instruction& instruction = lane_instruction(warp, lane);
      text += (text.empty() ? "" : "; ") + std::string("warp ") + std::to_string(warp.index) + " lanes " +
              lane_list(same) + " wait at line " + std::to_string(instruction.line) + " `" +
              warp.launch->code->texts[warp.lane_pc[lane]] + "`";
      if (warp.at_barrier >> lane & 1) {
        const Barrier& barrier = block.barriers[warp.lane_wait[lane]];
        text += " (" + std::to_string(barrier.arrived) + " of " +
                std::to_string(barrier.counted ? barrier.expected : living_threads(block)) +
                " threads arrived)";
      } else if (warp.at_cluster >> lane & 1) {
        text += " (" + cluster_arrivals(block) + ")";
      } else if (warp.at_warpgroup >> lane & 1) {
        text += " for the rest of the warpgroup: " + missing_of_warpgroup(block, warp);
      } else {
        text += " for lanes " + lane_list(warp.lane_wait[lane]);
      }
    }
  }
  return text;
}

void add_barrier_forms(FormTable& table) {
  const char* section = "parallel-synchronization-and-communication-instructions-bar";
  for (const char* cta : {"", ".cta"}) {
    for (const char* opcode : {"bar", "barrier"}) {
      for (const char* aligned : {"", ".aligned"}) {
        if (*aligned && std::string(opcode) == "bar") continue;
        const std::string head = std::string(opcode) + cta;
        table.add({head + ".sync" + aligned, "", sync, section,
                   "Waits for the block, or for a count of threads.", decode_barrier});
        table.add({head + ".arrive" + aligned, "", arrive_only, section, "Counts as arrived without waiting.",
                   decode_barrier});
        table.add({head + ".red.popc" + aligned + ".u32", "", sync, section,
                   "Waits, and counts the predicates.", decode_barrier});
        table.add({head + ".red.and" + aligned + ".pred", "", sync, section,
                   "Waits; true if all predicates were.", decode_barrier});
        table.add({head + ".red.or" + aligned + ".pred", "", sync, section,
                   "Waits; true if any predicate was.", decode_barrier});
      }
    }
  }
}

}  // namespace attest::vm
