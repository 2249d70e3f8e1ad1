// Each data family has the property that it is there for, and values hang on coordinates alone.
#include "reference/random_inputs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "reference/attend.h"
#include "reference/row_scores.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

Problem problem_of(std::string_view variant, DataFamily data, Index tokens = 40) {
  Problem problem;
  problem.attention = small_config(variant);
  problem.cached_tokens = {tokens};
  problem.data = data;
  problem.seed = 11;
  return problem;
}
DecodeInputs draw(const Problem& problem, Format storage = Format::bf16) {
  return random_decode_inputs(head_config(problem.attention, storage), problem);
}
// The scores of row 0.
std::vector<double> scores_of(const DecodeInputs& inputs) {
  RowScores row(inputs);
  row.read(0, 0, 0);
  return row.scores;
}

TEST(RandomInputs, EveryValueIsANumberOfTheStorageFormat) {
  for (std::string_view variant : {"gqa", "mlra-4"}) {
    for (Format storage : {Format::bf16, Format::f16, Format::f32, Format::e4m3}) {
      for (int data = 0; data < 8; ++data) {
        const DecodeInputs inputs = draw(problem_of(variant, static_cast<DataFamily>(data)), storage);
        EXPECT_TRUE(inputs.problems().empty());
        EXPECT_EQ(static_cast<double>(static_cast<float>(inputs.scale)), inputs.scale);
        const SequenceCache& cache = inputs.sequences[0];
        for (const Tensor<double>* part :
             {&inputs.queries, &inputs.rope_queries, &cache.keys, &cache.values, &cache.rope_keys}) {
          for (double value : part->elements()) ASSERT_EQ(round_to(storage, value), value) << name(storage);
        }
      }
    }
  }
}

TEST(RandomInputs, AShorterCacheAndASmallerBatchArePrefixes) {
  Problem large = problem_of("mlra-4", DataFamily::normal, 40),
          small = problem_of("mlra-4", DataFamily::normal, 7);
  large.cached_tokens = {40, 12};
  large.left_padding = {0, 0};
  const DecodeInputs many = draw(large), few = draw(small);
  for (Index i = 0; i < few.queries.count(); ++i) ASSERT_EQ(few.queries.data()[i], many.queries.data()[i]);
  const SequenceCache &first = many.sequences[0], &prefix = few.sequences[0];
  for (Index i = 0; i < prefix.keys.count(); ++i) ASSERT_EQ(prefix.keys.data()[i], first.keys.data()[i]);
  for (Index i = 0; i < prefix.rope_keys.count(); ++i)
    ASSERT_EQ(prefix.rope_keys.data()[i], first.rope_keys.data()[i]);
}

TEST(RandomInputs, AnotherSeedDrawsOtherValues) {
  Problem problem = problem_of("gqa", DataFamily::normal);
  const DecodeInputs first = draw(problem);
  ++problem.seed;
  const DecodeInputs second = draw(problem);
  Index same = 0;
  for (Index i = 0; i < first.queries.count(); ++i)
    same += first.queries.data()[i] == second.queries.data()[i];
  EXPECT_LT(same, first.queries.count() / 10);
}

