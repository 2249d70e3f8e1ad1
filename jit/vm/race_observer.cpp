// Events become orders (happens_before.h, releases.h) and touches of remembered bytes (shadow.h).
#include "jit/vm/race_observer.h"

#include <array>
#include <bit>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>

#include "jit/vm/each_lane.h"
#include "jit/vm/machine.h"
#include "jit/vm/releases.h"
#include "jit/vm/shadow.h"
#include "jit/vm/watched_memory.h"

namespace attest::vm {
namespace {

using View = HappensBefore::View;

using Location = WatchedMemory::Place;

Race::Kind kind_of(const Stamp& earlier, const Stamp& later) {
  if (earlier.atomic || later.atomic) return Race::Kind::atomic_plain;
  if (!later.writes) return Race::Kind::write_read;
  return earlier.writes ? Race::Kind::write_write : Race::Kind::read_write;
}

bool both_atomic(const Stamp& a, const Stamp& b) {
  return a.atomic && b.atomic && (a.block == b.block || !(a.block_scope || b.block_scope));
}

bool one_address(const AccessEvent& event) {
  const uint64_t first = event.addresses[static_cast<size_t>(std::countr_zero(event.site.lanes))];
  for (uint32_t rest = event.site.lanes; rest; rest &= rest - 1)
    if (event.addresses[static_cast<size_t>(std::countr_zero(rest))] != first) return false;
  return true;
}

Where where_of(const Site& site) {
  return {static_cast<uint32_t>(site.block_number), site.warp, site.lanes, site.pc};
}

void set_touch(Stamp& stamp, Touch touch) {
  stamp.reads = touch != Touch::store;
  stamp.writes = touch != Touch::load;
}

}  // namespace

struct RaceObserver::State {
  struct Line {
    int line = 0;
    std::string_view text;  // of the program that is running
  };
  struct ClusterPhase {
    uint64_t number = 0;
    Knowledge arrived;                       // for all who wait
    std::map<uint32_t, Knowledge> of_block;  // for those who wait in the block
  };

  mutable std::mutex mutex;
  bool concurrent = false;      // hooks come from several threads
  bool clusters_of_one = true;  // a block each: their scope is the block's
  WatchedMemory memory;
  Dim3 threads;
  HappensBefore order;
  Fences fences;
  uint64_t viewer = 0;  // the operation whose view was used last; 0 = none
  View last_view;
  static constexpr uint64_t kFirstMade = uint64_t{1} << 63;  // numbers that no launch gives to an operation
  uint64_t made = 0;                                         // mbarriers of this launch
  std::unordered_map<uint64_t, std::array<ClusterPhase, 2>> clusters;
  std::vector<Line> lines;  // by pc
  std::vector<Race> races;
  std::map<std::tuple<Race::Kind, Space, uint32_t, uint32_t>, size_t> known;  // of this launch: into races

  std::unique_lock<std::mutex> lock() const {
    return concurrent ? std::unique_lock(mutex) : std::unique_lock<std::mutex>();
  }

  void start(const LaunchEvent& event) {
    memory.begin_launch(event);
    threads = event.options.block;
    concurrent = event.options.host_threads > 1;
    clusters_of_one = event.options.cluster.count() == 1;
    order = {};
    fences = {};
    viewer = made = 0;
    clusters.clear();
    lines.clear();
    known.clear();
  }

  Scope reach(Scope scope) const { return scope == Scope::cluster && clusters_of_one ? Scope::cta : scope; }

  void note(const Site& site) {
    if (site.pc >= lines.size()) lines.resize(site.pc + 1);
    lines[site.pc] = {site.line, site.text};
  }

  // --- findings ---

  RaceSide side(const Stamp& stamp) const {
    const Line& line = lines[stamp.pc];
    const bool asynchronous = stamp.operation() && !stamp.synchronous;
    return {line.line, std::string(line.text), stamp.block, stamp.warp, stamp.lanes, asynchronous};
  }

  void report(Race::Kind kind, const Stamp& earlier, const Stamp& later, const Location& place) {
    const auto key = std::tuple(kind, place.region->space, uint32_t{earlier.pc}, uint32_t{later.pc});
    const auto [found, fresh] = known.try_emplace(key, races.size());
    if (!fresh) {
      ++races[found->second].occurrences;
      return;
    }
    races.push_back({kind, place.region->space, memory.text(place), side(earlier), side(later), 1});
  }

