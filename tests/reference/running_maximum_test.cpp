// The count of changes against the definition, tried at every start in both directions.
#include "reference/running_maximum.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <vector>

namespace attest {
namespace {

// Straight from the definition: O(n^3).
Index by_definition(std::vector<double> low, std::vector<double> high, bool any_start) {
  Index most = 0;
  for (int direction = 0; direction < 2; ++direction) {
    for (std::size_t start = 0; start < low.size() && (start == 0 || any_start); ++start) {
      Index count = 0;
      for (std::size_t j = start + 1; j < low.size(); ++j) {
        bool may_exceed_all = true;
        for (std::size_t k = start; k < j; ++k) may_exceed_all = may_exceed_all && high[j] > low[k];
        count += may_exceed_all;
      }
      most = std::max(most, count);
    }
    std::reverse(low.begin(), low.end());
    std::reverse(high.begin(), high.end());
  }
  return most;
}

// maximum_changes = its definition
RC_GTEST_PROP(RunningMaximum, CountsAsDefined, (const std::vector<unsigned char>& scores, bool any_start)) {
  const double error = *rc::gen::element(0.0, 0.4, 1.5);
  std::vector<double> low, high;
  for (unsigned char score : scores) {
    low.push_back(score % 8 - error);
    high.push_back(score % 8 + error);
  }
  RC_ASSERT(maximum_changes(low, high, any_start) == by_definition(low, high, any_start));
}

TEST(RunningMaximum, TiesWithinTheErrorMayClimb) {
  const std::vector<double> exact(10, 1.0), low(10, 1.0 - 1e-6), high(10, 1.0 + 1e-6);
  EXPECT_EQ(maximum_changes(exact, exact, false), 0);
  EXPECT_EQ(maximum_changes(low, high, false), 9);
}

TEST(RunningMaximum, ASplitMayStartBehindTheHighestKey) {
  const std::vector<double> scores{9, 1, 2, 3, 9};
  EXPECT_EQ(maximum_changes(scores, scores, false), 0);
  EXPECT_EQ(maximum_changes(scores, scores, true), 3);  // from the 1 upwards: 2, 3, 9
  EXPECT_EQ(maximum_changes({}, {}, true), 0);
}

}  // namespace
}  // namespace attest
