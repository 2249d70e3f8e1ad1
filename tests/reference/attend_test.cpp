// The truth on calls that can be worked out by hand, and the merge of partial results.
#include "reference/attend.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "reference/random_inputs.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One head of width 1, scale 1, query 1: scores are the keys themselves.
DecodeInputs line(const std::vector<double>& keys, const std::vector<double>& values,
                  Index query_tokens = 1) {
  const auto tokens = static_cast<Index>(keys.size());
  DecodeInputs inputs;
  inputs.heads = {.key_dim = 1, .value_dim = 1, .storage = Format::f32};
  inputs.scale = 1;
  inputs.query_tokens = query_tokens;
  inputs.queries = Tensor<double>{1, query_tokens, 1, 1};
  std::fill_n(inputs.queries.data(), query_tokens, 1.0);
  SequenceCache cache;
  cache.keys = Tensor<double>{tokens, 1, 1};
  cache.values = Tensor<double>{tokens, 1, 1};
  std::copy(keys.begin(), keys.end(), cache.keys.data());
  std::copy(values.begin(), values.end(), cache.values.data());
  inputs.sequences = {cache};
  return inputs;
}
double result(const DecodeInputs& inputs, Index query = 0) { return attend(inputs).output(0, query, 0, 0); }

TEST(Attend, WeightsAreTheSoftmaxOfTheScores) {
  const double ln2 = std::numbers::ln2_v<double>;
  const DecodeOutputs outputs = attend(line({0, ln2, 2 * ln2}, {7, -14, 3.5}));  // weights 1/7, 2/7, 4/7
  EXPECT_NEAR(outputs.output(0, 0, 0, 0), 1 - 4 + 2, 1e-14);
  EXPECT_NEAR(outputs.absolute(0, 0, 0, 0), 1 + 4 + 2, 1e-14);
  EXPECT_NEAR(outputs.lse(0, 0, 0), std::log(7.0), 1e-15);
  EXPECT_EQ(outputs.max_score(0, 0, 0), 2 * ln2);
}

TEST(Attend, HugeScoresDoNotOverflow) {
  EXPECT_EQ(result(line({1e30, -1e30}, {5, 9})), 5);
  EXPECT_EQ(attend(line({-1e30}, {5})).lse(0, 0, 0), -1e30);
}

TEST(Attend, AnEmptySequenceAndAnUnseeingRowGiveZerosAndMinusInfinity) {
  const DecodeOutputs empty = attend(line({}, {}));
  EXPECT_EQ(empty.output(0, 0, 0, 0), 0);
  EXPECT_EQ(empty.lse(0, 0, 0), -kInfinity);
  EXPECT_EQ(empty.max_score(0, 0, 0), -kInfinity);
  DecodeInputs padded = line({1, 2}, {5, 9});
  padded.sequences[0].left_padding = 2;
  EXPECT_EQ(attend(padded).lse(0, 0, 0), -kInfinity);
  EXPECT_EQ(result(padded), 0);
}

TEST(Attend, MasksSeeWhatTheyDefine) {
  // Equal scores: the result is the mean of what is seen. Values are powers of two so that a sum tells who
  // was seen.
  DecodeInputs inputs = line({0, 0, 0, 0, 0, 0}, {1, 2, 4, 8, 16, 32}, 2);
  EXPECT_NEAR(result(inputs, 0), 31.0 / 5, 1e-14);  // causal: the last query's token is hidden from the first
  EXPECT_NEAR(result(inputs, 1), 63.0 / 6, 1e-14);
  inputs.mask.causal = false;
  EXPECT_NEAR(result(inputs, 0), 63.0 / 6, 1e-14);
  inputs.mask = {.window = 2};
  EXPECT_NEAR(result(inputs, 0), (8 + 16) / 2.0, 1e-14);
  EXPECT_NEAR(result(inputs, 1), (16 + 32) / 2.0, 1e-14);
  inputs.sequences[0].left_padding = 1;
  inputs.mask = {.window = 2, .sink_tokens = 2};  // sinks follow the padding
  EXPECT_NEAR(result(inputs, 1), (2 + 4 + 16 + 32) / 4.0, 1e-14);
  inputs.mask = {.window = 100, .sink_tokens = 4};  // a sink inside the window counts once
  EXPECT_NEAR(result(inputs, 1), (2 + 4 + 8 + 16 + 32) / 5.0, 1e-14);
}

