// The element types that checkpoints store, and how each becomes a double.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace attest::golden {

// clang-format off
enum class ElementType {
  boolean, u8, i8, f8_e4m3, f8_e5m2, i16, u16, f16, bf16, i32, u32, f32, f64, i64, u64,
  f4, f6_e2m3, f6_e3m2, f8_e8m0, c64,  // known to safetensors: sizes are checked, values are not decoded
};
// clang-format on

struct ElementTypeInfo {
  ElementType type;
  std::string_view name;  // as safetensors spells it: "F32"
  std::string_view
      torch_storage;  // the storage class in module torch: "FloatStorage"; empty when there is none
  int bits;
  // Decodes `count` consecutive little-endian elements exactly. Returns the index of the first element that a
  // double cannot hold (a 64-bit integer beyond 2^53), or `count`. Null: this type is not decoded.
  int64_t (*decode)(const std::byte* source, int64_t count, double* out);
};

std::span<const ElementTypeInfo> element_types();
const ElementTypeInfo& info(ElementType type);
std::optional<ElementType> element_type_from_name(std::string_view safetensors_name);
std::optional<ElementType> element_type_from_torch_storage(std::string_view class_name);

}  // namespace attest::golden
