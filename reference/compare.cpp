// The check is written so that NaN fails: an element passes only when error <= bound.
#include "reference/compare.h"

#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <utility>

namespace attest {
namespace {

constexpr std::string_view kVerdicts[] = {"passed", "failed", "mistrusted", "inconclusive"};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string number(double value, const char* format = "%.9g") {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// "output[batch 1, head 3, element 40]"
std::string place(std::string_view what, std::span<const Index> shape, const std::vector<std::string>& axes,
                  Index flat) {
  std::string text;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    text = axes[axis] + " " + std::to_string(flat % shape[axis]) + (text.empty() ? "" : ", ") + text;
    flat /= shape[axis];
  }
  return std::string(what) + "[" + text + "]";
}

}  // namespace

std::string_view name(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }

Comparison compare(std::string_view what, std::span<const double> got, std::span<const double> want,
                   std::span<const Index> shape, const std::vector<std::string>& axes,
                   const Tolerance& tolerance) {
  const std::string who = "compare " + std::string(what) + ": ";
  if (got.size() != want.size()) {
    throw std::invalid_argument(who + std::to_string(got.size()) + " values against " +
                                std::to_string(want.size()));
  }
  if (std::cmp_not_equal(element_count(shape), got.size())) {
    throw std::invalid_argument(who + std::to_string(got.size()) + " values do not have the shape " +
                                shape_text(shape));
  }
  if (axes.size() != shape.size()) {
    throw std::invalid_argument(who + std::to_string(axes.size()) + " axis names for the shape " +
                                shape_text(shape));
  }
  const bool each = !tolerance.bounds.empty();
  if (each && tolerance.bounds.size() != got.size()) {
    throw std::invalid_argument(who + std::to_string(tolerance.bounds.size()) + " bounds for " +
                                std::to_string(got.size()) + " values");
  }
  if (each && (tolerance.absolute != 0 || tolerance.relative != 0)) {
    throw std::invalid_argument(who + "both a bound an element and an absolute or relative tolerance");
  }

  Comparison result;
  result.elements = static_cast<Index>(got.size());
  Index wide = 0;
  const auto bound_of = [&](std::size_t i) {
    return each ? tolerance.bounds[i] : tolerance.absolute + tolerance.relative * std::fabs(want[i]);
  };
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double bound = bound_of(i);
    const bool finite = std::isfinite(want[i]);
    const double error = finite ? std::fabs(got[i] - want[i]) : got[i] == want[i] ? 0.0 : kInfinity;
    // An infinity must match exactly, and an infinite bound excuses no infinity.
    const bool close = finite ? std::isfinite(got[i]) && error <= bound : got[i] == want[i];
    double ratio = error == 0 && close ? 0.0 : error / bound;
    if (std::isnan(ratio)) ratio = kInfinity;
    if (result.worst_index < 0 || ratio > result.worst_ratio) {
      result.worst_ratio = ratio;
      result.worst_index = static_cast<Index>(i);
    }
    // A NaN is as large an error as there is.
    result.max_abs_error = std::fmax(result.max_abs_error, std::isnan(error) ? kInfinity : error);
    if (want[i] == 0) ++result.zeros;
    if (finite && bound > std::fabs(want[i])) ++wide;
    if (!close && result.failures++ == 0) result.first_failure = static_cast<Index>(i);
  }

  if (result.failures > 0) {
    result.verdict = Verdict::failed;
  } else if (2 * result.zeros > result.elements || 2 * wide > result.elements || result.elements == 0) {
    result.verdict = Verdict::mistrusted;
  }
  const Index shown = result.failures > 0 ? result.first_failure : result.worst_index;
  if (shown < 0) {
    result.text = std::string(what) + ": no elements, so nothing is shown";
    return result;
  }
  const auto at = static_cast<std::size_t>(shown);
  result.got = got[at];
  result.want = want[at];
  result.bound = bound_of(at);
  const double shown_error = std::fabs(result.got - result.want);
  const std::string values = place(what, shape, axes, shown) + ": got " + number(result.got) + ", want " +
                             number(result.want) + ", bound " + number(result.bound, "%.2e");
  if (result.failures > 0) {
    result.text = values + " (" + number(shown_error / result.bound, "%.3g") + "x); " +
                  std::to_string(result.failures) + " of " + std::to_string(result.elements) + " differ";
  } else {
    result.text = values + " (" + number(result.worst_ratio, "%.3g") + "x, the worst of " +
                  std::to_string(result.elements) + ")";
    if (2 * result.zeros > result.elements) {
      result.text += "; mistrusted: " + std::to_string(result.zeros) + " are zero";
    } else if (2 * wide > result.elements) {
      result.text += "; mistrusted: for " + std::to_string(wide) + " the bound is wider than the value";
    }
  }
  if (!tolerance.source.empty()) result.text += "; tolerance: " + tolerance.source;
  return result;
}

}  // namespace attest
