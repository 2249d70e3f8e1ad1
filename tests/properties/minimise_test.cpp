// Minimising reaches the smallest failing problem, and stops at its limits.
#include "properties/minimise.h"

#include <gtest/gtest.h>
#include <rapidcheck/Random.h>

#include "properties/generators.h"
#include "properties/layouts.h"
#include "properties/shrink.h"

namespace attest {
namespace {

Problem same(Problem problem) { return problem; }

Problem large(std::string_view variant, std::uint64_t seed) {
  return problems_of(variant)(rc::Random(seed), 100).value();
}

TEST(Minimise, ReachesTheSimplestProblemWhenEverythingFails) {
  for (const char* variant : {"mha", "gqa", "mla", "mlra-2", "mlra-4", "tpa"}) {
    for (std::uint64_t seed : {1, 2, 3}) {
      const Minimised least =
          minimise(large(variant, seed), same, [](const Problem&) { return true; }, {2000, 60});
      EXPECT_TRUE(least.complete);
      EXPECT_EQ(least.problem.attention, layouts(variant).front()) << variant;
      EXPECT_EQ(least.problem.cached_tokens, std::vector<Index>{0});
      EXPECT_EQ(least.problem.left_padding, std::vector<Index>{0});
      EXPECT_EQ(least.problem.query_tokens, 1);
      EXPECT_EQ(least.problem.splits, 1);
      EXPECT_EQ(least.problem.ranks, 1);
      EXPECT_EQ(least.problem.page_tokens, 0);
      EXPECT_EQ(least.problem.mask, MaskSpec{});
      EXPECT_EQ(least.problem.storage, Format::f32);
      EXPECT_EQ(least.problem.seed, 0U);
      EXPECT_EQ(least.problem.data, DataFamily::constant_values);
    }
  }
}

TEST(Minimise, KeepsExactlyWhatTheFailureNeeds) {
  // As of a fault at the second tile of the second split.
  const auto fails = [](const Problem& problem) {
    for (Index cached : problem.cached_tokens) {
      if (problem.splits >= 2 && cached / problem.splits > 32) return true;
    }
    return false;
  };
  Problem start = parse_problem(
      "variant=mla format=bf16 cached=7,100,90 pad=0,4,60 query=2 page=16 splits=3 seed=123456 data=rising");
  start.attention = layouts("mla").back();
  ASSERT_TRUE(fails(start));
  const Minimised least = minimise(start, same, fails, {2000, 60});
  EXPECT_TRUE(least.complete);
  EXPECT_EQ(least.problem.cached_tokens, std::vector<Index>{66});
  EXPECT_EQ(least.problem.splits, 2);
  EXPECT_EQ(least.problem.query_tokens, 1);
  EXPECT_EQ(least.problem.left_padding, std::vector<Index>{0});
  EXPECT_EQ(least.problem.attention, layouts("mla").front());
}

TEST(Minimise, AsksOnlyOfNarrowedProblems) {
  const auto narrow = [](Problem problem) {
    problem.query_tokens = 2;
    for (Index& cached : problem.cached_tokens) cached = std::max<Index>(cached, 2);
    return problem;
  };
  const auto fails = [](const Problem& problem) {
    EXPECT_EQ(problem.query_tokens, 2);
    EXPECT_GE(problem.cached_tokens[0], 2);
    return true;
  };
  EXPECT_EQ(minimise(large("mha", 4), narrow, fails).problem.cached_tokens, std::vector<Index>{2});
}

TEST(Minimise, StopsAtItsLimits) {
  int asked = 0;
  const auto fails = [&](const Problem&) {
    ++asked;
    return true;
  };
  const Minimised few = minimise(large("mlra-4", 2), same, fails, {3, 60});
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(few.evaluations, 3);
  EXPECT_FALSE(few.complete);
  EXPECT_FALSE(minimise(large("mlra-4", 2), same, fails, {1000, 0}).complete);
}

TEST(Minimise, LeavesAProblemThatNothingSimplerRepeats) {
  const Problem start = large("gqa", 9);
  const Minimised least = minimise(start, same, [&](const Problem& problem) { return problem == start; });
  EXPECT_EQ(least.problem, start);
  EXPECT_TRUE(least.complete);
}

}  // namespace
}  // namespace attest
