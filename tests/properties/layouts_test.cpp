// Layouts are valid, distinct, ordered by size, and wide enough for eight ranks.
#include "properties/layouts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace attest {
namespace {

TEST(Layouts, AreValidDistinctAndOrderedBySize) {
  for (const std::string& variant : variant_names()) {
    const std::vector<AttentionConfig> found = layouts(variant);
    ASSERT_EQ(found.size(), 4U) << variant;
    std::set<std::string> names;
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(found[i].problems(), std::vector<std::string>{}) << variant << " layout " << i;
      EXPECT_EQ(found[i].variant_name(), variant);
      if (i > 0) {
        EXPECT_LE(layout_size(found[i - 1]), layout_size(found[i])) << variant;
      }
      names.insert(to_words(found[i]));
    }
    EXPECT_EQ(names.size(), found.size()) << variant;
  }
}

TEST(Layouts, BeginWithTheFewestHeadsThatTheVariantAllows) {
  const auto fewest = [](std::string_view variant) { return layouts(variant).front().query_heads; };
  EXPECT_EQ(fewest("mha"), 1);
  EXPECT_EQ(fewest("gqa"), 1);
  EXPECT_EQ(fewest("mla"), 1);
  EXPECT_EQ(fewest("gla-2"), 2);
  EXPECT_EQ(fewest("gla-4"), 4);
  EXPECT_EQ(fewest("mlra-2"), 2);
  EXPECT_EQ(fewest("mlra-4"), 1);
}

TEST(Layouts, HoldOneWithEightHeadsAndOneWithAnOddGroup) {
  for (const std::string& variant : variant_names()) {
    const std::vector<AttentionConfig> found = layouts(variant);
    const auto has = [&](auto holds) { return std::any_of(found.begin(), found.end(), holds); };
    EXPECT_TRUE(has([](const AttentionConfig& config) { return config.query_heads == 8; })) << variant;
    EXPECT_TRUE(has([](const AttentionConfig& config) {
      return config.query_heads % 3 == 0 || config.query_heads == 17;
    })) << variant;
  }
}

}  // namespace
}  // namespace attest
