// One row per element type; decoding is bit manipulation that holds on any IEEE machine.
#include "golden/element_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "reference/number_formats.h"

namespace attest::golden {
namespace {

static_assert(std::endian::native == std::endian::little,
              "checkpoints are little-endian and are read in place");

template <typename T>
T load(const std::byte* source) {
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

// The vocabulary's exact conversion of every 16-bit or 8-bit pattern, looked up: a released model has
// billions of elements.
template <Format kFormat, size_t kPatterns>
const std::array<double, kPatterns>& values_of() {
  static const std::array<double, kPatterns> table = [] {
    std::array<double, kPatterns> values{};
    for (size_t bits = 0; bits < kPatterns; ++bits) values[bits] = attest::decode(kFormat, bits);
    return values;
  }();
  return table;
}

double from_f16(uint16_t bits) { return values_of<Format::f16, 65536>()[bits]; }
double from_f8_e4m3(uint8_t bits) { return values_of<Format::e4m3, 256>()[bits]; }
// OCP E5M2 is the upper byte of an IEEE half.
double from_f8_e5m2(uint8_t bits) { return from_f16(static_cast<uint16_t>(bits << 8)); }
double from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

template <typename Stored, auto convert>
int64_t decode_with(const std::byte* source, int64_t count, double* out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = convert(load<Stored>(source + i * static_cast<int64_t>(sizeof(Stored))));
  }
  return count;
}

template <typename T>
int64_t decode_plain(const std::byte* source, int64_t count, double* out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = static_cast<double>(load<T>(source + i * static_cast<int64_t>(sizeof(T))));
  }
  return count;
}

// 2^53 is where doubles stop holding every integer; anything whose magnitude is at most that is exact.
template <typename T>
int64_t decode_wide_integer(const std::byte* source, int64_t count, double* out) {
  constexpr auto kExact = static_cast<T>(1ull << 53);
  for (int64_t i = 0; i < count; ++i) {
    const T value = load<T>(source + i * static_cast<int64_t>(sizeof(T)));
    bool exact = value <= kExact;
    if constexpr (std::is_signed_v<T>) exact = exact && value >= -kExact;
    if (!exact) return i;
    out[i] = static_cast<double>(value);
  }
  return count;
}

double from_boolean(uint8_t byte) { return byte == 0 ? 0.0 : 1.0; }

constexpr std::array<ElementTypeInfo, 20> kTypes{{
    {ElementType::boolean, "BOOL", "BoolStorage", 8, decode_with<uint8_t, from_boolean>},
    {ElementType::u8, "U8", "ByteStorage", 8, decode_plain<uint8_t>},
    {ElementType::i8, "I8", "CharStorage", 8, decode_plain<int8_t>},
    {ElementType::f8_e4m3, "F8_E4M3", "", 8, decode_with<uint8_t, from_f8_e4m3>},
    {ElementType::f8_e5m2, "F8_E5M2", "", 8, decode_with<uint8_t, from_f8_e5m2>},
    {ElementType::i16, "I16", "ShortStorage", 16, decode_plain<int16_t>},
    {ElementType::u16, "U16", "", 16, decode_plain<uint16_t>},
    {ElementType::f16, "F16", "HalfStorage", 16, decode_with<uint16_t, from_f16>},
    {ElementType::bf16, "BF16", "BFloat16Storage", 16, decode_with<uint16_t, from_bf16>},
    {ElementType::i32, "I32", "IntStorage", 32, decode_plain<int32_t>},
    {ElementType::u32, "U32", "", 32, decode_plain<uint32_t>},
    {ElementType::f32, "F32", "FloatStorage", 32, decode_plain<float>},
    {ElementType::f64, "F64", "DoubleStorage", 64, decode_plain<double>},
    {ElementType::i64, "I64", "LongStorage", 64, decode_wide_integer<int64_t>},
    {ElementType::u64, "U64", "", 64, decode_wide_integer<uint64_t>},
    {ElementType::f4, "F4", "", 4, nullptr},
    {ElementType::f6_e2m3, "F6_E2M3", "", 6, nullptr},
    {ElementType::f6_e3m2, "F6_E3M2", "", 6, nullptr},
    {ElementType::f8_e8m0, "F8_E8M0", "", 8, nullptr},
    {ElementType::c64, "C64", "ComplexFloatStorage", 64, nullptr},
}};

}  // namespace

std::span<const ElementTypeInfo> element_types() { return kTypes; }

const ElementTypeInfo& info(ElementType type) {
  const auto row = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& r) { return r.type == type; });
  if (row == kTypes.end()) throw std::invalid_argument("element type outside the enumeration");
  return *row;
}

std::optional<ElementType> element_type_from_name(std::string_view safetensors_name) {
  for (const ElementTypeInfo& row : kTypes) {
    if (row.name == safetensors_name) return row.type;
  }
  return std::nullopt;
}

std::optional<ElementType> element_type_from_torch_storage(std::string_view class_name) {
  if (class_name.empty()) return std::nullopt;
  for (const ElementTypeInfo& row : kTypes) {
    if (row.torch_storage == class_name) return row.type;
  }
  return std::nullopt;
}

}  // namespace attest::golden
