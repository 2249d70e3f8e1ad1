// Every byte remembers its last write and the reads and atomics since that nothing has ordered yet.
#include "jit/vm/race_observer.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>

#include "jit/vm/happens_before.h"
#include "jit/vm/machine.h"
#include "jit/vm/memory.h"

namespace attest::vm {
namespace {

// The state of one granule of memory.
struct Cell {
  Stamp write;
  std::vector<Stamp> others;  // reads and atomics; none is ordered before another
  uint32_t non_coherent_pc = 0;
  bool non_coherent = false;
};

// A buffer, or a block's shared memory. Granules have 4 bytes until something smaller is touched.
struct Region {
  uint64_t granule = 4;
  std::vector<Cell> cells;

  void refine() {
    std::vector<Cell> fine;
    fine.reserve(cells.size() * granule);
    for (const Cell& cell : cells) fine.insert(fine.end(), granule, cell);
    cells = std::move(fine);
    granule = 1;
  }
  // Granules of [offset, offset + bytes).
  std::pair<uint64_t, uint64_t> range(uint64_t offset, uint64_t bytes) {
    if (granule > 1 && (offset % granule != 0 || bytes % granule != 0)) refine();
    const uint64_t end = (offset + bytes) / granule;
    if (end > cells.size()) cells.resize(std::max(end, cells.size() + cells.size() / 2));
    return {offset / granule, end};
  }
};

// What a place of synchronisation hands on: to everybody, and to the block that a .cta release came from.
struct Released {
  Knowledge device;
  std::map<uint64_t, Knowledge> block;
};

// A lane's fences: what it published, and what it has read but not yet fenced.
struct LaneFences {
  Knowledge device, block;  // published; valid once has_*
  bool has_device = false, has_block = false;
  Knowledge pending_device, pending_block;  // read by relaxed accesses
};

struct PlaceOf {
  Space space;
  uint64_t region;  // buffer number, or block number
  uint64_t offset;
  auto key() const { return std::tuple(space == Space::shared, region, offset); }
};

bool is_release(Order order) {
  return order == Order::release || order == Order::acq_rel || order == Order::seq_cst;
}
bool is_acquire(Order order) {
  return order == Order::acquire || order == Order::acq_rel || order == Order::seq_cst;
}

const char* kind_text(Race::Kind kind) {
  switch (kind) {
    case Race::Kind::write_write:
      return "write-write race";
    case Race::Kind::read_write:
      return "read-write race";
    case Race::Kind::write_read:
      return "write-read race";
    case Race::Kind::atomic_plain:
      return "race of an atomic and an ordinary access";
    case Race::Kind::non_coherent:
      return "ld.global.nc of bytes that this launch writes";
  }
  return "race";
}

std::string side_text(const RaceSide& side) {
  return "PTX line " + std::to_string(side.line) + " `" + side.instruction + "` block " +
         std::to_string(side.block) + " warp " + std::to_string(side.warp) + " lanes " +
         lane_list(side.lanes);
}

}  // namespace

std::string Race::text() const {
  return std::string(kind_text(kind)) + " at " + place + ": " + side_text(earlier) + " and " +
         side_text(later) + " are not ordered" +
         (occurrences > 1 ? " (" + std::to_string(occurrences) + " times)" : "");
}

struct RaceObserver::State {
  mutable std::mutex mutex;
  const Memory* memory = nullptr;
  Dim3 grid, block, cluster;
  HappensBefore order;
  std::unordered_map<uint64_t, Region> global;  // by buffer number
  std::unordered_map<uint64_t, Region> shared;  // by block number
  std::map<std::tuple<bool, uint64_t, uint64_t>, Released> released;
  std::map<uint64_t, LaneFences> fences;                            // by thread
  std::unordered_map<uint32_t, std::pair<int, std::string>> lines;  // by pc
  std::vector<Race> races;
  std::map<std::tuple<Race::Kind, bool, uint32_t, uint32_t>, size_t>
      known;  // of this launch: index into races

  void start(const LaunchEvent& event) {
    memory = &event.memory;
    grid = event.options.grid;
    block = event.options.block;
    cluster = event.options.cluster;
    order = {};
    global.clear();
    shared.clear();
    released.clear();
    fences.clear();
    lines.clear();
    known.clear();
  }

  // Shared memory of another block of the cluster is named (rank + 1) << 24 | offset.
  PlaceOf place(const AccessEvent& event, uint64_t address) const {
    if (event.space != Space::shared) {
      const Buffer* buffer = memory->find(address);
      return {Space::global, address >> Memory::kBufferShift, address - (buffer ? buffer->address : 0)};
    }
    const uint64_t tag = address >> kSharedRankShift;
    if (tag == 0) return {Space::shared, event.site.block_number, address};
    const auto rank = static_cast<uint32_t>(tag - 1);
    const Dim3& at = event.site.block;
    const uint64_t x = at.x / cluster.x * cluster.x + rank % cluster.x;
    const uint64_t y = at.y / cluster.y * cluster.y + rank / cluster.x % cluster.y;
    const uint64_t z = at.z / cluster.z * cluster.z + rank / cluster.x / cluster.y;
    return {Space::shared, x + grid.x * (y + grid.y * z), address - (tag << kSharedRankShift)};
  }

