// attest golden on good checkpoints, and on damaged ones: one clear line and exit status 2.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/run_attest.h"
#include "tests/golden/file_builders.h"

namespace attest {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string shipped(const std::string& name) {
  return std::string(ATTEST_SOURCE_DIR) + "/golden/data/" + name;
}

// A copy of a shipped golden directory, to be damaged.
std::string copy_of(const std::string& name, const TemporaryFolder& folder) {
  fs::copy(shipped(name), folder.path() / name, fs::copy_options::recursive);
  return folder.file(name);
}

void expect_refusal(const Ran& ran, const std::vector<std::string>& words) {
  EXPECT_EQ(ran.status, 2) << ran.err;
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  for (const std::string& word : words)
    EXPECT_NE(ran.err.find(word), std::string::npos) << word << " in: " << ran.err;
}

TEST(GoldenCommand, ChecksAReleasedCheckpointAndWritesItsRows) {
  const TemporaryFolder folder;
  const std::string path = folder.file("report.json"), junit = folder.file("junit.xml");
  const Ran ran = run_attest({"golden", "check", shipped("mlra_4"), "--json", path, "--junit", junit});
  ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("mlra_4"), std::string::npos);
  const json report = json::parse(read_all(path));
  EXPECT_EQ(report["failed"], 0);
  EXPECT_EQ(report["mistrusted"], 0);
  bool has_logits = false, has_decode = false, has_float32 = false;
  for (const json& row : report["results"]) {
    for (const char* key : {"golden", "tensor", "status", "max_abs_error", "max_rel_error", "bound"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
    const std::string tensor = row["tensor"];
    has_logits = has_logits || tensor == "logits";
    has_decode = has_decode || tensor == "decode.logits";
    has_float32 = has_float32 || tensor.starts_with("shipped_fp32.");
    if (!tensor.starts_with("shipped_fp32.")) {
      EXPECT_LE(row["max_rel_error"].get<double>(), 1e-12) << tensor;
    }
  }
  EXPECT_TRUE(has_logits && has_decode && has_float32);
  EXPECT_NE(read_all(junit).find("<testsuite name=\"golden "), std::string::npos);
}

TEST(GoldenCommand, FailsWhenTheReleasedCodeComputedSomethingElse) {
  const TemporaryFolder folder;
  fs::copy(shipped("mla_no_scale") + "/golden.safetensors", copy_of("mla", folder) + "/golden.safetensors",
           fs::copy_options::overwrite_existing);
  const Ran exchanged = run_attest({"golden", "check", folder.file("mla")});
  EXPECT_EQ(exchanged.status, 1) << exchanged.out << exchanged.err;
  EXPECT_NE(exchanged.out.find("failed"), std::string::npos) << exchanged.out;
}

TEST(GoldenCommand, InspectNamesTensorsAndVariant) {
  const Ran ran = run_attest({"golden", "inspect", shipped("mlra_2")});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.out.find("transformer.h.0.attn.kv_b_proj"), std::string::npos);
  EXPECT_NE(ran.out.find("pytorch_model-00003-of-00003.bin"), std::string::npos);
  EXPECT_NE(ran.out.find("mlra-2"), std::string::npos);
}

TEST(GoldenCommand, WritesADirectoryThatItsOwnCheckPasses) {
  const TemporaryFolder folder;
  const std::string tokens = folder.write("tokens.txt", "1 5 2 7 11 3\n4 4 9 8 0 96\n");
  const std::string directory = folder.file("written");
  const Ran written =
      run_attest({"golden", "write", directory, "--from", shipped("mlra_4"), "--tokens", tokens});
  EXPECT_EQ(written.status, 0) << written.err;
  const Ran checked = run_attest({"golden", "check", directory});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
}

TEST(GoldenCommand, RefusesTokensThatAreNoNumbers) {
  const TemporaryFolder folder;
  expect_refusal(run_attest({"golden", "write", folder.file("written"), "--from", shipped("mlra_4"),
                             "--tokens", folder.write("tokens.txt", "1 two 3\n")}),
                 {"tokens.txt"});
}

TEST(GoldenCommand, RefusesATruncatedSafetensorsFile) {
  const TemporaryFolder folder;
  const std::string directory = copy_of("mlra_4", folder);
  fs::resize_file(directory + "/model.safetensors", fs::file_size(directory + "/model.safetensors") - 100);
  expect_refusal(run_attest({"golden", "check", directory}), {"model.safetensors"});
  expect_refusal(run_attest({"golden", "inspect", directory}), {"model.safetensors"});
}

TEST(GoldenCommand, RefusesOverlappingTensors) {
  const TemporaryFolder folder;
  const std::string path =
      folder.write("model.safetensors",
                   golden::safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                             R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                                             std::string(12, '\0')));
  expect_refusal(run_attest({"golden", "inspect", path}), {"model.safetensors", "'b'"});
}

TEST(GoldenCommand, RefusesAPickleThatCallsOsSystem) {
  const TemporaryFolder folder;
  const std::string pickle = golden::pickle::proto() + golden::pickle::global("os", "system") +
                             golden::pickle::tuple({golden::pickle::text("touch " + folder.file("owned"))}) +
                             "R.";
  const std::string path = folder.write(
      "pytorch_model.bin",
      golden::zip_bytes({{.name = "m/data.pkl", .data = pickle}, {.name = "m/version", .data = "3\n"}}));
  expect_refusal(run_attest({"golden", "inspect", path}), {"os", "system"});
  EXPECT_FALSE(fs::exists(folder.file("owned")));
}

TEST(GoldenCommand, RefusesAMissingShard) {
  const TemporaryFolder folder;
  const std::string directory = copy_of("mlra_2", folder);
  fs::remove(directory + "/pytorch_model-00002-of-00003.bin");
  expect_refusal(run_attest({"golden", "check", directory}), {"pytorch_model-00002-of-00003.bin"});
}

TEST(GoldenCommand, RefusesAConfigWhoseSizesDisagreeWithTheTensors) {
  const TemporaryFolder folder;
  const std::string directory = copy_of("mlra_4", folder);
  json config = json::parse(read_all(directory + "/config.json"));
  config["intermediate_size"] = config["intermediate_size"].get<int>() + 2;
  folder.write("mlra_4/config.json", config.dump());
  expect_refusal(run_attest({"golden", "check", directory}), {"expected"});
}

TEST(GoldenCommand, RefusesHeadsThatDoNotDivide) {
  const TemporaryFolder folder;
  const std::string directory = copy_of("gqa", folder);
  json config = json::parse(read_all(directory + "/config.json"));
  config["group_size"] = 3;
  folder.write("gqa/config.json", config.dump());
  expect_refusal(run_attest({"golden", "check", directory}), {"config.json"});
}

TEST(GoldenCommand, RefusesAnUnknownVariant) {
  expect_refusal(run_attest({"golden", "check", shipped("mlra_4"), "--variant", "mlra-5"}), {"mlra-5"});
}

}  // namespace
}  // namespace attest
