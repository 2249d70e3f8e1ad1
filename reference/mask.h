// Which keys a query sees, for the first reference; the second one (naive/) has its own rule.
#pragma once

#include <cmath>

#include "reference/mask_spec.h"
#include "reference/tensor.h"

namespace attest {

// Query and key are indices into the cached tokens of one sequence, padding included.
inline bool sees(const MaskSpec& mask, Index query, Index key, Index left_padding) {
  if (key < left_padding) return false;
  if (mask.causal && key > query) return false;
  const bool in_window = mask.window == 0 || key > query - mask.window;
  const bool is_sink = key < left_padding + mask.sink_tokens;
  return in_window || is_sink;
}

// A scaled score as softmax takes it: capped to (-softcap, softcap) if the mask has a cap.
inline double capped(const MaskSpec& mask, double score) {
  return mask.softcap > 0 ? mask.softcap * std::tanh(score / mask.softcap) : score;
}

}  // namespace attest
