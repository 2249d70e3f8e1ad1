// A decode kernel in software, float by float: the arithmetic that an ArithmeticPlan declares, with the
// errors that the approximate instructions may make, so that the bound can be attacked.
#pragma once

#include <cstdint>
#include <vector>

#include "reference/decode_call.h"

namespace attest {

struct SimulatedKernel {
  ArithmeticPlan plan;
  int dot_lanes = 1;      // scalar_f32: lanes that share a dot product and add up by butterfly shuffles
  bool reversed = false;  // tiles from the last to the first
  bool natural_partials = false;  // log-sum-exp of partial results in natural units, else base 2
  bool zeros_align = false;       // tensor core: a zero operand counts with the smallest exponent, -126
  // Error of ex2, lg2 and the reciprocal in units of what the bound allows: constant, or drawn anew from [-1,
  // 1].
  double function_error = 0;
  bool random_errors = false;
  std::uint64_t seed = 1;
  Index dropped_key = -1;  // a fault: this token is not seen
};

struct SimulatedResult {
  std::vector<double> output;  // [B * T * rows * value_dim]
  std::vector<double> lse;     // [B * T * rows]
};

// Keys are found by the first reference, since arithmetic is what is simulated here.
SimulatedResult run(const SimulatedKernel& kernel, const DecodeInputs& inputs);

}  // namespace attest
