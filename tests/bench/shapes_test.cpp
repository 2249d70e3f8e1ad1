// What is timed, and how many bytes it must move.
#include "bench/shapes.h"

#include <gtest/gtest.h>

#include <set>

namespace attest::bench {
namespace {

// Bytes per cached token of one rank in bf16: published decode comparisons (MLA 1152, GLA-2 640, MLRA 384,
// GQA with one KV head 512).
TEST(Shapes, CacheBytesPerTokenAreThePublishedOnes) {
  std::multiset<Index> bytes;
  for (const HeadConfig& heads : published_heads()) {
    EXPECT_TRUE(heads.problems().empty()) << heads.name();
    bytes.insert(2 * DecodeShape{heads, 1, 1}.elements_per_token());
  }
  EXPECT_EQ(bytes, (std::multiset<Index>{384, 384, 512, 640, 1152, 4096}));
}

TEST(Shapes, LeastBytesCountCacheQueriesAndResults) {
  const HeadConfig heads = parse_head_config("latent-h2-l1-b1-c8-r4-bf16");
  // 3 sequences: 10 tokens of 12 elements; queries of 2 * 8 + 2 * 4 elements; results of 2 rows of 8 + 1
  // floats.
  EXPECT_EQ((DecodeShape{heads, 10, 3}).least_bytes(), 3.0 * (240 + 48 + 72));
}

TEST(Shapes, NamesAreDistinctAndSayTheProblem) {
  std::set<std::string> names;
  for (const DecodeShape& shape : device_shapes()) names.insert(shape.name("cuda"));
  EXPECT_EQ(names.size(), device_shapes().size());
  EXPECT_EQ(device_shapes().size(), 36U);
  EXPECT_TRUE(names.count("decode/latent-h64-l1-b1-c128-r64-bf16/cached=131072/batch=1/cuda"))
      << *names.begin();
}

}  // namespace
}  // namespace attest::bench
