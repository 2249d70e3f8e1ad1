// The factored call against a grouped call of the same keys and values written out, and its guards.
#include "reference/factored_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "reference/attend.h"
#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

constexpr Index kBatch = 2, kQueries = 2, kHeads = 3, kTokens = 6, kKey = 4, kRank = 2, kBasis = 5,
                kValue = 3;

// Every optional part is there; the value basis is a token's when `token_basis`.
FactoredInputs any_call(std::uint64_t seed, bool token_basis) {
  FactoredInputs call;
  call.scale = 0.7;
  call.query_tokens = kQueries;
  call.queries = random_tensor({kBatch, kQueries, kHeads, kKey}, seed);
  call.factor_queries = random_tensor({kBatch, kQueries, kHeads, kRank, kBasis}, seed + 1);
  for (Index b = 0; b < kBatch; ++b) {
    FactoredCache cache;
    const std::uint64_t s = seed + 10 * static_cast<std::uint64_t>(b);
    cache.shared_keys = random_tensor({kTokens, kKey}, s + 2);
    cache.key_factors = random_tensor({kTokens, kHeads, kRank}, s + 3);
    cache.key_basis = random_tensor({kTokens, token_basis ? kRank : 1, kBasis}, s + 4);
    cache.key_scales = random_tensor({kTokens, kHeads}, s + 5);
    cache.value_factors = random_tensor({kTokens, kHeads, kRank}, s + 6);
    if (token_basis) {
      cache.value_basis = random_tensor({kTokens, kRank, kValue}, s + 7);
    } else {
      cache.shared_values = random_tensor({kTokens, kValue}, s + 8);
    }
    cache.left_padding = b;
    call.sequences.push_back(cache);
  }
  return call;
}

TEST(FactoredCall, equalsAGroupedCallWhoseKeysMakeTheScores) {
  // attend(factors) = attend(k', v') of a grouped call whose query is a unit vector per (query token) and
  // whose keys hold the scores
  EXPECT_TRUE(rc::check([] {
    const bool token_basis = *rc::gen::arbitrary<bool>();
    FactoredInputs call = any_call(*rc::gen::inRange<std::uint64_t>(0, 1 << 20), token_basis);
    call.mask.causal = *rc::gen::arbitrary<bool>();
    call.mask.window = *rc::gen::inRange<std::int64_t>(0, 4);
    call.mask.sink_tokens = *rc::gen::inRange<std::int64_t>(0, 2);
    call.mask.softcap = *rc::gen::element(0.0, 1.5);
    const Index width = token_basis ? kValue : kValue + kRank;
    DecodeInputs grouped;
    grouped.heads = {.family = Family::grouped,
                     .query_heads = kHeads,
                     .kv_heads = kHeads,
                     .key_dim = kQueries,
                     .value_dim = static_cast<int>(width),
                     .storage = Format::f64};
    grouped.scale = call.scale;
    grouped.mask = call.mask;
    grouped.query_tokens = kQueries;
    grouped.queries = Tensor<double>{kBatch, kQueries, kHeads, kQueries};
    for (Index b = 0; b < kBatch; ++b) {
      const FactoredCache& cache = call.sequences[static_cast<std::size_t>(b)];
      SequenceCache written{.keys = Tensor<double>{kTokens, kHeads, kQueries},
                            .values = Tensor<double>{kTokens, kHeads, width},
                            .rope_keys = {},
                            .left_padding = cache.left_padding};
      for (Index t = 0; t < kQueries; ++t) {
        for (Index h = 0; h < kHeads; ++h) {
          grouped.queries(b, t, h, t) = 1;
          for (Index j = 0; j < kTokens; ++j) {
            double sum = 0;
            for (Index e = 0; e < kKey; ++e) sum += call.queries(b, t, h, e) * cache.shared_keys(j, e);
            for (Index u = 0; u < kRank; ++u) {
              for (Index e = 0; e < kBasis; ++e) {
                sum += cache.key_factors(j, h, u) * call.factor_queries(b, t, h, u, e) *
                       cache.key_basis(j, token_basis ? u : 0, e);
              }
            }
            written.keys(j, h, t) = sum * cache.key_scales(j, h);
            for (Index e = 0; e < width; ++e) {
              if (token_basis) {
                for (Index u = 0; u < kRank; ++u) {
                  if (t == 0)
                    written.values(j, h, e) += cache.value_factors(j, h, u) * cache.value_basis(j, u, e);
                }
              } else {
                written.values(j, h, e) =
                    e < kValue ? cache.shared_values(j, e) : cache.value_factors(j, h, e - kValue);
              }
            }
          }
        }
      }
      grouped.sequences.push_back(written);
    }
    const DecodeOutputs got = attend(call), want = attend(grouped);
    RC_ASSERT(distance(got.output, want.output) <= kExact);
    RC_ASSERT(distance(got.absolute, want.absolute) <= kExact);
    for (Index i = 0; i < got.lse.count(); ++i) {
      const double a = got.lse.data()[i], b = want.lse.data()[i];
      RC_ASSERT(a == b || std::abs(a - b) <= kExact * (1 + std::abs(b)));
    }
  }));
}

