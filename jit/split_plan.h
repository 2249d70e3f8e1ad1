// How the caches of a batch are cut into work units: pure integer functions of the lengths, in 64 bits.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reference/tensor.h"

namespace attest {

// The tokens [begin, end) of one sequence. Its result is partial result `part`, which is merged with the
// sequence's others.
struct SplitUnit {
  Index sequence = 0;
  Index part = 0;
  Index begin = 0;
  Index end = 0;
  Index processor = 0;  // that is meant to compute it; several units may share one
  bool operator==(const SplitUnit&) const = default;
};

// Units are in the order of their parts, which is that of sequences and, inside one, of tokens.
struct SplitPlan {
  std::vector<SplitUnit> units;
  std::vector<Index> first_part;  // [B + 1]: sequence b owns the parts [first_part[b], first_part[b + 1])

  Index parts() const { return static_cast<Index>(units.size()); }
  Index most_splits() const;  // of one sequence; 0 for an empty batch
  // What is wrong, in sentences, empty when the units partition [0, length) of every sequence in order, and
  // every sequence has at least one.
  std::vector<std::string> problems(std::span<const Index> lengths) const;
};

// All throw std::invalid_argument for a negative length or a count below 1.

// Every sequence in `splits` parts whose sizes differ by at most one token; parts of a sequence shorter than
// that are empty. One processor a part.
SplitPlan even_splits(std::span<const Index> lengths, Index splits);

// Parts of `split_tokens` tokens (the last may be shorter): a sequence is cut alike in whatever batch it
// stands, so that its result has the same bits (batch-invariant). An empty sequence has one empty part.
SplitPlan fixed_splits(std::span<const Index> lengths, Index split_tokens);

// As equal work as whole tiles allow for each of `processors`, which take sequences in order and may own
// parts of several; a unit costs its tiles plus `overhead_tiles`. At most processors + B parts. After
// FlashMLA's scheduler (get_mla_metadata).
SplitPlan balanced_splits(std::span<const Index> lengths, Index processors, Index tile_tokens,
                          Index overhead_tiles = 5);

}  // namespace attest
