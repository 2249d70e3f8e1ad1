// Inputs of a decode call drawn at random from a problem's seed, in the manner of its data family.
#pragma once

#include "reference/decode_call.h"
#include "reference/problem.h"

namespace attest {

// A call of `heads` with the problem's batch, lengths, padding, query tokens and mask, and its attention's
// softmax scale rounded to float, as kernels take it (dyadic: ln 2). Every value is representable in
// heads.storage, and depends only on seed, tensor and coordinates: a shorter cache is a prefix of a longer
// one (but for rising and falling, which span the cache). The families:
//
//   normal           everything standard normal
//   peaked           queries 8 times as large: few keys carry the weight
//   rising, falling  scores climb or fall by 24 along the cache: the running maximum moves always or never
//   constant_values  every token of a head has the same value, which is therefore the result
//                    (latent: equal latents; scores differ through the rotated part alone)
//   one_hot          token s has value 1 at element s mod width, else 0: results are sums of weights
//   dyadic           scores are integers times ln 2, values small integers: weights are powers of two
//   large_offset     all scores of a sequence share an offset of size 64 to 512 and either sign
//
// Throws std::invalid_argument when either argument has problems, or for the factored family.
DecodeInputs random_decode_inputs(const HeadConfig& heads, const Problem& problem);

}  // namespace attest
