// Folders, single files and shards: what is found, and every way in which index and shards can disagree.
#include "golden/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>

#include "file_builders.h"
#include "golden/safetensors_writer.h"

namespace attest::golden {
namespace {

void write_shard(const std::string& path, const std::vector<std::string>& names) {
  const std::vector<float> one{1};
  std::vector<TensorData> tensors;
  for (const std::string& name : names) tensors.push_back(tensor_data(name, {1}, std::span(one)));
  write_safetensors(path, tensors);
}
const std::string kIndex =
    R"({"metadata":{"total_size":8},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})";

// A folder with shards s1 (a) and s2 (b) and their index.
struct Shards : ::testing::Test {
  Shards() {
    write_shard(folder / "s1.safetensors", {"a"});
    write_shard(folder / "s2.safetensors", {"b"});
    write_index(kIndex);
  }
  void write_index(const std::string& text) { write_file(folder / "model.safetensors.index.json", text); }
  std::string error() {
    return error_of([&] { Checkpoint::open(folder.path()); });
  }
  TemporaryFolder folder;
};
using CheckpointShards = Shards;

TEST_F(CheckpointShards, AreReadAsOne) {
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(checkpoint.files().size(), 2u);
  EXPECT_EQ(Checkpoint::open(folder / "model.safetensors.index.json").names().size(), 2u);
}
TEST_F(CheckpointShards, AMissingShardIsNamed) {
  std::filesystem::remove(folder / "s2.safetensors");
  EXPECT_NE(error().find("shard 's2.safetensors' is missing; it should hold tensor 'b'"), std::string::npos);
}
TEST_F(CheckpointShards, ATensorInTwoShardsIsRefused) {
  write_shard(folder / "s2.safetensors", {"a", "b"});
  EXPECT_NE(error().find("tensor 'a' is also in "), std::string::npos);
}
TEST_F(CheckpointShards, ATensorThatNoShardHasIsRefused) {
  write_index(R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors","c":"s2.safetensors"}})");
  EXPECT_NE(error().find("tensor 'c' should be in 's2.safetensors', but no shard has it"), std::string::npos);
}
TEST_F(CheckpointShards, ATensorInAnotherShardThanNamedIsRefused) {
  write_index(R"({"weight_map":{"a":"s2.safetensors","b":"s1.safetensors"}})");
  EXPECT_NE(error().find("tensor 'a' should be in 's2.safetensors', but is in"), std::string::npos);
}
TEST_F(CheckpointShards, ATensorThatTheIndexDoesNotNameIsRefused) {
  write_shard(folder / "s2.safetensors", {"b", "c"});
  EXPECT_NE(error().find("is not named by the index"), std::string::npos);
}
TEST_F(CheckpointShards, AnIndexThatPointsOutsideItsFolderIsRefused) {
  for (const std::string name : {"../s1.safetensors", "/etc/passwd", "", "..", "."}) {
    write_index(R"({"weight_map":{"a":")" + name + R"("}})");
    EXPECT_NE(error().find("is not a plain file name"), std::string::npos) << name;
  }
}
TEST_F(CheckpointShards, AnIndexOfAnotherFormIsRefused) {
  for (const std::string text : {"[]", "{}", R"({"weight_map":[]})"}) {
    write_index(text);
    EXPECT_NE(error().find("expected an object with an object \"weight_map\""), std::string::npos) << text;
  }
  write_index(R"({"weight_map":{"a":3}})");
  EXPECT_NE(error().find("expected a file name"), std::string::npos);
  write_index(R"({"weight_map":{"a":"s1.safetensors","a":"s2.safetensors"}})");
  EXPECT_NE(error().find("'a' occurs twice"), std::string::npos);
}

TEST(Checkpoint, SaysWhatItLookedForInAnEmptyFolder) {
  const TemporaryFolder folder;
  EXPECT_NE(error_of([&] {
              Checkpoint::open(folder.path());
            }).find("holds no weights; expected one of model.safetensors, "),
            std::string::npos);
  EXPECT_NE(error_of([&] { Checkpoint::open(folder / "none"); }).find("does not exist"), std::string::npos);
}

TEST(Checkpoint, NamesAMissingTensorAndAWrongShape) {
  const TemporaryFolder folder;
  write_shard(folder / "model.safetensors", {"a"});
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_NE(error_of([&] { checkpoint.tensor("b"); }).find("tensor 'b' is missing"), std::string::npos);
  EXPECT_NE(error_of([&] {
              checkpoint.tensor("a", {2, 3});
            }).find("tensor 'a' has shape [1], expected [2, 3]"),
            std::string::npos);
}

TEST(Checkpoint, RefusesATruncatedFileOfEitherKind) {
  const TemporaryFolder folder;
  for (const std::string name : {"mla/pytorch_model.bin", "gqa/model.safetensors"}) {
    const std::string good = read_file(golden_data(name));
    for (const size_t length : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      const std::string path = folder / std::filesystem::path(name).filename().string();
      write_file(path, good.substr(0, length));
      EXPECT_THROW(Checkpoint::open(path), CheckpointError) << name << " cut to " << length;
    }
  }
}

// Each golden directory: opens, every tensor decodes to finite numbers, and the two names of a tied embedding
// agree.
TEST(Checkpoint, OpensEveryGoldenDirectory) {
  int directories = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_data(""))) {
    if (!entry.is_directory()) continue;
    ++directories;
    const Checkpoint checkpoint = Checkpoint::open(entry.path().string());
    for (const std::string& name : checkpoint.names()) {
      for (const double value : checkpoint.tensor(name).to_doubles())
        ASSERT_TRUE(std::isfinite(value)) << entry.path() << name;
    }
    if (checkpoint.contains("lm_head.weight") && checkpoint.contains("transformer.wte.weight")) {
      EXPECT_EQ(checkpoint.tensor("lm_head.weight").to_doubles(),
                checkpoint.tensor("transformer.wte.weight").to_doubles());
    }
  }
  EXPECT_EQ(directories, 35);
}

}  // namespace
}  // namespace attest::golden
