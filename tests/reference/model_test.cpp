// Whole models: the block by hand, both forms, streaming, refusals.
#include "reference/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

ModelConfig tiny(const std::string& variant) {
  ModelConfig config;
  config.attention = small_config(variant);
  config.layers = 2;
  config.vocabulary = 11;
  config.feed_forward = 20;
  return config;
}
Tensor<Index> some_ids(Index batch, Index tokens) {
  Tensor<Index> ids{batch, tokens};
  for (Index i = 0; i < ids.count(); ++i) ids.data()[i] = (7 * i + 3) % 11;
  return ids;
}

class EveryVariantsModel : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Model, EveryVariantsModel, testing::ValuesIn(variant_names()),
                         [](const auto& variant) {
                           std::string name = variant.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(EveryVariantsModel, GenerationWithCachesGivesTheLogitsOfOnePass) {
  const ModelConfig config = tiny(GetParam());
  RandomWeightSource source(config, 5);
  const Tensor<Index> ids = some_ids(2, 7);
  const Tensor<double> logits = run_model(config, source, ids);
  EXPECT_EQ(logits.shape(), (std::vector<Index>{2, 7, 11}));
  for (const Index prefill : {1, 4, 7}) {
    EXPECT_LE(distance(generate_model(config, source, ids, prefill), logits), kExact) << prefill;
  }
}

TEST(Model, BlockIsTheReleasedOneByHand) {
  // One layer, one token: attention is its value. x = e; x += attn(norm x); x += down(silu(gate n) * up n);
  // logits = E norm(x).
  ModelConfig config = tiny("mha");
  config.layers = 1;
  config.norm_epsilon = 1e-3;  // large enough to be seen
  RandomWeightSource source(config, 9);
  Tensor<Index> ids{1, 1};
  ids(0, 0) = 4;
  const Index D = config.attention.hidden, F = config.feed_forward;
  const auto vector = [&](const std::string& name) {
    const Tensor<double> w = source.tensor(name);
    return std::vector<double>(w.elements().begin(), w.elements().end());
  };
  const auto times = [&](const std::string& name, const std::vector<double>& x) {
    const Tensor<double> w = source.tensor(name);
    std::vector<double> y;
    for (Index o = 0; o < w.size(0); ++o) {
      double sum = 0;
      for (Index i = 0; i < w.size(1); ++i) sum += w(o, i) * x[static_cast<std::size_t>(i)];
      y.push_back(sum);
    }
    return y;
  };
  const auto norm = [&](const std::string& name, const std::vector<double>& x) {
    const std::vector<double> gain = vector(name);
    double square = 0;
    for (const double e : x) square += e * e;
    std::vector<double> y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      y.push_back(x[i] / std::sqrt(square / static_cast<double>(D) + 1e-3) * gain[i]);
    }
    return y;
  };
  const Tensor<double> embedding = source.tensor("transformer.wte.weight");
  std::vector<double> x;
  for (Index i = 0; i < D; ++i) x.push_back(embedding(4, i));
  const std::vector<double> n = norm("transformer.h.0.input_layernorm.weight", x);
  const std::vector<double> attention =
      times("transformer.h.0.attn.c_proj.weight", times("transformer.h.0.attn.c_v.weight", n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += attention[i];
  const std::vector<double> m = norm("transformer.h.0.post_attention_layernorm.weight", x);
  std::vector<double> inner = times("transformer.h.0.mlp.c_fc1.weight", m);
  const std::vector<double> up = times("transformer.h.0.mlp.c_fc2.weight", m);
  for (std::size_t i = 0; i < static_cast<std::size_t>(F); ++i)
    inner[i] = inner[i] / (1 + std::exp(-inner[i])) * up[i];
  const std::vector<double> down = times("transformer.h.0.mlp.c_proj.weight", inner);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += down[i];
  const std::vector<double> want = times("transformer.wte.weight", norm("layernorm.weight", x));

  std::map<std::string, Tensor<double>> seen;
  const Tensor<double> logits = run_model(
      config, source, ids, [&](const std::string& name, const Tensor<double>& value) { seen[name] = value; });
  for (Index v = 0; v < 11; ++v) EXPECT_NEAR(logits(0, 0, v), want[static_cast<std::size_t>(v)], 1e-12);
  EXPECT_EQ(seen.size(), 3U);
  for (Index i = 0; i < D; ++i) {
    EXPECT_NEAR(seen.at("layers.0.attn.input")(0, 0, i), n[static_cast<std::size_t>(i)], 1e-13);
    EXPECT_NEAR(seen.at("layers.0.attn.output")(0, 0, i), attention[static_cast<std::size_t>(i)], 1e-12);
  }
  EXPECT_EQ(distance(seen.at("logits"), logits), 0);
}

TEST(Model, UntiedHeadIsRead) {
  ModelConfig config = tiny("gqa");
  config.tied_head = false;
  RandomWeightSource source(config, 5);
  ModelConfig tied = config;
  tied.tied_head = true;
  EXPECT_GT(distance(run_model(config, source, some_ids(1, 3)), run_model(tied, source, some_ids(1, 3))),
            1e-3);
}

TEST(Model, OneLayersAttentionAloneGivesWhatTheModelReports) {
  const ModelConfig config = tiny("mlra-4");
  RandomWeightSource source(config, 5);
  std::map<std::string, Tensor<double>> seen;
  run_model(config, source, some_ids(2, 5),
            [&](const std::string& name, const Tensor<double>& x) { seen[name] = x; });
  for (const Index layer : {0, 1}) {
    const std::string name = "layers." + std::to_string(layer) + ".attn.";
    EXPECT_LE(
        distance(run_attention(config, source, layer, seen.at(name + "input")), seen.at(name + "output")),
        kExact);
  }
}

TEST(Model, GenerationReportsCachesAsReleased) {
  const ModelConfig config = tiny("mlra-2");
  RandomWeightSource source(config, 5);
  std::map<std::string, std::vector<Index>> shapes;
  generate_model(config, source, some_ids(2, 5), 3,
                 [&](const std::string& name, const Tensor<double>& x) { shapes[name] = x.shape(); });
  const Index dl = config.attention.latent_dim, dr = config.attention.rope_dim;
  EXPECT_EQ(shapes.size(), 2U * 5U);
  EXPECT_EQ(shapes["decode.layers.1.rope_key_cache"], (std::vector<Index>{2, 5, 1, dr}));
  for (const char* l : {"0", "1", "2", "3"}) {
    EXPECT_EQ(shapes[std::string("decode.layers.0.latent_cache.") + l], (std::vector<Index>{2, 5, 1, dl}));
  }
}

// Counts the elements that are handed out at a time.
class CountingSource : public WeightSource {
 public:
  explicit CountingSource(WeightSource& source) : source_(source) {}
  Tensor<double> tensor(const std::string& name) override {
    ++reads_[name];
    Tensor<double> x = source_.tensor(name);
    largest_ = std::max(largest_, x.count());
    return x;
  }
  Tensor<double> rows(const std::string& name, std::span<const Index> rows) override {
    largest_ = std::max(largest_, static_cast<Index>(rows.size()));
    return source_.rows(name, rows);
  }
  std::map<std::string, int> reads_;
  Index largest_ = 0;

 private:
  WeightSource& source_;
};

TEST(Model, EveryTensorIsReadOnceAlsoWhenGenerating) {
  const ModelConfig config = tiny("mla");
  RandomWeightSource all(config, 5);
  CountingSource source(all);
  generate_model(config, source, some_ids(1, 6), 2);
  for (const auto& [name, reads] : source.reads_) EXPECT_EQ(reads, 1) << name;
  EXPECT_FALSE(source.reads_.contains("transformer.wte.weight"));  // only rows of it
  EXPECT_EQ(source.reads_.size() + 1, config.weight_shapes().size());
}

TEST(Model, MisfitsAreRefused) {
  const ModelConfig config = tiny("mha");
  RandomWeightSource source(config, 5);
  Tensor<Index> ids = some_ids(1, 3);
  ids(0, 1) = 11;
  EXPECT_THAT(refusal([&] { run_model(config, source, ids); }),
              testing::HasSubstr("token 11: expected 0 to 10"));
  ids(0, 1) = -1;
  EXPECT_THAT(refusal([&] { run_model(config, source, ids); }), testing::HasSubstr("token -1"));
  EXPECT_THAT(refusal([&] { run_model(config, source, Tensor<Index>{3}); }),
              testing::HasSubstr("[batch, tokens]"));
  EXPECT_THAT(refusal([&] { generate_model(config, source, some_ids(1, 3), 4); }),
              testing::HasSubstr("prefill of 4"));
  EXPECT_THAT(refusal([&] { generate_model(config, source, some_ids(1, 3), 0); }),
              testing::HasSubstr("prefill of 0"));
  EXPECT_THAT(refusal([&] {
                run_attention(config, source, 2, Tensor<double>{1, 1, 48});
              }),
              testing::HasSubstr("layer 2 of 2"));
  ModelConfig wider = config;
  wider.feed_forward = 21;
  EXPECT_THAT(refusal([&] { run_model(wider, source, some_ids(1, 3)); }),
              testing::HasSubstr("mlp.c_fc1.weight"));
  wider.layers = 0;
  EXPECT_THAT(refusal([&] { run_model(wider, source, some_ids(1, 3)); }), testing::HasSubstr("layers 0"));
  const std::vector<Index> beyond = {11};
  EXPECT_THAT(refusal([&] { source.rows("transformer.wte.weight", beyond); }),
              testing::HasSubstr("row 11 of 11"));
  EXPECT_THAT(refusal([&] { source.tensor("no.such"); }), testing::HasSubstr("no.such"));
}

}  // namespace
}  // namespace attest
