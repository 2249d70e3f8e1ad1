// Steps that several variants share: projections, norms, rotation, moving between heads and matrices, cutting
// weights.
#pragma once

#include <string>
#include <vector>

#include "reference/variants/variant_maths.h"

namespace attest::reference {

// y = x W^T + b, with b when the layer has NAME.bias; `name` is without ".weight". x [S, in] -> [S, out].
Matrix linear(const Layer& layer, const std::string& name, const MatrixRef& x);
// x (mean(x^2) + epsilon)^(-1/2) * gain, row by row.
Matrix rms_norm(const MatrixRef& x, const Tensor<double>& gain, double epsilon);
// The same on the last axis of [S, heads, width].
void rms_norm_heads(Tensor<double>& x, const Tensor<double>& gain, double epsilon);
// (x - mean) (variance + epsilon)^(-1/2) * gain + bias, row by row.
Matrix layer_norm(const MatrixRef& x, const Tensor<double>& gain, const Tensor<double>& bias, double epsilon);

// [S, heads * width] -> [S, heads, width]
Tensor<double> split_heads(const Matrix& x, Index heads);
// Columns [first, first + width) of the last axis.
Tensor<double> columns(const Tensor<double>& x, Index first, Index width);
// [a | b] along the last axis; the axes before it are equal.
Tensor<double> join(const Tensor<double>& a, const Tensor<double>& b);
// The last `count` entries of the first axis.
Tensor<double> last(const Tensor<double>& x, Index count);
// [S, heads, width] -> [S, heads * times, width], every head `times` in a row (repeat_interleave).
Tensor<double> repeat_heads(const Tensor<double>& x, Index times);

// Cosines and sines at the sequence's positions.
RopeTable rope(const Layer& layer, const Projected& projected);
Tensor<double> rotated(const RopeTable& table, Tensor<double> x);
// Heads as grouped variants release them, [rotated dr | position-free dn], to [position-free | rotated] after
// rotation.
Tensor<double> rotate_first(const Layer& layer, const RopeTable& table, const Tensor<double>& x);

// sqrt(D / rank), which released MLRA, MLA and GLA multiply a normed bottleneck by; 1 in the no-scale
// ablation.
double bottleneck_scale(const AttentionConfig& config, int rank);

// Throw std::invalid_argument: problems of the configuration, a mask that the variant has no meaning for
// (MTLA merges tokens, so masks in units of tokens have none), tokens that are not a whole sequence.
void require_valid(const AttentionConfig& config);
void require_mask(const AttentionConfig& config, const MaskSpec& mask);
void require_whole(const AttentionConfig& config, const Projected& sequence);

// Weight slices. `unit` elements a head (or latent, ...).
Range times(Range range, Index unit);
WeightSlice whole(const std::string& name);
WeightSlice rows_of_heads(const std::string& name, Range heads, Index unit);     // axis 0
WeightSlice columns_of_heads(const std::string& name, Range heads, Index unit);  // axis 1

}  // namespace attest::reference
