// Each operation first in exact arithmetic, then its roundings; how many and how large is in the comment
// above it.
#include "golden/float32_noise.h"

#include <cmath>

namespace attest::golden {

void Float32Noise::disturb(Matrix& x, const Eigen::Ref<const Eigen::ArrayXXd>& deviations) {
  if (!on_) return;
  for (Index row = 0; row < x.rows(); ++row) {
    for (Index column = 0; column < x.cols(); ++column)
      x(row, column) += deviations(row, column) * distribution_(random_);
  }
}

void Float32Noise::round(Matrix& x, double relative) {
  if (!on_) return;
  for (Index i = 0; i < x.size(); ++i) x.data()[i] *= 1 + relative * distribution_(random_);
}

Matrix Float32Noise::add(const Matrix& a, const Matrix& b) {
  Matrix y = a + b;
  round(y);
  return y;
}

Matrix Float32Noise::multiply(const Matrix& a, const Matrix& b) {
  Matrix y = a.cwiseProduct(b);
  round(y);
  return y;
}

Matrix Float32Noise::scale(const Matrix& x, double factor) {
  Matrix y = x * (factor * (1 + kUnit * normal()));
  round(y);
  return y;
}

// A sum of n terms a_i rounds each partial sum s_k: variance u^2 sum_k s_k^2. In an order drawn at random E
// s_k^2 <= (k/n)^2 s^2 + k (n - k) / (n (n - 1)) sum a_i^2 (sampling without replacement), so over all k the
// sum is at most n (s^2 + sum a_i^2), and blocked or pairwise sums make less. The products' own roundings add
// u^2 sum a_i^2; with fused multiply-adds there are none.
Matrix Float32Noise::linear(const Matrix& x, const Eigen::Ref<const Matrix>& weight, const Matrix& bias) {
  Matrix y = x * weight.transpose();
  if (on_) {
    const auto n = static_cast<double>(x.cols());
    const Matrix squares = x.cwiseAbs2() * weight.cwiseAbs2().transpose();
    disturb(y, kUnit * (n * y.array().square() + (n + 1) * squares.array()).sqrt());
  }
  if (bias.size() > 0) {
    y.rowwise() += bias.row(0);
    round(y);
  }
  return y;
}

// mean(x^2): squares and partial sums of positive terms, none above the sum, and the division and epsilon: at
// most n + 3 roundings of at most u each. Then the function, the product with x and the one with the gain.
Matrix Float32Noise::rms_norm(const Matrix& x, const Eigen::Ref<const Matrix>& gain, double epsilon) {
  Matrix y(x.rows(), x.cols());
  const auto n = static_cast<double>(x.cols());
  for (Index t = 0; t < x.rows(); ++t) {
    const double mean = (x.row(t).squaredNorm() / n + epsilon) * (1 + kUnit * std::sqrt(n + 3) * normal());
    y.row(t) = x.row(t).cwiseProduct(gain.row(0)) * (1 / std::sqrt(mean) * (1 + kFunction * normal()));
  }
  round(y, std::sqrt(2.0) * kUnit);
  return y;
}

// 1 / (1 + exp(-x)): the function, a sum and a quotient.
Matrix Float32Noise::sigmoid(const Matrix& x) {
  Matrix y = x.unaryExpr([](double z) { return 1 / (1 + std::exp(-z)); });
  round(y, std::sqrt(kFunction * kFunction + 2 * kUnit * kUnit));
  return y;
}

// x sigmoid(x), as a product or as one quotient.
Matrix Float32Noise::silu(const Matrix& x) {
  Matrix y = x.unaryExpr([](double z) { return z / (1 + std::exp(-z)); });
  round(y, std::sqrt(kFunction * kFunction + 3 * kUnit * kUnit));
  return y;
}

// y1 = x1 c - x2 s, y2 = x2 c + x1 s: two products and a sum.
Matrix Float32Noise::rotate(const Matrix& x, const Matrix& cosine, const Matrix& sine,
                            const std::vector<std::pair<Index, Index>>& pairs) {
  Matrix y = x;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto [first, second] = pairs[i];
    const auto c = cosine.col(static_cast<Index>(i)), s = sine.col(static_cast<Index>(i));
    const Matrix x1 = x.col(first), x2 = x.col(second), minus = -x2;
    y.col(first) = add(multiply(x1, c), multiply(minus, s));
    y.col(second) = add(multiply(x2, c), multiply(x1, s));
  }
  return y;
}

// Scores: a sum of d products, and the factor, before or after. Softmax: the subtracted maximum cancels but
// for rounding u |s - m|; the function; a sum of positive terms, the same for all keys of a row; the
// quotient. Output: a sum of as many products as keys.
Matrix Float32Noise::causal_attention(const Matrix& q, const Matrix& k, const Matrix& v, double factor) {
  Matrix y(q.rows(), v.cols());
  const Matrix scores = scale(linear(q, k), factor);
  for (Index t = 0; t < q.rows(); ++t) {
    const Index keys = t + 1;
    Matrix s = scores.row(t).head(keys);
    s.array() -= s.maxCoeff();
    round(s);
    Matrix p = s.array().exp();
    round(p, kFunction);
    p /= p.sum() * (1 + kUnit * std::sqrt(static_cast<double>(keys)) * normal());
    round(p);
    y.row(t) = linear(p, v.topRows(keys).transpose());
  }
  return y;
}

}  // namespace attest::golden
