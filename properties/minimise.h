// Walks from a failing problem to a simpler one that still fails, within a limit of evaluations and seconds.
#pragma once

#include <functional>

#include "reference/problem.h"

namespace attest {

struct ShrinkLimits {
  int evaluations = 300;
  double seconds = 10;
};

struct Minimised {
  Problem problem;       // fails, and is no more complex than where the walk began
  int evaluations = 0;   // of `fails`
  bool complete = true;  // false: a limit ended the walk before every step had been tried
};

// `narrow` moves a problem into a law's domain (identity where there is no law); `fails` is asked of narrowed
// problems only, and holds for narrow(failing).
Minimised minimise(const Problem& failing, const std::function<Problem(Problem)>& narrow,
                   const std::function<bool(const Problem&)>& fails, const ShrinkLimits& limits = {});

}  // namespace attest