  // --- touches ---

  void meet(const Stamp& earlier, const Stamp& stamp, View& view, const Location& place) {
    if (!(earlier.writes || stamp.writes) || both_atomic(earlier, stamp)) return;
    if (!view.after(earlier, stamp.lanes)) {
      report(kind_of(earlier, stamp), earlier, stamp, place);
    } else if (stamp.async_proxy && earlier.writes && !earlier.async_proxy &&
               !view.fenced(earlier, place.region->space)) {
      report(Race::Kind::missing_proxy_fence, earlier, stamp, place);
    }
  }

  void touch(Cell& cell, const Stamp& stamp, View& view, const Location& place) {
    if (cell.write.lanes) meet(cell.write, stamp, view, place);
    cell.each_other([&](const Stamp& other) { meet(other, stamp, view, place); });
    if (stamp.writes && cell.non_coherent_pc != Cell::kNobody) {
      Stamp reader = stamp;
      reader.pc = cell.non_coherent_pc & 0xffffff;
      report(Race::Kind::non_coherent, reader, stamp, place);
    }
    if (stamp.writes && !stamp.atomic) {
      cell.overwrite(stamp);
    } else {
      cell.remember(stamp, view);
    }
  }

  void touch(const Location& place, uint64_t bytes, const Stamp& stamp, View& view, bool non_coherent) {
    WatchedRegion& region = *place.region;
    if (region.constant) return;
    region.shadow.visit(place.offset, bytes, [&](Cell& cell, uint64_t offset) {
      touch(cell, stamp, view, {&region, offset});
      if (!non_coherent) return;
      if (cell.write.lanes) report(Race::Kind::non_coherent, cell.write, stamp, {&region, offset});
      cell.non_coherent_pc = stamp.pc;
    });
  }

  // All lanes read one place: at once, unless there is something to report. False: nothing was done.
  bool read_together(const Location& place, uint64_t bytes, const Stamp& stamp, View& view) {
    WatchedRegion& region = *place.region;
    if (region.constant) return true;
    bool quiet = true;
    region.shadow.visit(place.offset, bytes, [&](const Cell& cell, uint64_t) {
      quiet = quiet && (cell.write.lanes == 0 || view.after(cell.write, stamp.lanes));
      cell.each_other(
          [&](const Stamp& other) { quiet = quiet && (!other.writes || view.after(other, stamp.lanes)); });
    });
    if (quiet)
      region.shadow.visit(place.offset, bytes, [&](Cell& cell, uint64_t) { cell.remember(stamp, view); });
    return quiet;
  }

  void weak(const AccessEvent& event, Stamp stamp) {
    const Site& site = event.site;
    const bool non_coherent = event.qualifiers.non_coherent;
    View view = order.view(stamp.block, site.warp);
    if (event.touch == Touch::load && !non_coherent && one_address(event)) {
      const uint64_t address = event.addresses[static_cast<size_t>(std::countr_zero(site.lanes))];
      if (read_together(memory.place(site, event.space, address), event.bytes, stamp, view)) return;
    }
    for (uint32_t rest = site.lanes; rest; rest &= rest - 1) {
      stamp.lanes = rest & (0u - rest);
      const Location at =
          memory.place(site, event.space, event.addresses[static_cast<size_t>(std::countr_zero(rest))]);
      if (event.touch == Touch::store) at.region->releases.forget(at.offset, event.bytes);
      touch(at, event.bytes, stamp, view, non_coherent);
    }
  }

  // Each mbarrier.init is an operation that its lane has waited for at once: fence.mbarrier_init tells others
  // of such operations alone.
  void make_mbarriers(const AccessEvent& event) {
    Where where = where_of(event.site);
    each_lane(event.site.lanes, [&](uint32_t lane) {
      where.lanes = 1u << lane;
      const uint64_t number = kFirstMade + made++;
      order.begin_operation(number, where);
      Stamp stamp = order.stamp_of_operation(number, true);
      set_touch(stamp, event.touch);
      stamp.synchronous = true;
      const Location at = memory.place(event.site, event.space, event.addresses[lane]);
      at.region->releases.forget(at.offset, event.bytes);
      View view = order.view_of_operation(number);
      touch(at, event.bytes, stamp, view, false);
      Knowledge end;
      end.known.add(stamp.block, stamp.unit, stamp.clock, kAllLanes);
      order.learn(where.block, where.warp, where.lanes, end);
      fences.made(where, end);
    });
  }

