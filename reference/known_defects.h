// Defects of released or published code, reproduced on purpose so that laws can be shown to refute them.
// Nothing else uses these.
#pragma once

#include <span>
#include <string_view>

#include "reference/layer.h"

namespace attest {

// A decode form that is wrong: same arguments and result as decode_projected.
struct KnownDefect {
  std::string_view name;
  std::string_view where;  // the code or paper that has it, and what is wrong
  std::string_view law;    // the law that refutes it: "absorption-equivalence" or "translation-equivariance"
  AttentionConfig (*shown_by)();  // a layer on which it shows
  Tensor<double> (*decode)(const AttentionConfig& config, const Weights& weights,
                           std::span<const Projected> sequences, Index query_tokens, const MaskSpec& mask);
};

std::span<const KnownDefect> known_defects();

}  // namespace attest
