// Every golden directory against the reference, and every way in which a golden file or its verdict can be
// wrong.
#include "golden/golden_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "file_builders.h"
#include "golden/checkpoint.h"
#include "golden/safetensors.h"
#include "golden/safetensors_writer.h"

namespace attest::golden {
namespace {

std::vector<std::string> golden_directories() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_data(""))) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenDirectory : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenDirectory, AgreesWithTheReference) {
  const GoldenReport report = check(golden_data(GetParam()));
  for (const GoldenRow& row : report.rows) {
    EXPECT_EQ(row.status, Verdict::passed) << row.text;
    // The float32 bound is earned, not generous: released runs come near a twentieth of it.
    if (row.tensor.starts_with("shipped_fp32.")) {
      EXPECT_GT(row.worst_error_over_bound, 0.01) << row.text;
    }
  }
  EXPECT_TRUE(report.passed());
}

INSTANTIATE_TEST_SUITE_P(Data, GoldenDirectory, ::testing::ValuesIn(golden_directories()),
                         [](const auto& directory) { return directory.param; });

// A copy of a golden directory whose golden.safetensors a test may alter.
class GoldenCopy : public ::testing::Test {
 protected:
  void copy(const std::string& name) {
    for (const auto& entry : std::filesystem::directory_iterator(golden_data(name))) {
      std::filesystem::copy_file(entry.path(), folder_ / entry.path().filename().string());
    }
    const SafetensorsFile file = read_safetensors(MappedFile::open(folder_ / "golden.safetensors"));
    metadata_ = file.metadata;
    for (const StoredTensor& tensor : file.tensors) {
      tensors_[tensor.name] = {{tensor.name, tensor.type, tensor.shape},
                               {tensor.bytes.begin(), tensor.bytes.end()}};
    }
  }
  void write() {
    std::vector<TensorData> tensors;
    for (const auto& [name, tensor] : tensors_) tensors.push_back(tensor);
    write_safetensors(folder_ / "golden.safetensors", tensors, metadata_);
  }
  template <typename T>
  T* values(const std::string& name) {
    return reinterpret_cast<T*>(tensors_.at(name).bytes.data());
  }
  std::vector<std::string> failed_tensors() {
    write();
    std::vector<std::string> names;
    for (const GoldenRow& row : check(folder_.path()).rows) {
      if (row.status != Verdict::passed) names.push_back(row.tensor);
    }
    return names;
  }
  std::string error() {
    write();
    return error_of([&] { check(folder_.path()); });
  }

  TemporaryFolder folder_;
  std::map<std::string, TensorData> tensors_;
  std::map<std::string, std::string> metadata_;
};

using Names = std::vector<std::string>;

TEST_F(GoldenCopy, PassesUnaltered) {
  copy("mlra_2");
  EXPECT_EQ(failed_tensors(), Names{});
}

TEST_F(GoldenCopy, OneElementBeyondTheToleranceFailsItsTensorAlone) {
  copy("gqa");
  values<double>("layers.1.attn.output")[5] += 1e-10;
  EXPECT_EQ(failed_tensors(), Names{"layers.1.attn.output"});
}

TEST_F(GoldenCopy, OneElementWithinTheTolerancePasses) {
  copy("gqa");
  values<double>("layers.1.attn.output")[5] += 1e-13;
  EXPECT_EQ(failed_tensors(), Names{});
}

TEST_F(GoldenCopy, ANanFails) {
  copy("gqa");
  values<double>("logits")[0] = std::nan("");
  values<float>("shipped_fp32.logits")[0] = std::nanf("");
  EXPECT_EQ(failed_tensors(), (Names{"logits", "shipped_fp32.logits"}));
}

// bfloat16 keeps 8 bits: a run that rounded anything to it is out of the float32 bound by far.
TEST_F(GoldenCopy, AFloat32ElementRoundedToBfloat16Fails) {
  copy("gqa");
  float& value = values<float>("shipped_fp32.layers.0.attn.output")[7];
  value *= 1 + 0x1p-9f;
  EXPECT_EQ(failed_tensors(), Names{"shipped_fp32.layers.0.attn.output"});
}

TEST_F(GoldenCopy, ThirtyTimesTheFloat32ErrorFails) {
  copy("mha");
  write();
  for (const GoldenRow& row : check(folder_.path()).rows) {
    if (row.tensor != "shipped_fp32.logits") continue;
    values<float>("shipped_fp32.logits")[11] += static_cast<float>(30 * row.max_abs_error);
  }
  EXPECT_EQ(failed_tensors(), Names{"shipped_fp32.logits"});
}

// Scaled rotary tables are held to their bound as well.
TEST_F(GoldenCopy, AWrongFloat32ValueUnderScaledRotaryFrequenciesFails) {
  for (const std::string name :
       {"llama", "llama_linear", "llama_dynamic", "llama_longrope", "llama_yarn", "deepseek_v3"}) {
    copy(name);
    write();
    for (const GoldenRow& row : check(folder_.path()).rows) {
      if (row.tensor != "shipped_fp32.layers.0.attn.output") continue;
      values<float>(row.tensor)[40 * 48 + 3] += static_cast<float>(10 * row.bound);
    }
    EXPECT_EQ(failed_tensors(), Names{"shipped_fp32.layers.0.attn.output"}) << name;
    std::filesystem::remove_all(folder_.path());
    std::filesystem::create_directory(folder_.path());
    tensors_.clear();
  }
}

