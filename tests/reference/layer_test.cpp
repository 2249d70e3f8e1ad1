// Laws that every variant's layer obeys on the reference alone.
#include "reference/layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/attend.h"
#include "reference/cache.h"
#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

class EveryVariant : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Layer, EveryVariant, testing::ValuesIn(variant_names()), [](const auto& variant) {
  std::string name = variant.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// The last query tokens of [S, D].
Tensor<double> tail(const Tensor<double>& x, Index count) { return some_rows(x, x.size(0) - count, count); }

TEST_P(EveryVariant, decodeFormEqualsMaterialisedForm) {
  // for all layers, masks, paddings: decode(x)[t] = materialised(x)[t] for the last T tokens t
  EXPECT_TRUE(rc::check([&] {
    const LayerCase layer = *layer_case(GetParam());
    RC_LOG() << layer << "\n";
    const Weights weights = layer.weights();
    const std::vector<Tokens> tokens = layer.all_tokens();
    const Tensor<double> decoded =
        decode_layer(layer.config, weights, tokens, layer.query_tokens, layer.mask);
    for (std::size_t b = 0; b < tokens.size(); ++b) {
      const Tensor<double> whole = materialised_layer(layer.config, weights, tokens[b], layer.mask);
      RC_ASSERT(distance(entry(decoded, static_cast<Index>(b)), tail(whole, layer.query_tokens)) <= kExact);
    }
  }));
}

TEST_P(EveryVariant, groupedCallOfWrittenOutRowsEqualsMaterialisedForm) {
  // for all layers: finish(attend(K, V of every row)) = materialised(x), by the decode truth's own softmax
  // and mask
  EXPECT_TRUE(rc::check([&] {
    const LayerCase layer = *layer_case(GetParam());
    RC_LOG() << layer << "\n";
    const Weights weights = layer.weights();
    std::vector<Projected> sequences;
    for (const Tokens& tokens : layer.all_tokens())
      sequences.push_back(project(layer.config, weights, tokens));
    const DecodeInputs call =
        materialised_inputs(layer.config, weights, sequences, layer.query_tokens, layer.mask, Format::f64);
    const Tensor<double> output = finish_materialised(layer.config, weights, sequences, attend(call).output);
    for (std::size_t b = 0; b < sequences.size(); ++b) {
      const Tensor<double> whole = materialised_layer(layer.config, weights, layer.tokens(b), layer.mask);
      RC_ASSERT(distance(entry(output, static_cast<Index>(b)), tail(whole, layer.query_tokens)) <= kExact);
    }
  }));
}

TEST_P(EveryVariant, logSumExpOfBothFormsAgrees) {
  // for all layers: lse_decode[t, row] = lse_materialised[t, row] = log sum_j exp(scores[t, row, j])
  EXPECT_TRUE(rc::check([&] {
    const LayerCase layer = *layer_case(GetParam());
    const Weights weights = layer.weights();
    const Projected sequence = project(layer.config, weights, layer.tokens(0));
    const RowResults rows = materialised(layer.config, weights, sequence, layer.mask);
    const bool factored = info(layer.config.variant).family == Family::factored;
    const std::span<const Projected> one{&sequence, 1};
    const DecodeOutputs decoded =
        factored
            ? attend(factored_inputs(layer.config, weights, one, layer.query_tokens, layer.mask, Format::f64))
            : attend(decode_inputs(layer.config, weights, one, layer.query_tokens, layer.mask, Format::f64));
    const Index S = sequence.tokens();
    for (Index t = 0; t < layer.query_tokens; ++t) {
      for (Index row = 0; row < rows.lse.size(1); ++row) {
        const double lse = rows.lse(S - layer.query_tokens + t, row);
        const double sum_of_scores = [&] {
          double sum = 0;
          for (Index j = 0; j < S; ++j) sum += std::exp(rows.scores(S - layer.query_tokens + t, row, j));
          return std::log(sum);
        }();
        RC_ASSERT(decoded.lse(0, t, row) == lse ||
                  std::abs(decoded.lse(0, t, row) - lse) <= kExact * (1 + std::abs(lse)));
        RC_ASSERT(sum_of_scores == lse || std::abs(sum_of_scores - lse) <= kExact * (1 + std::abs(lse)));
      }
    }
  }));
}

TEST_P(EveryVariant, prefillEqualsTokenByTokenDecode) {
  // for all n <= S: decode(x_0 .. x_n)[n] = materialised(x)[n], with a cache that grows by one token at a
  // time
  EXPECT_TRUE(rc::check([&] {
    LayerCase layer = *layer_case(GetParam(), {.masks = true, .padding = true, .many_queries = false});
    layer.mask.causal = true;
    RC_LOG() << layer << "\n";
    const Weights weights = layer.weights();
    const Tokens tokens = layer.tokens(0);
    const Tensor<double> whole = materialised_layer(layer.config, weights, tokens, layer.mask);
    Projected cache;
    const Index S = tokens.hidden.size(0), prefill = tokens.left_padding + 1;
    for (Index n = 0; n < S; n = cache.tokens()) {
      const Index count = n == 0 ? prefill : 1;
      Tokens next = tokens;
      next.hidden = some_rows(tokens.hidden, n, count);
      next.first_position = next.first_token = n;
      append(cache, project(layer.config, weights, next));
      const Tensor<double> step = decode_projected(layer.config, weights, {&cache, 1}, 1, layer.mask);
      RC_ASSERT(distance(entry(step, 0), some_rows(whole, n + count - 1, 1)) <= kExact);
    }
  }));
}

TEST_P(EveryVariant, leftPaddingShiftsPositionsAndNothingElse) {
  // for all shifts p: materialised(p padding tokens, x)[p + t] = materialised(x)[t], padding content being
  // NaN
  EXPECT_TRUE(rc::check([&] {
    const LayerCase layer = *layer_case(GetParam(), {.masks = true, .padding = false, .many_queries = false});
    const Index shift = *rc::gen::inRange<Index>(1, 40);
    RC_LOG() << layer << " shift=" << shift << "\n";
    const Weights weights = layer.weights();
    const Tokens tokens = layer.tokens(0);
    const Index S = tokens.hidden.size(0), D = layer.config.hidden;
    Tokens padded;
    padded.hidden = Tensor<double>{shift + S, D};
    std::fill_n(padded.hidden.data(), shift * D, std::numeric_limits<double>::quiet_NaN());
    std::copy_n(tokens.hidden.data(), S * D, padded.hidden.data() + shift * D);
    padded.left_padding = shift;
    const Tensor<double> plain = materialised_layer(layer.config, weights, tokens, layer.mask);
    const Tensor<double> moved = materialised_layer(layer.config, weights, padded, layer.mask);
    RC_ASSERT(distance(some_rows(moved, shift, S), plain) <= kExact);
    const Tensor<double> decoded =
        decode_layer(layer.config, weights, std::vector<Tokens>{padded}, 1, layer.mask);
    RC_ASSERT(distance(entry(decoded, 0), some_rows(plain, S - 1, 1)) <= kExact);
  }));
}

TEST_P(EveryVariant, storedFormatRoundsEveryCachedElementOnce) {
  AttentionConfig config = small_config(GetParam());
  const Weights weights = random_weights(config, 3);
  LayerCase layer{.config = config, .seed = 5, .lengths = {6}, .padding = {0}, .mask = {}};
  const Projected sequence = project(config, weights, layer.tokens(0));
  const std::span<const Projected> one{&sequence, 1};
  const auto check = [](const Tensor<double>& rounded, const Tensor<double>& exact) {
    ASSERT_EQ(rounded.shape(), exact.shape());
    bool changed = rounded.count() == 0;
    for (Index i = 0; i < rounded.count(); ++i) {
      EXPECT_EQ(rounded.data()[i], round_to(Format::bf16, exact.data()[i]));
      changed = changed || rounded.data()[i] != exact.data()[i];
    }
    EXPECT_TRUE(changed);
  };
  if (info(config.variant).family == Family::factored) {
    const FactoredInputs rounded = factored_inputs(config, weights, one, 1, {}, Format::bf16);
    const FactoredInputs exact = factored_inputs(config, weights, one, 1, {}, Format::f64);
    check(rounded.queries, exact.queries);
    check(rounded.sequences[0].key_factors, exact.sequences[0].key_factors);
    check(rounded.sequences[0].value_factors, exact.sequences[0].value_factors);
  } else {
    const DecodeInputs rounded = decode_inputs(config, weights, one, 1, {}, Format::bf16);
    const DecodeInputs exact = decode_inputs(config, weights, one, 1, {}, Format::f64);
    check(rounded.queries, exact.queries);
    check(rounded.sequences[0].keys, exact.sequences[0].keys);
    check(rounded.sequences[0].values, exact.sequences[0].values);
    check(rounded.sequences[0].rope_keys, exact.sequences[0].rope_keys);
    EXPECT_EQ(rounded.heads.storage, Format::bf16);
  }
}

TEST_P(EveryVariant, cacheHasThePartsThatCachePartsNames) {
  const AttentionConfig config = small_config(GetParam());
  const LayerCase layer{.config = config, .seed = 5, .lengths = {6}, .padding = {0}, .mask = {}};
  const Projected sequence = project(config, random_weights(config, 1), layer.tokens(0));
  const std::vector<CachePart> parts = cache_parts(config);
  EXPECT_EQ(sequence.cache.size(), parts.size());
  for (const CachePart& part : parts) {
    std::vector<Index> shape = part.shape;
    shape.insert(shape.begin(), 6);
    ASSERT_TRUE(sequence.cache.contains(part.name)) << part.name;
    EXPECT_EQ(sequence.cache.at(part.name).shape(), shape) << part.name;
  }
}

TEST_P(EveryVariant, everyWeightMatters) {
  // A weight whose change does not change the output would be a step left out.
  const AttentionConfig config = small_config(GetParam());
  const Weights weights = random_weights(config, 1);
  const LayerCase layer{.config = config, .seed = 5, .lengths = {5}, .padding = {0}, .mask = {}};
  const Tensor<double> output = materialised_layer(config, weights, layer.tokens(0));
  for (const auto& [name, values] : weights) {
    Weights changed = weights;
    const Tensor<double> other = random_weight({name, values.shape()}, 2);
    changed[name] = other;
    EXPECT_GT(distance(materialised_layer(config, changed, layer.tokens(0)), output), 1e-6) << name;
  }
}

TEST_P(EveryVariant, missingAndMisshapenWeightsAreRefusedByName) {
  const AttentionConfig config = small_config(GetParam());
  const Weights weights = random_weights(config, 1);
  check_weights(config, weights);
  for (const auto& [name, values] : weights) {
    Weights broken = weights;
    broken.erase(name);
    EXPECT_THAT(refusal([&] { check_weights(config, broken); }), testing::HasSubstr(name));
    broken[name] = Tensor<double>{1, 2, 3, 4};
    EXPECT_THAT(refusal([&] { check_weights(config, broken); }), testing::HasSubstr("[1, 2, 3, 4]"));
  }
}

TEST(Layer, TokensOfAnotherWidthAreRefused) {
  const AttentionConfig config = small_config("gqa");
  EXPECT_THAT(refusal([&] {
                project(config, random_weights(config, 1), {.hidden = Tensor<double>{3, 7}, .positions = {}});
              }),
              testing::HasSubstr("[3, 7]"));
}

TEST(Layer, MorePaddingThanTokensIsRefused) {
  const AttentionConfig config = small_config("gqa");
  EXPECT_THAT(refusal([&] {
                project(config, random_weights(config, 1),
                        {.hidden = Tensor<double>{3, config.hidden}, .positions = {}, .left_padding = 4});
              }),
              testing::HasSubstr("left padding 4"));
}

TEST(Layer, MoreQueryTokensThanTokensAreRefused) {
  const AttentionConfig config = small_config("mla");
  const std::vector<Tokens> tokens = {{.hidden = random_tensor({3, config.hidden}, 1), .positions = {}}};
  EXPECT_THAT(refusal([&] { decode_layer(config, random_weights(config, 1), tokens, 4); }),
              testing::HasSubstr("4 query tokens of a sequence of 3"));
}

TEST(Layer, FactoredVariantsHaveNoGroupedOrLatentCall) {
  const AttentionConfig config = small_config("tpa");
  const Weights weights = random_weights(config, 1);
  const Projected p =
      project(config, weights, {.hidden = random_tensor({3, config.hidden}, 1), .positions = {}});
  EXPECT_THAT(refusal([&] {
                decode_inputs(config, weights, {&p, 1}, 1, {}, Format::f64);
              }),
              testing::HasSubstr("factored_inputs"));
  const AttentionConfig mla = small_config("mla");
  const Weights latent = random_weights(mla, 1);
  const Projected q = project(mla, latent, {.hidden = random_tensor({3, mla.hidden}, 1), .positions = {}});
  EXPECT_THAT(refusal([&] {
                factored_inputs(mla, latent, {&q, 1}, 1, {}, Format::f64);
              }),
              testing::HasSubstr("has no factors"));
}

TEST(Layer, MergedTokensHaveNoWindowAndOneQuery) {
  const AttentionConfig config = small_config("mtla");
  const Weights weights = random_weights(config, 1);
  const std::vector<Tokens> tokens = {{.hidden = random_tensor({5, config.hidden}, 1), .positions = {}}};
  EXPECT_THAT(refusal([&] { decode_layer(config, weights, tokens, 2); }),
              testing::HasSubstr("2 query tokens: expected 1"));
  EXPECT_THAT(refusal([&] { decode_layer(config, weights, tokens, 1, {.window = 3}); }),
              testing::HasSubstr("window"));
  EXPECT_THAT(refusal([&] { decode_layer(config, weights, tokens, 1, {.causal = false}); }),
              testing::HasSubstr("full"));
}

TEST(Layer, AppendRefusesTokensThatDoNotFollow) {
  const AttentionConfig config = small_config("gqa");
  const Weights weights = random_weights(config, 1);
  Tokens tokens{.hidden = random_tensor({3, config.hidden}, 1), .positions = {}};
  Projected cache = project(config, weights, tokens);
  tokens.first_token = 2;
  EXPECT_THAT(refusal([&] { append(cache, project(config, weights, tokens)); }),
              testing::HasSubstr("token 2"));
  const Projected late = project(config, weights, tokens);
  EXPECT_THAT(refusal([&] { materialised(config, weights, late, {}); }),
              testing::HasSubstr("expected a whole sequence"));
}

TEST(Layer, RowThatSeesNothingIsZeroWithMinusInfiniteLogSumExp) {
  const AttentionConfig config = small_config("mlra-2");
  const Weights weights = random_weights(config, 1);
  const Tokens tokens{.hidden = random_tensor({3, config.hidden}, 1), .positions = {}, .left_padding = 2};
  const RowResults rows = materialised(config, weights, project(config, weights, tokens), {});
  for (Index t = 0; t < 2; ++t) {
    for (Index row = 0; row < rows.lse.size(1); ++row) {
      EXPECT_EQ(rows.lse(t, row), -std::numeric_limits<double>::infinity());
      for (Index e = 0; e < rows.output.size(2); ++e) EXPECT_EQ(rows.output(t, row, e), 0);
    }
  }
}

TEST(Layer, BranchesAreWeightedAsReleased) {
  EXPECT_EQ(branch_scale(small_config("mlra-4")), 0.5);
  EXPECT_EQ(branch_scale(small_config("mlra-4-gated")), 0.5);
  EXPECT_DOUBLE_EQ(branch_scale(small_config("mlra-2")), 1 / std::sqrt(2.0));
  EXPECT_EQ(branch_scale(small_config("mlra-2-no-scale")), 1);
  EXPECT_EQ(branch_scale(small_config("gla-4")), 1);
}

}  // namespace
}  // namespace attest
