// Eigen views of tensors, for the sources of the reference (public headers stay free of Eigen).
#pragma once

#ifndef ATTEST_EIGEN
#error "sources that see Eigen link attest_eigen (reference/CMakeLists.txt), so that all are compiled alike"
#endif

#include <Eigen/Core>
#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reference/tensor.h"

namespace attest {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using RowVector = Eigen::RowVectorXd;
using MatrixMap = Eigen::Map<Matrix>;
using ConstMatrixMap = Eigen::Map<const Matrix>;
// A matrix inside a larger tensor: consecutive rows lie `outerStride` elements apart.
using StridedMap = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;
using ConstStridedMap = Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>;

// a b and a b^T, in a source of their own so that Eigen's product is compiled once.
using MatrixRef = Eigen::Ref<const Matrix, 0, Eigen::OuterStride<>>;
Matrix product(const MatrixRef& a, const MatrixRef& b);
Matrix product_transposed(const MatrixRef& a, const MatrixRef& b);

// Last axis = columns, all axes before it together = rows. A tensor of one axis is one row.
inline Index columns_of(const Tensor<double>& x) { return x.shape().empty() ? 1 : x.shape().back(); }
inline Index rows_of(const Tensor<double>& x) {
  Index rows = 1;
  for (std::size_t axis = 0; axis + 1 < x.shape().size(); ++axis) rows *= x.size(axis);
  return rows;
}
inline ConstMatrixMap matrix(const Tensor<double>& x) { return {x.data(), rows_of(x), columns_of(x)}; }
inline MatrixMap matrix(Tensor<double>& x) { return {x.data(), rows_of(x), columns_of(x)}; }
inline ConstMatrixMap matrix(Tensor<double>&&) = delete;

// x [tokens, heads, width]: the [tokens, width] matrix of one head.
inline StridedMap head(Tensor<double>& x, Index which) {
  const Index heads = x.size(1), width = x.size(2);
  return {x.data() + which * width, x.size(0), width, Eigen::OuterStride<>(heads * width)};
}
inline ConstStridedMap head(const Tensor<double>& x, Index which) {
  const Index heads = x.size(1), width = x.size(2);
  return {x.data() + which * width, x.size(0), width, Eigen::OuterStride<>(heads * width)};
}
// The same for a block of columns of every head.
inline StridedMap head(Tensor<double>& x, Index which, Index first, Index width) {
  return {x.data() + which * x.size(2) + first, x.size(0), width,
          Eigen::OuterStride<>(x.size(1) * x.size(2))};
}
inline ConstStridedMap head(const Tensor<double>& x, Index which, Index first, Index width) {
  return {x.data() + which * x.size(2) + first, x.size(0), width,
          Eigen::OuterStride<>(x.size(1) * x.size(2))};
}

// A matrix's elements under another shape (same count).
inline Tensor<double> as_tensor(const Matrix& values, std::vector<Index> shape) {
  Tensor<double> x(std::move(shape));
  if (x.count() != values.size()) {
    throw std::invalid_argument("as_tensor: " + std::to_string(values.size()) + " values for " +
                                shape_text(x.shape()));
  }
  std::copy(values.data(), values.data() + values.size(), x.data());
  return x;
}

}  // namespace attest