  // Relaxed and volatile accesses and atomics do not race with each other, and may hand knowledge on.
  // Lanes follow each other: a later one may learn from an earlier one. Only if they read or release alone
  // they cannot.
  void strong(const AccessEvent& event, Stamp stamp) {
    MemoryQualifiers how = event.qualifiers;
    how.scope = reach(how.scope);
    stamp.atomic = true;
    stamp.block_scope = how.scope == Scope::cta && event.space == Space::global;
    const bool together =
        (event.touch == Touch::load || (event.touch == Touch::atomic && how.order == Order::release)) &&
        one_address(event);
    Where where = where_of(event.site);
    for (uint32_t rest = event.site.lanes; rest;) {
      where.lanes = together ? rest : rest & (0u - rest);
      const Location at =
          memory.place(event.site, event.space, event.addresses[static_cast<size_t>(std::countr_zero(rest))]);
      rest &= ~where.lanes;
      Releases& releases = at.region->releases;
      if (event.touch != Touch::store && !releases.empty())
        if (const Released* from = releases.find(at.offset)) fences.read(order, where, how, releases, *from);
      if (event.touch == Touch::store) releases.forget(at.offset, event.bytes);
      stamp.lanes = where.lanes;
      stamp.clock = order.now(where).clock;
      View view = order.view(where.block, where.warp);
      touch(at, event.bytes, stamp, view, how.non_coherent);
      if (event.touch == Touch::load) continue;
      const auto owner = static_cast<uint32_t>(at.region->number);
      fences.write(order, where, how, releases, at.offset,
                   at.region->space == Space::shared ? &owner : nullptr);
    }
  }

  void access(const AccessEvent& event) {
    note(event.site);
    if (event.qualifiers.mbarrier_init) return make_mbarriers(event);
    Stamp stamp = order.now(where_of(event.site));
    set_touch(stamp, event.touch);
    if (event.touch == Touch::atomic || event.qualifiers.order != Order::weak) {
      strong(event, stamp);
    } else {
      weak(event, stamp);
    }
  }

  // Operations mostly touch many ranges in a row.
  View& view_of_operation(uint64_t number) {
    if (viewer != number) last_view = order.view_of_operation(number);
    viewer = number;
    return last_view;
  }

  void async_end(const AsyncEndEvent& event) {
    const Knowledge end = order.end_operation(event.actor, event.reads_only);
    const Site& site = event.site;
    const auto block = static_cast<uint32_t>(site.block_number);
    if (!event.barrier) return order.learn(block, site.warp, site.lanes, end);
    const Location at = memory.place(site, Space::shared, event.address);
    Share& share = at.region->releases.at(at.offset).current();
    share.give_device(end);
    share.give_block(static_cast<uint32_t>(at.region->number), end);
  }

