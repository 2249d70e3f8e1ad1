// Variants collapse into each other where their parameters meet.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "reference/variants/tpla.h"
#include "tests/reference/layer_case.h"

namespace attest {
namespace {

// Both layers' outputs, materialised and decoded, agree.
void expect_equal(const AttentionConfig& a, const Weights& wa, const AttentionConfig& b, const Weights& wb,
                  const LayerCase& layer) {
  const Tokens tokens = layer.tokens(0);
  RC_ASSERT(distance(materialised_layer(a, wa, tokens, layer.mask),
                     materialised_layer(b, wb, tokens, layer.mask)) <= kExact);
  const std::vector<Tokens> one = {tokens};
  RC_ASSERT(distance(decode_layer(a, wa, one, 1, layer.mask), decode_layer(b, wb, one, 1, layer.mask)) <=
            kExact);
}

TEST(DegenerateForms, groupedQueryWithOneHeadAGroupIsMultiHead) {
  // GQA(kv_heads = H) = MHA
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mha");
    AttentionConfig grouped = layer.config;
    grouped.variant = Variant::gqa;
    expect_equal(grouped, layer.weights(), layer.config, layer.weights(), layer);
  }));
}

TEST(DegenerateForms, groupedQueryWithOneGroupIsMultiQuery) {
  // GQA(kv_heads = 1) = MQA
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mqa");
    AttentionConfig grouped = layer.config;
    grouped.variant = Variant::gqa;
    expect_equal(grouped, layer.weights(), layer.config, layer.weights(), layer);
  }));
}

TEST(DegenerateForms, groupedQueryIsMultiHeadWithRepeatedKeysAndValues) {
  // GQA(W_k, W_v) = MHA(W_k, W_v repeated H / G times)
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("gqa");
    const AttentionConfig& c = layer.config;
    const Weights weights = layer.weights();
    AttentionConfig multi = c;
    multi.variant = Variant::mha;
    multi.kv_heads = c.query_heads;
    Weights repeated = weights;
    for (const auto& [name, values] : weights) {
      if (!name.starts_with("c_k") && !name.starts_with("c_v")) continue;
      const Index block = values.count() / c.kv_heads, times = c.query_heads / c.kv_heads;
      std::vector<Index> shape = values.shape();
      shape[0] *= times;
      Tensor<double> all(shape);
      for (Index h = 0; h < c.query_heads; ++h)
        std::copy_n(values.data() + h / times * block, block, all.data() + h * block);
      repeated[name] = all;
    }
    expect_equal(c, weights, multi, repeated, layer);
  }));
}

TEST(DegenerateForms, groupedLatentWithOneLatentIsMla) {
  // GLA(L = 1) = MLA, in both of the released layouts
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mla");
    const Weights weights = layer.weights();
    AttentionConfig two = layer.config, four = layer.config;
    two.variant = Variant::gla_2;
    four.variant = Variant::gla_4;
    Weights renamed = weights, stacked = weights;
    renamed["kv_a_layernorm_1.weight"] = stacked["kv_a_layernorms.0.weight"] =
        weights.at("kv_a_layernorm.weight");
    const Tensor<double>& up = weights.at("kv_b_proj.weight");
    renamed["kv_b_proj_1.weight"] = up;
    Tensor<double> turned{1, up.size(1), up.size(0)};  // the raw parameter is input-major
    for (Index i = 0; i < up.size(0); ++i) {
      for (Index j = 0; j < up.size(1); ++j) turned(0, j, i) = up(i, j);
    }
    stacked["kv_b_proj"] = turned;
    expect_equal(two, renamed, layer.config, weights, layer);
    expect_equal(four, stacked, layer.config, weights, layer);
  }));
}

TEST(DegenerateForms, lowRankKeyValueWithRankZeroIsMultiQuery) {
  // LRKV(r = 0) = MQA
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("lrkv");
    layer.config.key_rank = layer.config.value_rank = 0;
    const Weights weights = layer.weights();
    AttentionConfig multi_query = layer.config;
    multi_query.variant = Variant::mqa;
    expect_equal(layer.config, weights, multi_query, weights, layer);
  }));
}

TEST(DegenerateForms, lowRankBranchesThatAreZeroLeaveOneBranchScaled) {
  // MLRA-4(U_1 = U_2 = U_3 = 0) = 1/2 GLA(L = 1) with latent 0
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mlra-4");
    Weights weights = layer.weights();
    Tensor<double>& up = weights.at("kv_b_proj");  // [4, dl, H * (dn + dv)]
    const Index block = up.size(1) * up.size(2);
    std::fill(up.data() + block, up.data() + 4 * block, 0.0);
    // One latent: the first rows of the down-projection and the last dr.
    AttentionConfig one = layer.config;
    one.variant = Variant::gla_4;
    one.latent_heads = 1;
    Weights first = weights;
    first["kv_b_proj"] = Tensor<double>{1, up.size(1), up.size(2)};
    std::copy_n(up.data(), block, first["kv_b_proj"].data());
    const Tensor<double>& down = weights.at("kv_a_proj_with_mqa.weight");
    const Index dl = one.latent_dim, dr = one.rope_dim, D = one.hidden;
    Tensor<double> kept{dl + dr, D};
    std::copy_n(down.data(), dl * D, kept.data());
    std::copy_n(down.data() + 4 * dl * D, dr * D, kept.data() + dl * D);
    first["kv_a_proj_with_mqa.weight"] = kept;
    for (double& w : first.at("c_proj.weight").elements()) w /= 2;
    expect_equal(layer.config, weights, one, first, layer);
  }));
}

