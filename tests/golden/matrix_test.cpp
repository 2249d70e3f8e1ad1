// Matrix products in a program that holds all sources which use Eigen.
#include "reference/matrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "golden/float32_noise.h"

namespace attest {
namespace {

Matrix waves(Index rows, Index columns, double pace) {
  Matrix x(rows, columns);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = std::sin(pace * static_cast<double>(i + 1));
  return x;
}

// Once, golden's sources were compiled without OpenMP and the reference's with it; the program kept golden's
// copy of Eigen's product, whose threads overwrote each other's packed blocks: golden files of width 128
// failed in one run of two on a busy machine.
TEST(Matrix, ProductsOfBothLibrariesAreRightAndEigenHasNoThreads) {
  EXPECT_EQ(Eigen::nbThreads(), 1) << "this test is compiled as the libraries are: see attest_eigen";
  const Matrix a = waves(70, 384, 0.37), b = waves(512, 384, 0.91);
  Matrix by_hand(a.rows(), b.rows());
  for (Index i = 0; i < a.rows(); ++i) {
    for (Index j = 0; j < b.rows(); ++j) {
      double sum = 0;
      for (Index k = 0; k < a.cols(); ++k) sum += a(i, k) * b(j, k);
      by_hand(i, j) = sum;
    }
  }
  golden::Float32Noise exact;
  int wrong = 0;
  for (int repeat = 0; repeat < 30; ++repeat) {
    const double plain = (product_transposed(a, b) - by_hand).cwiseAbs().maxCoeff(),
                 turned = (product(a, b.transpose()) - by_hand).cwiseAbs().maxCoeff(),
                 noise = (exact.linear(a, b) - by_hand).cwiseAbs().maxCoeff();
    wrong += !(plain <= 1e-11) + !(turned <= 1e-11) + !(noise <= 1e-11);
  }
  EXPECT_EQ(wrong, 0) << "of 90 products";
}

}  // namespace
}  // namespace attest
