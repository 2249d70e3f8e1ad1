// Generated problems are valid, of the variant asked for, and reach every hard case.
#include "properties/generators.h"

#include <gtest/gtest.h>
#include <rapidcheck/Random.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>

#include "properties/layouts.h"

namespace attest {
namespace {

// problems_of(v) in { p : p.problems() = {}, p.attention.variant_name() = v }
RC_GTEST_PROP(Generators, YieldOnlyValidProblemsOfTheVariant, ()) {
  const std::vector<std::string> names = variant_names();
  const auto at = *rc::gen::inRange<std::size_t>(0, names.size());
  const Problem problem = *problems_of(names[at]);
  for (const std::string& name : classes(problem)) RC_TAG(name);
  const std::vector<std::string> found = problem.problems();
  RC_ASSERT(found.empty());
  RC_ASSERT(problem.attention.variant_name() == names[at]);
  RC_ASSERT(parse_problem(problem.repro()) == problem);
}

std::vector<Problem> draw(std::string_view variant, int count) {
  std::vector<Problem> problems;
  rc::Random random(7);
  const rc::Gen<Problem> gen = problems_of(variant);
  for (int i = 0; i < count; ++i) problems.push_back(gen(random.split(), 100).value());
  return problems;
}

TEST(Generators, ReachEveryHardCaseOfEveryVariant) {
  for (const std::string& variant : variant_names()) {
    std::map<std::string, int> seen;
    for (const Problem& problem : draw(variant, 1000)) {
      for (const std::string& name : classes(problem)) ++seen[name];
    }
    for (const char* name : {"empty sequence",
                             "one token",
                             "all padding",
                             "some padding",
                             "page boundary - 1",
                             "page boundary",
                             "page boundary + 1",
                             "tile boundary - 1",
                             "tile boundary",
                             "tile boundary + 1",
                             "several tiles in a split",
                             "several splits",
                             "more splits than tokens",
                             "several query tokens",
                             "batch",
                             "ragged",
                             "one page",
                             "not causal",
                             "window",
                             "sinks",
                             "softcap",
                             "format f32",
                             "format f16",
                             "format bf16",
                             "data normal",
                             "data peaked",
                             "data rising",
                             "data falling",
                             "data constant-values",
                             "data one-hot",
                             "data dyadic",
                             "data large-offset",
                             "rotary table f64",
                             "rotary table f32",
                             "rotary table bf16"}) {
      EXPECT_GE(seen[name], 5) << variant << ": " << name;
    }
    // Most problems must have something to see.
    EXPECT_LT(seen["empty sequence"], 350) << variant;
  }
}

TEST(Generators, DrawEveryLayoutOfAVariantAndNoOther) {
  for (const std::string& variant : variant_names()) {
    std::set<std::string> drawn, known;
    for (Problem problem : draw(variant, 200)) {
      problem.attention.rope = {};
      drawn.insert(to_words(problem.attention));
    }
    for (const AttentionConfig& layout : layouts(variant)) known.insert(to_words(layout));
    EXPECT_EQ(drawn, known) << variant;
  }
}

TEST(Generators, GiveTheSameProblemForTheSameRandomState) {
  const rc::Gen<Problem> gen = problems_of("mlra-4");
  EXPECT_EQ(gen(rc::Random(5), 60).value(), gen(rc::Random(5), 60).value());
  EXPECT_NE(gen(rc::Random(5), 60).value(), gen(rc::Random(6), 60).value());
}

TEST(Generators, GrowWithTheSize) {
  Index longest_small = 0, longest_large = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    for (Index cached : problems_of("gqa")(rc::Random(seed), 10).value().cached_tokens)
      longest_small = std::max(longest_small, cached);
    for (Index cached : problems_of("gqa")(rc::Random(seed), 100).value().cached_tokens)
      longest_large = std::max(longest_large, cached);
  }
  EXPECT_LE(longest_small, 34);
  EXPECT_GT(longest_large, 90);
}

TEST(Generators, RefuseAnUnknownVariant) { EXPECT_THROW(problems_of("mla-9"), std::invalid_argument); }

}  // namespace
}  // namespace attest
