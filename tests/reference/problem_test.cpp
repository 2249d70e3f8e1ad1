// A problem's line is the problem, whatever it holds, and wrong lines are refused by the word that is wrong.
#include "reference/problem.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/reference/refusal.h"

namespace attest {
namespace {

rc::Gen<Problem> any_problem() {
  return rc::gen::exec([] {
    Problem problem;
    problem.attention = small_config(*rc::gen::elementOf(variant_names()));
    problem.attention.rope.base = *rc::gen::elementOf(std::vector<double>{10000, 500000, 1e6 + 0.1});
    problem.attention.softmax_scale = *rc::gen::elementOf(std::vector<double>{0, 0.1, 1.0 / 3});
    problem.storage = *rc::gen::element(Format::bf16, Format::f16, Format::f32);
    problem.query_tokens = *rc::gen::inRange<Index>(1, 4);
    problem.cached_tokens.clear();
    problem.left_padding.clear();
    for (int left = *rc::gen::inRange(1, 5); left > 0; --left) {
      const Index cached = *rc::gen::inRange<Index>(0, 200);
      problem.cached_tokens.push_back(cached < problem.query_tokens ? 0 : cached);
      problem.left_padding.push_back(*rc::gen::inRange<Index>(0, problem.cached_tokens.back() + 1));
    }
    problem.page_tokens = *rc::gen::inRange<Index>(0, 65);
    problem.splits = *rc::gen::inRange(1, 9);
    problem.ranks = *rc::gen::element(1, 2, 4, 8);
    problem.mask = {.causal = *rc::gen::arbitrary<bool>(),
                    .window = *rc::gen::inRange<std::int64_t>(0, 50),
                    .sink_tokens = *rc::gen::inRange<std::int64_t>(0, 5),
                    .softcap = *rc::gen::elementOf(std::vector<double>{0, 0.1, 50})};
    problem.data = static_cast<DataFamily>(*rc::gen::inRange(0, 8));
    problem.seed = *rc::gen::arbitrary<std::uint64_t>();
    return problem;
  });
}

// parse_problem(repro(p)) = p
RC_GTEST_PROP(Problem, ItsLineParsesBack, ()) {
  const Problem problem = *any_problem();
  RC_ASSERT(problem.problems().empty());
  RC_ASSERT(parse_problem(problem.repro()) == problem);
}

TEST(Problem, TheLineIsTheDocumentedOne) {
  Problem problem;
  problem.attention = small_config("mlra-4");
  problem.cached_tokens = {17, 64};
  problem.left_padding = {0, 3};
  problem.page_tokens = 16;
  problem.splits = 2;
  problem.seed = 7;
  EXPECT_EQ(
      problem.repro(),
      "variant=mlra-4 hidden=48 heads=8 kv_heads=1 nope=16 rope=8 value=32 latents=4 latent=40 query_rank=20 "
      "format=bf16 cached=17,64 pad=0,3 query=1 page=16 splits=2 ranks=1 mask=causal data=normal seed=7");
}

TEST(Problem, WordsMayStandInAnyOrderAndPaddingDefaultsToNoneForEverySequence) {
  const Problem problem = parse_problem("  seed=3 cached=5,6,7\tvariant=mqa kv_heads=1 splits=2 \n");
  EXPECT_EQ(problem.left_padding, (std::vector<Index>{0, 0, 0}));
  EXPECT_EQ(problem.attention.variant, Variant::mqa);
  EXPECT_EQ(problem.seed, 3u);
  EXPECT_TRUE(problem.problems().empty());
  EXPECT_EQ(parse_problem("pad=1,2 cached=5,6").left_padding, (std::vector<Index>{1, 2}));
}

TEST(Problem, AWrongWordIsNamed) {
  const auto why = [](std::string_view line) { return refusal([&] { parse_problem(line); }); };
  EXPECT_EQ(why("cached=1 cached=2"), "problem: 'cached' is given twice");
  EXPECT_EQ(why("cached=1,,2"), "problem: cached '': expected a whole number of 63 bits");
  EXPECT_EQ(why("cached=99999999999999999999"),
            "problem: cached '99999999999999999999': expected a whole number of 63 bits");
  EXPECT_EQ(why("seed=-1"), "problem: seed '-1': expected a whole number from 0 to 2^64 - 1");
  EXPECT_EQ(why("cached"), "problem: word 'cached': expected key=value");
  EXPECT_EQ(why("data=random"),
            "data family 'random': expected one of normal, peaked, rising, falling, constant-values, "
            "one-hot, dyadic, "
            "large-offset");
  EXPECT_NE(why("cashed=1").find("a problem's own words: format, cached, pad"), std::string::npos);
}

TEST(Problem, EveryGuardTrips) {
  const auto only = [](auto spoil) {
    Problem problem;
    spoil(problem);
    const std::vector<std::string> found = problem.problems();
    return found.size() == 1 ? found[0] : std::to_string(found.size()) + " problems";
  };
  EXPECT_TRUE(Problem().problems().empty());
  EXPECT_EQ(only([](Problem& p) { p.cached_tokens = p.left_padding = {}; }),
            "cached '': expected the length of at least one sequence");
  EXPECT_EQ(only([](Problem& p) {
              p.left_padding = {0, 0};
            }),
            "pad 0,0: expected one number for each of 1 sequences");
  EXPECT_EQ(only([](Problem& p) { p.query_tokens = 0; }), "query 0: expected 1 or more");
  EXPECT_EQ(only([](Problem& p) { p.query_tokens = 18; }),
            "cached of sequence 0 17: expected 0, or at least its query tokens, 18");
  EXPECT_EQ(only([](Problem& p) { p.left_padding = {18}; }),
            "pad of sequence 0 18: expected 0 to its cached tokens, 17");
  EXPECT_EQ(only([](Problem& p) { p.left_padding = {-1}; }),
            "pad of sequence 0 -1: expected 0 to its cached tokens, 17");
  EXPECT_EQ(only([](Problem& p) { p.page_tokens = -1; }),
            "page -1: expected 0 (one page a sequence) or more");
  EXPECT_EQ(only([](Problem& p) { p.splits = 0; }), "splits 0: expected 1 or more");
  EXPECT_EQ(only([](Problem& p) { p.ranks = 0; }), "ranks 0: expected 1 or more");
  EXPECT_EQ(only([](Problem& p) { p.mask.window = -1; }), "mask window -1: expected 0 (all) or more");
  EXPECT_EQ(only([](Problem& p) { p.attention.hidden = 0; }), "mha: hidden 0: expected 1 to 1048576");
  Problem negative;
  negative.cached_tokens = {-1};
  EXPECT_EQ(negative.problems()[0], "cached of sequence 0 -1: expected 0 or more tokens");
}

}  // namespace
}  // namespace attest
