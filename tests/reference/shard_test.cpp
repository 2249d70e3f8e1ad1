// Tensor parallelism: ranks sum to the whole, hold what the published table says, or are refused with a
// reason.
#include "reference/shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "reference/cache.h"
#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

Tensor<double> sum_of_ranks(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                            const MaskSpec& mask, int ranks, bool decode) {
  Tensor<double> sum;
  for (int rank = 0; rank < ranks; ++rank) {
    const AttentionConfig part = shard_config(config, rank, ranks);
    const Weights held = shard_weights(config, weights, rank, ranks);
    check_weights(part, held);
    const Tensor<double> partial =
        decode ? entry(decode_layer(part, held, std::vector<Tokens>{tokens}, 1, mask), 0)
               : materialised_layer(part, held, tokens, mask);
    if (rank == 0) {
      sum = partial;
    } else {
      for (Index i = 0; i < sum.count(); ++i) sum.data()[i] += partial.data()[i];
    }
  }
  return sum;
}

class EveryVariantSharded : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Shard, EveryVariantSharded, testing::ValuesIn(variant_names()),
                         [](const auto& variant) {
                           std::string name = variant.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EveryVariantSharded, ranksSumToTheWholeOrAreRefusedWithAReason) {
  // for n in 1, 2, 4, 8: sum_r layer(shard(W, r, n), x) = layer(W, x), or n is refused in a sentence
  EXPECT_TRUE(rc::check([&] {
    LayerCase layer = *layer_case(GetParam());
    const int multiple = *rc::gen::element(1, 2, 4, 8);  // so that degrees are possible as well as impossible
    layer.config.query_heads *= multiple;
    if (layer.config.variant == Variant::mha || layer.config.variant == Variant::tpa) {
      layer.config.kv_heads = layer.config.query_heads;
    }
    RC_LOG() << layer << "\n";
    const Weights weights = layer.weights();
    const Tokens tokens = layer.tokens(0);
    const Tensor<double> whole = materialised_layer(layer.config, weights, tokens, layer.mask);
    const Tensor<double> last = some_rows(whole, whole.size(0) - 1, 1);
    for (const int ranks : {1, 2, 4, 8}) {
      const std::string why = shard_refusal(layer.config, ranks);
      if (!why.empty()) {
        RC_ASSERT(why.find("over " + std::to_string(ranks) + " ranks: ") != std::string::npos);
        RC_ASSERT(refusal([&] { holding(layer.config, 0, ranks); }) == why);
        continue;
      }
      RC_ASSERT(distance(sum_of_ranks(layer.config, weights, tokens, layer.mask, ranks, false), whole) <=
                kExact);
      RC_ASSERT(distance(sum_of_ranks(layer.config, weights, tokens, layer.mask, ranks, true), last) <=
                kExact);
    }
  }));
}

TEST_P(EveryVariantSharded, everyCachedElementIsOnSomeRankAndOnlySharedPartsOnAll) {
  const AttentionConfig config = published_config(GetParam());
  for (const int ranks : {1, 2, 4, 8}) {
    ASSERT_EQ(shard_refusal(config, ranks), "");
    double held = 0;
    for (int rank = 0; rank < ranks; ++rank)
      held += cached_elements_per_token(shard_config(config, rank, ranks));
    EXPECT_GE(held, cached_elements_per_token(config));
    EXPECT_LE(held, ranks * cached_elements_per_token(config));
    EXPECT_EQ(held, ranks * cached_elements_per_token(config, ranks));  // all ranks hold the same number
  }
}

TEST_P(EveryVariantSharded, everyQueryHeadOfEveryBranchIsComputedOnce) {
  const AttentionConfig config = published_config(GetParam());
  for (const int ranks : {1, 2, 4, 8}) {
    // (head, latent or KV head) pairs of the whole layer and of the ranks together
    std::vector<std::pair<Index, Index>> whole, dealt;
    const Index served = config.latent_heads > 0
                             ? Index{config.query_heads} * config.branches() / config.latent_heads
                             : config.query_heads / config.kv_heads;
    const Index groups = config.latent_heads > 0 ? config.latent_heads / config.branches() : config.kv_heads;
    for (Index head = 0; head < config.query_heads; ++head) {
      for (Index branch = 0; branch < config.branches(); ++branch)
        whole.push_back({head, branch * groups + head / served});
    }
    for (int rank = 0; rank < ranks; ++rank) {
      const Holding held = holding(config, rank, ranks);
      const Range heads = held.query_heads;
      for (Index head = heads.first; head < heads.first + heads.count; ++head) {
        std::vector<Index> caches = held.latents;
        for (Index g = 0; config.latent_heads == 0 && g < held.kv_heads.count; ++g) {
          caches.push_back(held.kv_heads.first + g);
        }
        for (const Index cache : caches) {
          if (cache % groups == head / served) dealt.push_back({head, cache});
        }
      }
    }
    std::sort(whole.begin(), whole.end());
    std::sort(dealt.begin(), dealt.end());
    EXPECT_EQ(whole, dealt) << GetParam() << " over " << ranks;
  }
}

