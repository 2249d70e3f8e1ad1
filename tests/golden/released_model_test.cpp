// What a checkpoint is taken for, and every disagreement between config.json and the tensors.
#include "golden/released_model.h"

#include <gtest/gtest.h>

#include <regex>

#include "file_builders.h"
#include "golden/safetensors_writer.h"

namespace attest::golden {
namespace {

ReleasedModel recognised(const std::string& folder, const RecogniseOptions& options = {}) {
  return recognise(folder + "/config.json", Checkpoint::open(folder), options);
}

// A copy of a golden directory whose config.json a test may edit.
class Recognition : public ::testing::Test {
 protected:
  void copy(const std::string& name) {
    std::filesystem::remove_all(folder_.path());
    std::filesystem::copy(golden_data(name), folder_.path());
  }
  // Replaces "field": value by "field": other, or the whole line by nothing.
  void edit(const std::string& field, const std::string& value) {
    const std::string text = read_file(config());
    const std::regex line("\"" + field + "\": [^,\n]*(,?)");
    ASSERT_TRUE(std::regex_search(text, line)) << field;
    write_file(
        config(),
        std::regex_replace(text, line, value.empty() ? "\"_\": 0$1" : "\"" + field + "\": " + value + "$1"));
  }
  std::string error(const RecogniseOptions& options = {}) {
    return error_of([&] { recognised(folder_.path(), options); });
  }
  std::string config() { return folder_ / "config.json"; }
  TemporaryFolder folder_;
};

TEST_F(Recognition, ReadsEveryReleasedSizeOfMlra) {
  const ReleasedModel model = recognised(golden_data("mlra_4"));
  EXPECT_EQ(model.layout->name, "mlra");
  const ModelConfig& c = model.config;
  EXPECT_EQ(c.attention.variant_name(), "mlra-4");
  EXPECT_EQ(std::vector<Index>({c.layers, c.vocabulary, c.feed_forward, c.attention.hidden,
                                c.attention.query_heads, c.attention.nope_dim, c.attention.rope_dim,
                                c.attention.latent_heads, c.attention.latent_dim, c.attention.query_rank}),
            (std::vector<Index>{2, 97, 64, 48, 4, 16, 8, 4, 16, 24}));
}

TEST_F(Recognition, FindsTheVariantFromTensorsWhereTheyLeaveNoDoubt) {
  for (const std::string name : {"mha", "gqa", "mqa", "gqa_gated", "gta", "mfa", "tpa", "gla_4",
                                 "gla_2_gated", "mla_gated", "mlra_4", "mlra_4_gated", "mlra_2_gated"}) {
    const std::string before = recognised(golden_data(name)).config.attention.variant_name();
    copy(name);
    edit("attention_variant", "");
    EXPECT_EQ(recognised(folder_.path()).config.attention.variant_name(), before);
  }
}

TEST_F(Recognition, AmbiguityListsTheCandidatesAndVariantSettlesIt) {
  const std::vector<std::pair<std::string, std::string>> cases{{"mla", "mla, mla-no-scale"},
                                                               {"gla_2", "gla-2, gla-2-no-scale"},
                                                               {"mlra_2", "mlra-2, mlra-2-no-scale"}};
  for (const auto& [name, candidates] : cases) {
    copy(name);
    edit("attention_variant", "");
    EXPECT_NE(error().find("the tensors fit several variants, " + candidates + "; choose one with --variant"),
              std::string::npos)
        << error();
    const std::string last = candidates.substr(candidates.rfind(' ') + 1);
    EXPECT_EQ(recognised(folder_.path(), {last, false}).config.attention.variant_name(), last);
  }
}

TEST_F(Recognition, AVariantThatIsNotTheTensorsIsRefusedNamingWhatFits) {
  copy("mlra_4");
  edit("attention_variant", "\"gla_2\"");
  EXPECT_NE(error().find("variant 'gla-2' needs tensor 'transformer.h.0.attn.kv_a_layernorm_1.weight', which "
                         "is missing; the tensors "
                         "fit gla-4, mlra-2, mlra-2-no-scale, mlra-4"),
            std::string::npos)
      << error();
  EXPECT_NE(error({"mlra-2", false})
                .find("tensor 'transformer.h.0.attn.kv_b_proj' has shape [4, 16, 128], expected [4, 16, 64]"),
            std::string::npos)
      << error({"mlra-2", false});
  EXPECT_NE(error({"mlra-5", false})
                .find("variant 'mlra-5' is not one that mlra checkpoints hold; expected one of mha, mqa"),
            std::string::npos);
}

TEST_F(Recognition, SizesThatDisagreeWithTheTensorsNameTensorAndShapes) {
  const std::vector<std::array<std::string, 3>> cases{
      {"vocab_size", "98", "tensor 'transformer.wte.weight' has shape [97, 48], expected [98, 48]"},
      {"intermediate_size", "65",
       "tensor 'transformer.h.0.mlp.c_fc1.weight' has shape [64, 48], expected [65, 48]"},
      {"n_embd", "44", "has shape [97, 48], expected [97, 44]"},
      {"n_layer", "3", "tensor 'transformer.h.2.input_layernorm.weight' is missing"},
      {"n_layer", "1", "is none of those of a gqa model of 1 layers"},
      {"n_layer", "2000000000", "states 2000000000 layers, but the checkpoint holds only"},
      {"group_size", "1", "has shape [32, 48], expected [64, 48]"},
  };
  for (const auto& [field, value, expected] : cases) {
    copy("gqa");
    edit(field, value);
    EXPECT_NE(error().find(expected), std::string::npos) << field << ": " << error();
  }
}

TEST_F(Recognition, HeadsThatDoNotDivideAreRefused) {
  copy("gqa");
  edit("group_size", "3");
  EXPECT_NE(error().find("n_head 4 is not a multiple of group_size 3"), std::string::npos) << error();
  copy("mlra_2");
  edit("kv_lora_rank", "66");
  EXPECT_NE(error().find("kv_lora_rank 66 is not a multiple of the number of latents 4"), std::string::npos)
      << error();
}

TEST_F(Recognition, FieldsOfAnotherKindAreRefused) {
  for (const std::string value : {"\"4\"", "4.5", "-4", "0", "[4]", "9999999999"}) {
    copy("gqa");
    edit("n_head", value);
    EXPECT_NE(error().find("must be a whole number from 1 to 2147483647"), std::string::npos) << value;
  }
  copy("gqa");
  edit("n_head", "");
  EXPECT_NE(error().find("\"n_head\" or \"num_attention_heads\" is missing"), std::string::npos) << error();
  write_file(config(), "[]");
  EXPECT_NE(error().find("found an array, expected an object"), std::string::npos);
  write_file(config(), "{\"n_head\": 4, \"n_head\": 8}");
  EXPECT_NE(error().find("key 'n_head' occurs twice"), std::string::npos);
}

TEST_F(Recognition, TiedTensorsMayLackOneNameButMustNotDiffer) {
  copy("gqa");
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  const std::string embedding = "transformer.wte.weight", head = "lm_head.weight";
  const auto rewritten = [&](bool with_embedding, bool with_head, bool equal) {
    std::vector<TensorData> tensors;
    for (const std::string& name : checkpoint.names()) {
      if (name == embedding || name == head) continue;
      const StoredTensor& tensor = checkpoint.tensor(name);
      tensors.push_back({{name, tensor.type, tensor.shape}, {tensor.bytes.begin(), tensor.bytes.end()}});
    }
    const StoredTensor& tied = checkpoint.tensor(checkpoint.contains(embedding) ? embedding : head);
    TensorData data{{embedding, tied.type, tied.shape}, {tied.bytes.begin(), tied.bytes.end()}};
    if (with_embedding) tensors.push_back(data);
    data.header.name = head;
    if (!equal) data.bytes[3] ^= std::byte{1};
    if (with_head) tensors.push_back(data);
    const TemporaryFolder other;
    write_safetensors(other / "model.safetensors", tensors);
    std::filesystem::copy_file(config(), other / "config.json");
    const Checkpoint altered = Checkpoint::open(other.path());
    const ReleasedModel model = recognise(other / "config.json", altered);
    CheckpointWeights weights(altered, model);
    const std::vector<Index> rows{5};
    return weights.rows(embedding, rows)(0, 2);
  };
  const double value = rewritten(true, true, true);
  EXPECT_EQ(rewritten(true, false, true), value);
  EXPECT_EQ(rewritten(false, true, true), value);
  EXPECT_NE(error_of([&] { rewritten(true, true, false); }).find("differs from 'transformer.wte.weight'"),
            std::string::npos);
  EXPECT_NE(error_of([&] { rewritten(false, false, true); }).find("is missing"), std::string::npos);
}

TEST_F(Recognition, KnowsTransformersFamilies) {
  const std::vector<std::array<std::string, 3>> cases{{"llama", "llama", "gqa"},
                                                      {"qwen2", "qwen2", "gqa"},
                                                      {"qwen3", "qwen3", "gqa"},
                                                      {"deepseek_v2", "deepseek", "mla-no-scale"},
                                                      {"deepseek_v3", "deepseek", "mla-no-scale"}};
  for (const auto& [name, layout, variant] : cases) {
    const ReleasedModel model = recognised(golden_data(name));
    EXPECT_EQ(model.layout->name, layout);
    EXPECT_EQ(model.config.attention.variant_name(), variant);
  }
}

TEST_F(Recognition, AnUnknownModelTypeIsRefusedSayingWhatItsTensorsLookLike) {
  copy("llama");
  edit("model_type", "\"mistral\"");
  EXPECT_NE(error().find("\"model_type\" 'mistral' is not read as such, but its tensor names are those of "
                         "llama; --variant gqa reads it "
                         "so"),
            std::string::npos)
      << error();
  EXPECT_EQ(recognised(folder_.path(), {"gqa", false}).layout->name, "llama");
}

TEST_F(Recognition, RefusesExpertsUnlessOnlyAttentionIsAsked) {
  copy("deepseek_v3_plain");
  std::string text = read_file(config());
  text.insert(text.find('{') + 1, "\"n_routed_experts_\": 0,");
  write_file(config(), text);
  if (text.find("\"n_routed_experts\"") != std::string::npos) edit("n_routed_experts", "8");
  if (text.find("\"first_k_dense_replace\"") != std::string::npos) edit("first_k_dense_replace", "1");
  if (text.find("\"n_routed_experts\"") == std::string::npos) {
    text.insert(text.find('{') + 1, "\"n_routed_experts\": 8,");
    write_file(config(), text);
  }
  EXPECT_NE(error().find(
                "layers with 8 experts are not computed; check the attention alone with --layers attention"),
            std::string::npos)
      << error();
  EXPECT_TRUE(recognised(folder_.path(), {"", true}).attention_only);
}

TEST_F(Recognition, RefusesQuantisedWeightsAndUnknownRotations) {
  copy("llama");
  const std::string text = read_file(config());
  std::string quantised = text;
  quantised.insert(quantised.find('{') + 1, "\"quantization_config\": {},");
  write_file(config(), quantised);
  EXPECT_NE(error().find("quantised weights are not read"), std::string::npos);
  write_file(config(), std::regex_replace(text, std::regex("\"rope_type\": \"[a-z0-9]*\""),
                                          "\"rope_type\": \"spiral\""));
  EXPECT_NE(
      error().find("rope type 'spiral': expected one of default, linear, dynamic, yarn, longrope, llama3"),
      std::string::npos);
}

TEST(TransformersRope, ReadsEveryScalingLaw) {
  const auto rope = [](const std::string& json) {
    AllocationBudget budget("config.json");
    return transformers_rope(ConfigFields("config.json", parse_json(json, "config.json", budget)));
  };
  EXPECT_EQ(rope(R"({"rope_theta": 5e5})").base, 5e5);
  EXPECT_EQ(rope(R"({"rope_scaling": null})").scaling, RopeScaling::none);
  const RopeSpec linear = rope(R"({"rope_scaling": {"type": "linear", "factor": 2.0}})");
  EXPECT_EQ(linear.scaling, RopeScaling::linear);
  EXPECT_EQ(linear.factor, 2);
  const RopeSpec dynamic =
      rope(R"({"max_position_embeddings": 2048, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}})");
  EXPECT_EQ(dynamic.scaling, RopeScaling::dynamic_ntk);
  EXPECT_EQ(dynamic.original_tokens, 2048);
  // DeepSeek-V3's config.json
  const RopeSpec yarn = rope(
      R"({"rope_theta": 10000, "max_position_embeddings": 163840, "rope_scaling": {"beta_fast": 32, "beta_slow": 1,
    "factor": 40, "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096, "type": "yarn"}})");
  EXPECT_EQ(yarn.scaling, RopeScaling::yarn);
  EXPECT_EQ(yarn.original_tokens, 4096);
  EXPECT_EQ(yarn.yarn_mscale_all_dim, 1);
  EXPECT_TRUE(yarn.problems(64).empty());
  const RopeSpec llama3 =
      rope(R"({"rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192, "rope_type": "llama3"}, "rope_theta": 500000.0, "max_position_embeddings": 131072})");
  EXPECT_EQ(llama3.scaling, RopeScaling::llama3);
  EXPECT_EQ(llama3.original_tokens, 8192);
  const RopeSpec longrope =
      rope(R"({"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_scaling":
    {"type": "longrope", "short_factor": [1, 2], "long_factor": [3, 4]}})");
  EXPECT_EQ(longrope.factor, 32);
  EXPECT_EQ(longrope.long_factors, (std::vector<double>{3, 4}));
}

}  // namespace
}  // namespace attest::golden
