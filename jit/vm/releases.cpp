// Releases of several lanes to one place are one release; what fences published is kept lane by lane.
#include "jit/vm/releases.h"

#include <algorithm>

#include "jit/vm/each_lane.h"

namespace attest::vm {

bool is_release(Order order) {
  return order == Order::release || order == Order::acq_rel || order == Order::seq_cst;
}

bool is_acquire(Order order) {
  return order == Order::acquire || order == Order::acq_rel || order == Order::seq_cst;
}

void Share::add(Snapshot& to, const Knowledge& knowledge) {
  auto sum = to ? std::make_shared<Knowledge>(*to) : std::make_shared<Knowledge>();
  sum->join(knowledge);
  to = std::move(sum);
}

void Share::join(const Share& other) {
  if (other.device) give_device(*other.device);
  for (const auto& [to, knowledge] : other.block) give_block(to, *knowledge);
}

void Released::end_phase() {
  phased = true;
  ready.join(coming);
  coming = {};
}

const Released* Releases::find(uint64_t offset) const {
  const auto found = places_.find(offset);
  return found == places_.end() ? nullptr : &found->second;
}

Released& Releases::at(uint64_t offset) {
  first_ = std::min(first_, offset);
  last_ = std::max(last_, offset);
  Released& place = places_[offset];
  if (place.number == 0) place.number = ++given_;
  return place;
}

void Releases::forget(uint64_t offset, uint64_t bytes) {
  if (places_.empty() || offset > last_ || offset + bytes <= first_) return;
  if (bytes <= places_.size()) {
    for (uint64_t i = 0; i < bytes; ++i) places_.erase(offset + i);
  } else {
    std::erase_if(places_, [&](const auto& place) { return place.first - offset < bytes; });
  }
}

void Fences::fence(HappensBefore& order, const Where& where, Order how, Scope scope) {
  const bool block_scope = scope == Scope::cta;
  Warp& warp = warp_of(where);
  for (Pending& pending : warp.pending) {
    if (!is_acquire(how)) break;
    const uint32_t lanes = pending.lanes & where.lanes;
    if (pending.block) order.learn(where.block, where.warp, lanes, *pending.block);
    if (block_scope) continue;  // a wider fence may follow
    if (pending.device) order.learn(where.block, where.warp, lanes, *pending.device);
    pending.lanes &= ~where.lanes;
  }
  std::erase_if(warp.pending, [](const Pending& pending) { return pending.lanes == 0; });
  if (!is_release(how)) return;
  each_lane(where.lanes, [&](uint32_t lane) {
    Fenced& fenced = warp.fenced[lane];
    fenced.block = order.publish(where.block, where.warp, 1u << lane);
    if (block_scope) return;
    fenced.device = fenced.block;
    fenced.has_device = true;
  });
}

void Fences::made(const Where& where, const Knowledge& mbarrier) {
  each_lane(where.lanes, [&](uint32_t lane) { warp_of(where).fenced[lane].made.join(mbarrier); });
}

void Fences::fence_made(const Where& where) {
  each_lane(where.lanes, [&](uint32_t lane) {
    Fenced& fenced = warp_of(where).fenced[lane];
    fenced.block.join(fenced.made);
    fenced.device.join(fenced.made);
    fenced.has_device = true;
  });
}

Fences::Given Fences::fenced(const Where& where) const {
  Given all;
  const auto warp = warps_.find(key(where));
  if (warp == warps_.end()) return all;
  each_lane(where.lanes, [&](uint32_t lane) {
    const auto fenced = warp->second.fenced.find(lane);
    if (fenced == warp->second.fenced.end()) return;
    all.cluster.join(fenced->second.device);
    all.block.join(fenced->second.block);
  });
  return all;
}

void Fences::read(HappensBefore& order, const Where& where, const MemoryQualifiers& how,
                  const Releases& region, const Released& from) {
  const Share& ready = from.ready;
  const auto own = ready.block.find(where.block);
  const Share::Snapshot block = own == ready.block.end() ? nullptr : own->second;
  if (is_acquire(how.order)) {
    if (how.scope != Scope::cta && ready.device)
      order.learn(where.block, where.warp, where.lanes, *ready.device);
    if (block) order.learn(where.block, where.warp, where.lanes, *block);
    return;
  }
  std::vector<Pending>& list = warp_of(where).pending;
  for (Pending& pending : list)  // what these lanes saw there before is part of what they see now
    if (pending.region == &region && pending.number == from.number) pending.lanes &= ~where.lanes;
  std::erase_if(list, [](const Pending& pending) { return pending.lanes == 0; });
  list.push_back({&region, from.number, where.lanes, ready.device, block});
}

void Fences::write(HappensBefore& order, const Where& where, const MemoryQualifiers& how, Releases& places,
                   uint64_t offset, const uint32_t* owner) {
  const bool block_scope = how.scope == Scope::cta;
  const auto give = [&](const Knowledge& to_block, const Knowledge* to_device) {
    Share& share = places.at(offset).current();
    share.give_block(where.block, to_block);
    if (owner && *owner != where.block) share.give_block(*owner, to_block);
    if (to_device) share.give_device(*to_device);
  };
  if (is_release(how.order)) {
    const Knowledge knowledge = order.publish(where.block, where.warp, where.lanes);
    return give(knowledge, block_scope ? nullptr : &knowledge);
  }
  const auto warp = warps_.find(key(where));
  if (warp == warps_.end()) return;
  each_lane(where.lanes, [&](uint32_t lane) {
    const auto fenced = warp->second.fenced.find(lane);
    if (fenced == warp->second.fenced.end()) return;
    give(fenced->second.block, fenced->second.has_device && !block_scope ? &fenced->second.device : nullptr);
  });
}

void Fences::end_block(uint32_t block, uint32_t warps) {
  for (uint32_t warp = 0; warp < warps; ++warp) warps_.erase(key({block, warp, 0, 0}));
}

}  // namespace attest::vm