TEST(FactoredCall, NothingSeenGivesZeroAndMinusInfinity) {
  FactoredInputs call = any_call(1, true);
  call.sequences[0].left_padding = kTokens;
  const DecodeOutputs out = attend(call);
  EXPECT_EQ(out.lse(0, 0, 0), -INFINITY);
  EXPECT_EQ(out.output(0, 1, 2, 0), 0);
  EXPECT_TRUE(std::isfinite(out.lse(1, 0, 0)));
}

TEST(FactoredCall, EveryGuardRefuses) {
  struct Guard {
    const char* text;
    std::function<void(FactoredInputs&)> harm;
  };
  const std::vector<Guard> guards = {
      {"scale", [](FactoredInputs& c) { c.scale = 0; }},
      {"scale", [](FactoredInputs& c) { c.scale = NAN; }},
      {"window", [](FactoredInputs& c) { c.mask.window = -1; }},
      {"queries [2, 2, 3, 4]", [](FactoredInputs& c) { c.query_tokens = 3; }},
      {"queries [2, 2, 3, 4]", [](FactoredInputs& c) { c.sequences.pop_back(); }},
      {"three axes", [](FactoredInputs& c) { c.sequences[0].key_factors = {}; }},
      {"key_factors",
       [](FactoredInputs& c) {
         c.sequences[1].key_factors = Tensor<double>{kTokens, 2, kRank};
       }},
      {"key_basis",
       [](FactoredInputs& c) {
         c.sequences[0].key_basis = Tensor<double>{kTokens, 3, kBasis};
       }},
      {"factor_queries",
       [](FactoredInputs& c) {
         c.factor_queries = Tensor<double>{2, 2, 3, 1, kBasis};
       }},
      {"key_basis", [](FactoredInputs& c) { c.factor_queries = {}; }},
      {"key_scales",
       [](FactoredInputs& c) {
         c.sequences[0].key_scales = Tensor<double>{kTokens, 2};
       }},
      {"shared_keys",
       [](FactoredInputs& c) {
         c.sequences[0].shared_keys = Tensor<double>{kTokens, 3};
       }},
      {"value_factors",
       [](FactoredInputs& c) {
         c.sequences[0].value_factors = Tensor<double>{5, kHeads, kRank};
       }},
      {"value_basis",
       [](FactoredInputs& c) {
         c.sequences[0].value_basis = Tensor<double>{kTokens, 3, kValue};
       }},
      {"either", [](FactoredInputs& c) { c.sequences[0].value_basis = {}; }},
      {"either",
       [](FactoredInputs& c) {
         c.sequences[0].shared_values = Tensor<double>{kTokens, kValue};
       }},
      {"left padding", [](FactoredInputs& c) { c.sequences[0].left_padding = kTokens + 1; }},
  };
  EXPECT_TRUE(any_call(1, true).problems().empty());
  EXPECT_TRUE(any_call(1, false).problems().empty());
  for (const Guard& guard : guards) {
    FactoredInputs call = any_call(1, true);
    guard.harm(call);
    EXPECT_THAT(refusal([&] { attend(call); }), testing::HasSubstr(guard.text));
  }
}

}  // namespace
}  // namespace attest
