// The definitions that the second reference is made of: who sees what, the softmax of a list, results in
// place.
#pragma once

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reference/decode_call.h"

namespace attest::naive {

using Real = long double;
using Vector = std::vector<Real>;

// Whether the query that stands `age` tokens after a key (negative: before it) sees it. `number` is the key's
// place among the tokens after the padding, negative inside the padding.
inline bool is_seen(const MaskSpec& mask, Index age, Index number) {
  if (number < 0) return false;
  if (age < 0 && mask.causal) return false;
  if (mask.window == 0 || age < mask.window) return true;
  return number < mask.sink_tokens;
}

inline Real inner(const Vector& a, const Vector& b) {
  if (a.size() != b.size()) throw std::invalid_argument("naive attend: vectors of different widths");
  Real sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// A row's result from its keys' scores (before the cap) and values.
struct Result {
  Vector output, absolute;
  Real lse = -std::numeric_limits<Real>::infinity();
  Real maximum = -std::numeric_limits<Real>::infinity();
};
inline Result softmax_sum(const MaskSpec& mask, const Vector& scores, const std::vector<Vector>& values,
                          Index width) {
  Result result;
  result.output.assign(static_cast<std::size_t>(width), 0);
  result.absolute = result.output;
  Vector weights;
  Real sum = 0;
  for (Real score : scores) {
    if (mask.softcap > 0) {
      const Real cap = mask.softcap;
      score = cap * std::tanh(score / cap);
    }
    if (std::fabs(score) >= 11000) throw std::invalid_argument("naive attend: a score of 11000 or more");
    weights.push_back(std::exp(score));
    sum += weights.back();
    if (score > result.maximum) result.maximum = score;
  }
  if (scores.empty()) return result;
  for (std::size_t i = 0; i < result.output.size(); ++i) {
    for (std::size_t j = 0; j < weights.size(); ++j) {
      result.output[i] += weights[j] * values[j][i];
      result.absolute[i] += weights[j] * std::fabs(values[j][i]);
    }
    result.output[i] /= sum;
    result.absolute[i] /= sum;
  }
  result.lse = std::log(sum);
  return result;
}

inline DecodeOutputs empty_outputs(Index batch, Index queries, Index rows, Index width) {
  return {Tensor<double>{batch, queries, rows, width}, Tensor<double>{batch, queries, rows},
          Tensor<double>{batch, queries, rows, width}, Tensor<double>{batch, queries, rows}};
}
inline void store(const Result& result, DecodeOutputs& outputs, Index b, Index t, Index row) {
  for (std::size_t i = 0; i < result.output.size(); ++i) {
    outputs.output(b, t, row, static_cast<Index>(i)) = static_cast<double>(result.output[i]);
    outputs.absolute(b, t, row, static_cast<Index>(i)) = static_cast<double>(result.absolute[i]);
  }
  outputs.lse(b, t, row) = static_cast<double>(result.lse);
  outputs.max_score(b, t, row) = static_cast<double>(result.maximum);
}

// Elements [coordinates.., 0..width) of a tensor.
template <class... I>
Vector slice(const Tensor<double>& tensor, Index width, I... at) {
  Vector elements;
  for (Index i = 0; i < width; ++i) elements.push_back(tensor(at..., i));
  return elements;
}

}  // namespace attest::naive
