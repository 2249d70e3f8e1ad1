// Failed outranks inconclusive, which outranks mistrusted; the first text of the highest rank is kept.
#include "properties/judge.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace attest {
namespace {

int rank(Verdict verdict) {
  constexpr std::array<int, 4> kRanks = {0, 3, 1, 2};  // passed, failed, mistrusted, inconclusive
  return kRanks[static_cast<std::size_t>(verdict)];
}

std::vector<std::string> axes_of(const Tensor<double>& tensor) {
  std::vector<std::string> axes = {"batch", "query", "row", "element"};
  if (tensor.shape().size() > axes.size()) axes.assign(tensor.shape().size(), "axis");
  axes.resize(tensor.shape().size());
  return axes;
}

// Rows that see nothing are known exactly (bound 0) and compared exactly; whether the rest is mostly zeros,
// or its bounds mostly wider than its values, decides alone.
bool trusted_where_uncertain(const Tensor<double>& got, const Tensor<double>& want,
                             const Tensor<double>& bounds) {
  std::vector<double> got_rest, want_rest, bounds_rest;
  for (Index i = 0; i < want.count(); ++i) {
    if (bounds.data()[i] == 0) continue;
    got_rest.push_back(got.data()[i]);
    want_rest.push_back(want.data()[i]);
    bounds_rest.push_back(bounds.data()[i]);
  }
  const std::vector<Index> shape = {std::ssize(got_rest)};
  return compare("rest", got_rest, want_rest, shape, {"element"}, {.bounds = bounds_rest, .source = ""})
             .verdict == Verdict::passed;
}

}  // namespace

void Judge::record(Verdict verdict, double ratio, const std::string& text) {
  // A NaN ratio must not vanish in a maximum.
  outcome_.worst_error_over_bound =
      std::isnan(ratio) ? INFINITY : std::max(outcome_.worst_error_over_bound, ratio);
  if (rank(verdict) <= rank(outcome_.verdict)) return;
  outcome_.verdict = verdict;
  outcome_.text = text;
}

void Judge::within(std::string_view what, const Tensor<double>& got, const Tensor<double>& want,
                   const Tensor<double>& bounds, std::string source) {
  if (got.shape() != want.shape()) {
    return require(false, std::string(what) + ": shape " + shape_text(got.shape()) + ", expected " +
                              shape_text(want.shape()));
  }
  if (got.count() == 0) return;
  const Comparison found = compare(what, got.elements(), want.elements(), want.shape(), axes_of(want),
                                   {.bounds = bounds.elements(), .source = std::move(source)});
  const bool excused = found.verdict == Verdict::mistrusted && trusted_where_uncertain(got, want, bounds);
  record(excused ? Verdict::passed : found.verdict, found.worst_ratio, found.text);
}

void Judge::identical_to(double tolerance, std::string_view what, const Tensor<double>& got,
                         const Tensor<double>& want) {
  double largest = 0;
  for (double value : want.elements()) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  Tensor<double> bounds(want.shape());
  // The smallest normal number keeps a tensor of zeros comparable with itself.
  std::fill_n(bounds.data(), bounds.count(), std::max(tolerance * largest, 0x1p-1022));
  const Verdict before = outcome_.verdict;
  within(what, got, want, bounds, "double-precision identity");
  // Zeros on both sides are what an identity predicts there; the law's other comparisons say whether that is
  // all.
  if (before == Verdict::passed && outcome_.verdict == Verdict::mistrusted) {
    outcome_.verdict = Verdict::passed;
    outcome_.text.clear();
  }
}

void Judge::same_bits(std::string_view what, const Tensor<double>& got, const Tensor<double>& want) {
  Tensor<double> zeros(want.shape());
  const Verdict before = outcome_.verdict;
  within(what, got, want, zeros, "the same bits");
  if (before == Verdict::passed && outcome_.verdict == Verdict::mistrusted) {
    outcome_.verdict = Verdict::passed;
    outcome_.text.clear();
  }
}

void Judge::require(bool holds, const std::string& text) {
  if (!holds) record(Verdict::failed, INFINITY, text);
}

void Judge::inconclusive(const std::string& reason) { record(Verdict::inconclusive, 0, reason); }

void Judge::mistrust(const std::string& reason) { record(Verdict::mistrusted, 0, reason); }

LawOutcome skipped(std::string reason) {
  LawOutcome outcome;
  outcome.skipped = std::move(reason);
  return outcome;
}

}  // namespace attest
