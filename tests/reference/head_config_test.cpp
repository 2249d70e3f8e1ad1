// Names and guards of head configurations, and who reads which latent.
#include "reference/head_config.h"

#include <gtest/gtest.h>

#include "tests/reference/refusal.h"

namespace attest {
namespace {

HeadConfig mlra_4() {
  return {.family = Family::latent,
          .query_heads = 64,
          .kv_heads = 4,
          .branches = 4,
          .key_dim = 128,
          .rope_dim = 64,
          .value_dim = 128};
}

TEST(HeadConfig, NamesAreTheDocumentedOnesAndParseBack) {
  const HeadConfig grouped{.query_heads = 32, .kv_heads = 8, .key_dim = 128, .value_dim = 128};
  const HeadConfig factored{.family = Family::factored,
                            .query_heads = 32,
                            .kv_heads = 32,
                            .key_dim = 128,
                            .value_dim = 128,
                            .key_rank = 2,
                            .value_rank = 2,
                            .storage = Format::f16};
  EXPECT_EQ(grouped.name(), "grouped-h32-g8-k128-v128-bf16");
  EXPECT_EQ(mlra_4().name(), "latent-h64-l4-b4-c128-r64-bf16");
  EXPECT_EQ(factored.name(), "factored-h32-g32-k128-v128-kr2-vr2-f16");
  for (const HeadConfig& config : {grouped, mlra_4(), factored}) {
    EXPECT_EQ(parse_head_config(config.name()), config);
  }
}

TEST(HeadConfig, TheReleasedVariantsReadTheLatentsThatTheirCodeReads) {
  // Row r belongs to query head r mod heads and reads latent r / (rows / latents).
  const HeadConfig mlra_2{.family = Family::latent,
                          .query_heads = 4,
                          .kv_heads = 4,
                          .branches = 2,
                          .key_dim = 8,
                          .rope_dim = 4,
                          .value_dim = 8};
  // Branch A: heads 0, 1 read latent 0, heads 2, 3 latent 1; branch B: latents 2 and 3.
  const int heads[] = {0, 1, 2, 3, 0, 1, 2, 3}, latents[] = {0, 0, 1, 1, 2, 2, 3, 3};
  ASSERT_EQ(mlra_2.rows(), 8);
  for (int row = 0; row < 8; ++row) {
    EXPECT_EQ(mlra_2.query_head_of_row(row), heads[row]);
    EXPECT_EQ(mlra_2.kv_head_of_row(row), latents[row]);
  }
  // MLRA-4: every head reads every latent.
  EXPECT_EQ(mlra_4().rows_per_kv_head(), 64);
  EXPECT_EQ(mlra_4().kv_head_of_row(64 * 3 + 5), 3);
  EXPECT_EQ(mlra_4().query_head_of_row(64 * 3 + 5), 5);
}

TEST(HeadConfig, EveryProblemIsASentenceWithItsNumbers) {
  const auto only = [](const HeadConfig& config) {
    const std::vector<std::string> found = config.problems();
    return found.size() == 1 ? found[0] : std::to_string(found.size()) + " problems";
  };
  EXPECT_EQ(only({.query_heads = 6, .kv_heads = 4}), "query_heads 6 is not a multiple of kv_heads 4");
  EXPECT_EQ(only({.query_heads = 0}), "query_heads 0: expected 1 or more");
  EXPECT_EQ(only({.kv_heads = -1}), "kv_heads -1: expected 1 or more");
  EXPECT_EQ(only({.key_dim = 0}), "key_dim 0: expected 1 or more");
  EXPECT_EQ(only({.value_dim = 0}), "value_dim 0: expected 1 or more");
  EXPECT_EQ(only({.rope_dim = 8}), "rope_dim 8: the grouped family has 0");
  EXPECT_EQ(only({.branches = 2}), "branches 2: the grouped family has 1");
  EXPECT_EQ(only({.key_rank = 2}), "key_rank 2: the grouped family has 0");
  EXPECT_EQ(only({.value_rank = 2}), "value_rank 2: the grouped family has 0");
  EXPECT_EQ(only({.query_heads = 1 << 30}),
            "query_heads 1073741824 times branches 1: more than 2^20 rows a token");
  HeadConfig latent = mlra_4();
  latent.value_dim = 64;
  EXPECT_EQ(only(latent), "value_dim 64 differs from key_dim 128: a latent is both key and value");
  latent = mlra_4();
  latent.rope_dim = 0;
  EXPECT_EQ(only(latent), "rope_dim 0: expected 1 or more");
  latent = mlra_4();
  latent.kv_heads = 2;
  EXPECT_EQ(only(latent), "kv_heads 2 is not a multiple of branches 4");
  EXPECT_TRUE(mlra_4().problems().empty());
}

TEST(HeadConfig, AWrongNameSaysWhichPartIsWrong) {
  const auto why = [](std::string_view name) { return refusal([&] { parse_head_config(name); }); };
  EXPECT_EQ(why("grouped-h32-g8-k128-v128"),
            "head configuration 'grouped-h32-g8-k128-v128': expected the form of grouped-h1-g1-k64-v64-bf16");
  EXPECT_EQ(why("grouped-h32-x8-k128-v128-bf16"),
            "head configuration 'grouped-h32-x8-k128-v128-bf16': part 'x8': expected 'g' and a number");
  EXPECT_EQ(why("grouped-h32-g08-k128-v128-bf16"),
            "head configuration 'grouped-h32-g08-k128-v128-bf16': part 'g08': expected 'g' and a number");
  EXPECT_EQ(why("paged-h1"),
            "head configuration 'paged-h1': family 'paged': expected grouped, latent or factored");
  EXPECT_NE(why("grouped-h99999999999-g8-k128-v128-bf16").find("31 bits"), std::string::npos);
  EXPECT_NE(why("grouped-h32-g5-k128-v128-bf16").find("not a multiple"), std::string::npos);
  EXPECT_NE(why("grouped-h32-g8-k128-v128-fp8").find("number format 'fp8'"), std::string::npos);
  EXPECT_NE(why("").find("family ''"), std::string::npos);
}

}  // namespace
}  // namespace attest
