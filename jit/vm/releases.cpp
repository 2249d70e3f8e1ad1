// Releases of several lanes to one place are one release; what fences left is kept lane by lane.
#include "jit/vm/releases.h"

#include <algorithm>
#include <bit>

namespace attest::vm {
namespace {

template <class F>
void each_lane(uint32_t lanes, F f) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) f(static_cast<uint32_t>(std::countr_zero(rest)));
}

}  // namespace

bool is_release(Order order) {
  return order == Order::release || order == Order::acq_rel || order == Order::seq_cst;
}

bool is_acquire(Order order) {
  return order == Order::acquire || order == Order::acq_rel || order == Order::seq_cst;
}

const Released* Releases::find(uint64_t offset) const {
  const auto found = places_.find(offset);
  return found == places_.end() ? nullptr : &found->second;
}

Released& Releases::at(uint64_t offset) {
  first_ = std::min(first_, offset);
  last_ = std::max(last_, offset);
  return places_[offset];
}

void Releases::forget(uint64_t offset, uint64_t bytes) {
  if (places_.empty() || offset > last_ || offset + bytes <= first_) return;
  for (uint64_t i = 0; i < bytes; ++i) places_.erase(offset + i);
}

void Fences::fence(HappensBefore& order, const Where& where, Scope scope) {
  const bool block_scope = scope == Scope::cta;
  each_lane(where.lanes, [&](uint32_t index) {
    const uint32_t bit = 1u << index;
    Lane& lane = lanes_[thread(where, index)];
    order.learn(where.block, where.warp, bit, lane.pending_block);
    lane.pending_block = {};
    if (!block_scope) {
      order.learn(where.block, where.warp, bit, lane.pending_device);
      lane.pending_device = {};
    }
    lane.block = order.publish(where.block, where.warp, bit);
    lane.has_block = true;
    if (!block_scope) {
      lane.device = lane.block;
      lane.has_device = true;
    }
  });
}

void Fences::read(HappensBefore& order, const Where& where, const MemoryQualifiers& how,
                  const Released& from) {
  const auto own = from.block.find(where.block);
  if (is_acquire(how.order)) {
    if (how.scope != Scope::cta) order.learn(where.block, where.warp, where.lanes, from.device);
    if (own != from.block.end()) order.learn(where.block, where.warp, where.lanes, own->second);
    return;
  }
  each_lane(where.lanes, [&](uint32_t index) {
    Lane& lane = lanes_[thread(where, index)];
    lane.pending_device.join(from.device);
    if (own != from.block.end()) lane.pending_block.join(own->second);
  });
}

void Fences::write(HappensBefore& order, const Where& where, const MemoryQualifiers& how, Releases& places,
                   uint64_t offset, const uint32_t* owner) {
  const bool block_scope = how.scope == Scope::cta;
  const auto give = [&](const Knowledge& to_block, const Knowledge* to_device) {
    Released& place = places.at(offset);
    place.block[where.block].join(to_block);
    if (owner && *owner != where.block) place.block[*owner].join(to_block);
    if (to_device) place.device.join(*to_device);
  };
  if (is_release(how.order)) {
    const Knowledge knowledge = order.publish(where.block, where.warp, where.lanes);
    return give(knowledge, block_scope ? nullptr : &knowledge);
  }
  if (lanes_.empty()) return;
  each_lane(where.lanes, [&](uint32_t index) {
    const auto found = lanes_.find(thread(where, index));
    if (found == lanes_.end() || !found->second.has_block) return;
    const Lane& lane = found->second;
    give(lane.block, lane.has_device && !block_scope ? &lane.device : nullptr);
  });
}

}  // namespace attest::vm
