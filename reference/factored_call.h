// The truth about one decode call of the factored family: keys and values of a head are sums of few terms,
// and neither is written out (TPA, LRKV).
#pragma once

#include <string>
#include <vector>

#include "reference/decode_call.h"
#include "reference/mask_spec.h"
#include "reference/tensor.h"

namespace attest {

// Score of head h for the key of token j, over terms u:
//   s = scale * key_scale[j, h] * ( <query_h, shared_key_j> + sum_u key_factors[j, h, u] * <factor_query_{h,
//   u}, key_basis_{j, u}> )
// and the result is the softmax-weighted sum of  [ shared_value_j + sum_u value_factors[j, h, u]
// value_basis_{j, u} ]  (TPA), or of [ shared_value_j | value_factors[j, h, :] ]  where the basis belongs to
// the head and is applied after the sum (LRKV).
//
//   TPA   no shared parts; factor_query_{h,u} = query_h; key_basis = rotated B_K; factors A_K / R_K, A_V /
//   R_V. LRKV  shared key (rotated) and value; factors r = x U_h. With b_{h,u} the u-th column of B_h and
//   rotation angles a_j,
//         <query_h, R_j b> = sum over pairs (q1 b1 + q2 b2) cos a_j + (q2 b1 - q1 b2) sin a_j, so
//         factor_query holds the two brackets and key_basis holds cos a_j and sin a_j, the same for all heads
//         and terms: exact, with a fixed query. key_scale = 1 / RMS of the summed key (QK norm).
struct FactoredCache {
  Tensor<double> shared_keys;    // [S, key_dim] or empty
  Tensor<double> key_factors;    // [S, H, key_rank]
  Tensor<double> key_basis;      // [S, key_rank or 1 (one for all terms), basis_dim]
  Tensor<double> key_scales;     // [S, H] or empty (1)
  Tensor<double> shared_values;  // [S, value_dim] or empty
  Tensor<double> value_factors;  // [S, H, value_rank]
  Tensor<double> value_basis;    // [S, value_rank, value_dim] or empty (factors are part of the result)
  Index left_padding = 0;
};

struct FactoredInputs {
  double scale = 0;
  MaskSpec mask;
  Index query_tokens = 1;
  Tensor<double> queries;         // [B, T, H, key_dim]
  Tensor<double> factor_queries;  // [B, T, H, key_rank, basis_dim]; empty: query_h for every term
  std::vector<FactoredCache> sequences;

  std::vector<std::string> problems() const;
};

// outputs.output is [B, T, H, value_dim] or [B, T, H, value_dim + value_rank]. Throws std::invalid_argument
// when inputs.problems() is not empty.
DecodeOutputs attend(const FactoredInputs& inputs);

}  // namespace attest
