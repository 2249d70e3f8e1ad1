// Rotary tables as released code makes them in float32, every scaling law in its code's own order of
// operations.
#pragma once

#include "golden/float32_noise.h"
#include "reference/rope_spec.h"

namespace attest::golden {

// Inverse frequencies [dim / 2], radians a token. Formulas and order are those of transformers'
// modeling_rope_utils.py (5.23.0) and of MLRA's Rotary, in which they agree; static NTK scaling is older
// code, which stretches the base in Python's doubles. `tokens`: length of the sequence. Throws
// std::invalid_argument for a spec that is not one of `dim`.
std::vector<double> float32_frequencies(const RopeSpec& spec, int dim, Index tokens, Float32Noise& noise);

// What cosines and sines are multiplied by: a Python double, so exact until it meets them.
double float32_magnitude(const RopeSpec& spec);

// Cosines and sines [T, pairs] of positions 0 .. T - 1, times the magnitude, and the columns of every pair.
// A run uses one table throughout.
struct Float32Rope {
  Matrix cosine, sine;
  std::vector<std::pair<Index, Index>> pairs;
};
Float32Rope float32_rope(const RopeSpec& spec, int dim, Index tokens, Float32Noise& noise);

}  // namespace attest::golden
