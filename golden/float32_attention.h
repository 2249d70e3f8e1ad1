// One layer's attention as released code computes it in float32, for every variant that has released code.
#pragma once

#include "golden/float32_noise.h"
#include "reference/layer.h"

namespace attest::golden {

// Cosines and sines [T, pairs] as the released code makes them: frequency 1 / base^(2i/d), angle t *
// frequency, all in float32. A run uses one table throughout.
struct Float32Rope {
  Matrix cosine, sine;
  std::vector<std::pair<Index, Index>> pairs;
};
Float32Rope float32_rope(const RopeSpec& spec, int dim, Index tokens, Float32Noise& noise);

// Whether attention_in_float32 knows the variant.
bool has_float32_attention(Variant variant);

// x [T, D], the normed input of the layer -> [T, D], the output projection included.
Matrix attention_in_float32(const AttentionConfig& config, const Weights& weights, const Float32Rope& rope,
                            const Matrix& x, Float32Noise& noise);

}  // namespace attest::golden
