// The arithmetic of the naive layer: long doubles that know how large the terms they were summed from are.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "reference/naive/definitions.h"

namespace attest::naive {

// A value and its absolute magnitude: the sum of the absolute values of all terms that it is a sum of, when
// sums and products are multiplied out. What is not linear in the hidden state (softmax weights, 1 / RMS,
// sigmoids, cosines) counts as a coefficient. Double arithmetic cannot be asked for less error than a few
// units of this times 2^-53. x86's long double has 64 bits, so every operation here rounds by 2^-64 of `size`
// at most, and a sum of n terms by n 2^-64: eleven bits more than the reference that is judged.
struct Number {
  Real value = 0;
  Real size = 0;
};
inline Number number(double x) { return {x, std::fabs(x)}; }
inline Number operator+(Number a, Number b) { return {a.value + b.value, a.size + b.size}; }
inline Number operator-(Number a, Number b) { return {a.value - b.value, a.size + b.size}; }
inline Number operator*(Number a, Number b) { return {a.value * b.value, a.size * b.size}; }
inline Number operator*(Real coefficient, Number x) {
  return {coefficient * x.value, std::fabs(coefficient) * x.size};
}

using Row = std::vector<Number>;

inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

inline Number dot(const Row& a, const Row& b) {
  if (a.size() != b.size()) throw std::invalid_argument("naive layer: rows of different widths");
  Number sum;
  for (std::size_t i = 0; i < a.size(); ++i) sum = sum + a[i] * b[i];
  return sum;
}
inline Row sum_of(const Row& a, const Row& b) {
  if (a.size() != b.size()) throw std::invalid_argument("naive layer: rows of different widths");
  Row y;
  for (std::size_t i = 0; i < a.size(); ++i) y.push_back(a[i] + b[i]);
  return y;
}
inline Row times(Real coefficient, Row x) {
  for (Number& e : x) e = coefficient * e;
  return x;
}
// Elements [first, first + count).
inline Row part(const Row& x, Index first, Index count) {
  Row y;
  for (Index i = first; i < first + count; ++i) y.push_back(x.at(at(i)));
  return y;
}
inline Row joined(Row a, const Row& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// y_o = sum_i W[o, i] x_i, as nn.Linear stores its weight.
inline Row linear(const Tensor<double>& weight, const Row& x) {
  if (weight.size(1) != static_cast<Index>(x.size())) {
    throw std::invalid_argument("naive layer: weight " + shape_text(weight.shape()) + " of a row of " +
                                std::to_string(x.size()));
  }
  Row y;
  for (Index o = 0; o < weight.size(0); ++o) {
    Number sum;
    for (Index i = 0; i < weight.size(1); ++i) sum = sum + number(weight(o, i)) * x[at(i)];
    y.push_back(sum);
  }
  return y;
}
inline Row plus(Row x, const Tensor<double>& bias) {
  for (Index i = 0; i < static_cast<Index>(x.size()); ++i) x[at(i)] = x[at(i)] + number(bias(i));
  return x;
}

// x_i g_i / sqrt(mean(x^2) + epsilon)
inline Row rms_norm(Row x, const Tensor<double>& gain, double epsilon) {
  Real squares = 0;
  for (const Number& e : x) squares += e.value * e.value;
  const Real rms = std::sqrt(squares / static_cast<Real>(x.size()) + epsilon);
  for (Index i = 0; i < static_cast<Index>(x.size()); ++i) x[at(i)] = (1 / rms) * x[at(i)] * number(gain(i));
  return x;
}

// g_i (x_i - mean) / sqrt(mean((x - mean)^2) + epsilon) + b_i
inline Row layer_norm(Row x, const Tensor<double>& gain, const Tensor<double>& bias, double epsilon) {
  const auto width = static_cast<Real>(x.size());
  Number sum;
  for (const Number& e : x) sum = sum + e;
  Real squares = 0;
  for (Number& e : x) {
    e = e - (1 / width) * sum;
    squares += e.value * e.value;
  }
  const Real deviation = std::sqrt(squares / width + epsilon);
  for (Index i = 0; i < static_cast<Index>(x.size()); ++i) {
    x[at(i)] = (1 / deviation) * x[at(i)] * number(gain(i)) + number(bias(i));
  }
  return x;
}

inline Real sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }

}  // namespace attest::naive
