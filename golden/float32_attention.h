// One layer's attention as released code computes it in float32, for every variant that has released code.
#pragma once

#include "golden/float32_noise.h"
#include "golden/float32_rope.h"
#include "reference/layer.h"

namespace attest::golden {

// Whether attention_in_float32 knows the variant.
bool has_float32_attention(Variant variant);

// x [T, D], the normed input of the layer -> [T, D], the output projection included.
Matrix attention_in_float32(const AttentionConfig& config, const Weights& weights, const Float32Rope& rope,
                            const Matrix& x, Float32Noise& noise);

}  // namespace attest::golden
