// The two references agree on whole layers, for every variant, mask and rotary law; and planted changes show.
#include "reference/naive/naive_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "reference/layer.h"
#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

// Of the largest absolute magnitude of a sequence's outputs: 450 roundings of double arithmetic.
constexpr double kAgreement = 1e-13;

// Everything that a reference is given.
struct Given {
  LayerCase layer;
  Weights weights;
  std::vector<Tokens> tokens;
};

std::vector<naive::LayerOutput> second(const Given& given) {
  std::vector<naive::LayerOutput> outputs;
  for (const Tokens& tokens : given.tokens) {
    std::vector<naive::Place> places(tokens.positions.begin(), tokens.positions.end());
    outputs.push_back(naive::layer(given.layer.config, given.weights,
                                   {tokens.hidden, places, tokens.left_padding}, given.layer.mask));
  }
  return outputs;
}

// |a - b| over kAgreement times the largest absolute magnitude, the worst element; infinite for a NaN.
double disagreement(const Tensor<double>& a, const Tensor<double>& b, const naive::LayerOutput& of) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double magnitude = 0, worst = 0;
  for (const double size : of.absolute.elements()) magnitude = std::max(magnitude, size);
  for (Index i = 0; i < a.count(); ++i) {
    const double error = std::abs(a.data()[i] - b.data()[i]);
    if (error == 0) continue;
    const double ratio = error / (kAgreement * magnitude);
    if (!(ratio <= worst)) worst = std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
  }
  return worst;
}

// Worst disagreement of the first reference, given `first`, in both of its forms, with the second one's
// outputs.
double disagreement(const Given& first, const std::vector<naive::LayerOutput>& second) {
  const AttentionConfig& config = first.layer.config;
  const Index queries = first.layer.query_tokens;
  const Tensor<double> decoded = decode_layer(config, first.weights, first.tokens, queries, first.layer.mask);
  double worst = 0;
  for (std::size_t b = 0; b < first.tokens.size(); ++b) {
    const Tensor<double> whole = materialised_layer(config, first.weights, first.tokens[b], first.layer.mask);
    const Tensor<double>& naive = second.at(b).output;
    worst = std::max({worst, disagreement(whole, naive, second[b]),
                      disagreement(entry(decoded, static_cast<Index>(b)),
                                   some_rows(naive, naive.size(0) - queries, queries), second[b])});
  }
  return worst;
}

struct RopeRow {
  const char* name;
  const char* spec;  // for a rotated width of 8, without the pairing
};
constexpr RopeRow kRopes[] = {
    {"plain", "base=10000"},
    {"linear", "linear/base=10000/factor=4"},
    {"ntk", "ntk/base=500/factor=8"},
    {"dynamic NTK beyond the trained context", "dynamic-ntk/base=500/factor=2/original=3"},
    {"YaRN with two mscales", "yarn/base=10000/factor=40/original=4096/mscale=1/mscale-all-dim=0.707"},
    {"YaRN with a plain attention factor", "yarn/base=10000/factor=4/original=4096/mscale=0"},
    {"LongRoPE, long for some sequences",
     "longrope/base=10000/factor=32/original=5/long=1,2,3.5,9/"
     "short=1,1.1,1.25,2"},
    {"Llama 3.1", "llama3/base=100/factor=8/original=64"},
    {"p-RoPE", "proportional/base=10000/rotated=0.5"},
    {"M-RoPE in sections", "base=10000/sections=2,1,1"},
    {"M-RoPE interleaved", "base=10000/sections=2,1,1/sections-interleaved=yes"},
    {"given attention factor", "linear/base=10000/factor=2/attention-factor=1.25"},
};

constexpr const char* kMasks[] = {"causal",
                                  "full",
                                  "causal/window=3",
                                  "causal/window=2/sinks=1",
                                  "full/window=3/sinks=2",
                                  "causal/softcap=1.5",
                                  "causal/window=4/sinks=2/softcap=4"};

