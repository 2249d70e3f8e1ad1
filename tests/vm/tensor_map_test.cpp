// Tests tensor maps: limits, the opaque object, swizzles, and which elements a box has.
#include "jit/vm/tensor_map.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace attest::vm {
namespace {

TensorMap sound() {
  TensorMap map;
  map.type = TensorType::bf16;
  map.address = 256;
  map.dims = {64, 100, 3};
  map.strides = {128, 12800};
  map.box = {32, 16, 2};
  map.element_strides = {1, 2, 1};
  map.swizzle = Swizzle::b64;
  map.fill = TensorFill::nan;
  return map;
}

std::string problem(const TensorMap& map) {
  const std::vector<std::string> found = map.problems();
  return found.empty() ? "" : found.front();
}

TEST(TensorMap, SoundOnesHaveNoProblems) {
  EXPECT_EQ(sound().problems(), std::vector<std::string>());
  TensorMap widest = sound();
  widest.dims = {uint64_t{1} << 32, 1, 1};
  widest.strides = {(uint64_t{1} << 40) - 16, 0};
  widest.box = {32, 256, 256};
  widest.element_strides = {8, 8, 8};
  EXPECT_EQ(widest.problems(), std::vector<std::string>());
}

TEST(TensorMap, EveryLimitIsSaid) {
  const auto with = [](auto change) {
    TensorMap map = sound();
    change(map);
    return problem(map);
  };
  const auto says = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(says(with([](TensorMap& map) { map.dims.clear(); }), "rank is 0"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.dims.resize(6, 1); }), "rank is 6"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.strides.pop_back(); }), "1 strides for rank 3"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.box.pop_back(); }), "as many entries"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.element_strides.push_back(1); }), "as many entries"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.address = 8; }), "multiple of 16"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.dims[1] = 0; }), "dims[1] is 0"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.dims[2] = (uint64_t{1} << 32) + 1; }), "dims[2]"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.box[1] = 257; }), "box[1] is 257"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.box[2] = 0; }), "box[2] is 0"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.element_strides[1] = 9; }), "element_strides[1] is 9"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.element_strides[0] = 0; }), "element_strides[0] is 0"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.strides[0] = 120; }), "strides[0] is 120"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.strides[1] = uint64_t{1} << 40; }), "below 2^40"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.box[0] = 20; }), "40 bytes, expected a multiple of 16"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.box[0] = 40; }), "at most the swizzle's 64"));
  EXPECT_TRUE(says(with([](TensorMap& map) { map.type = TensorType::u16; }), "NaN, not u16"));
  TensorMap bad = sound();
  bad.address = 8;
  EXPECT_THROW(bad.encode(), std::invalid_argument);
}

TEST(TensorMap, SwizzlesHaveTheirSpans) {
  for (const auto& [swizzle, elements] :
       {std::pair(Swizzle::b32, 16u), std::pair(Swizzle::b64, 32u), std::pair(Swizzle::b128, 64u)}) {
    TensorMap map = sound();
    map.swizzle = swizzle;
    map.box[0] = elements;
    EXPECT_EQ(problem(map), "");
    map.box[0] = elements + 8;
    EXPECT_NE(problem(map), "");
  }
  TensorMap plain = sound();
  plain.swizzle = Swizzle::none;
  plain.box[0] = 256;
  EXPECT_EQ(problem(plain), "");
}

TEST(TensorMap, DecodingGivesWhatWasEncoded) {
  for (size_t rank = 1; rank <= kMaxTensorRank; ++rank) {
    TensorMap map = sound();
    map.dims = {uint64_t{1} << 32, 7, 6, 5, 4};
    map.strides = {128, 1024, 8192, (uint64_t{1} << 40) - 16};
    map.box = {32, 256, 3, 4, 5};
    map.element_strides = {1, 2, 3, 4, 8};
    map.dims.resize(rank);
    map.strides.resize(rank - 1);
    map.box.resize(rank);
    map.element_strides.resize(rank);
    const TensorMap back = TensorMap::decode(map.encode());
    EXPECT_EQ(back.type, map.type);
    EXPECT_EQ(back.address, map.address);
    EXPECT_EQ(back.dims, map.dims);
    EXPECT_EQ(back.strides, map.strides);
    EXPECT_EQ(back.box, map.box);
    EXPECT_EQ(back.element_strides, map.element_strides);
    EXPECT_EQ(back.swizzle, map.swizzle);
    EXPECT_EQ(back.fill, map.fill);
  }
}

