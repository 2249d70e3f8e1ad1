// Which keys a query sees, case by case.
#include "reference/mask.h"

#include <gtest/gtest.h>

#include <string>

namespace attest {
namespace {

// 'x' where query `query` of `tokens` cached tokens sees the key.
std::string seen(const MaskSpec& mask, Index query, Index tokens, Index padding) {
  std::string text;
  for (Index key = 0; key < tokens; ++key) text += sees(mask, query, key, padding) ? 'x' : '.';
  return text;
}

TEST(Mask, CausalSeesItselfAndWhatCameBefore) { EXPECT_EQ(seen({}, 3, 6, 0), "xxxx.."); }
TEST(Mask, FullSeesAll) { EXPECT_EQ(seen({.causal = false}, 3, 6, 0), "xxxxxx"); }
TEST(Mask, PaddingIsNeverSeen) {
  EXPECT_EQ(seen({}, 3, 6, 2), "..xx..");
  EXPECT_EQ(seen({.causal = false}, 3, 6, 2), "..xxxx");
  EXPECT_EQ(seen({}, 1, 6, 2), "......");
  EXPECT_EQ(seen({.sink_tokens = 1}, 1, 6, 2), "......");
}
TEST(Mask, WindowCountsTheQuerysOwnToken) {
  EXPECT_EQ(seen({.window = 1}, 3, 6, 0), "...x..");
  EXPECT_EQ(seen({.window = 3}, 3, 6, 0), ".xxx..");
  EXPECT_EQ(seen({.window = 3}, 1, 6, 0), "xx....");
}
TEST(Mask, SinksAreCountedFromTheFirstRealToken) {
  EXPECT_EQ(seen({.window = 2, .sink_tokens = 1}, 5, 6, 0), "x...xx");
  EXPECT_EQ(seen({.window = 2, .sink_tokens = 2}, 5, 6, 1), ".xx.xx");
  EXPECT_EQ(seen({.window = 2, .sink_tokens = 2}, 0, 6, 0), "x.....");  // causality comes first
}
TEST(Mask, CapIsSmoothAndBounded) {
  EXPECT_EQ(capped({}, 1000), 1000);
  EXPECT_DOUBLE_EQ(capped({.softcap = 50}, 50), 50 * std::tanh(1.0));
  EXPECT_LE(capped({.softcap = 50}, 1e9), 50);
}

}  // namespace
}  // namespace attest