// A random layer of the variant, its rotary law and mask replaced.
Given drawn(const std::string& variant, const RopeRow& rope, const std::string& mask, std::uint64_t seed) {
  Given given{layer_case(variant)(rc::Random(seed), 100).value(), {}, {}};
  AttentionConfig& c = given.layer.config;
  const RopePairing pairing = c.rope.pairing;
  c.rope_dim = 8;
  c.rope = parse_rope_spec("half-split/" + std::string(rope.spec));
  c.rope.pairing = pairing;
  if (c.variant == Variant::gta || c.variant == Variant::mfa_kr) c.value_dim = c.nope_dim + c.rope_dim;
  given.layer.mask = parse_mask_spec(mask);
  given.weights = given.layer.weights();
  given.tokens = given.layer.all_tokens();
  for (std::size_t b = 0; b < given.tokens.size(); ++b) {
    if (c.rope.sections.empty() && seed % 2 == 0) continue;  // text that says nothing of its positions
    for (Index t = 0; t < given.tokens[b].hidden.size(0); ++t) {
      // Text stands at one place on all axes; pictures do not. Both start anywhere.
      const auto start = static_cast<Index>((seed + b) % 5);
      const Index row = c.rope.sections.empty() ? t : t / 3, column = c.rope.sections.empty() ? t : t % 3;
      given.tokens[b].positions.push_back({start + t, start + row, start + column});
    }
  }
  return given;
}

bool can(const std::string& variant, const std::string& mask) {
  const MaskSpec spec = parse_mask_spec(mask);
  return variant != "mtla" || (spec.causal && spec.window == 0);
}