  std::string place_text(const PlaceOf& place) const {
    if (place.space == Space::shared) {
      return "shared memory offset " + std::to_string(place.offset) + " of block " +
             std::to_string(place.region);
    }
    const Buffer* buffer = memory->find(place.region << Memory::kBufferShift);
    return "buffer '" + (buffer ? buffer->name : "?") + "' offset " + std::to_string(place.offset);
  }

  RaceSide side(const Stamp& stamp) {
    const auto& [line, text] = lines[stamp.pc];
    return {line, text, stamp.block, stamp.warp, stamp.lanes};
  }

  void report(Race::Kind kind, const Stamp& earlier, const Stamp& later, const PlaceOf& place) {
    const auto key = std::tuple(kind, place.space == Space::shared, earlier.pc, later.pc);
    const auto found = known.find(key);
    if (found != known.end()) {
      ++races[found->second].occurrences;
      return;
    }
    known[key] = races.size();
    races.push_back({kind, place.space, place_text(place), side(earlier), side(later), 1});
  }

  void touch(Cell& cell, const Stamp& stamp, const LaneId& lane, Touch touch, bool non_coherent,
             const PlaceOf& where) {
    const auto conflict = [&](const Stamp& earlier) {
      if (earlier.lanes == 0) return false;
      if (earlier.atomic && touch == Touch::atomic) {
        return earlier.block != stamp.block && (earlier.block_scope || stamp.block_scope);
      }
      return !order.ordered(earlier, lane);
    };
    const bool plain = touch != Touch::atomic;
    if (conflict(cell.write)) {
      report(!plain                 ? Race::Kind::atomic_plain
             : touch == Touch::load ? Race::Kind::write_read
                                    : Race::Kind::write_write,
             cell.write, stamp, where);
    }
    for (const Stamp& other : cell.others) {
      if (touch == Touch::load && !other.atomic) continue;  // two reads
      if (conflict(other)) {
        report(other.atomic || !plain ? Race::Kind::atomic_plain : Race::Kind::read_write, other, stamp,
               where);
      }
    }
    if (touch != Touch::load && cell.non_coherent) {
      Stamp reader = stamp;
      reader.pc = cell.non_coherent_pc;
      report(Race::Kind::non_coherent, reader, stamp, where);
    }
    if (non_coherent && cell.write.lanes != 0) report(Race::Kind::non_coherent, cell.write, stamp, where);
    if (non_coherent) {
      cell.non_coherent = true;
      cell.non_coherent_pc = stamp.pc;
    }
    if (touch == Touch::store) {
      cell.write = stamp;
      cell.others.clear();
      return;
    }
    // What is ordered before this access need not be remembered beside it: who is ordered after this is after
    // both.
    std::erase_if(cell.others, [&](const Stamp& other) {
      return other.atomic == stamp.atomic && order.ordered(other, lane);
    });
    for (Stamp& other : cell.others) {
      if (other.block == stamp.block && other.warp == stamp.warp && other.clock == stamp.clock &&
          other.pc == stamp.pc && other.atomic == stamp.atomic) {
        other.lanes |= stamp.lanes;
        return;
      }
    }
    cell.others.push_back(stamp);
  }