TEST(RandomInputs, NormalValuesHaveMeanZeroAndVarianceOne) {
  const DecodeInputs inputs = draw(problem_of("gqa", DataFamily::normal, 500), Format::f32);
  double sum = 0, squares = 0;
  for (double value : inputs.sequences[0].keys.elements()) {
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(inputs.sequences[0].keys.count());
  EXPECT_NEAR(sum / count, 0, 5 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 1, 5 * std::sqrt(2 / count));
}

TEST(RandomInputs, RisingScoresClimbAndFallingOnesFall) {
  for (std::string_view variant : {"gqa", "mlra-4"}) {
    const std::vector<double> up = scores_of(draw(problem_of(variant, DataFamily::rising)));
    const std::vector<double> down = scores_of(draw(problem_of(variant, DataFamily::falling)));
    EXPECT_GT(up.back() - up.front(), 12) << variant;
    EXPECT_GT(down.front() - down.back(), 12) << variant;
  }
}

TEST(RandomInputs, ConstantValuesAreTheResult) {
  const DecodeInputs inputs = draw(problem_of("gqa", DataFamily::constant_values));
  const DecodeOutputs outputs = attend(inputs);
  for (Index row = 0; row < 8; ++row) {
    for (Index i = 0; i < inputs.heads.value_dim; ++i) {
      EXPECT_NEAR(outputs.output(0, 0, row, i), inputs.sequences[0].values(3, row / 4, i), 1e-14);
    }
  }
  const std::vector<double> scores = scores_of(draw(problem_of("mlra-4", DataFamily::constant_values)));
  EXPECT_NE(scores[0], scores[1]);  // through the rotated part
  // Different heads have different constants, else a kernel that reads the wrong head would go unseen.
  EXPECT_NE(inputs.sequences[0].values(0, 0, 0), inputs.sequences[0].values(0, 1, 0));
}

TEST(RandomInputs, OneHotResultsAreSumsOfWeights) {
  const DecodeInputs inputs = draw(problem_of("gqa", DataFamily::one_hot, 30));  // value width 24
  const DecodeOutputs outputs = attend(inputs);
  const std::vector<double> scores = scores_of(inputs);
  const double lse = outputs.lse(0, 0, 0);
  EXPECT_NEAR(outputs.output(0, 0, 0, 2), std::exp(scores[2] - lse) + std::exp(scores[26] - lse), 1e-14);
  EXPECT_NEAR(outputs.output(0, 0, 0, 10), std::exp(scores[10] - lse), 1e-14);
}

TEST(RandomInputs, DyadicScoresAreWholeMultiplesOfTheScale) {
  for (std::string_view variant : {"gqa", "mlra-4"}) {
    const DecodeInputs inputs = draw(problem_of(variant, DataFamily::dyadic));
    EXPECT_EQ(static_cast<float>(inputs.scale), static_cast<float>(std::log(2.0)));
    double spread = 0;
    for (double score : scores_of(inputs)) {
      const double whole = score / inputs.scale;
      EXPECT_EQ(whole, std::round(whole));
      spread = std::max(spread, std::fabs(whole));
    }
    EXPECT_GE(spread, 1);
    EXPECT_LE(spread, 16);
  }
}

TEST(RandomInputs, LargeOffsetsAreLargeAndOfBothSigns) {
  int positive = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Problem problem = problem_of("gqa", DataFamily::large_offset);
    problem.seed = seed;
    const std::vector<double> scores = scores_of(draw(problem));
    double mean = 0;
    for (double score : scores) mean += score / static_cast<double>(scores.size());
    EXPECT_GT(std::fabs(mean), 32);
    EXPECT_LT(std::fabs(mean), 800);
    positive += mean > 0;
  }
  EXPECT_GT(positive, 5);
  EXPECT_LT(positive, 35);
}

TEST(RandomInputs, PeakedScoresLeaveFewKeys) {
  const DecodeOutputs normal = attend(draw(problem_of("gqa", DataFamily::normal)));
  const DecodeOutputs peaked = attend(draw(problem_of("gqa", DataFamily::peaked)));
  // lse - max = log of the number of keys that matter.
  EXPECT_GT(normal.lse(0, 0, 0) - normal.max_score(0, 0, 0), 1.0);
  EXPECT_LT(peaked.lse(0, 0, 0) - peaked.max_score(0, 0, 0), 1.0);
}

TEST(RandomInputs, BadArgumentsAreRefused) {
  Problem problem = problem_of("gqa", DataFamily::normal);
  problem.splits = 0;
  EXPECT_EQ(refusal([&] { draw(problem); }), "random_decode_inputs: splits 0: expected 1 or more");
  EXPECT_EQ(refusal([&] { draw(problem_of("tpa", DataFamily::normal)); }),
            "random_decode_inputs: family factored: expected grouped or latent");
  EXPECT_EQ(refusal([&] { random_decode_inputs({.key_dim = 0}, Problem()); }),
            "random_decode_inputs: key_dim 0: expected 1 or more");
}

}  // namespace
}  // namespace attest
