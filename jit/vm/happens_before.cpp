// Joins of clocks; every release moves the warp's clock on, so that later events are told from published
// ones.
#include "jit/vm/happens_before.h"

#include <algorithm>
#include <bit>

namespace attest::vm {
namespace {

void raise(std::map<uint64_t, uint32_t>& map, uint64_t key, uint32_t value) {
  uint32_t& slot = map[key];
  slot = std::max(slot, value);
}

template <class F>
void each_lane(uint32_t lanes, F f) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) f(static_cast<uint32_t>(std::countr_zero(rest)));
}

}  // namespace

void Knowledge::join(const Knowledge& other) {
  for (const auto& [block, epoch] : other.blocks) raise(blocks, block, epoch);
  for (const auto& [thread, clock] : other.threads) raise(threads, thread, clock);
}

void HappensBefore::begin_block(uint64_t block, uint32_t threads) {
  BlockOrder& order = blocks_[block];
  order = {};
  order.threads = threads;
  order.warps.resize((threads + kLanes - 1) / kLanes);
  for (size_t i = 0; i < order.warps.size(); ++i) {
    const auto left = threads - static_cast<uint32_t>(i) * kLanes;
    order.warps[i].existing = left >= kLanes ? kAllLanes : (1u << left) - 1;
    order.warps[i].seen.resize(order.warps.size());
  }
}

void HappensBefore::end_block(uint64_t block) { blocks_.erase(block); }

Stamp HappensBefore::now(uint64_t block, uint32_t warp, uint32_t lanes, uint32_t pc) const {
  const BlockOrder& order = blocks_.at(block);
  return {.block = block,
          .epoch = order.epoch,
          .clock = order.warps[warp].clock,
          .lanes = lanes,
          .pc = pc,
          .warp = static_cast<uint16_t>(warp)};
}

bool HappensBefore::knows(const Knowledge& knowledge, const Stamp& stamp) {
  if (knowledge.empty()) return false;
  const auto block = knowledge.blocks.find(stamp.block);
  if (block != knowledge.blocks.end() && block->second > stamp.epoch) return true;
  bool all = true;
  each_lane(stamp.lanes, [&](uint32_t lane) {
    const auto thread = knowledge.threads.find(Knowledge::thread(stamp.block, stamp.warp, lane));
    all = all && thread != knowledge.threads.end() && thread->second >= stamp.clock;
  });
  return all;
}

bool HappensBefore::ordered(const Stamp& earlier, const LaneId& lane) const {
  const BlockOrder& block = blocks_.find(lane.block)->second;
  const WarpOrder& warp = block.warps[lane.warp];
  if (earlier.block == lane.block) {
    if (earlier.epoch < block.epoch) return true;
    if (earlier.warp == lane.warp) {
      const uint32_t others = earlier.lanes & ~(1u << lane.lane);
      bool all = true;
      each_lane(others, [&](uint32_t other) { all = all && warp.lanes[lane.lane][other] >= earlier.clock; });
      if (all) return true;
    } else if (warp.seen[earlier.warp] >= earlier.clock) {
      return true;
    }
  }
  if (knows(block.knowledge, earlier) || knows(warp.knowledge, earlier)) return true;
  const auto own = warp.of_lane.find(lane.lane);
  return own != warp.of_lane.end() && knows(own->second, earlier);
}

void HappensBefore::order_lanes(WarpOrder& warp, uint32_t lanes) {
  std::array<uint32_t, kLanes> all{};
  each_lane(lanes, [&](uint32_t lane) {
    warp.lanes[lane][lane] = warp.clock;
    for (uint32_t other = 0; other < kLanes; ++other)
      all[other] = std::max(all[other], warp.lanes[lane][other]);
  });
  each_lane(lanes, [&](uint32_t lane) { warp.lanes[lane] = all; });
  if (warp.of_lane.empty()) return;
  Knowledge together;
  each_lane(lanes, [&](uint32_t lane) {
    const auto own = warp.of_lane.find(lane);
    if (own != warp.of_lane.end()) together.join(own->second);
  });
  if (lanes == warp.existing) {
    warp.knowledge.join(together);
    warp.of_lane.clear();
  } else {
    each_lane(lanes, [&](uint32_t lane) { warp.of_lane[lane].join(together); });
  }
}

void HappensBefore::warp_barrier(uint64_t block, uint32_t warp, uint32_t lanes) {
  WarpOrder& order = blocks_.at(block).warps[warp];
  order_lanes(order, lanes);
  ++order.clock;
}

