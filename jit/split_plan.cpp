// Cuts caches into work units.
#include "jit/split_plan.h"

#include <algorithm>
#include <stdexcept>

namespace attest {
namespace {

void require(std::span<const Index> lengths, Index count, const char* what) {
  if (count < 1)
    throw std::invalid_argument(std::string("split plan: ") + what + " is " + std::to_string(count) +
                                ", not at least 1");
  for (const Index length : lengths) {
    if (length < 0)
      throw std::invalid_argument("split plan: a sequence of " + std::to_string(length) + " tokens");
  }
}

Index ceil_divide(Index a, Index b) { return a / b + (a % b != 0); }

}  // namespace

Index SplitPlan::most_splits() const {
  Index most = 0;
  for (std::size_t b = 0; b + 1 < first_part.size(); ++b)
    most = std::max(most, first_part[b + 1] - first_part[b]);
  return most;
}

std::vector<std::string> SplitPlan::problems(std::span<const Index> lengths) const {
  if (first_part.size() != lengths.size() + 1 || first_part.front() != 0 || first_part.back() != parts()) {
    return {"first_part does not span " + std::to_string(lengths.size()) + " sequences and " +
            std::to_string(parts()) + " parts"};
  }
  std::vector<std::string> wrong;
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    const std::string sequence = "sequence " + std::to_string(b);
    if (first_part[b + 1] <= first_part[b]) {
      wrong.push_back(sequence + " has no part");
      continue;
    }
    Index covered = 0;
    for (Index part = first_part[b]; part < first_part[b + 1]; ++part) {
      const SplitUnit& unit = units[static_cast<std::size_t>(part)];
      if (unit.part != part || unit.sequence != static_cast<Index>(b) || unit.begin != covered ||
          unit.end < unit.begin) {
        wrong.push_back(sequence + ": part " + std::to_string(part) + " is [" + std::to_string(unit.begin) +
                        ", " + std::to_string(unit.end) + ") after " + std::to_string(covered) + " tokens");
      }
      covered = unit.end;
    }
    if (covered != lengths[b]) {
      wrong.push_back(sequence + ": parts cover " + std::to_string(covered) + " of " +
                      std::to_string(lengths[b]) + " tokens");
    }
  }
  return wrong;
}

SplitPlan even_splits(std::span<const Index> lengths, Index splits) {
  require(lengths, splits, "splits");
  SplitPlan plan;
  plan.first_part = {0};
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    const Index size = lengths[b] / splits,
                larger = lengths[b] % splits;  // the first `larger` parts have one more
    Index begin = 0;
    for (Index split = 0; split < splits; ++split) {
      const Index end = begin + size + (split < larger ? 1 : 0);
      plan.units.push_back({static_cast<Index>(b), plan.parts(), begin, end, plan.parts()});
      begin = end;
    }
    plan.first_part.push_back(plan.parts());
  }
  return plan;
}

SplitPlan fixed_splits(std::span<const Index> lengths, Index split_tokens) {
  require(lengths, split_tokens, "split tokens");
  SplitPlan plan;
  plan.first_part = {0};
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    Index begin = 0;
    do {
      const Index end = lengths[b] - begin > split_tokens ? begin + split_tokens : lengths[b];
      plan.units.push_back({static_cast<Index>(b), plan.parts(), begin, end, plan.parts()});
      begin = end;
    } while (begin < lengths[b]);
    plan.first_part.push_back(plan.parts());
  }
  return plan;
}

SplitPlan balanced_splits(std::span<const Index> lengths, Index processors, Index tile_tokens,
                          Index overhead_tiles) {
  require(lengths, processors, "processors");
  require(lengths, tile_tokens, "tile tokens");
  if (overhead_tiles < 0) throw std::invalid_argument("split plan: a negative overhead");
  Index work = 0;
  for (const Index length : lengths) work += ceil_divide(length, tile_tokens) + overhead_tiles;
  const Index share = ceil_divide(work, processors) + overhead_tiles;

  SplitPlan plan;
  plan.first_part = {0};
  Index processor = 0, room = share;
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    const Index tiles = ceil_divide(lengths[b], tile_tokens);
    Index done = 0;
    do {
      // A processor whose room is only the overhead of a further unit is full; the last one takes what is
      // left.
      if (room <= overhead_tiles && processor + 1 < processors) {
        ++processor;
        room = share;
      }
      const Index fitting =
          processor + 1 < processors ? std::max<Index>(room - overhead_tiles, 1) : tiles - done;
      const Index taken = std::min(tiles - done, fitting);
      plan.units.push_back({static_cast<Index>(b), plan.parts(), done * tile_tokens,
                            done + taken == tiles ? lengths[b] : (done + taken) * tile_tokens, processor});
      done += taken;
      room -= taken + overhead_tiles;
    } while (done < tiles);
    plan.first_part.push_back(plan.parts());
  }
  return plan;
}

}  // namespace attest
