// Greedy descent: the first simpler step that still fails is taken, until none fails.
#include "properties/minimise.h"

#include <chrono>

#include "properties/shrink.h"

namespace attest {

Minimised minimise(const Problem& failing, const std::function<Problem(Problem)>& narrow,
                   const std::function<bool(const Problem&)>& fails, const ShrinkLimits& limits) {
  const auto start = std::chrono::steady_clock::now();
  Minimised best{narrow(failing)};
  for (bool moved = true; moved;) {
    moved = false;
    const double most = complexity(best.problem);
    for (const Problem& step : smaller(best.problem)) {
      const Problem next = narrow(step);
      // Narrowing may undo the step.
      if (complexity(next) >= most || !next.problems().empty()) continue;
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      if (best.evaluations >= limits.evaluations || spent.count() > limits.seconds) {
        best.complete = false;
        return best;
      }
      ++best.evaluations;
      if (!fails(next)) continue;
      best.problem = next;
      moved = true;
      break;
    }
  }
  return best;
}

}  // namespace attest