void HappensBefore::block_barrier(uint64_t block) {
  BlockOrder& order = blocks_.at(block);
  ++order.epoch;
  for (WarpOrder& warp : order.warps) {
    order.knowledge.join(warp.knowledge);
    for (const auto& [lane, knowledge] : warp.of_lane) order.knowledge.join(knowledge);
    warp.knowledge = {};
    warp.of_lane.clear();
    std::fill(warp.seen.begin(), warp.seen.end(), 0);
    for (auto& row : warp.lanes) row.fill(warp.clock);
    ++warp.clock;
  }
}

void HappensBefore::arrive(uint64_t block, uint32_t barrier, uint32_t warp, uint32_t lanes, bool waits,
                           bool whole_block) {
  BlockOrder& order = blocks_.at(block);
  WarpOrder& own = order.warps[warp];
  Arrival arrival{.warp = warp,
                  .lanes = lanes,
                  .clock = own.clock,
                  .waits = waits,
                  .whole_block = whole_block,
                  .seen = own.seen,
                  .knowledge = own.knowledge};
  each_lane(lanes, [&](uint32_t lane) {
    const auto extra = own.of_lane.find(lane);
    if (extra != own.of_lane.end()) arrival.knowledge.join(extra->second);
  });
  order.barriers[barrier].push_back(std::move(arrival));
  ++own.clock;
}

bool HappensBefore::complete(uint64_t block, uint32_t barrier) {
  BlockOrder& order = blocks_.at(block);
  const std::vector<Arrival> arrivals = std::move(order.barriers[barrier]);
  order.barriers.erase(barrier);
  uint32_t threads = 0;
  bool all_wait = true, whole_block = false;
  for (const Arrival& arrival : arrivals) {
    threads += static_cast<uint32_t>(std::popcount(arrival.lanes));
    all_wait = all_wait && arrival.waits;
    whole_block = whole_block || arrival.whole_block;
  }
  if (whole_block || (all_wait && threads == order.threads)) {
    block_barrier(block);
    return true;
  }
  std::vector<uint32_t> seen(order.warps.size());
  Knowledge together;
  for (const Arrival& arrival : arrivals) {
    for (size_t i = 0; i < seen.size(); ++i) seen[i] = std::max(seen[i], arrival.seen[i]);
    together.join(arrival.knowledge);
    if (arrival.lanes == order.warps[arrival.warp].existing) {
      seen[arrival.warp] = std::max(seen[arrival.warp], arrival.clock);
    }
    each_lane(arrival.lanes, [&](uint32_t lane) {
      raise(together.threads, Knowledge::thread(block, arrival.warp, lane), arrival.clock);
    });
  }
  for (const Arrival& arrival : arrivals) {
    if (!arrival.waits) continue;
    WarpOrder& warp = order.warps[arrival.warp];
    if (arrival.lanes == warp.existing) {
      order_lanes(warp, arrival.lanes);
      for (size_t i = 0; i < seen.size(); ++i) warp.seen[i] = std::max(warp.seen[i], seen[i]);
      warp.knowledge.join(together);
    } else {  // what whole warps did is known lane by lane
      Knowledge known = together;
      for (uint32_t i = 0; i < seen.size(); ++i) {
        if (seen[i] == 0) continue;
        for (uint32_t lane = 0; lane < kLanes; ++lane)
          raise(known.threads, Knowledge::thread(block, i, lane), seen[i]);
      }
      each_lane(arrival.lanes, [&](uint32_t lane) { warp.of_lane[lane].join(known); });
    }
    ++warp.clock;
  }
  return false;
}

Knowledge HappensBefore::publish(const LaneId& lane) {
  BlockOrder& block = blocks_.at(lane.block);
  WarpOrder& warp = block.warps[lane.warp];
  Knowledge out = block.knowledge;
  out.join(warp.knowledge);
  const auto own = warp.of_lane.find(lane.lane);
  if (own != warp.of_lane.end()) out.join(own->second);
  raise(out.blocks, lane.block, block.epoch);
  for (uint32_t other = 0; other < kLanes; ++other) {
    const uint32_t clock = other == lane.lane ? warp.clock : warp.lanes[lane.lane][other];
    if (clock > 0) raise(out.threads, Knowledge::thread(lane.block, lane.warp, other), clock);
  }
  for (uint32_t i = 0; i < warp.seen.size(); ++i) {
    if (warp.seen[i] == 0) continue;
    for (uint32_t other = 0; other < kLanes; ++other) {
      raise(out.threads, Knowledge::thread(lane.block, i, other), warp.seen[i]);
    }
  }
  ++warp.clock;
  return out;
}

void HappensBefore::learn(const LaneId& lane, const Knowledge& knowledge) {
  if (!knowledge.empty()) blocks_.at(lane.block).warps[lane.warp].of_lane[lane.lane].join(knowledge);
}

}  // namespace attest::vm