// The published table of elements per token and device, in units of the head width 128: 64 query heads, 8 KV
// heads.
struct PublishedRow {
  const char* variant;
  double units[4];  // TP 1, 2, 4, 8
};
constexpr PublishedRow kPublishedTable[] = {
    {"mha", {128, 64, 32, 16}},
    {"mqa", {2, 2, 2, 2}},
    {"gqa", {16, 8, 4, 2}},
    {"gta", {8.5, 4.5, 2.5, 1.5}},
    {"mfa", {4, 4, 4, 4}},
    {"tpa", {6, 5, 4.5, 4.25}},
    {"mla", {4.5, 4.5, 4.5, 4.5}},
    {"gla-2", {4.5, 2.5, 2.5, 2.5}},
    {"gla-4", {4.5, 2.5, 1.5, 1.5}},
    {"mlra-2", {4.5, 2.5, 1.5, 1.5}},
    {"mlra-4", {4.5, 2.5, 1.5, 1.5}},
};

TEST(Cache, PublishedTableOfElementsPerDevice) {
  constexpr int kDegrees[] = {1, 2, 4, 8};
  for (const PublishedRow& row : kPublishedTable) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(cached_elements_per_token(published_config(row.variant), kDegrees[i]), 128 * row.units[i])
          << row.variant << " over " << kDegrees[i];
    }
  }
}

// Formulas of the papers: LRKV 2 d + 2 H r, MTLA (d_c + d_R) / stride, MFA-KR C, TPLA d_c / g + d_R per rank.
TEST(Cache, FormulasOfUnpublishedRows) {
  EXPECT_EQ(cached_elements_per_token(published_config("lrkv")), 2 * 128 + 2 * 64 * 54);
  EXPECT_EQ(cached_elements_per_token(published_config("lrkv"), 4), 2 * 128 + 2 * 16 * 54);
  EXPECT_EQ(cached_elements_per_token(published_config("mtla")), (512 + 64) / 2.0);
  EXPECT_EQ(cached_elements_per_token(published_config("mfa-kr")), 256);
  EXPECT_EQ(cached_elements_per_token(published_config("tpla"), 2), 256 + 64);
  AttentionConfig normed = published_config("lrkv");
  normed.qk_norm = true;
  EXPECT_EQ(cached_elements_per_token(normed), 2 * 128 + 2 * 64 * 54 + 64);
}

TEST(Shard, ReasonsAreSentencesWithNumbers) {
  AttentionConfig config = small_config("gqa");
  config.query_heads = 6;
  config.kv_heads = 2;
  EXPECT_THAT(shard_refusal(config, 3),
              testing::HasSubstr("2 KV heads can neither be dealt evenly to the ranks"));
  EXPECT_THAT(shard_refusal(config, 4), testing::HasSubstr("cannot share the 3 query heads"));
  EXPECT_THAT(shard_refusal(config, 0), testing::HasSubstr("expected 1 rank or more"));
  EXPECT_EQ(shard_refusal(config, 6), "");
  AttentionConfig latent = small_config("mlra-4");
  latent.query_heads = 3;
  EXPECT_EQ(shard_refusal(latent, 4), "");
  EXPECT_THAT(shard_refusal(latent, 8), testing::HasSubstr("latents is held by 2 ranks"));
  EXPECT_THAT(shard_refusal(latent, 6), testing::HasSubstr("4 latents can neither"));
  EXPECT_THAT(refusal([&] { shard_config(latent, 4, 4); }), testing::HasSubstr("rank 4 of 4"));
  EXPECT_THAT(refusal([&] { shard_config(latent, -1, 4); }), testing::HasSubstr("rank -1 of 4"));
}

// MLRA over 4 ranks: rank l holds latent l; all heads (MLRA-4) or the half that it serves (MLRA-2). MLRA-2
// over 2 ranks keeps the heads apart: rank g holds latents g and 2 + g.
TEST(Shard, LatentsOfMlra) {
  const AttentionConfig four = published_config("mlra-4"), two = published_config("mlra-2");
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(holding(four, rank, 4).latents, std::vector<Index>{rank});
    EXPECT_EQ(holding(four, rank, 4).query_heads, (Range{0, 64}));
    EXPECT_EQ(holding(two, rank, 4).latents, std::vector<Index>{rank});
    EXPECT_EQ(holding(two, rank, 4).query_heads, (Range{32 * (rank % 2), 32}));
  }
  EXPECT_EQ(holding(two, 0, 2).latents, (std::vector<Index>{0, 2}));
  EXPECT_EQ(holding(two, 1, 2).latents, (std::vector<Index>{1, 3}));
  EXPECT_EQ(holding(four, 1, 2).latents, (std::vector<Index>{2, 3}));
  EXPECT_EQ(holding(four, 3, 8).latents,
            std::vector<Index>{1});  // two ranks a latent, half of the heads each
  EXPECT_EQ(holding(four, 3, 8).query_heads, (Range{32, 32}));
}

TEST(Shard, TrafficNamesCollectiveAndWhatIsReplicated) {
  const ShardTraffic mlra = shard_traffic(published_config("mlra-4"), 4);
  EXPECT_EQ(mlra.cached_elements, 192);
  EXPECT_EQ(mlra.whole_elements, 576);
  EXPECT_EQ(mlra.sent_elements, 8192);
  EXPECT_THAT(mlra.collective, testing::HasSubstr("all-reduce"));
  EXPECT_EQ(mlra.replicated, "rope_keys");
  EXPECT_EQ(shard_traffic(published_config("mla"), 4).replicated, "latents, rope_keys");
  EXPECT_EQ(shard_traffic(published_config("gqa"), 8).replicated, "none");
  EXPECT_EQ(shard_traffic(published_config("tpa"), 2).replicated, "key_basis, value_basis");
  EXPECT_EQ(shard_traffic(published_config("gqa"), 1).collective, "none");
}

}  // namespace
}  // namespace attest
