// Every step of shrinking is valid and simpler, and nothing is simpler than the simplest problem.
#include "properties/shrink.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "properties/generators.h"
#include "properties/layouts.h"

namespace attest {
namespace {

// q in smaller(p)  =>  q valid, of p's variant, complexity(q) < complexity(p)
RC_GTEST_PROP(Smaller, StepsAreValidAndLessComplex, ()) {
  const std::vector<std::string> names = variant_names();
  const Problem problem = *problems_of(names[*rc::gen::inRange<std::size_t>(0, names.size())]);
  for (const Problem& step : smaller(problem)) {
    const std::vector<std::string> found = step.problems();
    RC_ASSERT(found.empty());
    RC_ASSERT(step.attention.variant_name() == problem.attention.variant_name());
    RC_ASSERT(complexity(step) < complexity(problem));
  }
}

TEST(Smaller, OfTheSimplestProblemIsNothing) {
  Problem simplest;
  simplest.attention = layouts("mha").front();
  simplest.storage = Format::f32;
  simplest.cached_tokens = {0};
  simplest.left_padding = {0};
  simplest.data = DataFamily::constant_values;
  EXPECT_TRUE(smaller(simplest).empty());
}

TEST(Smaller, TriesStructureBeforeLengthsBeforeData) {
  Problem problem = parse_problem(
      "variant=mha format=bf16 cached=40,50 pad=1,2 query=2 page=16 splits=3 data=peaked seed=77");
  const std::vector<Problem> steps = smaller(problem);
  const auto first = [&](auto holds) {
    return std::find_if(steps.begin(), steps.end(), holds) - steps.begin();
  };
  const auto batch = first([](const Problem& p) { return p.batch() == 1; });
  const auto splits = first([](const Problem& p) { return p.splits == 1; });
  const auto length = first([](const Problem& p) { return p.batch() == 2 && p.cached_tokens[0] < 40; });
  const auto family = first([](const Problem& p) { return p.data != DataFamily::peaked; });
  EXPECT_LT(batch, splits);
  EXPECT_LT(splits, length);
  EXPECT_LT(length, family);
  EXPECT_LT(family, std::ssize(steps));
}

TEST(Smaller, KeepsPaddingWithinShorterSequences) {
  const Problem problem = parse_problem("variant=mha cached=40 pad=39");
  bool shorter = false;
  for (const Problem& step : smaller(problem)) {
    shorter = shorter || (step.cached_tokens[0] == 1 && step.left_padding[0] == 1);
    EXPECT_LE(step.left_padding[0], step.cached_tokens[0]);
  }
  EXPECT_TRUE(shorter);
}

}  // namespace
}  // namespace attest
