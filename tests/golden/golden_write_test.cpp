// What is written passes its own check, and tells what was read.
#include "golden/golden_write.h"

#include <gtest/gtest.h>

#include "file_builders.h"
#include "golden/golden_check.h"
#include "golden/inspect.h"

namespace attest::golden {
namespace {

Tensor<Index> tokens(const std::string& text) {
  const TemporaryFolder folder;
  write_file(folder / "tokens.txt", text);
  return read_tokens(folder / "tokens.txt");
}

TEST(GoldenWrite, WritesADirectoryThatPassesForEveryFamily) {
  for (const std::string name : {"gqa", "mlra_2", "gla_4", "tpa", "llama", "deepseek_v3"}) {
    const TemporaryFolder folder;
    write_golden(golden_data(name), tokens("3 1 4 1 5\n9 2 6 5 3\n"), folder / "out");
    const GoldenReport report = check(folder / "out");
    EXPECT_TRUE(report.passed()) << name;
    for (const std::string tensor : {"logits", "decode.logits", "layers.1.attn.output"}) {
      EXPECT_TRUE(std::any_of(report.rows.begin(), report.rows.end(),
                              [&](const GoldenRow& row) { return row.tensor == tensor; }))
          << name << " " << tensor;
    }
    EXPECT_FALSE(std::filesystem::exists(folder / "out/golden.safetensors.tmp"));
  }
}

// The golden file that the released code wrote says the same as the one that the reference writes for its
// tokens.
TEST(GoldenWrite, AgreesWithWhatReleasedCodeWrote) {
  const TemporaryFolder folder;
  std::filesystem::copy(golden_data("mlra_4"), folder / "copy");
  std::filesystem::remove(folder / "copy/golden.safetensors");
  write_golden(folder / "copy", tokens("1 2 3"), folder / "copy");
  EXPECT_TRUE(check(folder / "copy").passed());
  EXPECT_EQ(read_file(folder / "copy/config.json"), read_file(golden_data("mlra_4/config.json")));
}

TEST(GoldenWrite, RefusesTokensOutsideTheVocabulary) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_golden(golden_data("gqa"), tokens("97"), folder / "out"), std::invalid_argument);
  EXPECT_FALSE(std::filesystem::exists(folder / "out/golden.safetensors"));
}

TEST(ReadTokens, ReadsLinesOfNumbers) {
  const Tensor<Index> ids = tokens("1 2,3\n\n 4\t5 6 \r\n");
  EXPECT_EQ(ids.shape(), (std::vector<Index>{2, 3}));
  EXPECT_EQ(ids(1, 2), 6);
}

TEST(ReadTokens, RefusesWhatIsNotTokensNamingTheLine) {
  EXPECT_NE(error_of([] { tokens("1 2\n3 x"); }).find("line 2: expected token identifiers, found 'x'"),
            std::string::npos);
  EXPECT_NE(error_of([] { tokens("1 2\n3"); }).find("line 2: 1 tokens, but 2 in the lines before"),
            std::string::npos);
  EXPECT_NE(error_of([] { tokens("1 -2"); }).find("line 1"), std::string::npos);
  EXPECT_NE(error_of([] { tokens("99999999999999999999"); }).find("line 1"), std::string::npos);
  EXPECT_NE(error_of([] { tokens("\n"); }).find("holds no token identifiers"), std::string::npos);
}

TEST(Inspect, TellsFilesModelTensorsAndGoldenContents) {
  std::string text;
  for (const std::string& line : inspect(golden_data("mlra_2"))) text += line + "\n";
  for (const std::string part :
       {"pytorch_model-00002-of-00003.bin, ", "model: mlra layout, 2 layers, vocabulary 97, variant=mlra-2",
        "transformer.h.0.attn.kv_b_proj", "[4, 16, 64]", "16384 bytes", "golden.safetensors",
        "'prefill_length'", "decode.layers.0.latent_cache.3"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(Inspect, SaysWhyAModelIsNotRecognisedAndStillListsIt) {
  const TemporaryFolder folder;
  std::filesystem::copy_file(golden_data("gqa/model.safetensors"), folder / "model.safetensors");
  write_file(folder / "config.json", "{}");
  const std::vector<std::string> lines = inspect(folder.path());
  EXPECT_NE(lines[1].find("model: not recognised: "), std::string::npos) << lines[1];
  EXPECT_GT(lines.size(), 10u);
}

}  // namespace
}  // namespace attest::golden
