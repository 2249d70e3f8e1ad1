// The truth about one decode call: softmax(q k) v over a cache in double precision, with log-sum-exp.
#pragma once

#include <vector>

#include "reference/decode_call.h"

namespace attest {

// Throws std::invalid_argument when inputs.problems() is not empty.
DecodeOutputs attend(const DecodeInputs& inputs);

// Exact merge of partial results of disjoint key sets: empty parts (lse = -infinity) have no weight; all
// empty gives zero and -infinity. parts: outputs [rows.., value_dim] with their lse.
struct PartialResult {
  std::vector<double> output;
  double lse = 0;
};
PartialResult merge(const std::vector<PartialResult>& parts);

}  // namespace attest
