// The operations of a released model with the rounding errors that float32 arithmetic may make, drawn at
// random.
//
// Each rounding is an independent error of mean zero (Higham and Mary, A New Approach to Probabilistic
// Rounding Error Analysis, SIAM J. Sci. Comput. 41, 2019, model 2.1), drawn from a normal distribution whose
// standard deviation is the largest size that rounding can have: u |result|, u = 2^-24, which is sqrt(3) or
// more above the true one. Errors that a library makes always alike (a rounded constant, a table entry) are
// drawn once and used wherever that number is used. Values are doubles; rows are tokens.
#pragma once

#include <Eigen/Core>
#include <random>
#include <utility>
#include <vector>

#include "reference/matrix.h"

namespace attest::golden {

class Float32Noise {
 public:
  static constexpr double kUnit = 0x1p-24;
  // Libraries' float32 exp, pow, cos, sin and rsqrt: 2 units in the last place; MKL, SLEEF and glibc
  // promise 1.
  static constexpr double kFunction = 4 * kUnit;

  Float32Noise() = default;  // no noise at all: exact arithmetic
  explicit Float32Noise(std::uint64_t seed) : random_(seed), on_(true) {}

  bool on() const { return on_; }
  double normal() { return on_ ? distribution_(random_) : 0.0; }
  // One draw for every element, of the given standard deviations.
  void disturb(Matrix& x, const Eigen::Ref<const Eigen::ArrayXXd>& deviations);
  // Every element rounded: deviation `relative` |x|.
  void round(Matrix& x, double relative = kUnit);

  Matrix add(const Matrix& a, const Matrix& b);
  Matrix multiply(const Matrix& a, const Matrix& b);  // element by element
  Matrix scale(const Matrix& x, double factor);       // by a constant, itself rounded
  // x W^T with weights [out, in]; bias [1, out] or nothing.
  Matrix linear(const Matrix& x, const Eigen::Ref<const Matrix>& weight, const Matrix& bias = {});
  Matrix rms_norm(const Matrix& x, const Eigen::Ref<const Matrix>& gain, double epsilon);
  Matrix sigmoid(const Matrix& x);
  Matrix silu(const Matrix& x);
  // Rotation of the pairs of columns (first, second) by tables [rows, pairs].
  Matrix rotate(const Matrix& x, const Matrix& cosine, const Matrix& sine,
                const std::vector<std::pair<Index, Index>>& pairs);
  // softmax(factor q k^T) v with the causal mask; q [T, d], k [T, d], v [T, w].
  Matrix causal_attention(const Matrix& q, const Matrix& k, const Matrix& v, double factor);

 private:
  std::mt19937_64 random_;
  std::normal_distribution<double> distribution_;
  bool on_ = false;
};

}  // namespace attest::golden
