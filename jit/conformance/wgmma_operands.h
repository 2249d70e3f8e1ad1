// Where wgmma's operands lie: images in shared memory by cute's canonical layouts, fragments by the text of
// the PTX ISA. Nothing of this uses the virtual machine's own layout code.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace attest::conformance::wgmma {

// An element type: a binary format, or an integer (exponent_bits = 0).
struct Type {
  const char* name;
  int bits, exponent_bits, fraction_bits;
  int unused_bits = 0;  // of tf32
  int k() const { return 256 / bits; }
  bool integer() const { return exponent_bits == 0; }
};
inline constexpr Type kF16{"f16", 16, 5, 10}, kBf16{"bf16", 16, 8, 7}, kTf32{"tf32", 32, 8, 10, 13},
    kE4m3{"e4m3", 8, 4, 3}, kE5m2{"e5m2", 8, 5, 2}, kS8{"s8", 8, 0, 0}, kU8{"u8", 8, 0, 0};

// Bits of a number that the type can hold exactly, normal or zero.
inline uint32_t encode(const Type& type, double value) {
  if (type.integer()) return static_cast<uint32_t>(static_cast<int>(value)) & 0xff;
  const uint32_t sign = std::signbit(value) ? 1u << (type.bits - 1) : 0;
  if (value == 0) return sign;
  int exponent = 0;
  const double fraction =
      std::frexp(std::fabs(value), &exponent) * 2 - 1;  // |value| = (1 + fraction) 2^(e-1)
  const int biased = exponent - 1 + (1 << (type.exponent_bits - 1)) - 1;
  const auto field = static_cast<uint32_t>(std::ldexp(fraction, type.fraction_bits));
  return sign | ((static_cast<uint32_t>(biased) << type.fraction_bits | field) << type.unused_bits);
}

// cute's Swizzle<B, 4, 3> on a byte address.
inline uint32_t swizzled(uint32_t address, int width) {
  const uint32_t b = width == 128 ? 3 : width == 64 ? 2 : width == 32 ? 1 : 0;
  const uint32_t yyy = ((1u << b) - 1) << 7;
  return address ^ ((address & yyy) >> 3);
}

// A mode of a cute layout: coordinates in column-major order of `shape`, of which 0 is the last and
// unlimited.
struct Mode {
  std::array<uint32_t, 3> shape, stride;
  uint32_t operator()(uint32_t index) const {
    uint32_t offset = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 0) return offset + index * stride[i];
      offset += index % shape[i] * stride[i];
      index /= shape[i];
    }
    return offset;
  }
};

// An operand in shared memory. Offsets in bytes.
struct Tile {
  Type type;
  int swizzle = 16;  // bytes; 16 = none
  bool transposed = false;
  uint32_t start = 0, leading = 0, stride = 0;

  // Address of element (row of A or column of B, k): CUTLASS, mma_traits_sm90_gmma.hpp, canonical layouts.
  uint32_t address(uint32_t mn, uint32_t k) const {
    const auto size = static_cast<uint32_t>(type.bits / 8);
    const uint32_t t = 16 / size, w = static_cast<uint32_t>(swizzle) / 16;
    const uint32_t lbo = leading / size, sbo = stride / size;
    Mode rows, columns;
    if (transposed && swizzle == 16) {
      rows = {{t, 1, 0}, {1, t, sbo}};
      columns = {{8, 0}, {t, lbo}};
    } else if (transposed) {
      rows = {{t, w, 0}, {1, t, lbo}};
      columns = {{8, 0}, {w * t, sbo}};
    } else if (swizzle == 16) {
      rows = {{8, 0}, {t, sbo}};
      columns = {{t, 0}, {1, lbo}};
    } else {
      rows = {{8, 0}, {w * t, sbo}};
      columns = {{t, 0}, {1, t}};
    }
    return swizzled(start + (rows(mn) + columns(k)) * size, swizzle);
  }
  uint64_t descriptor() const {
    const uint64_t layout = swizzle == 128 ? 1 : swizzle == 64 ? 2 : swizzle == 32 ? 3 : 0;
    return uint64_t{start} / 16 | uint64_t{leading} / 16 << 16 | uint64_t{stride} / 16 << 32 | layout << 62;
  }
};

// A tile without holes for `rows` x k elements, with `gap` unused 16-byte units between its groups of 8.
inline Tile tile(const Type& type, int swizzle, bool transposed, uint32_t start, uint32_t rows,
                 uint32_t gap) {
  const auto width = static_cast<uint32_t>(swizzle);
  const uint32_t group = 8 * width + 16 * gap;
  Tile made{type, swizzle, transposed, start, 0, group};
  if (!transposed) {
    made.leading = swizzle == 16 ? (rows / 8) * group : 4096;  // anything when swizzled: not used
  } else if (swizzle == 16) {
    made.leading = (rows / 8) * group;
  } else {
    made.leading = 2 * group;  // two groups of 8 k, then the next rows
  }
  return made;
}

// Element i of a lane's fragment. PTX ISA, "Matrix Fragments for wgmma.mma_async.m64nNk*".
struct Cell {
  uint32_t row, column;
};
inline Cell d_cell(uint32_t thread, uint32_t i) {
  const uint32_t warp = thread / 32, g = thread % 32 >> 2, t = thread % 4;
  return {16 * warp + g + ((i & 2) != 0 ? 8u : 0u), 8 * (i >> 2) + 2 * t + (i & 1)};
}
inline Cell a_cell(const Type& type, uint32_t thread, uint32_t i) {
  const uint32_t warp = thread / 32, g = thread % 32 >> 2, t = thread % 4;
  const uint32_t e = 32 / static_cast<uint32_t>(type.bits);  // elements a register
  const bool lower = i / e == 1 || i / e == 3, right = i / e >= 2;
  return {16 * warp + g + (lower ? 8u : 0u), e * t + i % e + (right ? 4 * e : 0u)};
}

}  // namespace attest::conformance::wgmma
