// TPLA: exact when unsliced in any orthogonal basis; sliced, an approximation whose error is reported.
#include "reference/variants/tpla.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

// Gram-Schmidt of random columns.
Tensor<double> random_basis(Index width, std::uint64_t seed) {
  Tensor<double> basis = random_tensor({width, width}, seed);
  for (Index column = 0; column < width; ++column) {
    for (int pass = 0; pass < 2; ++pass) {
      for (Index other = 0; other < column; ++other) {
        double dot = 0;
        for (Index i = 0; i < width; ++i) dot += basis(i, column) * basis(i, other);
        for (Index i = 0; i < width; ++i) basis(i, column) -= dot * basis(i, other);
      }
    }
    double square = 0;
    for (Index i = 0; i < width; ++i) square += basis(i, column) * basis(i, column);
    for (Index i = 0; i < width; ++i) basis(i, column) /= std::sqrt(square);
  }
  return basis;
}

LayerCase any_mla() {
  LayerCase layer = *layer_case(*rc::gen::element<std::string>("mla", "mla-no-scale"),
                                {.masks = true, .padding = true, .many_queries = false});
  layer.config.latent_dim = *rc::gen::element(4, 8);
  return layer;
}

TEST(Tpla, unslicedFormIsMlaInAnyOrthogonalBasis) {
  // for all U with U U^T = 1, all g: TPLA(U, g, nothing sliced) = MLA
  EXPECT_TRUE(rc::check([] {
    const LayerCase layer = any_mla();
    const Weights weights = layer.weights();
    const int groups = *rc::gen::element(1, 2, 4);
    const TplaLayer tpla =
        tpla_from_mla(layer.config, weights, groups, random_basis(layer.config.latent_dim, layer.seed));
    const Tensor<double> mla = materialised_layer(layer.config, weights, layer.tokens(0), layer.mask);
    RC_ASSERT(distance(tpla_layer(tpla.config, tpla.weights, layer.tokens(0), layer.mask, TplaSlicing::none),
                       mla) <= kExact);
  }));
}

TEST(Tpla, fullySlicedFormIsTheVariantsLayer) {
  // tpla_layer(both) = materialised_layer(tpla)
  EXPECT_TRUE(rc::check([] {
    const LayerCase layer = any_mla();
    const TplaLayer tpla =
        tpla_from_mla(layer.config, layer.weights(), 2, hadamard_basis(layer.config.latent_dim));
    RC_ASSERT(distance(tpla_layer(tpla.config, tpla.weights, layer.tokens(0), layer.mask, TplaSlicing::both),
                       materialised_layer(tpla.config, tpla.weights, layer.tokens(0), layer.mask)) <= kExact);
  }));
}

TEST(Tpla, SliceIsTheFormulaOfThePaper) {
  // One token: softmax is 1, so y = sum_i c_i UV_i^T W_o with c_i = x W'[S_i] / sqrt(a_i |c_i|^2 / d_c +
  // epsilon).
  AttentionConfig mla = small_config("mla-no-scale");
  mla.latent_dim = 4;
  mla.query_heads = 1;
  const Weights weights = random_weights(mla, 3);
  TplaLayer tpla = tpla_from_mla(mla, weights, 2, hadamard_basis(4));
  const double a[] = {1.7, 2.6};  // the paper's a_i; norm_scale is a_i / g
  for (Index i = 0; i < 2; ++i) tpla.weights.at("norm_scale")(i) = a[i] / 2;
  const Tokens tokens{.hidden = random_tensor({1, mla.hidden}, 1), .positions = {}};
  const Tensor<double>& down = tpla.weights.at("kv_a_proj_with_mqa.weight");
  const Tensor<double>& up = tpla.weights.at("kv_b_proj.weight");
  const Tensor<double>& out = tpla.weights.at("c_proj.weight");
  std::vector<double> c(4);
  for (Index e = 0; e < 4; ++e) {
    for (Index d = 0; d < mla.hidden; ++d) c[static_cast<std::size_t>(e)] += down(e, d) * tokens.hidden(0, d);
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const double square = c[2 * i] * c[2 * i] + c[2 * i + 1] * c[2 * i + 1];
    const double rms = std::sqrt(a[i] * square / 4 + mla.norm_epsilon);
    c[2 * i] /= rms;
    c[2 * i + 1] /= rms;
  }
  const Tensor<double> output = materialised_layer(tpla.config, tpla.weights, tokens);
  for (Index d = 0; d < mla.hidden; ++d) {
    double want = 0;
    for (Index e = 0; e < mla.value_dim; ++e) {
      for (Index l = 0; l < 4; ++l)
        want += out(d, e) * up(mla.nope_dim + e, l) * c[static_cast<std::size_t>(l)];
    }
    EXPECT_NEAR(output(0, d), want, 1e-13);
  }
}