TEST(Attend, TheSoftCapBendsScores) {
  DecodeInputs inputs = line({100, 0}, {1, 0});
  inputs.mask.softcap = 2;
  const double weight = std::exp(2 * std::tanh(50.0));
  EXPECT_NEAR(result(inputs), weight / (weight + 1), 1e-14);
}

TEST(Attend, MaskedTokensMayHoldAnything) {
  DecodeInputs inputs = line({std::nan(""), 1, 2, 3}, {std::nan(""), kInfinity, 5, 9});
  inputs.sequences[0].left_padding = 1;
  inputs.mask.window = 2;
  const double clean = result(line({2, 3}, {5, 9}));
  EXPECT_EQ(result(inputs), clean);
  EXPECT_TRUE(std::isnan(result(line({1, std::nan("")}, {1, 1}))));  // a seen one must show
}

TEST(Attend, ShapesThatDoNotFitAreRefused) {
  const auto why = [](auto spoil) {
    DecodeInputs inputs = line({1, 2}, {3, 4});
    spoil(inputs);
    return refusal([&] { attend(inputs); });
  };
  EXPECT_EQ(why([](DecodeInputs& x) { x.scale = 0; }), "attend: scale 0: expected a positive finite number");
  EXPECT_EQ(why([](DecodeInputs& x) { x.scale = kInfinity; }),
            "attend: scale inf: expected a positive finite number");
  EXPECT_EQ(why([](DecodeInputs& x) { x.query_tokens = 0; }), "attend: query_tokens 0: expected 1 or more");
  EXPECT_EQ(why([](DecodeInputs& x) { x.query_tokens = 2; }),
            "attend: queries: shape [1, 1, 1, 1], expected [1, 2, 1, 1]");
  EXPECT_EQ(why([](DecodeInputs& x) {
              x.sequences[0].keys = Tensor<double>{2, 2, 1};
            }),
            "attend: sequence 0: keys: shape [2, 2, 1], expected [2, 1, 1]");
  EXPECT_EQ(why([](DecodeInputs& x) { x.sequences[0].keys = {}; }),
            "attend: sequence 0: keys: shape [], expected three axes: token, head, element");
  EXPECT_EQ(why([](DecodeInputs& x) {
              x.sequences[0].values = Tensor<double>{1, 1, 1};
            }),
            "attend: sequence 0: values: shape [1, 1, 1], expected [2, 1, 1]");
  EXPECT_EQ(why([](DecodeInputs& x) {
              x.sequences[0].rope_keys = Tensor<double>{2, 1};
            }),
            "attend: sequence 0: rope_keys: shape [2, 1], expected none in the grouped family");
  EXPECT_EQ(why([](DecodeInputs& x) {
              x.rope_queries = Tensor<double>{1, 1, 1, 1};
            }),
            "attend: rope_queries: shape [1, 1, 1, 1], expected none in the grouped family");
  EXPECT_EQ(why([](DecodeInputs& x) { x.sequences[0].left_padding = 3; }),
            "attend: sequence 0: left padding 3: expected 0 to 2 tokens");
  EXPECT_EQ(why([](DecodeInputs& x) { x.mask.softcap = -1; }),
            "attend: mask softcap -1: expected 0 (none) or a positive finite number");
  EXPECT_EQ(why([](DecodeInputs& x) { x.heads.kv_heads = 2; }),
            "attend: query_heads 1 is not a multiple of kv_heads 2");
  EXPECT_EQ(why([](DecodeInputs& x) { x.heads.family = Family::factored; }),
            "attend: family factored: a decode call takes the grouped and the latent family");
  EXPECT_NE(why([](DecodeInputs& x) {
              x.heads = {.family = Family::latent, .key_dim = 1, .rope_dim = 1, .value_dim = 1};
            }).find("rope_keys: shape [], expected [2, 1]"),
            std::string::npos);
}

