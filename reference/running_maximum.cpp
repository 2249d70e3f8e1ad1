// Key j counts for the starts between the last earlier key that is surely not below it and j itself:
// intervals, summed.
#include "reference/running_maximum.h"

#include <algorithm>
#include <vector>

namespace attest {
namespace {

Index upward(std::span<const double> low, std::span<const double> high, bool any_start) {
  const std::size_t count = low.size();
  std::vector<std::size_t>
      rivals;  // indices with falling low: a later key with a higher low hides earlier ones
  std::vector<Index> starts(count + 1, 0);  // difference array over starting keys
  for (std::size_t j = 0; j < count; ++j) {
    // The rivals that surely reach high[j] are a prefix; its last one is the nearest.
    const auto end =
        std::partition_point(rivals.begin(), rivals.end(), [&](std::size_t k) { return low[k] >= high[j]; });
    const std::size_t first = end == rivals.begin() ? 0 : *(end - 1) + 1;
    ++starts[first];
    --starts[j];  // at its own start a key is the first, not a change; first <= j
    while (!rivals.empty() && low[rivals.back()] <= low[j]) rivals.pop_back();
    rivals.push_back(j);
  }
  Index most = 0, here = 0;
  for (std::size_t start = 0; start < count; ++start) {
    here += starts[start];
    most = std::max(most, here);
    if (!any_start) break;
  }
  return most;
}

}  // namespace

Index maximum_changes(std::span<const double> low, std::span<const double> high, bool any_start) {
  const std::vector<double> low_back(low.rbegin(), low.rend()), high_back(high.rbegin(), high.rend());
  return std::max(upward(low, high, any_start), upward(low_back, high_back, any_start));
}

}  // namespace attest
