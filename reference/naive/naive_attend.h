// The second reference: attention written straight from its definition, to catch the first one's mistakes.
#pragma once

#include "reference/decode_call.h"
#include "reference/factored_call.h"

namespace attest::naive {

// Loops over sequence, query token, row and key in long double. It shares no helper with the first reference:
// the mask is a rule about distances, heads are counted and not computed, softmax is exp(s) / sum exp(s) with
// no maximum, and factored keys and values are written out. For small sizes: scores of 11000 or more throw
// std::invalid_argument, since their exponential leaves long double. Shapes must be right; a wrong one throws
// from the tensor.
DecodeOutputs attend(const DecodeInputs& inputs);
DecodeOutputs attend(const FactoredInputs& inputs);

}  // namespace attest::naive