class EveryVariantTwice : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(NaiveLayer, EveryVariantTwice, testing::ValuesIn(variant_names()),
                         [](const auto& variant) {
                           std::string name = variant.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EveryVariantTwice, bothReferencesAgreeForEveryMaskAndRotaryLaw) {
  // |first - second| <= 1e-13 max |terms|; ragged batches, left padding, several query tokens are drawn
  double worst = 0;
  std::uint64_t seed = 0;
  for (const RopeRow& rope : kRopes) {
    for (const std::string mask : kMasks) {
      for (int draw = 0; draw < 4 && can(GetParam(), mask); ++draw) {
        const Given given = drawn(GetParam(), rope, mask, ++seed);
        const double ratio = disagreement(given, second(given));
        EXPECT_LE(ratio, 1.0) << rope.name << ": " << given.layer;
        worst = std::max(worst, ratio);
      }
    }
  }
  RecordProperty("worst_disagreement_over_bound", std::to_string(worst));
  EXPECT_GT(worst, 0.0) << "two programs that never differ in a bit are one program";
}

struct PlantedRow {
  const char* what;
  const char* variant;
  std::size_t rope;  // of kRopes
  const char* mask;
  std::function<void(Given&)> plant;
};

void scale(Given& given, const std::string& weight, double factor) {
  for (double& w : given.weights.at(weight).elements()) w *= factor;
}
// Exchanges two entries of a weight's first axis.
void exchange(Given& given, const std::string& weight, Index a, Index b) {
  Tensor<double>& w = given.weights.at(weight);
  const Index size = w.count() / w.size(0);
  std::swap_ranges(w.data() + a * size, w.data() + (a + 1) * size, w.data() + b * size);
}

const std::vector<PlantedRow>& planted() {
  static const std::vector<PlantedRow> rows = {
      {"MLRA-2 pairs latents as the paper's equation does", "mlra-2", 0, "causal",
       [](Given& g) { exchange(g, "kv_b_proj", 1, 2); }},
      {"MLRA-4 reads another branch's latent", "mlra-4", 0, "causal",
       [](Given& g) { exchange(g, "kv_b_proj", 0, 3); }},
      {"MLRA-4 lacks its branch scale", "mlra-4", 0, "causal",
       [](Given& g) { scale(g, "c_proj.weight", 2); }},
      {"MLRA-2's ablation keeps the branch scale", "mlra-2-no-scale", 0, "causal",
       [](Given& g) { scale(g, "c_proj.weight", std::sqrt(0.5)); }},
      {"GLA-2 gives heads the other latent", "gla-2", 0, "causal",
       [](Given& g) { std::swap(g.weights.at("kv_b_proj_1.weight"), g.weights.at("kv_b_proj_2.weight")); }},
      {"MLA lacks its latent scale", "mla", 0, "causal", [](Given& g) { g.layer.config.unscaled = true; }},
      {"MLA takes its ablation's scale for the released one", "mla-no-scale", 0, "causal",
       [](Given& g) { g.layer.config.unscaled = false; }},
      {"MLA's softmax scale lacks YaRN's square", "mla", 4, "causal",
       [](Given& g) {
         const AttentionConfig& c = g.layer.config;
         g.layer.config.softmax_scale = 1 / std::sqrt(static_cast<double>(c.nope_dim + c.rope_dim));
       }},
      {"the softmax scale is 1 / sqrt(rotated + latent width)", "mla", 0, "causal",
       [](Given& g) {
         const AttentionConfig& c = g.layer.config;
         g.layer.config.softmax_scale = 1 / std::sqrt(static_cast<double>(c.latent_dim + 8 + c.rope_dim));
       }},
      {"TPA lacks 1 / R of its keys", "tpa", 0, "causal",
       [](Given& g) { scale(g, "c_qkv.W_A_k.weight", 1 + g.layer.config.key_rank); }},
      {"TPA lacks 1 / R of its values", "tpa", 0, "causal",
       [](Given& g) { scale(g, "c_qkv.W_A_v.weight", 1 + g.layer.config.value_rank); }},
      {"LRKV has no key norm", "lrkv", 0, "causal",
       [](Given& g) {
         g.layer.config.qk_norm = !g.layer.config.qk_norm;
         for (const WeightShape& shape : weight_shapes(g.layer.config)) {
           if (!g.weights.contains(shape.name)) g.weights[shape.name] = random_weight(shape, 1);
         }
       }},
      {"MFA-KR's value is its key", "mfa-kr", 0, "causal", [](Given& g) { scale(g, "value_gain", 0); }},
      {"TPLA's slices lack the logit scale", "tpla", 0, "causal",
       [](Given& g) { scale(g, "logit_scale", 0.5); }},
      {"MTLA merges another number of tokens", "mtla", 0, "causal",
       [](Given& g) { g.layer.config.stride += 1; }},
      {"MTLA's gate does not know the chunk", "mtla", 0, "causal",
       [](Given& g) { scale(g, "hypernet_down.fc_c.weight", 0.9); }},
      {"the gate is open", "gqa-gated", 0, "causal", [](Given& g) { scale(g, "c_gated.weight", 0); }},
      {"the window is one token wider", "gqa", 0, "causal/window=2",
       [](Given& g) { g.layer.mask.window += 1; }},
      {"a sink is missing", "gqa", 0, "causal/window=2/sinks=2",
       [](Given& g) { g.layer.mask.sink_tokens -= 1; }},
      {"the mask is not causal", "gqa", 0, "causal", [](Given& g) { g.layer.mask.causal = false; }},
      {"scores are not capped", "gqa", 0, "causal/softcap=2", [](Given& g) { g.layer.mask.softcap = 0; }},
      {"one padding token is seen", "gqa", 0, "causal",
       [](Given& g) {
         for (Tokens& tokens : g.tokens) tokens.left_padding -= 1;
       }},
      {"the other pairing rotates", "gqa", 0, "causal",
       [](Given& g) {
         RopePairing& pairing = g.layer.config.rope.pairing;
         pairing = pairing == RopePairing::half_split ? RopePairing::interleaved : RopePairing::half_split;
       }},
      {"M-RoPE sections are read in the other order", "gqa", 9, "causal",
       [](Given& g) { g.layer.config.rope.sections_interleaved = true; }},
      {"p-RoPE turns a pair more", "gqa", 8, "causal",
       [](Given& g) { g.layer.config.rope.rotated_fraction = 0.75; }},
      {"LongRoPE takes the short factors", "gqa", 6, "causal",
       [](Given& g) { g.layer.config.rope.original_tokens = 100; }},
      {"the last token stands one place further", "gqa", 0, "causal",
       [](Given& g) {
         for (Tokens& tokens : g.tokens) {
           for (Index& axis : tokens.positions.back()) axis += 1;
         }
       }},
      {"norms have another epsilon", "mla", 0, "causal",
       [](Given& g) { g.layer.config.norm_epsilon = 2e-6; }},
  };
  return rows;
}

// Long enough for every change to show, with padding to leave out.
Given long_case(const PlantedRow& row) {
  Given given = drawn(row.variant, kRopes[row.rope], row.mask, 7);
  LayerCase& layer = given.layer;
  AttentionConfig& c = layer.config;
  if (c.variant == Variant::mtla) c.stride = 2;
  if (c.variant == Variant::mlra_2 || c.variant == Variant::gla_2) c.query_heads = 4;
  layer.lengths = {9, 8};
  layer.padding = {1, 2};
  layer.query_tokens = c.variant == Variant::mtla ? 1 : 3;
  given.weights = layer.weights();
  given.tokens = layer.all_tokens();
  for (Tokens& tokens : given.tokens) {
    for (Index t = 0; t < tokens.hidden.size(0); ++t) tokens.positions.push_back({t, t / 3, t % 3});
  }
  return given;
}

TEST(NaiveLayer, APlantedChangeInEitherReferenceShows) {
  for (const PlantedRow& row : planted()) {
    const Given right = long_case(row);
    Given wrong = right;
    row.plant(wrong);
    EXPECT_LE(disagreement(right, second(right)), 1.0) << row.what;
    EXPECT_GT(disagreement(wrong, second(right)), 1000.0) << row.what << ", in the first";
    EXPECT_GT(disagreement(right, second(wrong)), 1000.0) << row.what << ", in the second";
  }
}

TEST(NaiveLayer, AbsoluteMagnitudeIsTheSumOfTheAbsoluteTerms) {
  // One token of hidden width 2 and one head of width 2: softmax is 1, so y = W_o W_v x. Multiplied out by
  // hand: v = (3 - 8, 1 + 6), terms (11, 7); y = (-5 - 7, 2 (-5)), terms (11 + 7, 22)
  AttentionConfig c = small_config("mha");
  c.hidden = 2;
  c.query_heads = c.kv_heads = 1;
  c.rope_dim = c.value_dim = 2;
  Weights weights = random_weights(c, 1);
  const auto fill = [](Tensor<double>& x, std::vector<double> values) {
    std::copy(values.begin(), values.end(), x.data());
  };
  fill(weights.at("c_v.weight"), {3, -4, 1, 3});
  fill(weights.at("c_proj.weight"), {1, -1, 2, 0});
  naive::LayerTokens tokens{Tensor<double>{1, 2}, {}, 0};
  fill(tokens.hidden, {1, 2});
  const naive::LayerOutput y = naive::layer(c, weights, tokens, {});
  EXPECT_EQ(y.output(0, 0), -12);
  EXPECT_EQ(y.output(0, 1), -10);
  EXPECT_EQ(y.absolute(0, 0), 18);
  EXPECT_EQ(y.absolute(0, 1), 22);
}

TEST(NaiveLayer, WhatItCannotDoIsRefused) {
  AttentionConfig c = small_config("mlra-4");
  const naive::LayerTokens tokens{random_tensor({3, c.hidden}, 1), {}, 0};
  const Weights weights = random_weights(c, 1);
  AttentionConfig rank = c;
  rank.latent_heads = 2;
  EXPECT_THAT(refusal([&] { naive::layer(rank, weights, tokens, {}); }),
              testing::HasSubstr("a rank's share of the latents"));
  AttentionConfig rounded = c;
  rounded.rope.table = Format::f32;
  EXPECT_THAT(refusal([&] { naive::layer(rounded, weights, tokens, {}); }),
              testing::HasSubstr("a rounded table"));
}

}  // namespace
}  // namespace attest
