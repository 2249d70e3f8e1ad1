// What the laws about layers share: a problem's weights and tokens, and the kernel's call with the way back
// to outputs.
#pragma once

#include <vector>

#include "properties/decode_setting.h"
#include "reference/layer.h"

namespace attest {

// A layer and the sequences that it reads, drawn from a problem's seed. Hidden states depend on the seed and
// on the token's number counted from the end of the padding, so that padding a sequence keeps its tokens.
struct LayerCase {
  AttentionConfig config;
  Weights weights;
  std::vector<Tokens> sequences;  // [B]; hidden states of padding tokens are NaN
};
LayerCase layer_of(const Problem& problem);

// The sequence without its padding; its first token stands at first_position.
Tokens without_padding(const Tokens& tokens, Index first_position);

std::vector<Projected> project_all(const AttentionConfig& config, const Weights& weights,
                                   const std::vector<Tokens>& sequences);

// The call that a kernel computes for this layer, values rounded to `storage`: the decode form, or (factored
// family) keys and values written out per row. finish_call is the way from its results to the layer's output
// [B, T, D].
DecodeInputs call_of(const AttentionConfig& config, const Weights& weights,
                     const std::vector<Projected>& sequences, const Problem& problem, Format storage);
Tensor<double> finish_call(const AttentionConfig& config, const Weights& weights,
                           const std::vector<Projected>& sequences, const Tensor<double>& results);

// Bound on finish_call's result when every element of the results may be off by `errors` (not negative):
//   |W| E: the way back is linear in the results but for the gate, a factor between 0 and 1.
Tensor<double> propagated(const AttentionConfig& config, const Weights& weights,
                          const std::vector<Projected>& sequences, const Tensor<double>& errors);

// A kernel's layer output and how far it may be from the exact layer's: rounding of the inputs to the storage
// format, then the kernel's arithmetic, propagated to the output.
struct LayerRun {
  std::string head_config;
  Tensor<double> output;     // [B, T, D]
  Tensor<double> bounds;     // [B, T, D]
  std::string inconclusive;  // empty, or why there is no bound
};
LayerRun run_layer(KernelUnderTest& kernel, const AttentionConfig& config, const Weights& weights,
                   const std::vector<Projected>& sequences, const Problem& problem,
                   double rotation_error = 0);

// The materialised layer's outputs of the last query_tokens tokens of each sequence, [B, T, D]; zeros for an
// empty one.
Tensor<double> materialised_output(const AttentionConfig& config, const Weights& weights,
                                   const std::vector<Tokens>& sequences, const Problem& problem);

// The problem as the layer-level laws take it: data are hidden states, so no data family; query tokens are
// not padding, and lengths are such that the double-precision layer computes in milliseconds.
Problem layer_level(Problem problem);

}  // namespace attest
