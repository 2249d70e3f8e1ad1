// MTLA against a reading of its incremental definition, token by token, and its ends.
#include <gtest/gtest.h>

#include <cmath>

#include "reference/attend.h"
#include "tests/reference/layer_case.h"

namespace attest {
namespace {

LayerCase any_mtla() {
  LayerCase layer = *layer_case("mtla", {.masks = false, .padding = false, .many_queries = false});
  layer.config.stride = *rc::gen::inRange(1, 6);
  return layer;
}

TEST(Mtla, parallelFormEqualsIncrementalForm) {
  // for all strides and t: parallel(x)[t] = softmax over the entries that the update rule leaves after t
  // tokens, the update being: t mod stride = 0 opens an entry (w c, k_r); else the last entry gets c += w
  // c_t, k_r = k_r,t
  EXPECT_TRUE(rc::check([] {
    const LayerCase layer = any_mtla();
    const AttentionConfig& c = layer.config;
    RC_LOG() << layer << "\n";
    const Weights weights = layer.weights();
    const Tokens tokens = layer.tokens(0);
    const Projected p = project(c, weights, tokens);
    const Tensor<double> parallel = materialised_layer(c, weights, tokens);
    const Tensor<double>& up = weights.at("wkv_b.weight");
    const Tensor<double>& out = weights.at("wo.weight");
    const Index dn = c.nope_dim, dr = c.rope_dim, dv = c.value_dim, dc = c.latent_dim;
    std::vector<std::vector<double>> entries, keys;
    for (Index t = 0; t < tokens.hidden.size(0); ++t) {
      if (t % c.stride == 0) {
        entries.emplace_back(static_cast<std::size_t>(dc), 0.0);
        keys.emplace_back(static_cast<std::size_t>(dr), 0.0);
      }
      for (Index e = 0; e < dc; ++e)
        entries.back()[static_cast<std::size_t>(e)] += p.cache.at("latents")(t, 0, e);
      for (Index e = 0; e < dr; ++e) keys.back()[static_cast<std::size_t>(e)] = p.cache.at("rope_keys")(t, e);
      std::vector<double> output(static_cast<std::size_t>(c.hidden), 0.0);
      for (Index h = 0; h < c.query_heads; ++h) {
        std::vector<double> weight;
        double total = 0;
        for (std::size_t u = 0; u < entries.size(); ++u) {
          double score = 0;
          for (Index e = 0; e < dn; ++e) {
            double key = 0;
            for (Index i = 0; i < dc; ++i)
              key += up(h * (dn + dv) + e, i) * entries[u][static_cast<std::size_t>(i)];
            score += p.queries(t, h, e) * key;
          }
          for (Index e = 0; e < dr; ++e)
            score += p.queries(t, h, dn + e) * keys[u][static_cast<std::size_t>(e)];
          weight.push_back(std::exp(score / std::sqrt(static_cast<double>(dn + dr))));
          total += weight.back();
        }
        for (Index e = 0; e < dv; ++e) {
          double value = 0;
          for (std::size_t u = 0; u < entries.size(); ++u) {
            double one = 0;
            for (Index i = 0; i < dc; ++i)
              one += up(h * (dn + dv) + dn + e, i) * entries[u][static_cast<std::size_t>(i)];
            value += weight[u] / total * one;
          }
          for (Index o = 0; o < c.hidden; ++o)
            output[static_cast<std::size_t>(o)] += out(o, h * dv + e) * value;
        }
      }
      for (Index o = 0; o < c.hidden; ++o) {
        RC_ASSERT(std::abs(parallel(t, o) - output[static_cast<std::size_t>(o)]) <=
                  kExact * std::max(1.0, std::abs(parallel(t, o))));
      }
    }
  }));
}

TEST(Mtla, cacheHasOneEntryAStride) {
  // entries = ceil((S - padding) / stride)
  EXPECT_TRUE(rc::check([] {
    LayerCase layer = any_mtla();
    layer.padding[0] = *rc::gen::inRange<Index>(0, layer.lengths[0]);
    const Projected p = project(layer.config, layer.weights(), layer.tokens(0));
    const DecodeInputs call = decode_inputs(layer.config, layer.weights(), {&p, 1}, 1, {}, Format::f64);
    const Index real = layer.lengths[0] - layer.padding[0];
    RC_ASSERT(call.sequences[0].keys.size(0) == (real + layer.config.stride - 1) / layer.config.stride);
    RC_ASSERT(call.sequences[0].left_padding == 0);
  }));
}

// The hypernetwork's gate in (0, 1): saturated, an entry is the plain sum of its normed latents.
TEST(Mtla, SaturatedGateMergesBySummation) {
  AttentionConfig config = small_config("mtla");
  config.stride = 3;
  Weights weights = random_weights(config, 4);
  for (const char* name : {"hypernet_down.fc_c", "hypernet_down.fc_p"}) {
    for (double& w : weights.at(std::string(name) + ".weight").elements()) w = 0;
    for (double& b : weights.at(std::string(name) + ".bias").elements())
      b = 100;  // 100 * 100 * dc / 4: sigmoid is 1
  }
  const Tokens tokens{.hidden = random_tensor({3, config.hidden}, 1), .positions = {}};
  const Projected p = project(config, weights, tokens);
  // LayerNorm by hand on the first token.
  const Tensor<double>& down = weights.at("wkv_a.weight");
  std::vector<double> latent;
  double mean = 0, variance = 0;
  for (Index i = 0; i < config.latent_dim; ++i) {
    double sum = 0;
    for (Index d = 0; d < config.hidden; ++d) sum += down(i, d) * tokens.hidden(0, d);
    latent.push_back(sum);
    mean += sum / config.latent_dim;
  }
  for (const double x : latent) variance += (x - mean) * (x - mean) / config.latent_dim;
  for (Index i = 0; i < config.latent_dim; ++i) {
    const double normed =
        (latent[static_cast<std::size_t>(i)] - mean) / std::sqrt(variance + config.norm_epsilon);
    EXPECT_NEAR(p.cache.at("latents")(0, 0, i),
                normed * weights.at("kv_norm.weight")(i) + weights.at("kv_norm.bias")(i), 1e-13);
  }
}

// The gate by hand: sigmoid((PE(u) W_c + b_c) . (c W_p + b_p)), u the chunk; PE(0) = (0, 1, 0, 1, ..).
TEST(Mtla, GateFollowsChunkAndLatent) {
  AttentionConfig config = small_config("mtla");
  config.stride = 2;
  const Weights weights = random_weights(config, 4);
  Weights open = weights;  // gate forced to one: the latents themselves
  for (const char* name : {"hypernet_down.fc_c", "hypernet_down.fc_p"}) {
    for (double& w : open.at(std::string(name) + ".weight").elements()) w = 0;
    for (double& b : open.at(std::string(name) + ".bias").elements()) b = 100;
  }
  const Tokens tokens{.hidden = random_tensor({5, config.hidden}, 1), .positions = {}};
  const Tensor<double> gated = project(config, weights, tokens).cache.at("latents");
  const Tensor<double> plain = project(config, open, tokens).cache.at("latents");
  const Index dc = config.latent_dim, quarter = dc / 4;
  for (Index j = 0; j < 5; ++j) {
    const double chunk = static_cast<double>(j / 2);
    double logit = 0;
    for (Index q = 0; q < quarter; ++q) {
      double by_chunk = weights.at("hypernet_down.fc_c.bias")(q),
             by_token = weights.at("hypernet_down.fc_p.bias")(q);
      for (Index e = 0; e < dc; ++e) {
        const double angle =
            chunk / std::pow(10000.0, static_cast<double>(e / 2 * 2) / static_cast<double>(dc));
        by_chunk +=
            weights.at("hypernet_down.fc_c.weight")(q, e) * (e % 2 == 0 ? std::sin(angle) : std::cos(angle));
        by_token += weights.at("hypernet_down.fc_p.weight")(q, e) * plain(j, 0, e);
      }
      logit += by_chunk * by_token;
    }
    for (Index e = 0; e < dc; ++e)
      EXPECT_NEAR(gated(j, 0, e), plain(j, 0, e) / (1 + std::exp(-logit)), 1e-12);
  }
}

}  // namespace
}  // namespace attest