TEST(Merge, EmptyPartsHaveNoWeightWhateverTheyHold) {
  const PartialResult whole{{1.5, -2}, 0.25}, empty{{std::nan(""), kInfinity}, -kInfinity};
  for (const auto& parts : {std::vector<PartialResult>{whole}, {empty, whole}, {whole, empty, empty}}) {
    const PartialResult merged = merge(parts);
    EXPECT_EQ(merged.output, whole.output);
    EXPECT_EQ(merged.lse, whole.lse);
  }
  const PartialResult nothing = merge({empty, empty});
  EXPECT_EQ(nothing.output, (std::vector<double>{0, 0}));
  EXPECT_EQ(nothing.lse, -kInfinity);
  EXPECT_TRUE(merge({}).output.empty());
}

TEST(Merge, WhatCannotBeMergedIsRefused) {
  EXPECT_EQ(refusal([] { merge({{{1}, 0}, {{1, 2}, 0}}); }), "merge: a part of 2 elements among parts of 1");
  EXPECT_EQ(refusal([] {
              merge({{{1}, std::nan("")}});
            }),
            "merge: log-sum-exp nan: expected a finite number or -infinity");
  EXPECT_EQ(refusal([] {
              merge({{{1}, kInfinity}});
            }),
            "merge: log-sum-exp inf: expected a finite number or -infinity");
}

// merge(attend(parts of the cache), any order) = attend(whole cache)
RC_GTEST_PROP(Merge, PartsInAnyOrderGiveTheWhole, ()) {
  Problem problem;
  problem.cached_tokens = {*rc::gen::inRange<Index>(1, 40)};
  problem.seed = *rc::gen::arbitrary<std::uint64_t>();
  problem.data = static_cast<DataFamily>(*rc::gen::inRange(0, 8));
  const HeadConfig heads{.key_dim = 8, .value_dim = 5, .storage = Format::f32};
  const DecodeInputs inputs = random_decode_inputs(heads, problem);
  const DecodeOutputs whole = attend(inputs);

  const Index tokens = problem.cached_tokens[0];
  std::vector<Index> cuts = {0, tokens};
  for (int left = *rc::gen::inRange(0, 5); left > 0; --left)
    cuts.push_back(*rc::gen::inRange<Index>(0, tokens + 1));
  std::sort(cuts.begin(), cuts.end());
  std::vector<PartialResult> parts;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    DecodeInputs part = inputs;
    part.mask = {.causal = false};
    SequenceCache& cache = part.sequences[0];
    const Index count = cuts[i + 1] - cuts[i];
    cache.keys = Tensor<double>{count, 1, 8};
    cache.values = Tensor<double>{count, 1, 5};
    const SequenceCache& all = inputs.sequences[0];
    std::copy_n(all.keys.data() + cuts[i] * 8, count * 8, cache.keys.data());
    std::copy_n(all.values.data() + cuts[i] * 5, count * 5, cache.values.data());
    const DecodeOutputs outputs = attend(part);
    const auto elements = outputs.output.elements();
    parts.push_back({{elements.begin(), elements.end()}, outputs.lse(0, 0, 0)});
  }
  for (std::size_t i = parts.size(); i > 1; --i) {
    std::swap(parts[i - 1], parts[*rc::gen::inRange<std::size_t>(0, i)]);
  }
  const PartialResult merged = merge(parts);
  const double size = std::max(1.0, std::fabs(whole.lse(0, 0, 0)));
  RC_ASSERT(std::fabs(merged.lse - whole.lse(0, 0, 0)) <= 1e-14 * size);
  for (Index i = 0; i < 5; ++i) {
    const double error = std::fabs(merged.output[static_cast<std::size_t>(i)] - whole.output(0, 0, 0, i));
    RC_ASSERT(error <= 1e-14 * size * whole.absolute(0, 0, 0, i));
  }
}

}  // namespace
}  // namespace attest
