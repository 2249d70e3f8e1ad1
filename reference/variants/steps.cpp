// Steps that several variants share.
#include "reference/variants/steps.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace attest::reference {

const Tensor<double>& Layer::tensor(const std::string& name) const {
  const auto found = weights.find(name);
  if (found == weights.end()) {
    throw std::invalid_argument(config.variant_name() + ": weight '" + name + "' is missing");
  }
  return found->second;
}

Matrix linear(const Layer& layer, const std::string& name, const MatrixRef& x) {
  Matrix y = product_transposed(x, layer.matrix(name + ".weight"));
  if (layer.has(name + ".bias")) y.rowwise() += layer.matrix(name + ".bias").row(0);
  return y;
}

Matrix rms_norm(const MatrixRef& x, const Tensor<double>& gain, double epsilon) {
  Matrix y(x.rows(), x.cols());
  const ConstMatrixMap g = matrix(gain);
  for (Eigen::Index row = 0; row < x.rows(); ++row) {
    const double mean_square = x.row(row).squaredNorm() / static_cast<double>(x.cols());
    y.row(row) = (x.row(row) / std::sqrt(mean_square + epsilon)).cwiseProduct(g.row(0));
  }
  return y;
}

void rms_norm_heads(Tensor<double>& x, const Tensor<double>& gain, double epsilon) {
  MatrixMap heads = matrix(x);
  heads = rms_norm(heads, gain, epsilon).eval();
}

Matrix layer_norm(const MatrixRef& x, const Tensor<double>& gain, const Tensor<double>& bias,
                  double epsilon) {
  Matrix y(x.rows(), x.cols());
  const ConstMatrixMap g = matrix(gain), b = matrix(bias);
  for (Eigen::Index row = 0; row < x.rows(); ++row) {
    const RowVector centred = x.row(row).array() - x.row(row).mean();
    const double variance = centred.squaredNorm() / static_cast<double>(x.cols());
    y.row(row) = (centred / std::sqrt(variance + epsilon)).cwiseProduct(g.row(0)) + b.row(0);
  }
  return y;
}

Tensor<double> split_heads(const Matrix& x, Index heads) {
  return as_tensor(x, {x.rows(), heads, x.cols() / heads});
}

Tensor<double> columns(const Tensor<double>& x, Index first, Index width) {
  std::vector<Index> shape = x.shape();
  shape.back() = width;
  Tensor<double> part(shape);
  matrix(part) = matrix(x).middleCols(first, width);
  return part;
}

Tensor<double> join(const Tensor<double>& a, const Tensor<double>& b) {
  std::vector<Index> shape = a.shape();
  shape.back() += columns_of(b);
  Tensor<double> both(shape);
  matrix(both).leftCols(columns_of(a)) = matrix(a);
  matrix(both).rightCols(columns_of(b)) = matrix(b);
  return both;
}

Tensor<double> last(const Tensor<double>& x, Index count) {
  std::vector<Index> shape = x.shape();
  if (count < 0 || count > shape[0]) {
    throw std::invalid_argument(std::to_string(count) + " query tokens of a sequence of " +
                                std::to_string(shape[0]));
  }
  shape[0] = count;
  Tensor<double> part(shape);
  std::copy(x.elements().end() - part.count(), x.elements().end(), part.elements().begin());
  return part;
}

Tensor<double> repeat_heads(const Tensor<double>& x, Index times) {
  Tensor<double> all{x.size(0), x.size(1) * times, x.size(2)};
  for (Index h = 0; h < all.size(1); ++h) head(all, h) = head(x, h / times);
  return all;
}

RopeTable rope(const Layer& layer, const Projected& projected) {
  return rope_table(layer.config.rope, layer.config.rope_dim, projected.positions);
}

Tensor<double> rotated(const RopeTable& table, Tensor<double> x) {
  rotate(table, x);
  return x;
}

Tensor<double> rotate_first(const Layer& layer, const RopeTable& table, const Tensor<double>& x) {
  const Index dr = layer.config.rope_dim, dn = layer.config.nope_dim;
  return join(columns(x, dr, dn), rotated(table, columns(x, 0, dr)));
}

double bottleneck_scale(const AttentionConfig& config, int rank) {
  return config.unscaled ? 1 : std::sqrt(static_cast<double>(config.hidden) / rank);
}

void require_valid(const AttentionConfig& config) {
  const std::vector<std::string> problems = config.problems();
  if (!problems.empty()) throw std::invalid_argument(problems.front());
}

void require_mask(const AttentionConfig& config, const MaskSpec& mask) {
  const std::vector<std::string> problems = mask.problems();
  if (!problems.empty()) throw std::invalid_argument(problems.front());
  if (config.variant == Variant::mtla && (!mask.causal || mask.window != 0)) {
    throw std::invalid_argument(config.variant_name() + ": mask " + mask.name() +
                                ": expected a causal one without window, as cache entries are merged tokens");
  }
}

void require_whole(const AttentionConfig& config, const Projected& sequence) {
  if (sequence.first_token != 0) {
    throw std::invalid_argument(config.variant_name() + ": tokens from " +
                                std::to_string(sequence.first_token) +
                                " on: expected a whole sequence (append to its cache first)");
  }
}

Range times(Range range, Index unit) { return {range.first * unit, range.count * unit}; }
WeightSlice whole(const std::string& name) { return {name, name, {}}; }
WeightSlice rows_of_heads(const std::string& name, Range heads, Index unit) {
  return {name, name, {{0, {times(heads, unit)}}}};
}
WeightSlice columns_of_heads(const std::string& name, Range heads, Index unit) {
  return {name, name, {{1, {times(heads, unit)}}}};
}

}  // namespace attest::reference
