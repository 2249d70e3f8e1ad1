// A rigorous bound, per element, on what rounding can do to a decode kernel that declares its formats and
// plan.
#pragma once

#include <string>

#include "reference/decode_call.h"

namespace attest {

// Bounds on |kernel - truth| for every element, or the reason why none can be given (a precondition of the
// derivation does not hold).
struct DecodeBounds {
  Tensor<double> output;      // [B, T, rows, value_dim]
  Tensor<double> lse;         // [B, T, rows]
  Tensor<double> single_key;  // [B, T, rows] largest over sampled keys and elements of (change when that key
                              // is dropped) / (2 bound): > 1 where the bound would notice
  std::string inconclusive;   // empty, or the precondition that failed, with its numbers
  std::string
      dominant_term;  // which term dominates at the element with the widest bound relative to its value
};
DecodeBounds error_bounds(const DecodeInputs& inputs, const DecodeOutputs& truth, const ArithmeticPlan& plan);

}  // namespace attest
