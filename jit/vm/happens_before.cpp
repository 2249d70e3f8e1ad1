// Joins of clocks. What a whole warp or block learns is kept once, not once a lane.
#include "jit/vm/happens_before.h"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "jit/vm/each_lane.h"

namespace attest::vm {
namespace {

// Slots that are tried before another is opened: those that have waited longest.
constexpr size_t kTries = 32;
// Operations of a block whose slots others have taken, and which are still told exactly if somebody waits for
// their ends again: the latest. Who waits for an older one learns of it alone, not of what its starter knew.
constexpr size_t kRemembered = 1024;

}  // namespace

void HappensBefore::begin_block(uint32_t number, uint32_t threads) {
  auto block = std::make_unique<Block>();
  block->threads = threads;
  block->warps.resize((threads + kLanes - 1) / kLanes);
  const uint32_t rest = threads % kLanes;
  if (rest) block->warps.back().existing = (1u << rest) - 1;
  blocks_[number] = std::move(block);
  cached_ = nullptr;
}

void HappensBefore::end_block(uint32_t number) {
  for (const uint64_t operation : block_of(number).recycled) operations_.erase(operation);
  for (const Slot& slot : block_of(number).slots) operations_.erase(slot.operation);
  blocks_.erase(number);
  cached_ = nullptr;
}

HappensBefore::Block& HappensBefore::block_of(uint32_t number) {
  if (!cached_ || cached_number_ != number) {
    cached_ = blocks_.at(number).get();
    cached_number_ = number;
  }
  return *cached_;
}

Stamp HappensBefore::now(const Where& where) {
  Stamp stamp;
  stamp.block = where.block;
  stamp.clock = block_of(where.block).clock;
  stamp.lanes = where.lanes;
  stamp.pc = where.pc & 0xffffff;
  stamp.warp = where.warp & 0xff;
  stamp.unit = stamp.warp;
  return stamp;
}

// --- views ---

HappensBefore::View HappensBefore::view(uint32_t number, uint32_t warp) {
  View view;
  view.number_ = number;
  view.unit_ = warp;
  view.block_ = &block_of(number);
  view.warp_ = &view.block_->warps[warp];
  return view;
}

HappensBefore::View HappensBefore::view_of_operation(uint64_t number) const {
  View view;
  view.operation_ = &operation(number);
  view.number_ = view.operation_->starter.block;
  view.unit_ = view.operation_->unit;
  return view;
}

void HappensBefore::View::look_up(const Stamp& earlier) {
  if (valid_ && looked_up_.block == earlier.block && looked_up_.unit == earlier.unit &&
      looked_up_.clock == earlier.clock)
    return;
  valid_ = true;
  looked_up_ = earlier;
  if (operation_) {
    known_ = operation_->start.known.covered(earlier);
    fenced_global_ = operation_->start.fenced_global.covered(earlier);
    fenced_shared_ = operation_->start.fenced_shared.covered(earlier);
  } else {
    known_ = block_->knowledge.known.covered(earlier) | warp_->knowledge.known.covered(earlier);
  }
}

bool HappensBefore::View::fenced(const Stamp& earlier, Space space) {
  look_up(earlier);
  return (earlier.lanes & ~(space == Space::shared ? fenced_shared_ : fenced_global_)) == 0;
}

bool HappensBefore::View::after_slowly(const Stamp& earlier, uint32_t lanes) {
  const bool own = earlier.block == number_ && earlier.unit == unit_;
  if (operation_ && own && earlier.clock >= operation_->clock) return true;
  look_up(earlier);
  const uint32_t unknown = earlier.lanes & ~known_;
  if (unknown == 0) return true;
  if (operation_) return false;
  bool all = true;
  each_lane(lanes, [&](uint32_t lane) {
    uint32_t rest = unknown;
    if (own) {
      rest &= ~(1u << lane);
      if (warp_->meetings)
        each_lane(rest, [&](uint32_t other) {
          if ((*warp_->meetings)[lane][other] >= earlier.clock) rest &= ~(1u << other);
        });
    }
    if (rest) {
      const auto more = warp_->of_lane.find(lane);
      if (more != warp_->of_lane.end()) rest &= ~more->second.known.covered(earlier);
    }
    all = all && rest == 0;
  });
  return all;
}

// --- barriers ---

void HappensBefore::meet(Block& block, Warp& warp, uint32_t lanes) {
  if (lanes == warp.existing) {
    warp.met = block.clock++;
    warp.meetings.reset();
    for (const auto& [lane, knowledge] : warp.of_lane) warp.knowledge.join(knowledge);
    warp.of_lane.clear();
    return;
  }
  if (!warp.meetings) warp.meetings = std::make_unique<Meetings>();
  std::array<uint32_t, kLanes> all{};
  Knowledge together;
  each_lane(lanes, [&](uint32_t lane) {
    (*warp.meetings)[lane][lane] = block.clock;
    for (uint32_t other = 0; other < kLanes; ++other)
      all[other] = std::max(all[other], (*warp.meetings)[lane][other]);
    const auto own = warp.of_lane.find(lane);
    if (own != warp.of_lane.end()) together.join(own->second);
  });
  each_lane(lanes, [&](uint32_t lane) {
    (*warp.meetings)[lane] = all;
    if (!together.empty()) warp.of_lane[lane].join(together);
  });
  ++block.clock;
}

void HappensBefore::warp_barrier(uint32_t number, uint32_t warp, uint32_t lanes) {
  Block& block = block_of(number);
  meet(block, block.warps[warp], lanes);
}

void HappensBefore::block_barrier(uint32_t number) {
  Block& block = block_of(number);
  block.passed = block.clock++;
  for (Warp& warp : block.warps) {
    block.knowledge.join(warp.knowledge);
    for (const auto& [lane, knowledge] : warp.of_lane) block.knowledge.join(knowledge);
    warp.knowledge = {};
    warp.of_lane.clear();
    warp.meetings.reset();
  }
  block.knowledge.known.drop_warps(number);  // all below `passed`
}

void HappensBefore::arrive(uint32_t number, uint32_t barrier, uint32_t warp, uint32_t lanes, bool waits,
                           bool whole_block) {
  Arrival arrival{warp, lanes, waits, whole_block, {}};
  if (!whole_block) arrival.knowledge = publish(number, warp, lanes);
  block_of(number).barriers[barrier].push_back(std::move(arrival));
}

void HappensBefore::complete(uint32_t number, uint32_t barrier) {
  Block& block = block_of(number);
  const std::vector<Arrival> arrivals = std::move(block.barriers[barrier]);
  block.barriers.erase(barrier);
  uint32_t threads = 0;
  bool all_wait = true, whole_block = false;
  for (const Arrival& arrival : arrivals) {
    threads += static_cast<uint32_t>(std::popcount(arrival.lanes));
    all_wait = all_wait && arrival.waits;
    whole_block = whole_block || arrival.whole_block;
  }
  if (whole_block || (all_wait && threads == block.threads)) return block_barrier(number);
  Knowledge together;
  for (const Arrival& arrival : arrivals) together.join(arrival.knowledge);
  for (const Arrival& arrival : arrivals) {
    if (!arrival.waits) continue;
    meet(block, block.warps[arrival.warp], arrival.lanes);
    learn(number, arrival.warp, arrival.lanes, together);
  }
}

// --- giving and taking ---

Knowledge HappensBefore::publish(uint32_t number, uint32_t index, uint32_t lanes) {
  Block& block = block_of(number);
  const Warp& warp = block.warps[index];
  Knowledge out = block.knowledge;
  out.join(warp.knowledge);
  if (!warp.of_lane.empty()) {
    each_lane(lanes, [&](uint32_t lane) {
      const auto own = warp.of_lane.find(lane);
      if (own != warp.of_lane.end()) out.join(own->second);
    });
  }
  if (block.passed) out.known.add_block(number, block.passed);
  if (warp.met > block.passed) out.known.add(number, index, warp.met, warp.existing);
  if (warp.meetings) {
    each_lane(lanes, [&](uint32_t lane) {
      for (uint32_t other = 0; other < kLanes; ++other)
        if (const uint32_t clock = (*warp.meetings)[lane][other])
          out.known.add(number, index, clock, 1u << other);
    });
  }
  out.known.add(number, index, block.clock++, lanes);
  return out;
}

void HappensBefore::learn(uint32_t number, uint32_t index, uint32_t lanes, const Knowledge& knowledge) {
  if (knowledge.empty()) return;
  Warp& warp = block_of(number).warps[index];
  if (lanes == warp.existing) return warp.knowledge.join(knowledge);
  each_lane(lanes, [&](uint32_t lane) { warp.of_lane[lane].join(knowledge); });
}

void HappensBefore::proxy_fence(uint32_t number, uint32_t warp, uint32_t lanes, Space space) {
  const Clocks known = publish(number, warp, lanes).known;
  Knowledge fenced;
  if (space != Space::shared) fenced.fenced_global = known;
  if (space != Space::global) fenced.fenced_shared = known;
  learn(number, warp, lanes, fenced);
}

// --- asynchronous operations ---

const HappensBefore::Operation& HappensBefore::operation(uint64_t number) const {
  const auto found = operations_.find(number);
  if (found == operations_.end())
    throw std::logic_error("asynchronous operation " + std::to_string(number) + " was never begun");
  return found->second;
}

uint32_t HappensBefore::free_slot(uint32_t number, const Knowledge& knowledge) {
  Block& block = block_of(number);
  for (size_t i = 0; i < std::min(kTries, block.slots.size()); ++i) {
    const size_t slot = (block.next_slot + i) % block.slots.size();
    Stamp last;
    last.block = number;
    last.unit = static_cast<uint32_t>(kFirstSlot + slot) & 0xffffff;
    last.clock = block.slots[slot].clock;
    if (!knowledge.known.covered(last)) continue;
    block.next_slot = slot + 1;
    block.recycled.push_back(block.slots[slot].operation);
    if (block.recycled.size() > kRemembered)  // its end is long known to all that matter
      operations_.at(block.recycled[block.recycled.size() - 1 - kRemembered]).start = {};
    return static_cast<uint32_t>(slot);
  }
  block.slots.emplace_back();
  return static_cast<uint32_t>(block.slots.size() - 1);
}

void HappensBefore::begin_operation(uint64_t number, const Where& starter) {
  Knowledge start = publish(starter.block, starter.warp, starter.lanes);
  const auto found = operations_.find(number);
  if (found != operations_.end()) return found->second.start.join(start);
  const uint32_t slot = free_slot(starter.block, start);
  Slot& own = block_of(starter.block).slots[slot];
  own.clock += 2;
  own.operation = number;
  operations_[number] = {starter, kFirstSlot + slot, own.clock - 1, std::move(start)};
}

Stamp HappensBefore::stamp_of_operation(uint64_t number, bool writes) const {
  const Operation& own = operation(number);
  Stamp stamp;
  stamp.block = own.starter.block;
  stamp.clock = own.clock + writes;
  stamp.lanes = own.starter.lanes;
  stamp.pc = own.starter.pc & 0xffffff;
  stamp.warp = own.starter.warp & 0xff;
  stamp.unit = own.unit & 0xffffff;
  return stamp;
}

Knowledge HappensBefore::end_operation(uint64_t number, bool reads_only) const {
  const Operation& own = operation(number);
  Knowledge out = own.start;
  out.known.add(own.starter.block, own.unit, own.clock + !reads_only, kAllLanes);
  return out;
}

}  // namespace attest::vm
