// Smaller problems that a failing one is tried as: structure first, then lengths, then data.
#pragma once

#include <vector>

#include "reference/problem.h"

namespace attest {

// Valid problems, each one step simpler than `problem` in one respect, the boldest step of a kind first:
//   structure  fewer sequences, ranks, splits, query tokens; one page; plain mask; f32; a smaller layout
//   lengths    no padding, no tokens, one, half as many, the next tile boundary below, one fewer
//   data       constant values before one-hot before normal data; a small seed
// Empty when nothing is simpler. Every step lowers complexity(), so any chain of steps ends.
std::vector<Problem> smaller(const Problem& problem);

// What smaller() lowers: a weighted count of everything that is not at its simplest.
double complexity(const Problem& problem);

}  // namespace attest
