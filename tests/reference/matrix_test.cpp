// Products that are large enough for Eigen to share among threads.
#include "reference/matrix.h"

#include <gtest/gtest.h>

#include <cmath>

namespace attest {
namespace {

constexpr Index kRows = 220, kInner = 310, kColumns = 270;

Matrix numbers(Index rows, Index columns, double phase) {
  Matrix m(rows, columns);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      m(i, j) = std::sin(phase + 0.7 * static_cast<double>(i) + 1.3 * static_cast<double>(j));
  return m;
}

// Largest |got - a b| by plain sums.
double largest_error(const Matrix& got, const Matrix& a, const Matrix& b) {
  double worst = 0;
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < b.cols(); ++j) {
      double sum = 0;
      for (Index k = 0; k < a.cols(); ++k) sum += a(i, k) * b(k, j);
      const double error = std::abs(got(i, j) - sum);
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

constexpr double kRounding = kInner * kInner * 0x1p-53;  // of sums of kInner products of at most 1

TEST(MatrixProduct, OnSeveralThreadsEqualsPlainSums) {
  const Matrix a = numbers(kRows, kInner, 0.1), b = numbers(kInner, kColumns, 0.2);
  EXPECT_LE(largest_error(product(a, b), a, b), kRounding);
  const Matrix transposed = b.transpose();
  EXPECT_LE(largest_error(product_transposed(a, transposed), a, b), kRounding);
}

// As many threads as cores at most, and no part of nothing.
TEST(MatrixProduct, OfFewColumnsOrNoneIsWholeToo) {
  const Matrix a = numbers(3000, 3000, 0.3), b = numbers(3000, 1, 0.4);
  EXPECT_LE(largest_error(product(a, b), a, b), 3000 * 3000 * 0x1p-53);
  EXPECT_EQ(product(a, Matrix(3000, 0)).size(), 0);
}

}  // namespace
}  // namespace attest