  // Two phases of a cluster's barrier overlap at most.
  ClusterPhase& phase_of(const ClusterBarrierEvent& event) {
    ClusterPhase& phase = clusters[event.cluster][event.phase % 2];
    if (phase.number != event.phase) phase = {event.phase, {}, {}};
    return phase;
  }
};

RaceObserver::RaceObserver() : state_(std::make_unique<State>()) {}
RaceObserver::~RaceObserver() = default;

std::vector<Race> RaceObserver::races() const {
  const auto lock = state_->lock();
  return state_->races;
}

void RaceObserver::forget() {
  const auto lock = state_->lock();
  state_->races.clear();
  state_->known.clear();
}

void RaceObserver::launch_begin(const LaunchEvent& event) {
  if (event.options.grid.count() >> 32)
    throw std::invalid_argument("the race checker numbers blocks with 32 bits; this grid has " +
                                std::to_string(event.options.grid.count()));
  state_->start(event);
}

void RaceObserver::launch_end(const LaunchEvent&) {
  const auto lock = state_->lock();
  state_->memory.end_launch();
}

void RaceObserver::block_begin(Dim3, uint64_t number) {
  const auto lock = state_->lock();
  state_->order.begin_block(static_cast<uint32_t>(number), static_cast<uint32_t>(state_->threads.count()));
}

void RaceObserver::block_end(Dim3, uint64_t number) {
  const auto lock = state_->lock();
  const auto threads = static_cast<uint32_t>(state_->threads.count());
  state_->viewer = 0;
  state_->order.end_block(static_cast<uint32_t>(number));
  state_->fences.end_block(static_cast<uint32_t>(number), (threads + kLanes - 1) / kLanes);
  state_->memory.end_block(number);
}

void RaceObserver::access(const AccessEvent& event) {
  if (event.space != Space::global && event.space != Space::shared) return;
  const auto lock = state_->lock();
  state_->access(event);
}

void RaceObserver::barrier_arrive(const BarrierEvent& event) {
  const auto lock = state_->lock();
  const Where where = where_of(event.site);
  state_->order.arrive(where.block, event.barrier, where.warp, where.lanes, event.waits, event.expected == 0);
}

void RaceObserver::barrier_release(Dim3, uint64_t number, uint32_t barrier) {
  const auto lock = state_->lock();
  state_->order.complete(static_cast<uint32_t>(number), barrier);
}

void RaceObserver::fence(const FenceEvent& event) {
  const auto lock = state_->lock();
  if (event.mbarrier_init) return state_->fences.fence_made(where_of(event.site));
  state_->fences.fence(state_->order, where_of(event.site), event.order, state_->reach(event.scope));
}

void RaceObserver::warp_sync(const WarpSyncEvent& event) {
  if (!event.orders_memory) return;
  const auto lock = state_->lock();
  const Where where = where_of(event.site);
  state_->order.warp_barrier(where.block, where.warp, where.lanes);
}

void RaceObserver::async_begin(const AsyncBeginEvent& event) {
  const auto lock = state_->lock();
  state_->note(event.site);
  state_->order.begin_operation(event.actor, where_of(event.site));
  state_->viewer = 0;  // it may have learnt more, or have taken another one's slot
}

void RaceObserver::async_access(const AsyncAccessEvent& event) {
  if (event.space != Space::global && event.space != Space::shared) return;
  const auto lock = state_->lock();
  Stamp stamp = state_->order.stamp_of_operation(event.actor, event.touch != Touch::load);
  set_touch(stamp, event.touch);
  stamp.atomic = event.touch == Touch::atomic;
  stamp.async_proxy = event.async_proxy;
  const Location at = state_->memory.place(event.site, event.space, event.address);
  if (event.touch == Touch::store) at.region->releases.forget(at.offset, event.bytes);
  state_->touch(at, event.bytes, stamp, state_->view_of_operation(event.actor), false);
}

void RaceObserver::async_end(const AsyncEndEvent& event) {
  const auto lock = state_->lock();
  state_->async_end(event);
}

void RaceObserver::mbarrier_phase(const Site& site, uint64_t address) {
  const auto lock = state_->lock();
  const Location at = state_->memory.place(site, Space::shared, address);
  at.region->releases.at(at.offset).end_phase();
}

void RaceObserver::proxy_fence(const Site& site, Space space) {
  const auto lock = state_->lock();
  const Where where = where_of(site);
  state_->order.proxy_fence(where.block, where.warp, where.lanes, space);
}

void RaceObserver::cluster_arrive(const ClusterBarrierEvent& event) {
  const auto lock = state_->lock();
  const Where where = where_of(event.site);
  State::ClusterPhase& phase = state_->phase_of(event);
  if (event.orders) return phase.arrived.join(state_->order.publish(where.block, where.warp, where.lanes));
  const Fences::Given given = state_->fences.fenced(where);
  phase.arrived.join(given.cluster);
  phase.of_block[where.block].join(given.block);
}

void RaceObserver::cluster_wait(const ClusterBarrierEvent& event) {
  const auto lock = state_->lock();
  const Where where = where_of(event.site);
  const State::ClusterPhase& phase = state_->phase_of(event);
  state_->order.learn(where.block, where.warp, where.lanes, phase.arrived);
  const auto own = phase.of_block.find(where.block);
  if (own != phase.of_block.end()) state_->order.learn(where.block, where.warp, where.lanes, own->second);
}

}  // namespace attest::vm