TEST(TensorMap, AChangedObjectIsNone) {
  const std::array<std::byte, kTensorMapBytes> good = sound().encode();
  EXPECT_THROW(TensorMap::decode(std::array<std::byte, kTensorMapBytes>{}), std::invalid_argument);
  size_t noticed = 0;
  for (size_t i = 0; i < kTensorMapBytes; ++i) {
    std::array<std::byte, kTensorMapBytes> bytes = good;
    bytes[i] ^= std::byte{1};
    try {
      TensorMap::decode(bytes);
    } catch (const std::invalid_argument&) {
      ++noticed;
    }
  }
  EXPECT_EQ(noticed, kTensorMapBytes);
}

TEST(TensorMap, NamesAreInverse) {
  for (const char* name : {"u8", "u16", "u32", "s32", "u64", "s64", "f16", "f32", "f64", "bf16"})
    EXPECT_EQ(name_of(tensor_type(name)), name);
  EXPECT_THROW(tensor_type("f8"), std::invalid_argument);
  EXPECT_THROW(tensor_swizzle("256B"), std::invalid_argument);
  EXPECT_THROW(tensor_fill("ones"), std::invalid_argument);
}

// cute's Swizzle<B, 4, 3>: B bits above bit 4 + 3 go, shifted down by 3, onto those above bit 4.
uint64_t cute_swizzle(int bits, uint64_t offset) {
  const uint64_t source = ((uint64_t{1} << bits) - 1) << (4 + 3);
  return offset ^ ((offset & source) >> 3);
}

TEST(TensorMap, SwizzlesAreThoseOfCute) {
  for (uint64_t address = 0; address < 4096; ++address) {
    EXPECT_EQ(swizzled(address, Swizzle::none), address);
    EXPECT_EQ(swizzled(address, Swizzle::b32), cute_swizzle(1, address));
    EXPECT_EQ(swizzled(address, Swizzle::b64), cute_swizzle(2, address));
    EXPECT_EQ(swizzled(address, Swizzle::b128), cute_swizzle(3, address));
  }
  // By hand: row 3 of 128 bytes, its chunk 5, goes to chunk 5 ^ 3 = 6.
  EXPECT_EQ(swizzled(3 * 128 + 5 * 16 + 2, Swizzle::b128), 3u * 128 + 6 * 16 + 2);
}

TEST(TensorMap, BoxesFallIntoInsideAndOutside) {
  // A tensor of 6 x 3 words, rows 32 bytes apart, seen from (-2, 1) through a box of 12 x 3.
  TensorMap map;
  map.type = TensorType::u32;
  map.address = 4096;
  map.dims = {6, 3};
  map.strides = {32};
  map.box = {12, 3};
  map.element_strides = {1, 1};
  const int32_t at[] = {-2, 1};
  const std::vector<BoxRun> runs = box_runs(map, at);
  ASSERT_EQ(runs.size(), 7u);  // two rows of left, inside, right; one row outside
  EXPECT_EQ(runs[0].box_offset, 0u);
  EXPECT_EQ(runs[0].bytes, 8u);
  EXPECT_FALSE(runs[0].inside);
  EXPECT_EQ(runs[1].box_offset, 8u);
  EXPECT_EQ(runs[1].bytes, 24u);
  EXPECT_TRUE(runs[1].inside);
  EXPECT_EQ(runs[1].address, 4096u + 32);
  EXPECT_EQ(runs[2].box_offset, 32u);
  EXPECT_EQ(runs[2].bytes, 16u);
  EXPECT_EQ(runs[4].address, 4096u + 64);
  EXPECT_EQ(runs[6].box_offset, 96u);
  EXPECT_EQ(runs[6].bytes, 48u);
  EXPECT_FALSE(runs[6].inside);
  EXPECT_EQ(map.box_bytes(), 144u);
}

TEST(TensorMap, ElementStridesShrinkTheBox) {
  TensorMap map = sound();
  map.box = {32, 7, 2};
  map.element_strides = {3, 2, 2};  // the first is ignored
  EXPECT_EQ(map.moved(), (std::vector<uint32_t>{32, 4, 1}));
  EXPECT_EQ(map.box_bytes(), 32u * 4 * 2);
}

}  // namespace
}  // namespace attest::vm
