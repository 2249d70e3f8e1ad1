// What is written reads back, byte for byte as the format says; a write that fails leaves nothing.
#include "golden/safetensors_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "file_builders.h"
#include "golden/safetensors.h"

namespace attest::golden {
namespace {

TEST(SafetensorsWriter, WritesTheBytesThatTheFormatPrescribes) {
  const TemporaryFolder folder;
  const std::vector<float> floats{1.5f, -2};
  const std::vector<double> doubles{3};
  write_safetensors(folder / "a.safetensors",
                    {tensor_data("f", {2}, std::span(floats)), tensor_data("d", {}, std::span(doubles))},
                    {{"k", "v"}});
  // 8-byte types first; the header of 125 characters is padded to 128
  std::string header = R"({"__metadata__":{"k":"v"},"d":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                       R"("f":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})";
  header.append((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(read_file(folder / "a.safetensors"),
            safetensors_bytes(header, raw(3.0) + raw(1.5f) + raw(-2.0f)));
}

TEST(SafetensorsWriter, ReadsBackWhatItWrote) {
  const TemporaryFolder folder;
  const std::vector<double> values{1, -0.0, INFINITY, 1e-310};
  const std::vector<int64_t> ids{1, -2, 3};
  write_safetensors(folder / "b.safetensors", {tensor_data("odd \"name\"\n", {2, 2}, std::span(values)),
                                               tensor_data("ids", {3}, std::span(ids)),
                                               tensor_data("empty", {0, 7}, std::span<const double>())});
  const auto file = read_safetensors(MappedFile::open(folder / "b.safetensors"));
  ASSERT_EQ(file.tensors.size(), 3u);
  for (const StoredTensor& tensor : file.tensors) {
    if (tensor.name == "ids") {
      EXPECT_EQ(tensor.to_integers(), ids);
    }
    if (tensor.name == "odd \"name\"\n") {
      EXPECT_EQ(tensor.to_doubles(), values);
    }
    if (tensor.name == "empty") {
      EXPECT_EQ(tensor.shape, (std::vector<Index>{0, 7}));
    }
  }
}

TEST(SafetensorsWriter, AFullDiskIsOneErrorAndLeavesTheOldFileAlone) {
  const TemporaryFolder folder;
  write_file(folder / "c.safetensors", "old");
  const std::vector<double> values(1 << 20, 1.0);  // 8 MiB against a limit of 1 MiB: write() fails half-way
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limited = before;
  limited.rlim_cur = 1 << 20;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  const std::string error = error_of([&] {
    write_safetensors(folder / "c.safetensors",
                      {tensor_data("x", {1 << 20}, std::span<const double>(values))});
  });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(error.find("cannot write: File too large; nothing was left behind"), std::string::npos) << error;
  EXPECT_EQ(read_file(folder / "c.safetensors"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(SafetensorsWriter, AWriterThatIsDroppedLeavesNothing) {
  const TemporaryFolder folder;
  { SafetensorsWriter writer(folder / "d.safetensors", {{"x", ElementType::f32, {4}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SafetensorsWriter, AFolderThatDoesNotExistIsOneError) {
  EXPECT_NE(error_of([] {
              write_safetensors("/nonexistent/x.safetensors", {});
            }).find("cannot create: No such file"),
            std::string::npos);
}

TEST(SafetensorsWriter, RefusesDuplicatesWrongCountsAndMissingData) {
  const TemporaryFolder folder;
  const std::vector<float> one{1};
  EXPECT_THROW(tensor_data("x", {2}, std::span(one)), std::invalid_argument);
  EXPECT_THROW(SafetensorsWriter(folder / "e", {{"x", ElementType::f32, {1}}, {"x", ElementType::f64, {1}}}),
               std::invalid_argument);
  EXPECT_THROW(SafetensorsWriter(folder / "e", {{"__metadata__", ElementType::f32, {1}}}),
               std::invalid_argument);
  EXPECT_THROW(SafetensorsWriter(folder / "e", {{"x", ElementType::f4, {1}}}), std::invalid_argument);
  SafetensorsWriter writer(folder / "e", {{"x", ElementType::f32, {1}}});
  EXPECT_THROW(writer.finish(), std::invalid_argument);
  const std::string bytes(5, 'x');
  EXPECT_THROW(writer.write(std::as_bytes(std::span(bytes))), std::invalid_argument);
}

}  // namespace
}  // namespace attest::golden
