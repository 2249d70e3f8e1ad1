// A tensor map (CUtensorMap) that no driver made: how a tensor lies in global memory, and which box of it a
// copy moves. The limits are those of cuTensorMapEncodeTiled (CUDA driver API, tensor map objects).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace attest::vm {

inline constexpr size_t kTensorMapBytes = 128;
inline constexpr uint64_t kTensorMapAlignment = 64;
inline constexpr size_t kMaxTensorRank = 5;

enum class TensorType : uint8_t { u8, u16, u32, s32, u64, s64, f16, f32, f64, bf16 };
enum class Swizzle : uint8_t { none, b32, b64, b128 };
enum class TensorFill : uint8_t { zeros, nan };

// Throw std::invalid_argument that lists the names: "u8" ... "bf16"; "none", "32B", "64B", "128B"; "zeros",
// "nan".
TensorType tensor_type(std::string_view name);
Swizzle tensor_swizzle(std::string_view name);
TensorFill tensor_fill(std::string_view name);
std::string_view name_of(TensorType type);
uint32_t element_bytes(TensorType type);
// The bits of the element that stands for what is outside the tensor. NaN: all fraction bits set.
uint64_t fill_element(TensorType type, TensorFill fill);

struct TensorMap {
  TensorType type = TensorType::f32;
  uint64_t address = 0;                   // device address of element (0, ..., 0)
  std::vector<uint64_t> dims;             // elements, innermost first
  std::vector<uint64_t> strides;          // bytes, of dimensions 1, 2, ...; the innermost is dense
  std::vector<uint32_t> box;              // elements
  std::vector<uint32_t> element_strides;  // every how manieth element of a dimension; the first is ignored
  Swizzle swizzle = Swizzle::none;
  TensorFill fill = TensorFill::zeros;

  size_t rank() const { return dims.size(); }
  // What is wrong with it, in sentences; empty when it can be encoded.
  std::vector<std::string> problems() const;
  // Elements that a copy moves along each dimension: ceil(box / element stride).
  std::vector<uint32_t> moved() const;
  // Of the box in shared memory, which is dense, innermost dimension first.
  uint64_t box_bytes() const;

  // The opaque object that a kernel gets. Throws std::invalid_argument when there are problems.
  std::array<std::byte, kTensorMapBytes> encode() const;
  // Throws std::invalid_argument for bytes that encode() did not make.
  static TensorMap decode(std::span<const std::byte, kTensorMapBytes> bytes);
};

// Elements of a box that follow each other in the box and, if inside, in global memory.
struct BoxRun {
  uint64_t box_offset = 0;  // bytes from the box's beginning
  uint64_t bytes = 0;
  bool inside = false;   // of the tensor
  uint64_t address = 0;  // device address, if inside; out of every buffer when it leaves 64 bits
};

// The box whose first element has these coordinates (innermost first; they may be outside the tensor), in
// the order of box_offset. `coordinates` has rank() entries.
std::vector<BoxRun> box_runs(const TensorMap& map, std::span<const int32_t> coordinates);

// Where the byte of an unswizzled address stands: 128B [4..6] ^= [7..9], 64B [4..5] ^= [7..8], 32B [4] ^=
// [7]. Addresses are those in shared memory, so the pattern repeats every 1024, 512 or 256 bytes.
constexpr uint64_t swizzled(uint64_t address, Swizzle swizzle) {
  const uint64_t mask = (uint64_t{1} << static_cast<unsigned>(swizzle)) - 1;
  return address ^ ((address >> 7 & mask) << 4);
}

}  // namespace attest::vm
