// Sorted lists, joined by merging: they are short, a few entries for each warp that was ever heard of.
#include "jit/vm/clocks.h"

#include <algorithm>

namespace attest::vm {

void Clocks::join(std::span<const Entry> other) {
  if (other.empty()) return;
  static thread_local std::vector<Entry> merged;
  merged.clear();
  const auto first = [](const Entry& a, const Entry& b) {
    return a.unit != b.unit ? a.unit < b.unit : a.clock > b.clock;
  };
  uint64_t unit = ~uint64_t{0};
  uint32_t seen = 0;  // lanes of `unit` that have their newest clock already
  const Entry *a = entries_.data(), *b = other.data();
  const Entry *const a_end = a + entries_.size(), *const b_end = b + other.size();
  while (a != a_end || b != b_end) {
    const Entry& next = b == b_end || (a != a_end && first(*a, *b)) ? *a++ : *b++;
    if (next.unit != unit) seen = 0;
    unit = next.unit;
    const uint32_t lanes = next.lanes & ~seen;
    if (lanes == 0) continue;
    seen |= lanes;
    if (!merged.empty() && merged.back().unit == unit && merged.back().clock == next.clock) {
      merged.back().lanes |= lanes;
    } else {
      merged.push_back({unit, next.clock, lanes});
    }
  }
  entries_.assign(merged.begin(), merged.end());
}

void Clocks::add(uint32_t block, uint32_t unit, uint32_t clock, uint32_t lanes) {
  const Entry entry{key(block, unit), clock, lanes};
  if (lanes) join(std::span(&entry, 1));
}

void Clocks::add_block(uint32_t block, uint32_t clock) {
  const Entry entry{whole(block), clock, kAllLanes};
  join(std::span(&entry, 1));
}

uint32_t Clocks::covered(const Stamp& stamp) const {
  if (entries_.empty()) return 0;
  const auto before = [](const Entry& entry, uint64_t unit) { return entry.unit < unit; };
  auto at = entries_.begin();
  if (!stamp.operation()) {
    const uint64_t block = whole(stamp.block);
    at = std::lower_bound(at, entries_.end(), block, before);
    if (at != entries_.end() && at->unit == block && at->clock >= stamp.clock) return kAllLanes;
  }
  const uint64_t unit = key(stamp.block, stamp.unit);
  at = std::lower_bound(at, entries_.end(), unit, before);
  uint32_t lanes = 0;
  for (; at != entries_.end() && at->unit == unit && at->clock >= stamp.clock; ++at) lanes |= at->lanes;
  return lanes;
}

void Clocks::drop_warps(uint32_t block) {
  const uint64_t low = key(block, 0), high = key(block, kFirstSlot);
  std::erase_if(entries_, [=](const Entry& entry) { return entry.unit >= low && entry.unit < high; });
}

}  // namespace attest::vm