TEST(Tpla, CalibratedScalesAreReciprocalEnergyShares) {
  AttentionConfig mla = small_config("mla");
  mla.latent_dim = 4;
  Tensor<double> calibration{1, 4};
  for (Index e = 0; e < 4; ++e) calibration(0, e) = e < 2 ? 3 : 1;  // energies 18 and 2
  Tensor<double> identity{4, 4};
  for (Index e = 0; e < 4; ++e) identity(e, e) = 1;
  const TplaLayer tpla = tpla_from_mla(mla, random_weights(mla, 1), 2, identity, calibration);
  EXPECT_DOUBLE_EQ(tpla.weights.at("logit_scale")(0), 1 / 0.9);
  EXPECT_DOUBLE_EQ(tpla.weights.at("logit_scale")(1), 1 / 0.1);
  EXPECT_DOUBLE_EQ(tpla.weights.at("norm_scale")(0), 1 / 1.8);
  const TplaLayer plain = tpla_from_mla(mla, random_weights(mla, 1), 2, identity);
  EXPECT_DOUBLE_EQ(plain.weights.at("logit_scale")(0), 2);  // the Hadamard value alpha = 2
  EXPECT_DOUBLE_EQ(plain.weights.at("norm_scale")(1), 1);
}

TEST(Tpla, SlicedErrorIsReportedAndNotZero) {
  AttentionConfig mla = small_config("mla");
  mla.latent_dim = 32;
  const Weights weights = random_weights(mla, 3);
  const Tokens tokens{.hidden = random_tensor({24, mla.hidden}, 1), .positions = {}};
  const Tensor<double> latents = unit_normed_latents(mla, weights, tokens);
  const TplaLayer hadamard = tpla_from_mla(mla, weights, 2, hadamard_basis(32));
  const TplaLayer principal = tpla_from_mla(mla, weights, 2, principal_basis(latents), latents);
  for (const TplaLayer& tpla : {hadamard, principal}) {
    EXPECT_EQ(tpla_error(tpla.config, tpla.weights, tokens, {}, TplaSlicing::none), 0);
    for (const TplaSlicing slicing : {TplaSlicing::norm, TplaSlicing::softmax, TplaSlicing::both}) {
      const double error = tpla_error(tpla.config, tpla.weights, tokens, {}, slicing);
      EXPECT_GT(error, 1e-3) << name(slicing);
      EXPECT_LT(error, 1) << name(slicing);
    }
  }
}

TEST(Tpla, PrincipalBasisIsOrthogonalAndPutsMostEnergyFirst) {
  Tensor<double> latents = random_tensor({50, 6}, 2);
  for (Index t = 0; t < 50; ++t) latents(t, 4) *= 10;
  const Tensor<double> basis = principal_basis(latents);
  EXPECT_GT(std::abs(basis(4, 0)), 0.99);
  double previous = INFINITY;
  for (Index a = 0; a < 6; ++a) {
    double energy = 0;
    for (Index t = 0; t < 50; ++t) {
      double along = 0;
      for (Index e = 0; e < 6; ++e) along += latents(t, e) * basis(e, a);
      energy += along * along;
    }
    EXPECT_LE(energy, previous);
    previous = energy;
    for (Index b = 0; b < 6; ++b) {
      double dot = 0;
      for (Index e = 0; e < 6; ++e) dot += basis(e, a) * basis(e, b);
      EXPECT_NEAR(dot, a == b ? 1 : 0, 1e-13);
    }
  }
}

TEST(Tpla, MisfitsAreRefused) {
  AttentionConfig mla = small_config("mla");
  const Weights weights = random_weights(mla, 1);
  EXPECT_THAT(refusal([] { hadamard_basis(12); }), testing::HasSubstr("width 12: expected a power of two"));
  mla.latent_dim = 8;
  const Weights eight = random_weights(mla, 1);
  EXPECT_THAT(refusal([&] { tpla_from_mla(mla, eight, 3, hadamard_basis(8)); }),
              testing::HasSubstr("3 slices"));
  EXPECT_THAT(refusal([&] { tpla_from_mla(mla, eight, 2, hadamard_basis(4)); }),
              testing::HasSubstr("[8, 8]"));
  const AttentionConfig gqa = small_config("gqa");
  EXPECT_THAT(refusal([&] { tpla_from_mla(gqa, random_weights(gqa, 1), 2, hadamard_basis(8)); }),
              testing::HasSubstr("expected mla"));
  EXPECT_THAT(refusal([&] { tpla_layer(mla, eight, {}, {}, TplaSlicing::both); }),
              testing::HasSubstr("expected tpla"));
}

}  // namespace
}  // namespace attest
