// Elements of LAUNCH.json buffers.
#include "cli/element_codec.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace attest::cli {
namespace {

std::uint64_t bits(const ElementCodec& codec, Number value) {
  std::array<std::byte, 8> bytes{};
  codec.encode(value, bytes);
  std::uint64_t result = 0;
  std::memcpy(&result, bytes.data(), codec.bytes);
  return result;
}

TEST(ElementCodec, WritesTheBitsOfEachType) {
  EXPECT_EQ(bits(element_codec("f32"), 1.5L), 0x3fc00000U);
  EXPECT_EQ(bits(element_codec("bf16"), 1.5L), 0x3fc0U);
  EXPECT_EQ(bits(element_codec("f16"), -2.0L), 0xc000U);
  EXPECT_EQ(bits(element_codec("f64"), 1.0L), 0x3ff0000000000000U);
  EXPECT_EQ(bits(element_codec("s8"), -1.0L), 0xffU);
  EXPECT_EQ(bits(element_codec("u64"), 18446744073709551615.0L), 0xffffffffffffffffU);
  EXPECT_EQ(bits(element_codec("s64"), -9223372036854775807.0L - 1), 0x8000000000000000U);
}

TEST(ElementCodec, ReadsBackWhatItWrote) {
  for (const char* name : {"f64", "f32", "f16", "bf16", "e4m3", "s8", "s16", "s32", "s64"}) {
    const ElementCodec& codec = element_codec(name);
    for (const Number value : {0.0L, 1.0L, -2.0L, 96.0L}) {
      std::array<std::byte, 8> bytes{};
      codec.encode(value, bytes);
      EXPECT_EQ(codec.decode(bytes), value) << name;
    }
  }
}

TEST(ElementCodec, RefusesIntegersThatDoNotFit) {
  EXPECT_THROW(bits(element_codec("u8"), 256), std::invalid_argument);
  EXPECT_THROW(bits(element_codec("u8"), -1), std::invalid_argument);
  EXPECT_THROW(bits(element_codec("s8"), 128), std::invalid_argument);
  EXPECT_THROW(bits(element_codec("u32"), 0.5L), std::invalid_argument);
  EXPECT_THROW(bits(element_codec("u32"), std::numeric_limits<Number>::quiet_NaN()), std::invalid_argument);
}

TEST(ElementCodec, RefusesUnknownNamesListingTheKnown) {
  try {
    element_codec("f31");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("bf16"), std::string::npos);
  }
}

TEST(ElementCodec, RandomElementsDependOnSeedAndPlaceOnly) {
  const ElementCodec& codec = element_codec("f32");
  std::array<std::byte, 4> a{}, b{}, c{};
  codec.random(1, 7, a);
  codec.random(1, 7, b);
  codec.random(2, 7, c);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace attest::cli