TEST_F(GoldenCopy, AnotherScalingFactorFailsEveryTensorThatRotationReaches) {
  copy("llama_linear");
  std::string config = read_file(folder_ / "config.json");
  const std::string factor = "\"factor\": 3.0";
  ASSERT_NE(config.find(factor), std::string::npos);
  config.replace(config.find(factor), factor.size(), "\"factor\": 3.1");
  std::filesystem::remove(folder_ / "config.json");
  write_file(folder_ / "config.json", config);
  EXPECT_EQ(failed_tensors(), (Names{"layers.0.attn.output", "layers.1.attn.input", "layers.1.attn.output",
                                     "logits", "shipped_fp32.layers.0.attn.output",
                                     "shipped_fp32.layers.1.attn.output", "shipped_fp32.logits"}));
}

TEST_F(GoldenCopy, CachesOfTheGenerationPathAreCompared) {
  copy("mlra_4");
  values<double>("decode.layers.0.latent_cache.2")[3] += 1e-9;
  values<double>("decode.layers.0.rope_key_cache")[0] += 1e-9;
  EXPECT_EQ(failed_tensors(), (Names{"decode.layers.0.latent_cache.2", "decode.layers.0.rope_key_cache"}));
}

TEST_F(GoldenCopy, AWrongWeightFailsEverythingAfterIt) {
  copy("gqa");
  std::string weights = read_file(folder_ / "model.safetensors");
  {
    const Checkpoint checkpoint = Checkpoint::open(folder_.path());
    const StoredTensor& tensor = checkpoint.tensor("transformer.h.1.attn.c_proj.weight");
    const auto at = static_cast<size_t>(tensor.bytes.data() - tensor.file->bytes().data());
    weights[at + 2] =
        static_cast<char>(weights[at + 2] ^ 0x40);  // an upper bit of the first element's fraction
  }
  std::filesystem::remove(folder_ / "model.safetensors");
  write_file(folder_ / "model.safetensors", weights);
  const Names failed = failed_tensors();
  EXPECT_EQ(failed, (Names{"layers.1.attn.output", "logits", "shipped_fp32.layers.1.attn.output",
                           "shipped_fp32.logits"}));
}

TEST_F(GoldenCopy, AnUnknownTensorIsRefused) {
  copy("gqa");
  const std::vector<double> one{1};
  tensors_["layers.0.mlp.output"] = tensor_data("layers.0.mlp.output", {1}, std::span(one));
  EXPECT_NE(error().find("tensor 'layers.0.mlp.output' is unknown"), std::string::npos);
}

TEST_F(GoldenCopy, AMissingTensorIsRefused) {
  for (const std::string name : {"input_ids", "logits", "layers.0.attn.input", "layers.1.attn.output",
                                 "shipped_fp32.logits", "shipped_fp32.layers.0.attn.output"}) {
    TemporaryFolder other;
    copy("gqa");
    tensors_.erase(name);
    EXPECT_NE(error().find("tensor '" + name + "' is missing"), std::string::npos) << error();
    std::filesystem::remove_all(folder_.path());
    std::filesystem::create_directory(folder_.path());
  }
}

TEST_F(GoldenCopy, AnotherShapeOrTypeIsRefused) {
  copy("gqa");
  tensors_.at("logits").header.shape = {2, 97, 13};
  EXPECT_NE(error().find("tensor 'logits' has shape [2, 97, 13], expected [2, 13, 97]"), std::string::npos);
  tensors_.at("logits").header.shape = {2, 13, 97};
  tensors_.at("shipped_fp32.logits").header.type = ElementType::i32;
  EXPECT_NE(error().find("tensor 'shipped_fp32.logits' is I32, expected F32"), std::string::npos);
}

TEST_F(GoldenCopy, TokensOutsideTheVocabularyAreRefused) {
  copy("gqa");
  values<int64_t>("input_ids")[0] = 97;
  EXPECT_NE(error().find("token 97, expected 0 to 96"), std::string::npos);
}

TEST_F(GoldenCopy, AnImpossiblePrefillIsRefused) {
  copy("mlra_4");
  for (const std::string text : {"0", "14", "x", "", "-1", "3 "}) {
    metadata_["prefill_length"] = text;
    EXPECT_NE(error().find("prefill_length is '" + text + "', expected 1 to 13"), std::string::npos) << text;
  }
}

TEST_F(GoldenCopy, AttentionAloneIsCheckedWithoutTheRest) {
  copy("mlra_2");
  values<double>("layers.1.attn.output")[0] += 1e-9;
  write();
  const GoldenReport report = check(folder_.path(), {.variant = "", .attention_only = true, .on_row = {}});
  ASSERT_EQ(report.rows.size(), 2u);
  EXPECT_EQ(report.rows[0].status, Verdict::passed);
  EXPECT_EQ(report.rows[1].status, Verdict::failed);
}

TEST(GoldenReport, NothingComparedIsNotPassed) { EXPECT_FALSE(GoldenReport{}.passed()); }

TEST(GoldenReport, RowsAreReportedAsTheyAreKnown) {
  std::vector<std::string> seen;
  const GoldenReport report =
      check(golden_data("mha"), {.variant = "", .attention_only = false, .on_row = [&](const GoldenRow& row) {
                                   seen.push_back(row.tensor);
                                 }});
  ASSERT_EQ(seen.size(), report.rows.size());
  EXPECT_EQ(seen.front(), "layers.0.attn.input");
}

}  // namespace
}  // namespace attest::golden
