// Tensor-parallel latent attention: MLA's latent turned by an orthogonal basis and cut into g slices, each
// with its own RMSNorm and softmax, so that g devices share the latent cache. Exact when nothing is sliced;
// an approximation of MLA when it is.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reference/layer.h"

namespace attest {

// Which of the two slicings a TPLA layer does; `both` is what devices compute, the others are the paper's
// ablations.
enum class TplaSlicing { none, norm, softmax, both };
std::string_view name(TplaSlicing slicing);

// Sylvester's Hadamard matrix / sqrt(width); width is a power of two. Orthogonal and symmetric.
Tensor<double> hadamard_basis(Index width);
// Eigenvectors (columns, largest eigenvalue first) of the second moment of normed latents [S, width].
Tensor<double> principal_basis(const Tensor<double>& latents);

// An MLA layer re-written for `groups` slices in the basis `basis` [dc, dc] (columns): its configuration and
// its weights.
//   W_kva' = basis^T W_kva (latent rows);   U' = U diag(gain) sqrt(D / dc) basis;   q_a_layernorm' =
//   q_a_layernorm * sqrt(D / dq)
// norm_scale [g] and logit_scale [g] are a_i / g and m_i of the paper: RMS(c) is taken as sqrt(norm_scale_i)
// RMS(c_i), and a slice's latent score is multiplied by logit_scale_i. By default (`calibration` empty) 1 and
// g, which is exact on average for a Hadamard basis; else the reciprocals of the slices' shares of the energy
// of `calibration`, normed latents [S, dc] in MLA's basis: norm_scale_i = 1 / (g rho_i), logit_scale_i = 1 /
// rho_i. (The paper's equation 25 prints rho itself, which contradicts its equations 18 and 22.)
struct TplaLayer {
  AttentionConfig config;
  Weights weights;
};
TplaLayer tpla_from_mla(const AttentionConfig& mla, const Weights& weights, int groups,
                        const Tensor<double>& basis, const Tensor<double>& calibration = {});

// The latents of an MLA layer that calibrate it: RMSNorm with unit gain, [S, dc].
Tensor<double> unit_normed_latents(const AttentionConfig& mla, const Weights& weights, const Tokens& tokens);

// The layer's output [S, D] under each slicing; TplaSlicing::both equals materialised_layer(config, weights,
// ...).
Tensor<double> tpla_layer(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                          const MaskSpec& mask, TplaSlicing slicing);

// ||sliced - exact|| / ||exact|| over all elements, exact being TplaSlicing::none.
double tpla_error(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                  const MaskSpec& mask, TplaSlicing slicing);

}  // namespace attest
