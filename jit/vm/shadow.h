// What a race checker remembers of memory: who touched each byte last.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "jit/vm/happens_before.h"

namespace attest::vm {

// Some bytes with the same history: the last write, and the reads and atomics since that nothing has ordered
// yet. Mostly that is one; `more` holds the rest, oldest first.
struct Cell {
  static constexpr uint32_t kNobody = ~uint32_t{0};

  Stamp write;
  Stamp other;
  uint32_t non_coherent_pc = kNobody;  // of the first ld.global.nc
  std::unique_ptr<std::vector<Stamp>> more;

  Cell() = default;
  Cell(const Cell&) = delete;
  Cell& operator=(const Cell& from);

  // A write that everybody must be ordered after from now on.
  void overwrite(const Stamp& stamp) {
    write = stamp;
    other.lanes = 0;
    more.reset();
  }
  // A read or an atomic, beside those that it is not ordered after.
  void remember(const Stamp& stamp, HappensBefore::View& view) {
    if (other.lanes == 0) {
      other = stamp;
    } else if (more || !merge(other, stamp, view)) {
      remember_more(stamp, view);
    }
  }
  // f(stamp) for the reads and atomics.
  template <class F>
  void each_other(F f) const {
    if (other.lanes) f(other);
    if (more)
      for (const Stamp& stamp : *more) f(stamp);
  }

 private:
  static bool merge(Stamp& old, const Stamp& stamp, HappensBefore::View& view);
  void remember_more(const Stamp& stamp, HappensBefore::View& view);
};

// The cells of a buffer, or of a block's shared memory, made when first touched. In each page a cell stands
// for as many bytes as no access so far has divided: 16, 8, 4, 2 or 1.
class Shadow {
 public:
  // f(cell, offset of its first byte) for all cells of [offset, offset + bytes).
  template <class F>
  void visit(uint64_t offset, uint64_t bytes, F f) {
    const uint64_t end = offset + bytes;
    while (offset < end) {
      const uint64_t number = offset / kPageBytes, stop = std::min(end, (number + 1) * kPageBytes);
      if (number >= pages_.size() || !pages_[number].cells) open(number);
      Page& page = pages_[number];
      const int shift = std::countr_zero(offset | stop | kMostBytes);
      if (shift < page.shift) divide(page, shift);
      for (uint64_t step = uint64_t{1} << page.shift; offset < stop; offset += step)
        f(page.cells[(offset % kPageBytes) >> page.shift], offset);
    }
  }

 private:
  static constexpr uint64_t kPageBytes = 4096, kMostBytes = 16;
  struct Page {
    int shift = std::countr_zero(kMostBytes);
    std::unique_ptr<Cell[]> cells;
  };
  void open(uint64_t number);
  static void divide(Page& page, int shift);

  std::vector<Page> pages_;
};

}  // namespace attest::vm
