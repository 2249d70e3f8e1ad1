// Good archives in every form torch.save or others write, and one bad archive for every check.
#include "golden/zip_archive.h"

#include <gtest/gtest.h>

#include "file_builders.h"

namespace attest::golden {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
std::string error(const std::vector<ZipPart>& parts, const ZipOptions& options = {}) {
  return error_of([&] { ZipArchive archive(file_of(zip_bytes(parts, options), "w.bin")); });
}

TEST(ZipArchive, CrcHasItsPublishedCheckValue) {
  const std::string digits = "123456789";
  EXPECT_EQ(crc32(std::as_bytes(std::span(digits))), 0xCBF43926u);
  for (size_t length = 0; length < 40; ++length) {  // every remainder of the eight-byte step
    std::string text;
    for (size_t i = 0; i < length; ++i) text += static_cast<char>(i * 37 + length);
    EXPECT_EQ(crc32(std::as_bytes(std::span(text))), slow_crc32(text));
  }
}

TEST(ZipArchive, ReadsStoredEntriesInEveryForm) {
  for (const bool descriptor : {false, true}) {
    for (const bool zip64 : {false, true}) {
      for (const bool zip64_end : {false, true}) {
        ZipPart first{"a/data.pkl", "hello"}, second{"a/data/0", ""};
        first.descriptor = second.descriptor = descriptor;
        first.zip64 = zip64;
        const ZipArchive archive(
            file_of(zip_bytes({first, second}, {.zip64_end = zip64_end, .comment = "a comment"})));
        EXPECT_EQ(archive.entries().size(), 2u);
        EXPECT_EQ(text_of(archive.entry("a/data.pkl").bytes), "hello");
        EXPECT_EQ(text_of(archive.entry("a/data/0").bytes), "");
        EXPECT_NO_THROW(archive.check_crc("a/data.pkl"));
      }
    }
  }
}

TEST(ZipArchive, ChecksTheCrcWhenAsked) {
  ZipPart part{"a", "hello"};
  part.crc_delta = 1;
  const ZipArchive archive(file_of(zip_bytes({part})));
  EXPECT_NE(error_of([&] { archive.check_crc("a"); }).find("the file is damaged"), std::string::npos);
}

TEST(ZipArchive, NamesAMissingEntry) {
  const ZipArchive archive(file_of(zip_bytes({{"a", "x"}})));
  EXPECT_NE(error_of([&] { archive.entry("b"); }).find("zip entry 'b' is missing"), std::string::npos);
}

TEST(ZipArchive, RefusesCompressedAndEncryptedEntries) {
  ZipPart compressed{"a", "x"}, encrypted{"a", "x"};
  compressed.method = 8;
  encrypted.flags = 1;
  EXPECT_EQ(error({compressed}), "w.bin: zip entry 'a': is compressed (method 8); expected stored entries");
  EXPECT_EQ(error({encrypted}), "w.bin: zip entry 'a': is encrypted");
}

TEST(ZipArchive, RefusesNamesThatLeaveTheArchive) {
  for (const std::string name : {"../a", "a/../b", "a/..", "/a", "a\\b", ""}) {
    EXPECT_NE(error({{name, "x"}}).find("leaves the archive"), std::string::npos) << name;
  }
  EXPECT_NO_THROW(ZipArchive(file_of(zip_bytes({{"a..b/..c", "x"}}))));
}

TEST(ZipArchive, RefusesDuplicateNames) {
  EXPECT_NE(error({{"a", "x"}, {"a", "y"}}).find("occurs twice"), std::string::npos);
}

TEST(ZipArchive, RefusesLocalHeadersThatDisagree) {
  ZipPart renamed{"a", "x"}, resized{"a", "xyz"}, resized_later{"a", "xyz"};
  renamed.local_name = "b";
  resized.stated_size_delta = -1;
  resized_later.stated_size_delta = -1;
  resized_later.descriptor = true;
  EXPECT_NE(error({renamed}).find("its local header calls it 'b'"), std::string::npos);
  EXPECT_NE(error({resized}).find("differ in size or CRC"), std::string::npos);
  EXPECT_NE(error({resized_later}).find("data descriptor"), std::string::npos);
  ZipPart zip64 = resized;
  zip64.zip64 = true;
  EXPECT_NE(error({zip64}).find("differ in size or CRC"), std::string::npos);
}

TEST(ZipArchive, RefusesEntriesThatRunIntoTheDirectory) {
  ZipPart part{"a", "x"};
  part.stated_size_delta = 1000;
  EXPECT_NE(error({part}).find("run into the zip directory"), std::string::npos);
}

TEST(ZipArchive, RefusesWrongCountsAndSeveralDisks) {
  EXPECT_NE(error({{"a", "x"}}, {.count_delta = 1}).find("states 2 entries"), std::string::npos);
  EXPECT_NE(error({{"a", "x"}, {"b", "x"}}, {.count_delta = -1}).find("records end after"),
            std::string::npos);
  EXPECT_NE(error({{"a", "x"}}, {.disk = 1}).find("several zip disks"), std::string::npos);
}

TEST(ZipArchive, RefusesOverlappingEntries) {
  // Two directory records for one local entry, the second under a name that the first's data spells as a
  // local header.
  const std::string inner = zip_bytes({{"b", "y"}});
  const std::string inner_local = inner.substr(0, 30 + 1 + 1);
  std::string bytes = zip_bytes({{"a", inner_local}, {"b", "y"}});
  const std::string second_local_at = raw(static_cast<uint32_t>(30 + 1 + inner_local.size()));
  const size_t field = bytes.rfind(second_local_at + "b");
  ASSERT_NE(field, std::string::npos);
  bytes.replace(field, 4, raw<uint32_t>(30 + 1));  // "b" now lies inside the data of "a"
  EXPECT_NE(error_of([&] { ZipArchive archive(file_of(bytes)); }).find("overlap"), std::string::npos);
}

TEST(ZipArchive, EveryTruncationIsRefused) {
  const std::string good = zip_bytes({{"a", "hello"}, {"b", "world"}}, {.zip64_end = true});
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_THROW(ZipArchive(file_of(good.substr(0, length))), CheckpointError) << length;
  }
}

TEST(ZipArchive, RefusesEndRecordsThatDisagree) {
  std::string bytes = zip_bytes({{"a", "x"}}, {.zip64_end = true});
  const size_t end = bytes.size() - 22;
  bytes.replace(end + 16, 4, raw<uint32_t>(7));  // the classic record states a directory offset, another one
  EXPECT_NE(error_of([&] { ZipArchive archive(file_of(bytes)); }).find("disagree"), std::string::npos);
}

}  // namespace
}  // namespace attest::golden