TEST(DegenerateForms, lowRank2IsLowRank4WithHeadsOfOtherLatentsZeroed) {
  // MLRA-2 = sqrt(2) MLRA-4 whose latents make zero values for the heads that they do not serve
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mlra-2");
    const AttentionConfig& c = layer.config;
    const Weights weights = layer.weights();
    AttentionConfig four = c;
    four.variant = Variant::mlra_4;
    Weights wide = weights;
    const Tensor<double>& up = weights.at("kv_b_proj");  // [4, dl, H / 2 * (dn + dv)]
    Tensor<double> all{4, up.size(1), 2 * up.size(2)};
    for (Index l = 0; l < 4; ++l) {
      for (Index i = 0; i < up.size(1); ++i) {
        for (Index o = 0; o < up.size(2); ++o) all(l, i, l % 2 * up.size(2) + o) = up(l, i, o);
      }
    }
    wide["kv_b_proj"] = all;
    for (double& w : wide.at("c_proj.weight").elements()) w *= std::sqrt(2.0);
    expect_equal(c, weights, four, wide, layer);
  }));
}

TEST(DegenerateForms, tensorParallelLatentWithOneSliceIsMla) {
  // TPLA(g = 1, any orthogonal basis) = MLA
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case(*rc::gen::element<std::string>("mla", "mla-no-scale"));
    layer.config.latent_dim = *rc::gen::element(1, 2, 4, 8);
    const Weights weights = layer.weights();
    const TplaLayer tpla = tpla_from_mla(layer.config, weights, 1, hadamard_basis(layer.config.latent_dim));
    expect_equal(tpla.config, tpla.weights, layer.config, weights, layer);
  }));
}

TEST(DegenerateForms, mergingLatentWithStrideOneIsMlaOnItsGatedNormedLatents) {
  // MTLA(stride = 1) = MLA whose normed latent is w_j LayerNorm(c_j)
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mtla");
    layer.config.stride = 1;
    const Weights weights = layer.weights();
    const Projected merged = project(layer.config, weights, layer.tokens(0));
    // MLA's weights of the same sizes; its projection is replaced by MTLA's queries and latents.
    AttentionConfig mla = layer.config;
    mla.variant = Variant::mla;
    Weights latent;
    latent["kv_b_proj.weight"] = weights.at("wkv_b.weight");
    latent["c_proj.weight"] = weights.at("wo.weight");
    const RowResults rows = materialised(mla, latent, merged, layer.mask);
    RC_ASSERT(distance(materialised(layer.config, weights, merged, layer.mask).output, rows.output) <=
              kExact);
    const Tensor<double> mla_decode = decode_projected(mla, latent, {&merged, 1}, 1, layer.mask);
    RC_ASSERT(distance(decode_projected(layer.config, weights, {&merged, 1}, 1, layer.mask), mla_decode) <=
              kExact);
  }));
}

TEST(DegenerateForms, multiMatrixKeyReuseWithZeroGainUsesKeysAsValues) {
  // MFA-KR(alpha = 0) = MFA(W_v = W_k): the value is the key before its rotation
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = *layer_case("mfa-kr");
    Weights weights = layer.weights();
    for (double& a : weights.at("value_gain").elements()) a = 0;
    AttentionConfig mfa = layer.config;
    mfa.variant = Variant::mfa;
    Weights tied = weights;
    tied["c_v.weight"] = weights.at("c_k.weight");
    expect_equal(layer.config, weights, mfa, tied, layer);
  }));
}

TEST(DegenerateForms, openGateIsNoGate) {
  // gated(W_g = 0) = 1/2 plain
  EXPECT_TRUE(rc::check([] {
    const auto name = *rc::gen::element<std::string>("gqa-gated", "mla-gated", "gla-2-gated", "mlra-2-gated",
                                                     "mlra-4-gated");
    LayerCase layer = *layer_case(name);
    Weights gated = layer.weights();
    for (const char* gate : {"c_gated.weight", "gated_proj.weight"}) {
      if (gated.contains(gate)) {
        for (double& w : gated.at(gate).elements()) w = 0;
      }
    }
    AttentionConfig plain = layer.config;
    plain.gated = false;
    Weights halved = gated;
    for (double& w : halved.at("c_proj.weight").elements()) w /= 2;
    expect_equal(layer.config, gated, plain, halved, layer);
  }));
}

TEST(DegenerateForms, noScaleIsAnotherGain) {
  // no-scale(gain g) = scaled(gain g / scale), for MLA and GLA-2; MLRA-2 also drops 1/sqrt(2)
  EXPECT_TRUE(rc::check([] {
    const auto name = *rc::gen::element<std::string>("mla-no-scale", "gla-2-no-scale", "mlra-2-no-scale");
    LayerCase layer = *layer_case(name);
    if (layer.config.query_rank == 0) layer.config.query_rank = 3;
    const AttentionConfig& c = layer.config;
    const Weights plain = layer.weights();
    AttentionConfig scaled = c;
    scaled.unscaled = false;
    Weights divided = plain;
    for (auto& [weight, values] : divided) {
      const bool query = weight == "q_a_layernorm.weight", latent = weight.starts_with("kv_a_layernorm");
      const double rank = query ? c.query_rank : c.latent_dim;
      for (double& g : values.elements()) g /= query || latent ? std::sqrt(c.hidden / rank) : 1;
    }
    if (c.variant == Variant::mlra_2) {
      for (double& w : divided.at("c_proj.weight").elements()) w *= std::sqrt(2.0);
    }
    expect_equal(c, plain, scaled, divided, layer);
  }));
}

}  // namespace
}  // namespace attest
