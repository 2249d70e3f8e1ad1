// What need not be remembered: who is ordered after a later access is often ordered after an earlier one too.
#include "jit/vm/shadow.h"

namespace attest::vm {
namespace {

bool same_event(const Stamp& a, const Stamp& b) {
  return a.block == b.block && a.unit == b.unit && a.clock == b.clock && a.pc == b.pc &&
         a.atomic == b.atomic && a.writes == b.writes && a.async_proxy == b.async_proxy;
}

// Whether everything that races with `old`, or needs a proxy fence behind it, would do so with `stamp` as
// well.
bool replaces(const Stamp& stamp, const Stamp& old, HappensBefore::View& view) {
  if (old.atomic != stamp.atomic || old.async_proxy != stamp.async_proxy) return false;
  if (old.block_scope && !stamp.block_scope) return false;
  // An atomic has observed the one before it (causality order of the PTX memory model).
  if (stamp.atomic && stamp.reads && stamp.writes && old.writes) return true;
  if (old.writes && !stamp.writes) return false;
  if (old.block == stamp.block && old.unit == stamp.unit && (old.lanes & ~stamp.lanes) == 0) return true;
  return view.after(old, stamp.lanes);
}

}  // namespace

Cell& Cell::operator=(const Cell& from) {
  write = from.write;
  other = from.other;
  non_coherent_pc = from.non_coherent_pc;
  more = from.more ? std::make_unique<std::vector<Stamp>>(*from.more) : nullptr;
  return *this;
}

bool Cell::merge(Stamp& old, const Stamp& stamp, HappensBefore::View& view) {
  if (replaces(stamp, old, view)) {
    old = stamp;
    return true;
  }
  if (!same_event(old, stamp)) return false;
  old.lanes |= stamp.lanes;
  return true;
}

void Cell::remember_more(const Stamp& stamp, HappensBefore::View& view) {
  constexpr size_t kRecent = 8;
  if (!more) more = std::make_unique<std::vector<Stamp>>();
  std::vector<Stamp>& list = *more;
  // Searching all of a long list each time would be slow; what is not found is only remembered in vain.
  const size_t recent = std::min(list.size(), kRecent);
  for (size_t i = list.size(); i > list.size() - recent; --i)
    if (merge(list[i - 1], stamp, view)) return;
  if (merge(other, stamp, view)) return;
  if (list.size() >= kRecent && std::has_single_bit(list.size()))
    std::erase_if(list, [&](const Stamp& old) { return replaces(stamp, old, view); });
  list.push_back(stamp);
}

void Shadow::open(uint64_t number) {
  if (number >= pages_.size()) pages_.resize(std::max(number + 1, pages_.size() + pages_.size() / 2));
  pages_[number].cells = std::make_unique<Cell[]>(kPageBytes / kMostBytes);
}

void Shadow::divide(Page& page, int shift) {
  const uint64_t count = kPageBytes >> page.shift, parts = uint64_t{1} << (page.shift - shift);
  auto fine = std::make_unique<Cell[]>(count * parts);
  for (uint64_t i = 0; i < count * parts; ++i) fine[i] = page.cells[i / parts];
  page.cells = std::move(fine);
  page.shift = shift;
}

}  // namespace attest::vm
