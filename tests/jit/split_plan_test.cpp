// Laws of the split plans over random and extreme batches.
#include "jit/split_plan.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <numeric>

namespace attest {
namespace {

using Lengths = std::vector<Index>;

// Lengths around what splits and tiles make special, short and long ones mixed.
rc::Gen<Lengths> lengths() {
  const auto near = [](Index at) { return rc::gen::inRange<Index>(std::max<Index>(0, at - 2), at + 3); };
  return rc::gen::container<Lengths>(rc::gen::oneOf(rc::gen::element<Index>(0, 1, 2), near(32), near(64),
                                                    near(1000), rc::gen::inRange<Index>(0, 200'000)));
}

// Units of sequence b, counted from its own first part.
std::vector<std::pair<Index, Index>> parts_of(const SplitPlan& plan, std::size_t b) {
  std::vector<std::pair<Index, Index>> parts;
  for (const SplitUnit& unit : plan.units) {
    if (unit.sequence == static_cast<Index>(b)) parts.emplace_back(unit.begin, unit.end);
  }
  return parts;
}

// Law: parts partition [0, length) in order; sizes differ by at most one token; `splits` parts each.
RC_GTEST_PROP(EvenSplits, PartitionEverySequenceInPartsOfEqualSize, ()) {
  const Lengths batch = *lengths();
  const Index splits = *rc::gen::inRange<Index>(1, 40);
  const SplitPlan plan = even_splits(batch, splits);
  RC_ASSERT(plan.problems(batch).empty());
  RC_ASSERT(plan.parts() == splits * static_cast<Index>(batch.size()));
  for (const SplitUnit& unit : plan.units) {
    const Index size = unit.end - unit.begin, even = batch[static_cast<std::size_t>(unit.sequence)] / splits;
    RC_ASSERT(size == even || size == even + 1);
  }
}

// Law: a sequence is cut alike in every batch; no part is empty unless the sequence is; parts are full but
// the last.
RC_GTEST_PROP(FixedSplits, DependOnTheSequencesOwnLengthOnly, ()) {
  const Lengths batch = *lengths();
  const Index tokens = *rc::gen::inRange<Index>(1, 5000);
  const SplitPlan plan = fixed_splits(batch, tokens);
  RC_ASSERT(plan.problems(batch).empty());
  for (std::size_t b = 0; b < batch.size(); ++b) {
    RC_ASSERT(parts_of(plan, b) == parts_of(fixed_splits(Lengths{batch[b]}, tokens), 0));
    for (const auto& [begin, end] : parts_of(plan, b)) {
      RC_ASSERT(begin % tokens == 0);
      RC_ASSERT(end == std::min(begin + tokens, batch[b]));
      RC_ASSERT(end > begin || batch[b] == 0);
    }
  }
}

// Law: no empty part unless the sequence is empty; inner boundaries lie between tiles; processors come in
// order, and none has more than its share: ceil(sum(tiles + overhead) / processors) + overhead tiles.
RC_GTEST_PROP(BalancedSplits, GiveNoProcessorMoreThanItsShare, ()) {
  const Lengths batch = *lengths();
  const Index processors = *rc::gen::inRange<Index>(1, 200),
              tile = *rc::gen::element<Index>(1, 16, 32, 64, 128);
  const Index overhead = *rc::gen::inRange<Index>(0, 8);
  const SplitPlan plan = balanced_splits(batch, processors, tile, overhead);
  RC_ASSERT(plan.problems(batch).empty());
  RC_ASSERT(plan.parts() <= processors + static_cast<Index>(batch.size()));

  Index work = 0;
  for (const Index length : batch) work += (length + tile - 1) / tile + overhead;
  const Index share = (work + processors - 1) / processors + overhead;
  std::vector<Index> load(static_cast<std::size_t>(processors));
  Index last = 0;
  for (const SplitUnit& unit : plan.units) {
    RC_ASSERT(unit.begin % tile == 0);
    RC_ASSERT(unit.end % tile == 0 || unit.end == batch[static_cast<std::size_t>(unit.sequence)]);
    RC_ASSERT(unit.end > unit.begin || batch[static_cast<std::size_t>(unit.sequence)] == 0);
    RC_ASSERT(unit.processor >= last && unit.processor < processors);
    last = unit.processor;
    load[static_cast<std::size_t>(last)] += (unit.end - unit.begin + tile - 1) / tile + overhead;
  }
  for (const Index tiles : load) RC_ASSERT(tiles <= share);
}

TEST(SplitPlan, OneLongSequenceUsesEveryProcessor) {
  // 128K tokens in 2048 tiles of 64 over 132 processors: ceil((2048 + 5) / 132) = 16 tiles each.
  const SplitPlan plan = balanced_splits(Lengths{131072}, 132, 64);
  EXPECT_EQ(plan.parts(), 128);
  for (const SplitUnit& unit : plan.units) EXPECT_EQ(unit.end - unit.begin, 1024);
}

TEST(SplitPlan, LengthsBeyond31BitsAndBigBatchesDoNotOverflow) {
  const Index longest = std::numeric_limits<int>::max();
  const Lengths long_ones(1025, longest);
  const SplitPlan plan = balanced_splits(long_ones, 132, 64);
  EXPECT_TRUE(plan.problems(long_ones).empty());
  const Lengths longer = {(Index{1} << 40) + 1, 0, 1};
  EXPECT_TRUE(even_splits(longer, 7).problems(longer).empty());
  EXPECT_TRUE(fixed_splits(longer, Index{1} << 33).problems(longer).empty());
  EXPECT_TRUE(balanced_splits(longer, 5, 64).problems(longer).empty());
}

TEST(SplitPlan, EmptyBatchesAndEmptySequencesArePlanned) {
  EXPECT_EQ(balanced_splits({}, 132, 64).parts(), 0);
  EXPECT_EQ(even_splits({}, 4).most_splits(), 0);
  const Lengths empty = {0, 0};
  for (const SplitPlan& plan :
       {balanced_splits(empty, 1, 64), fixed_splits(empty, 10), even_splits(empty, 1)}) {
    EXPECT_TRUE(plan.problems(empty).empty());
    EXPECT_EQ(plan.parts(), 2);
  }
}

TEST(SplitPlan, ProblemsNameGapsOverlapsAndMissingParts) {
  const Lengths batch = {10, 5};
  const SplitPlan good = even_splits(batch, 2);
  ASSERT_TRUE(good.problems(batch).empty());
  SplitPlan gap = good, overlap = good, short_one = good, headless = good;
  gap.units[1].begin += 1;
  overlap.units[1].begin -= 1;
  short_one.units[3].end -= 1;
  headless.first_part = {0, 0, 4};
  for (const SplitPlan& plan : {gap, overlap, short_one, headless})
    EXPECT_FALSE(plan.problems(batch).empty());
  EXPECT_FALSE(good.problems(Lengths{10}).empty());
}

TEST(SplitPlan, RefusesCountsBelowOneAndNegativeLengths) {
  const Lengths batch = {10};
  EXPECT_THROW(even_splits(batch, 0), std::invalid_argument);
  EXPECT_THROW(fixed_splits(batch, 0), std::invalid_argument);
  EXPECT_THROW(balanced_splits(batch, 0, 64), std::invalid_argument);
  EXPECT_THROW(balanced_splits(batch, 1, 0), std::invalid_argument);
  EXPECT_THROW(balanced_splits(batch, 1, 64, -1), std::invalid_argument);
  EXPECT_THROW(even_splits(Lengths{-1}, 1), std::invalid_argument);
}

}  // namespace
}  // namespace attest