  // Order through memory: relaxed accesses pass on what fences published, releases what the lane knows.
  void synchronise(const AccessEvent& event, const LaneId& lane, const PlaceOf& where) {
    const MemoryQualifiers& how = event.qualifiers;
    const bool atomic = event.touch == Touch::atomic;
    const bool block_scope = how.scope == Scope::cta;
    LaneFences* fenced = nullptr;
    const auto found = fences.find(Knowledge::thread(lane.block, lane.warp, lane.lane));
    if (found != fences.end()) fenced = &found->second;
    if (event.touch != Touch::store) {
      const auto from = released.find(where.key());
      if (from != released.end()) {
        const auto own = from->second.block.find(lane.block);
        if (is_acquire(how.order)) {
          if (!block_scope) order.learn(lane, from->second.device);
          if (own != from->second.block.end()) order.learn(lane, own->second);
        } else {
          LaneFences& pending = fences[Knowledge::thread(lane.block, lane.warp, lane.lane)];
          pending.pending_device.join(from->second.device);
          if (own != from->second.block.end()) pending.pending_block.join(own->second);
          fenced = &pending;
        }
      }
    }
    if (event.touch == Touch::load) return;
    Released* to = nullptr;
    if (!atomic) {  // a store ends what was released here before
      const auto old = released.find(where.key());
      if (old != released.end()) old->second = {};
    }
    if (is_release(how.order)) {
      to = &released[where.key()];
      const Knowledge knowledge = order.publish(lane);
      to->block[lane.block].join(knowledge);
      if (!block_scope) to->device.join(knowledge);
    } else if (fenced && (fenced->has_device || fenced->has_block)) {
      to = &released[where.key()];
      to->block[lane.block].join(fenced->block);
      if (fenced->has_device && !block_scope) to->device.join(fenced->device);
    }
  }
};

RaceObserver::RaceObserver() : state_(std::make_unique<State>()) {}
RaceObserver::~RaceObserver() = default;

std::vector<Race> RaceObserver::races() const {
  const std::lock_guard lock(state_->mutex);
  return state_->races;
}

void RaceObserver::forget() {
  const std::lock_guard lock(state_->mutex);
  state_->races.clear();
  state_->known.clear();
}

void RaceObserver::launch_begin(const LaunchEvent& event) {
  const std::lock_guard lock(state_->mutex);
  state_->start(event);
}

void RaceObserver::launch_end(const LaunchEvent&) {
  const std::lock_guard lock(state_->mutex);
  state_->global.clear();
  state_->shared.clear();
}

void RaceObserver::block_begin(Dim3, uint64_t number) {
  const std::lock_guard lock(state_->mutex);
  state_->order.begin_block(number, static_cast<uint32_t>(state_->block.count()));
}

void RaceObserver::block_end(Dim3, uint64_t number) {
  const std::lock_guard lock(state_->mutex);
  state_->order.end_block(number);
  state_->shared.erase(number);
}

void RaceObserver::access(const AccessEvent& event) {
  if (event.space != Space::global && event.space != Space::shared) return;
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  const Site& site = event.site;
  auto& line = state.lines[site.pc];
  if (line.second.empty()) line = {site.line, std::string(site.text)};
  const bool atomic = event.touch == Touch::atomic;
  // relaxed and volatile accesses do not race with each other or with atomics
  const bool strong = atomic || event.qualifiers.order != Order::weak;
  Stamp stamp = state.order.now(site.block_number, site.warp, 0, site.pc);
  stamp.atomic = strong;
  stamp.block_scope = strong && event.qualifiers.scope == Scope::cta;
  for (uint32_t rest = site.lanes; rest; rest &= rest - 1) {
    const auto index = static_cast<uint32_t>(std::countr_zero(rest));
    const LaneId lane{site.block_number, site.warp, index};
    const PlaceOf where = state.place(event, event.addresses[index]);
    if (strong) {
      state.synchronise(event, lane, where);
      stamp = state.order.now(site.block_number, site.warp, 0, site.pc);
      stamp.atomic = true;
      stamp.block_scope = event.qualifiers.scope == Scope::cta;
    }
    stamp.lanes = 1u << index;
    Region& region = where.space == Space::shared ? state.shared[where.region] : state.global[where.region];
    const auto [first, end] = region.range(where.offset, event.bytes);
    for (uint64_t i = first; i < end; ++i) {
      state.touch(region.cells[i], stamp, lane, strong ? Touch::atomic : event.touch,
                  event.qualifiers.non_coherent, {where.space, where.region, i * region.granule});
    }
  }
}

void RaceObserver::barrier_arrive(const BarrierEvent& event) {
  const std::lock_guard lock(state_->mutex);
  state_->order.arrive(event.site.block_number, event.barrier, event.site.warp, event.site.lanes, event.waits,
                       event.expected == 0);
}

void RaceObserver::barrier_release(Dim3, uint64_t number, uint32_t barrier) {
  const std::lock_guard lock(state_->mutex);
  state_->order.complete(number, barrier);
}

void RaceObserver::fence(const FenceEvent& event) {
  const std::lock_guard lock(state_->mutex);
  State& state = *state_;
  const Site& site = event.site;
  const bool block_scope = event.scope == Scope::cta;
  for (uint32_t rest = site.lanes; rest; rest &= rest - 1) {
    const auto index = static_cast<uint32_t>(std::countr_zero(rest));
    const LaneId lane{site.block_number, site.warp, index};
    LaneFences& fences = state.fences[Knowledge::thread(lane.block, lane.warp, lane.lane)];
    state.order.learn(lane, fences.pending_block);
    fences.pending_block = {};
    if (!block_scope) {
      state.order.learn(lane, fences.pending_device);
      fences.pending_device = {};
    }
    fences.block = state.order.publish(lane);
    fences.has_block = true;
    if (!block_scope) {
      fences.device = fences.block;
      fences.has_device = true;
    }
  }
}

void RaceObserver::warp_sync(const WarpSyncEvent& event) {
  if (!event.orders_memory) return;
  const std::lock_guard lock(state_->mutex);
  state_->order.warp_barrier(event.site.block_number, event.site.warp, event.site.lanes);
}

}  // namespace attest::vm
