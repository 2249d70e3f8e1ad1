// Random attention layers with weights and hidden states, valid by construction, for the laws on the
// reference.
#pragma once

#include <rapidcheck.h>

#include <ostream>
#include <string>
#include <vector>

#include "reference/layer.h"

namespace attest {

struct LayerCase {
  AttentionConfig config;
  std::uint64_t seed = 0;
  std::vector<Index> lengths;  // tokens of each sequence
  std::vector<Index> padding;  // of these, at the front
  Index query_tokens = 1;
  MaskSpec mask;

  Weights weights() const { return random_weights(config, seed); }
  // Hidden states are standard normal and depend on seed, sequence, token and element only.
  Tokens tokens(std::size_t sequence) const;
  std::vector<Tokens> all_tokens() const;
};
std::ostream& operator<<(std::ostream& out, const LayerCase& layer);

struct LayerCaseOptions {
  bool masks = true;         // windows, sinks, caps, full attention; else causal
  bool padding = true;       // left padding
  bool many_queries = true;  // several query tokens
};
// Every width is drawn; MTLA gets the masks and query tokens that it has.
rc::Gen<LayerCase> layer_case(const std::string& variant_name, LayerCaseOptions options = {});

// Standard normal [shape].
Tensor<double> random_tensor(const std::vector<Index>& shape, std::uint64_t seed);
// Largest |a - b| over the magnitude max(1, largest |b|); infinite when shapes differ or an element is NaN.
// Random weights keep every intermediate value of order one, so one is the magnitude that errors are relative
// to where an output cancels to less.
double distance(const Tensor<double>& a, const Tensor<double>& b);
// Rows [first, first + count) of [rows, width].
Tensor<double> some_rows(const Tensor<double>& x, Index first, Index count);
// Element b of the first axis.
Tensor<double> entry(const Tensor<double>& x, Index b);

// What double arithmetic leaves of an identity: errors relative to the largest element. The layers here have
// at most a few hundred additions an element and condition numbers near 1; 1e-12 is the project's line for
// float64 agreement.
inline constexpr double kExact = 1e-12;

}  // namespace attest
