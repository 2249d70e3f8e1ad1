// One malformed file for every rule of the format, and what a good one reads as.
#include "golden/safetensors.h"

#include <gtest/gtest.h>

#include "file_builders.h"

namespace attest::golden {
namespace {

SafetensorsFile read(const std::string& header, const std::string& data) {
  return read_safetensors(file_of(safetensors_bytes(header, data), "w.safetensors"));
}
std::string error(const std::string& header, const std::string& data) {
  return error_of([&] { read(header, data); });
}
std::string entry(const std::string& name, const std::string& shape, int begin, int end,
                  const std::string& type = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(Safetensors, ReadsTensorsInOrderOfTheirDataWithMetadata) {
  const std::string data = raw_values<float>({1, 2, 3, 4, 5, 6}) + raw<int64_t>(-7);
  const auto file = read(R"({"__metadata__":{"a":"b"},)" + entry("last", "[]", 24, 32, "I64") + "," +
                             entry("first", "[2,3]", 0, 24) + "}  ",
                         data);
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_EQ(file.tensors[0].name, "first");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<Index>{2, 3}));
  EXPECT_EQ(file.tensors[0].to_doubles(), (std::vector<double>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(file.tensors[1].to_integers(), (std::vector<int64_t>{-7}));
  EXPECT_EQ(file.metadata.at("a"), "b");
}

TEST(Safetensors, ReadsEmptyFilesAndEmptyTensors) {
  EXPECT_TRUE(read("{}", "").tensors.empty());
  const auto file =
      read("{" + entry("a", "[0,5]", 0, 0) + "," + entry("b", "[1]", 0, 4) + "}", raw<float>(1));
  EXPECT_EQ(file.tensors[0].elements(), 0);
  EXPECT_TRUE(file.tensors[0].to_doubles().empty());
}

TEST(Safetensors, ChecksSizesOfTypesItDoesNotDecode) {
  EXPECT_EQ(read("{" + entry("a", "[2]", 0, 1, "F4") + "}", "x").tensors[0].elements(), 2);
  EXPECT_NE(error("{" + entry("a", "[3]", 0, 1, "F4") + "}", "x").find("not a whole number of bytes"),
            std::string::npos);
  const auto file = read("{" + entry("a", "[1]", 0, 1, "F8_E8M0") + "}", "x");
  EXPECT_NE(error_of([&] { file.tensors[0].to_doubles(); }).find("F8_E8M0 has no decoder"),
            std::string::npos);
}

TEST(Safetensors, RefusesAFileShorterThanTheHeaderLength) {
  EXPECT_EQ(error_of([] { read_safetensors(file_of("1234567", "w.safetensors")); }),
            "w.safetensors: found 7 bytes, expected at least the 8 of the header length");
}

TEST(Safetensors, RefusesAHeaderOverTheLimit) {
  EXPECT_NE(error_of([] {
              read_safetensors(file_of(raw<uint64_t>(100'000'001) + "{}"));
            }).find("over the format's limit"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              read_safetensors(file_of(raw<uint64_t>(~0ull) + "{}"));
            }).find("over the format's limit"),
            std::string::npos);
}

TEST(Safetensors, RefusesAHeaderThatEndsPastTheFile) {
  EXPECT_NE(error_of([] { read_safetensors(file_of(raw<uint64_t>(3) + "{}")); }).find("truncated?"),
            std::string::npos);
}

TEST(Safetensors, RefusesAHeaderThatDoesNotBeginWithABrace) {
  EXPECT_NE(error(" {}", "").find("must begin with '{'"), std::string::npos);
  EXPECT_NE(error("", "").find("must begin with '{'"), std::string::npos);
  EXPECT_NE(error("[]", "").find("must begin with '{'"), std::string::npos);
}

TEST(Safetensors, RefusesHeadersThatAreNotJsonNamingTheByteInTheFile) {
  EXPECT_EQ(error("{\"a\"}", ""), "w.safetensors: byte 12: expected ':' after key 'a'");
  EXPECT_NE(error(std::string("{}\0", 3), "").find("end of the JSON text"), std::string::npos)
      << "padding is spaces, not zeros";
  EXPECT_NE(error("{\"\xFF\":1}", "").find("UTF-8"), std::string::npos);
}

TEST(Safetensors, RefusesDuplicateTensors) {
  EXPECT_NE(error("{" + entry("a", "[1]", 0, 4) + "," + entry("a", "[1]", 4, 8) + "}", "12345678")
                .find("'a' occurs twice"),
            std::string::npos);
}

TEST(Safetensors, RefusesUnknownTypesAndMissingFields) {
  EXPECT_EQ(error("{" + entry("a", "[1]", 0, 4, "F33") + "}", "1234"),
            "w.safetensors: tensor 'a': unknown dtype 'F33'");
  EXPECT_NE(error(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "1234").find("no \"dtype\""),
            std::string::npos);
  EXPECT_NE(error(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", "1234").find("no \"shape\""),
            std::string::npos);
  EXPECT_NE(error(R"({"a":{"dtype":"F32","shape":[1]}})", "1234").find("no \"data_offsets\""),
            std::string::npos);
  EXPECT_NE(error(R"({"a":3})", "").find("expected an object"), std::string::npos);
  EXPECT_NE(
      error(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", "1234").find("unknown dtype a number"),
      std::string::npos);
}

TEST(Safetensors, RefusesSizesThatAreNotCounts) {
  for (const std::string shape : {"[-1]", "[1.0]", "[1e0]", "[\"1\"]", "[-0]", "[9223372036854775808]"}) {
    EXPECT_NE(error("{" + entry("a", shape, 0, 4) + "}", "1234").find("whole number"), std::string::npos)
        << shape;
  }
  EXPECT_NE(error("{" + entry("a", "{}", 0, 4) + "}", "1234").find("expected an array"), std::string::npos);
}

TEST(Safetensors, RefusesShapesWhoseSizeOverflows) {
  EXPECT_NE(error("{" + entry("a", "[4294967296,4294967296]", 0, 0) + "}", "").find("does not fit 64 bits"),
            std::string::npos);
  EXPECT_NE(error("{" + entry("a", "[0,9223372036854775807,9223372036854775807]", 0, 0) + "}", "")
                .find("fit 64 bits"),
            std::string::npos);
}

TEST(Safetensors, RefusesOffsetsThatDoNotSpanTheShape) {
  EXPECT_EQ(error("{" + entry("a", "[2]", 0, 4) + "}", "1234"),
            "w.safetensors: tensor 'a': data_offsets [0, 4) span 4 bytes, but F32 [2] needs 8");
}

TEST(Safetensors, RefusesOffsetsThatEndBeforeTheyBegin) {
  EXPECT_NE(error("{" + entry("a", "[1]", 4, 0) + "}", "1234").find("end before they begin"),
            std::string::npos);
}

TEST(Safetensors, RefusesOffsetsPastTheFile) {
  EXPECT_EQ(error("{" + entry("a", "[2]", 0, 8) + "}", "1234"),
            "w.safetensors: tensor 'a': data_offsets [0, 8) end past the file's 4 data bytes");
}

TEST(Safetensors, RefusesOverlappingTensors) {
  EXPECT_EQ(error("{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[1]", 4, 8) + "}", "12345678"),
            "w.safetensors: tensor 'b': data_offsets [4, 8) overlap the tensor before, which ends at 8");
}

TEST(Safetensors, RefusesHoles) {
  EXPECT_NE(error("{" + entry("a", "[1]", 0, 4) + "," + entry("b", "[1]", 8, 12) + "}", "123456789012")
                .find("hole of 4 bytes"),
            std::string::npos);
  EXPECT_NE(error("{" + entry("a", "[1]", 4, 8) + "}", "12345678").find("hole of 4 bytes"),
            std::string::npos);
}

TEST(Safetensors, RefusesDataThatNoTensorCovers) {
  EXPECT_NE(error("{" + entry("a", "[1]", 0, 4) + "}", "12345").find("cover 4 of the file's 5"),
            std::string::npos);
  EXPECT_NE(error("{}", "1").find("cover 0 of the file's 1"), std::string::npos);
}

TEST(Safetensors, RefusesMetadataThatIsNotStrings) {
  EXPECT_NE(error(R"({"__metadata__":{"a":1}})", "").find("expected a string"), std::string::npos);
  EXPECT_NE(error(R"({"__metadata__":[]})", "").find("expected an object of strings"), std::string::npos);
}

TEST(Safetensors, EveryTruncationOfAGoodFileIsRefused) {
  const std::string good = safetensors_bytes("{" + entry("a", "[2]", 0, 8) + "}", "12345678");
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_THROW(read_safetensors(file_of(good.substr(0, length))), CheckpointError) << length;
  }
}

}  // namespace
}  // namespace attest::golden
