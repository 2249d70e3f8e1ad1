// The 64 bits that tell a wgmma where a matrix lies in shared memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace attest::vm {

// Bytes throughout. Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout", matrix
// descriptor: start bits 0-13, leading byte offset 16-29, stride byte offset 32-45 (each >> 4), base offset
// 49-51, swizzle 62-63.
struct MatrixDescriptor {
  uint32_t start = 0, leading = 0, stride = 0;
  uint32_t swizzle = 16;  // width of the pattern: 16 (none), 32, 64 or 128
};

// What is wrong with a descriptor goes to `fault` as a sentence. A base offset other than 0 is refused: it
// occurs only when a tile's pattern does not start at a multiple of its size, and how the hardware applies it
// is not documented.
std::optional<MatrixDescriptor> read_descriptor(uint64_t bits, std::string& fault);

// Along which dimension 16 bytes of the operand lie: k (not transposed) or m and n (transposed).
enum class Major : uint8_t { k, mn };

// The operand as pieces of 16 bytes, `elements` each. K-major: piece (line, j) holds row `line` (of A; column
// of B), k from elements * j on. MN-major: k = `line`, rows from elements * j on. Returns the address in
// shared memory, swizzled (address bits 4 to 6 are changed by bits 7 to 9); it may lie past 2^18.
// The canonical layouts, T elements = 16 bytes, W = swizzle / 16, in units of 16 bytes before the swizzle:
//   K-major   none      row (8, m) : (1, stride)    k (T, 2)  : (_, leading)
//             swizzled  row (8, m) : (W, stride)    k (T, 2)  : (_, 1)
//   MN-major  none      row (T, m) : (_, stride)            k (8, 2) : (1, leading)
//             swizzled  row (T, W, m) : (_, 1, leading)     k (8, 2) : (W, stride)
uint32_t piece_address(const MatrixDescriptor& descriptor, Major major, uint32_t line, uint32_t j);

}  // namespace attest::vm
