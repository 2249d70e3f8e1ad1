// Compares a kernel's numbers with the truth within a per-element bound; NaN fails by construction.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reference/tensor.h"

namespace attest {

enum class Verdict {
  passed,
  failed,
  mistrusted,    // agreement that proves nothing: mostly zeros, or a bound wider than the signal
  inconclusive,  // a precondition of the bound does not hold
};
std::string_view name(Verdict verdict);

// Either `bounds` has one entry an element, or absolute/relative apply to all (bound = absolute + relative *
// |want|).
struct Tolerance {
  std::span<const double> bounds = {};
  double absolute = 0;
  double relative = 0;
  std::string source = {};  // the derivation in words; printed with a failure
};

struct Comparison {
  Verdict verdict = Verdict::passed;
  Index elements = 0;
  Index failures = 0;
  Index zeros = 0;           // elements where truth is zero
  Index first_failure = -1;  // flat index
  double worst_ratio = 0;    // largest error / bound (infinite when a zero bound is missed)
  Index worst_index = -1;
  double max_abs_error = 0;
  double got = 0, want = 0, bound = 0;  // at the first failure, else at the worst element
  // "output[batch 1, head 3, element 40]: got 0.1250, want 0.1187, bound 4.0e-05 (157x); 96 of 4096 differ"
  std::string text;
};

// got and want have the shape `shape`; axes names its axes ("batch", "query", "row", "element"). Throws
// std::invalid_argument on a size mismatch. A finite want needs |got - want| <= bound; an infinite want needs
// the same infinity; a NaN want or got always fails.
Comparison compare(std::string_view what, std::span<const double> got, std::span<const double> want,
                   std::span<const Index> shape, const std::vector<std::string>& axes,
                   const Tolerance& tolerance);

}  // namespace attest
