// Every stored bit pattern of the small formats, against the formats' definitions.
#include "golden/element_type.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "file_builders.h"

namespace attest::golden {
namespace {

double decode_bits(ElementType type, uint64_t bits) {
  double value = 0;
  std::byte bytes[8];
  std::memcpy(bytes, &bits, 8);
  EXPECT_EQ(info(type).decode(bytes, 1, &value), 1);
  return value;
}

// (-1)^s * 2^(e - bias) * 1.f, from the fields; e = 0 is subnormal, all ones is infinity or NaN when `ieee`.
void check_small_float(ElementType type, int exponent_bits, int fraction_bits, bool ieee) {
  const int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
  for (uint64_t bits = 0; bits < 1ull << (1 + exponent_bits + fraction_bits); ++bits) {
    const auto fraction = static_cast<double>(bits & ((1u << fraction_bits) - 1)) / (1 << fraction_bits);
    const int exponent = static_cast<int>(bits >> fraction_bits) & top;
    const double sign = bits >> (exponent_bits + fraction_bits) != 0 ? -1 : 1;
    const double got = decode_bits(type, bits);
    const bool is_nan =
        exponent == top && (ieee ? fraction != 0 : fraction == 1 - 1.0 / (1 << fraction_bits));
    if (is_nan) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else if (ieee && exponent == top) {
      ASSERT_EQ(got, sign * INFINITY) << bits;
    } else {
      ASSERT_EQ(got, exponent == 0 ? sign * std::pow(2.0, 1 - bias) * fraction
                                   : sign * std::pow(2.0, exponent - bias) * (1 + fraction))
          << bits;
    }
  }
}

TEST(ElementType, DecodesEveryHalf) { check_small_float(ElementType::f16, 5, 10, true); }
TEST(ElementType, DecodesEveryBfloat) { check_small_float(ElementType::bf16, 8, 7, true); }
TEST(ElementType, DecodesEveryE5M2) { check_small_float(ElementType::f8_e5m2, 5, 2, true); }
TEST(ElementType, DecodesEveryE4M3) { check_small_float(ElementType::f8_e4m3, 4, 3, false); }

TEST(ElementType, DecodesIntegersWithTheirSign) {
  EXPECT_EQ(decode_bits(ElementType::i8, 0xFF), -1);
  EXPECT_EQ(decode_bits(ElementType::u8, 0xFF), 255);
  EXPECT_EQ(decode_bits(ElementType::i16, 0x8000), -32768);
  EXPECT_EQ(decode_bits(ElementType::u16, 0x8000), 32768);
  EXPECT_EQ(decode_bits(ElementType::i32, 0xFFFFFFFF), -1);
  EXPECT_EQ(decode_bits(ElementType::u32, 0xFFFFFFFF), 4294967295.0);
  EXPECT_EQ(decode_bits(ElementType::i64, static_cast<uint64_t>(-5)), -5);
  EXPECT_EQ(decode_bits(ElementType::boolean, 1), 1);
  EXPECT_EQ(decode_bits(ElementType::f32, 0x3FC00000), 1.5);
  EXPECT_EQ(decode_bits(ElementType::f64, 0x3FF8000000000000), 1.5);
}

TEST(ElementType, ReportsTheFirstIntegerThatADoubleCannotHold) {
  double values[3];
  const std::string bytes = raw_values<int64_t>({-(1ll << 53), (1ll << 53) + 1, 0});
  EXPECT_EQ(info(ElementType::i64).decode(reinterpret_cast<const std::byte*>(bytes.data()), 3, values), 1);
  const std::string negative = raw_values<int64_t>({-(1ll << 53) - 1});
  EXPECT_EQ(info(ElementType::i64).decode(reinterpret_cast<const std::byte*>(negative.data()), 1, values), 0);
  const std::string wide = raw_values<uint64_t>({1ull << 53, 1ull << 63});
  EXPECT_EQ(info(ElementType::u64).decode(reinterpret_cast<const std::byte*>(wide.data()), 2, values), 1);
}

TEST(ElementType, NamesAreDistinctAndFoundAgain) {
  std::set<std::string_view> names, storages;
  for (const ElementTypeInfo& row : element_types()) {
    EXPECT_TRUE(names.insert(row.name).second);
    EXPECT_EQ(element_type_from_name(row.name), row.type);
    EXPECT_EQ(&info(row.type), &row);
    if (row.torch_storage.empty()) continue;
    EXPECT_TRUE(storages.insert(row.torch_storage).second);
    EXPECT_EQ(element_type_from_torch_storage(row.torch_storage), row.type);
  }
  EXPECT_EQ(element_type_from_name("F128"), std::nullopt);
  EXPECT_EQ(element_type_from_torch_storage(""), std::nullopt);
}

}  // namespace
}  // namespace attest::golden
