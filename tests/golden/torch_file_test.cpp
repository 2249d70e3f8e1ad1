// Whole torch.save files: strided and shared storages, and archives whose parts do not fit together.
#include "golden/torch_file.h"

#include <gtest/gtest.h>

#include "file_builders.h"

namespace attest::golden {
namespace {

using pickle::state_dict;
using pickle::storage;
using pickle::tensor;

const std::string kSix = raw_values<float>({0, 1, 2, 3, 4, 5});

std::vector<StoredTensor> read(const std::vector<ZipPart>& parts) {
  return read_torch_file(file_of(zip_bytes(parts), "w.bin"));
}
std::string error(const std::vector<ZipPart>& parts) {
  return error_of([&] { read(parts); });
}

TEST(TorchFile, ReadsStridedViewsOfSharedStorages) {
  const std::string stored = storage("0", 6);
  const auto tensors = read({{"m/data.pkl", state_dict({{"plain", tensor(stored, 0, {2, 3}, {3, 1})},
                                                        {"transposed", tensor(stored, 0, {3, 2}, {1, 3})},
                                                        {"column", tensor(stored, 1, {2}, {3})},
                                                        {"empty", tensor(stored, 6, {0}, {1})},
                                                        {"scalar", tensor(stored, 5, {}, {})}})},
                             {"m/byteorder", "little"},
                             {"m/data/0", kSix},
                             {"m/version", "3\n"}});
  ASSERT_EQ(tensors.size(), 5u);
  EXPECT_TRUE(tensors[0].contiguous());
  EXPECT_EQ(tensors[0].to_doubles(), (std::vector<double>{0, 1, 2, 3, 4, 5}));
  EXPECT_FALSE(tensors[1].contiguous());
  EXPECT_EQ(tensors[1].to_doubles(), (std::vector<double>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(tensors[2].to_doubles(), (std::vector<double>{1, 4}));
  EXPECT_TRUE(tensors[3].to_doubles().empty());
  EXPECT_EQ(tensors[4].to_doubles(), (std::vector<double>{5}));
  EXPECT_EQ(tensors[0].bytes.data(), tensors[1].bytes.data()) << "one storage, not copies";
}

TEST(TorchFile, ReadsPartsOfStridedTensorsFromAnyElement) {
  std::vector<float> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto tensors =
      read({{"m/data.pkl", state_dict({{"w", tensor(storage("0", 24), 0, {3, 2, 4}, {1, 12, 3})}})},
            {"m/data/0", raw_values(values)}});
  const StoredTensor& w = tensors[0];
  for (Index first = 0; first <= 24; ++first) {
    for (Index count = 0; first + count <= 24; ++count) {
      std::vector<double> got(static_cast<size_t>(count));
      w.read_doubles(first, got);
      for (Index i = 0; i < count; ++i) {
        const Index at = first + i;
        ASSERT_EQ(got[static_cast<size_t>(i)], static_cast<double>(at / 8 + at / 4 % 2 * 12 + at % 4 * 3));
      }
    }
  }
  std::vector<double> two(2);
  EXPECT_THROW(w.read_doubles(23, two), std::invalid_argument);
  EXPECT_THROW(w.read_doubles(-1, two), std::invalid_argument);
}

TEST(TorchFile, RefusesStoragesOfAnotherSizeOrMissing) {
  const std::string pickle_text = state_dict({{"w", tensor(storage("0", 6), 0, {6}, {1})}});
  EXPECT_EQ(error({{"m/data.pkl", pickle_text}, {"m/data/0", kSix + "x"}}),
            "w.bin: tensor 'w': entry 'm/data/0' holds 25 bytes, but the pickle says 6 elements of F32");
  EXPECT_NE(error({{"m/data.pkl", pickle_text}}).find("zip entry 'm/data/0' is missing"), std::string::npos);
  const std::string huge = state_dict({{"w", tensor(storage("0", int64_t{1} << 62), 0, {1}, {1})}});
  EXPECT_NE(error({{"m/data.pkl", huge}, {"m/data/0", ""}}).find("holds 0 bytes"), std::string::npos);
}

TEST(TorchFile, RefusesDamagedData) {
  ZipPart data{"m/data/0", kSix},
      text{"m/data.pkl", state_dict({{"w", tensor(storage("0", 6), 0, {6}, {1})}})};
  data.crc_delta = 1;
  EXPECT_NE(error({text, data}).find("zip entry 'm/data/0': CRC-32"), std::string::npos);
  data.crc_delta = 0;
  text.crc_delta = 1;
  EXPECT_NE(error({text, data}).find("zip entry 'm/data.pkl': CRC-32"), std::string::npos);
}

TEST(TorchFile, SaysWhatOtherFilesAre) {
  EXPECT_NE(error({{"m/data.pkl", "x"}, {"m/constants.pkl", "x"}}).find("TorchScript"), std::string::npos);
  EXPECT_NE(error({{"m/data.pkl", "x"}, {"m/byteorder", "big"}}).find("byteorder is 'big'"),
            std::string::npos);
  EXPECT_NE(error({{"m/data.pkl", "x"}, {"n/data.pkl", "x"}}).find("two data.pkl"), std::string::npos);
  EXPECT_NE(error({{"a.txt", "x"}}).find("not something torch.save wrote"), std::string::npos);
  EXPECT_NE(error_of([] { read_torch_file(file_of("\x80\x02\x8a\x0a")); }).find("before PyTorch 1.6"),
            std::string::npos);
}

}  // namespace
}  // namespace attest::golden
