// The truth about one decode call of a kernel family: softmax(q k) v over a cache in double precision, with
// log-sum-exp and a rigorous bound, per element, on what rounding can do to a kernel that declares its
// formats and plan.
#pragma once

#include <string>
#include <vector>

#include "reference/head_config.h"
#include "reference/mask_spec.h"
#include "reference/tensor.h"

namespace attest {

// The cache of one sequence, contiguous and in order (paging is the kernel's business), as exact values of
// the stored elements.
struct SequenceCache {
  Tensor<double> keys;  // grouped: [S, kv_heads, key_dim];  latent: [S, kv_heads, key_dim] the latents, which
                        // are values too
  Tensor<double> values;     // grouped: [S, kv_heads, value_dim]; latent: empty
  Tensor<double> rope_keys;  // latent: [S, rope_dim], one for all heads; grouped: empty
  Index left_padding = 0;    // tokens at the front that no query may see
};

// Inputs of one call. Query token t of T stands at position S - T + t of its sequence (S cached tokens, the
// queries' own included).
struct DecodeInputs {
  HeadConfig heads;
  double scale = 0;  // softmax scale, > 0; there is no default
  MaskSpec mask;
  Index query_tokens = 1;
  Tensor<double>
      queries;  // grouped: [B, T, query_heads, key_dim];  latent: [B, T, rows, key_dim] the absorbed queries
  Tensor<double> rope_queries;           // latent: [B, T, query_heads, rope_dim]; grouped: empty
  std::vector<SequenceCache> sequences;  // [B]

  // Shape mismatches, in sentences; empty when attend() can run.
  std::vector<std::string> problems() const;
};

// What the kernel under test declares about its arithmetic: the input of the bound. Defaults suit a scalar
// f32 kernel. Symbols in brackets are those of reference/error_bounds.md.
struct ArithmeticPlan {
  enum class Dot { scalar_f32, tensor_core };
  Dot dot = Dot::scalar_f32;  // how products are summed: f32 fused multiply-add chains, or aligned blocks of
                              // 16 truncated (tensor core)
  int fraction_bits = 25;     // [F] of a tensor-core step; ignored for scalar_f32
  Index splits = 1;           // [S] partial results that are merged, intra-block ones included
  Index tile_tokens = 1;  // tokens between two looks at the running maximum; 1 when every token may raise it
  Index sum_chain =
      0;  // [L_l] longest chain of additions in the softmax denominator; 0: the number of tokens
  Format probability = Format::f32;         // [u_P] what p is rounded to before it multiplies v
  bool sum_of_rounded_probability = false;  // the denominator sums the rounded p
  Format partial = Format::f32;             // partial results between split and merge
  Format output = Format::f32;              // [u_o]
  bool fused_exponent =
      true;  // exponent argument is fma(score, c, -max) with the rounded max [a = 4]; else [a = 6]
  bool flush_to_zero = false;
  int step_products = 16;  // products that a tensor-core step sums (8 where hardware halves a k of 16)
  // What sharpens or widens the bound beyond that; the defaults are safe for any kernel of the kind above.
  Index dot_chain = 0;            // scalar_f32: roundings that a product of a score passes through; 0: the
                                  // number of products (a query that is scaled first counts as one more)
  Index value_chain = 0;          // scalar_f32: the same for the products of a result; 0: the keys seen
  bool contiguous_splits = true;  // every partial result covers consecutive tokens, in either order
  double tanh_error = 0x1p-11;    // absolute error of the soft-cap's tanh (tanh.approx.f32: 2^-11)
};

struct DecodeOutputs {
  Tensor<double> output;  // [B, T, rows, value_dim]; zeros for a row that sees nothing
  Tensor<double>
      lse;  // [B, T, rows] natural log of the sum of exp(scores); -infinity for a row that sees nothing
  Tensor<double>
      absolute;  // [B, T, rows, value_dim] sum_j p_j |v_j|: the magnitude that reference error is relative to
  Tensor<double> max_score;  // [B, T, rows]
};

}  // namespace attest
