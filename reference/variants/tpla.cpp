// Tensor-parallel latent attention.
//
//   slice i of the turned latent c_i = x W_kva'[S_i]      c_i <- c_i / sqrt(norm_scale_i mean(c_i^2) +
//   epsilon) score_i = s (logit_scale_i q_n UK_i . c_i + q_r . k_r)      o_h = sum_i softmax(score_i) c_i
//   UV_{i,h}^T
//
// Every slice serves all heads and the branches are summed without a scale, so it is MLRA-4's shape with
// other norms.
#include "reference/variants/tpla.h"

#include <Eigen/Eigenvalues>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "reference/variants/latent.h"
#include "reference/variants/steps.h"

namespace attest {
namespace reference {
namespace {

Matrix slice_normed(const Layer& layer, Index slice, const MatrixRef& c) {
  const double share = layer.tensor("norm_scale")(slice);
  Matrix y = c;
  for (Eigen::Index row = 0; row < y.rows(); ++row) {
    const double mean_square = c.row(row).squaredNorm() / static_cast<double>(c.cols());
    y.row(row) /= std::sqrt(share * mean_square + layer.config.norm_epsilon);
  }
  return y;
}

// Columns of U' that belong to the slice, key rows times the slice's logit scale.
Matrix slice_up(const Layer& layer, Index slice) {
  const AttentionConfig& c = layer.config;
  Matrix up = layer.matrix("kv_b_proj.weight").middleCols(slice * c.latent_dim, c.latent_dim);
  for (Index h = 0; h < c.query_heads; ++h) {
    up.middleRows(h * (c.nope_dim + c.value_dim), c.nope_dim) *= layer.tensor("logit_scale")(slice);
  }
  return up;
}

std::vector<WeightShape> slice_weights(const AttentionConfig& c) {
  return {{"kv_b_proj.weight", {Index{c.query_heads} * (c.nope_dim + c.value_dim), c.rank_latent_width()}},
          {"norm_scale", {c.latent_heads}},
          {"logit_scale", {c.latent_heads}}};
}

std::vector<WeightSlice> slice_slices(const AttentionConfig& c, const Holding& rank) {
  std::vector<Range> columns, entries;
  for (Index l : rank.latents) {
    columns.push_back({l * c.latent_dim, c.latent_dim});
    entries.push_back({l, 1});
  }
  const Range rows = times(rank.query_heads, c.nope_dim + c.value_dim);
  return {{"kv_b_proj.weight", "kv_b_proj.weight", {{0, {rows}}, {1, columns}}},
          {"norm_scale", "norm_scale", {{0, entries}}},
          {"logit_scale", "logit_scale", {{0, entries}}}};
}

constexpr LatentLayout kLayout = {.scaled = false,
                                  .latent_weights = slice_weights,
                                  .normed = slice_normed,
                                  .up = slice_up,
                                  .latent_slices = slice_slices};

}  // namespace

VariantMaths tensor_parallel_latent() { return latent_maths<kLayout>(Variant::tpla); }

}  // namespace reference

std::string_view name(TplaSlicing slicing) {
  constexpr std::string_view kNames[] = {"none", "norm", "softmax", "both"};
  return kNames[static_cast<std::size_t>(slicing)];
}

Tensor<double> hadamard_basis(Index width) {
  if (width < 1 || !std::has_single_bit(static_cast<std::uint64_t>(width))) {
    throw std::invalid_argument("hadamard_basis: width " + std::to_string(width) +
                                ": expected a power of two");
  }
  Tensor<double> basis{width, width};
  for (Index i = 0; i < width; ++i) {
    for (Index j = 0; j < width; ++j) {
      const bool odd = std::popcount(static_cast<std::uint64_t>(i & j)) % 2 == 1;
      basis(i, j) = (odd ? -1 : 1) / std::sqrt(static_cast<double>(width));
    }
  }
  return basis;
}

Tensor<double> principal_basis(const Tensor<double>& latents) {
  const Matrix x = matrix(latents);
  const Matrix moment = product(x.transpose(), x);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(moment);  // eigenvalues rise
  const Matrix columns = solver.eigenvectors().rowwise().reverse();
  return as_tensor(columns, {columns.rows(), columns.cols()});
}

Tensor<double> unit_normed_latents(const AttentionConfig& mla, const Weights& weights, const Tokens& tokens) {
  const reference::Layer layer{mla, weights};
  const Matrix kv = reference::linear(layer, "kv_a_proj_with_mqa", matrix(tokens.hidden));
  Tensor<double> ones{mla.latent_dim};
  std::fill(ones.elements().begin(), ones.elements().end(), 1.0);
  return as_tensor(reference::rms_norm(kv.leftCols(mla.latent_dim), ones, mla.norm_epsilon),
                   {kv.rows(), mla.latent_dim});
}

TplaLayer tpla_from_mla(const AttentionConfig& mla, const Weights& weights, int groups,
                        const Tensor<double>& basis, const Tensor<double>& calibration) {
  check_weights(mla, weights);
  const Index dc = mla.latent_dim;
  if (mla.variant != Variant::mla || mla.gated) {
    throw std::invalid_argument("tpla_from_mla: " + mla.variant_name() + ": expected mla or mla-no-scale");
  }
  if (groups < 1 || dc % groups != 0) {
    throw std::invalid_argument("tpla_from_mla: " + std::to_string(groups) +
                                " slices do not divide the latent's " + std::to_string(dc) + " elements");
  }
  if (basis.shape() != std::vector<Index>{dc, dc}) {
    throw std::invalid_argument("tpla_from_mla: basis " + shape_text(basis.shape()) + ": expected " +
                                shape_text(std::vector<Index>{dc, dc}));
  }
  TplaLayer tpla{mla, weights};
  tpla.config.variant = Variant::tpla;
  tpla.config.unscaled = false;
  tpla.config.latent_heads = groups;
  tpla.config.latent_dim = static_cast<int>(dc) / groups;
  tpla.config.softmax_scale = mla.scale();
  if (mla.query_rank > 0) {
    matrix(tpla.weights.at("q_a_layernorm.weight")) *= reference::bottleneck_scale(mla, mla.query_rank);
  }
  MatrixMap down = matrix(tpla.weights.at("kv_a_proj_with_mqa.weight"));
  down.topRows(dc) = product(matrix(basis).transpose(), down.topRows(dc));
  MatrixMap up = matrix(tpla.weights.at("kv_b_proj.weight"));
  const Tensor<double>& gain = weights.at("kv_a_layernorm.weight");
  const double scale = reference::bottleneck_scale(mla, mla.latent_dim);
  up = product(up * (scale * matrix(gain).row(0)).asDiagonal(), matrix(basis));
  tpla.weights.erase("kv_a_layernorm.weight");

  Tensor<double> norm_scale{groups}, logit_scale{groups};
  for (Index i = 0; i < groups; ++i) {
    double share = 1.0 / groups;
    if (calibration.count() > 0) {
      const Matrix turned = product(matrix(calibration), matrix(basis));
      share = turned.middleCols(i * tpla.config.latent_dim, tpla.config.latent_dim).squaredNorm() /
              turned.squaredNorm();
    }
    norm_scale(i) = 1 / (groups * share);
    logit_scale(i) = 1 / share;
  }
  tpla.weights["norm_scale"] = std::move(norm_scale);
  tpla.weights["logit_scale"] = std::move(logit_scale);
  return tpla;
}

Tensor<double> tpla_layer(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                          const MaskSpec& mask, TplaSlicing slicing) {
  using namespace reference;
  if (config.variant != Variant::tpla) {
    throw std::invalid_argument("tpla_layer: " + config.variant_name() + ": expected tpla");
  }
  const bool slice_norm = slicing == TplaSlicing::norm || slicing == TplaSlicing::both;
  const bool slice_softmax = slicing == TplaSlicing::softmax || slicing == TplaSlicing::both;
  const Layer layer{config, weights};
  Projected p = project(config, weights, tokens);
  const Index dl = config.latent_dim, L = config.latent_heads;
  if (!slice_norm) {  // RMS of the whole latent
    Tensor<double> ones{config.rank_latent_width()};
    std::fill(ones.elements().begin(), ones.elements().end(), 1.0);
    const Matrix kv = linear(layer, "kv_a_proj_with_mqa", matrix(p.hidden));
    const Matrix normed = rms_norm(kv.leftCols(L * dl), ones, config.norm_epsilon);
    p.cache["latents"] = as_tensor(normed, {p.tokens(), L, dl});
  }
  AttentionConfig shape = config;
  Weights scales = weights;
  if (!slice_softmax) {  // one softmax over the sum of the slices' scores: one latent as wide as all, no
                         // logit scale
    shape.latent_heads = 1;
    shape.latent_dim = static_cast<int>(L * dl);
    Tensor<double> one{1};
    one(0) = 1;
    scales["norm_scale"] = scales["logit_scale"] = one;
    const Tensor<double>& latents = p.cache.at("latents");
    p.cache["latents"] = as_tensor(matrix(latents), {p.tokens(), 1, L * dl});
  }
  const RowResults rows = materialised(shape, scales, p, mask);
  const Index count = Index{shape.query_heads} * shape.branches();
  const Tensor<double> call = as_tensor(matrix(rows.output), {1, p.tokens(), count, config.value_dim});
  const Tensor<double> output = finish_materialised(shape, scales, {&p, 1}, call);
  return as_tensor(matrix(output), {p.tokens(), config.hidden});
}

double tpla_error(const AttentionConfig& config, const Weights& weights, const Tokens& tokens,
                  const MaskSpec& mask, TplaSlicing slicing) {
  const Tensor<double> exact = tpla_layer(config, weights, tokens, mask, TplaSlicing::none);
  const Tensor<double> sliced = tpla_layer(config, weights, tokens, mask, slicing);
  return (matrix(sliced) - matrix(exact)).norm() / matrix(exact).norm();
}

}  // namespace attest
