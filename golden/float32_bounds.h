// How far a released model run in float32 may be from the exact one, for every element: derived from the
// roundings, not guessed.
//
// To first order an element's error is a sum of many independent roundings, each times what it does to the
// element, so it is normal with some variance. Running the model kDraws times with random roundings of the
// largest possible size (float32_noise.h) estimates that variance through all its correlations. With k draws,
// k estimate / variance has a chi-square distribution of k degrees of freedom: the variance is above k
// estimate / kChiSquare with probability 1e-9, and an error is above kDeviations of its standard deviation
// with probability 2 exp(-kDeviations^2 / 2) = 5e-11 (Hoeffding's inequality for roundings bounded by u,
// whatever their distribution). Hence
//   bound = kDeviations sqrt(kDraws / kChiSquare) * root mean square of the draws' errors.
// A forward bound without probabilities (|error| <= sum of the magnitudes of all roundings) was tried:
// through one layer it is a thousand times, through two layers infinitely many times what happens.
#pragma once

#include <functional>
#include <string>

#include "reference/model.h"

namespace attest::golden {

constexpr int kDraws = 32;
constexpr double kChiSquare = 4.2;  // P(chi-square with 32 degrees of freedom < 4.2) < 1e-9
constexpr double kDeviations = 7;

struct Float32Bounds {
  std::map<std::string, Tensor<double>>
      values;  // exact, by reference/model.h's hook names: "layers.0.attn.output", "logits"
  std::map<std::string, Tensor<double>> bounds;  // on |float32 - exact|, the same shapes
  std::string unknown;                           // empty, or why there are none: no released code
};

// The released forward pass, causal. It is written apart from the reference's layers, so that its values
// check theirs.
Float32Bounds float32_bounds(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids);

}  // namespace attest::golden
