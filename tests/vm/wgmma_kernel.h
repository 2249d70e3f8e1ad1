// Kernels around wgmma for tests: shared memory images laid out by cute's canonical layouts, fragments by the
// text of the PTX ISA, values of small numbers. Nothing of this uses the machine's own layout code.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/program.h"

namespace attest::vm::wgmma {

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

// A mode of a cute layout: coordinates in column-major order of `shape` (the last one unlimited).
struct Mode {
  std::vector<uint32_t> shape, stride;
  uint32_t operator()(uint32_t index) const {
    uint32_t offset = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      const bool last = i + 1 == shape.size();
      offset += (last ? index : index % shape[i]) * stride[i];
      if (!last) index /= shape[i];
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
      columns = {{t, 2}, {1, lbo}};
    } else {
      rows = {{8, 0}, {w * t, sbo}};
      columns = {{t, 2}, {1, t}};
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

inline std::string vector_of(const std::string& name, int count, int first = 0) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += (i ? ", %" : "%") + name + std::to_string(first + i);
  return text + "}";
}

// One block. The buffer: [words of the shared image], [threads][4] registers %a, [threads][d] registers %d,
// then [threads][d] results. Before the body: the image is in shared memory at 0, %a and %d are loaded, %p1
// is true. After it %d is stored.
struct Kernel {
  uint32_t image_bytes = 0;
  int d = 4;
  std::string body;
  uint32_t threads = 128;
  uint32_t written_bytes = ~0u;  // of the image; the rest is never written
  std::string target = "sm_90a";

  std::string text() const {
    const std::string words = std::to_string(image_bytes / 4),
                      written = std::to_string(std::min(image_bytes, written_bytes));
    std::string load, store;
    for (int i = 0; i < 4; ++i)
      load += "ld.global.b32 %a" + std::to_string(i) + ", [%ga+" + std::to_string(4 * i) + "];\n";
    for (int i = 0; i < d; ++i) {
      load += "ld.global.b32 %d" + std::to_string(i) + ", [%gd+" + std::to_string(4 * i) + "];\n";
      store += "st.global.b32 [%go+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
    }
    const std::string row = std::to_string(4 * d);
    return ".version 8.4\n.target " + target +
           "\n.address_size 64\n.visible .entry k(.param .u64 data)\n{\n"
           ".reg .b32 %t, %s, %w, %lane, %warp, %a<8>, %d<256>, %r<16>; .reg .b64 %g, %ga, %gd, %go, %x, "
           "%da, %db, %dc, %rd<8>; .reg .pred %p<8>;\n"
           ".shared .align 1024 .b8 tile[" +
           std::to_string(image_bytes) +
           "];\n"
           "ld.param.u64 %g, [data];\nmov.u32 %t, %tid.x;\nand.b32 %lane, %t, 31;\nshr.u32 %warp, %t, 5;\n"
           "mul.wide.u32 %x, %t, 16;\nadd.u64 %ga, %g, " +
           std::to_string(image_bytes) + ";\nadd.u64 %gd, %ga, " + std::to_string(16 * threads) +
           ";\nadd.u64 %ga, %ga, %x;\nmul.wide.u32 %x, %t, " + row + ";\nadd.u64 %go, %gd, " +
           std::to_string(uint64_t{4} * static_cast<uint64_t>(d) * threads) +
           ";\nadd.u64 %gd, %gd, %x;\nadd.u64 %go, %go, %x;\n"
           "mov.u32 %s, tile;\nmul.lo.u32 %w, %t, 4;\nsetp.eq.u32 %p1, %t, %t;\n"
           "COPY:\nsetp.ge.u32 %p0, %w, " +
           written +
           ";\n@%p0 bra DONE;\ncvt.u64.u32 %x, %w;\nadd.u64 %x, %x, %g;\nld.global.b32 %r0, [%x];\n"
           "add.u32 %r1, %s, %w;\nst.shared.b32 [%r1], %r0;\nadd.u32 %w, %w, " +
           std::to_string(4 * threads) + ";\nbra COPY;\nDONE:\nbar.sync 0;\n" + load + body + "\n" + store +
           "ret;\n}\n";
  }
};

struct Input {
  std::vector<std::byte> image;
  std::vector<uint32_t> a, d;  // [thread][4], [thread][registers]
};

// The results, [thread][registers]. Throws what the machine throws.
inline std::vector<uint32_t> run(const Kernel& kernel, const Input& input, LaunchOptions options,
                                 std::span<Observer* const> observers = {}) {
  const Program program = Program::parse(kernel.text());
  Machine machine;
  const size_t registers = static_cast<size_t>(kernel.d) * kernel.threads;
  std::vector<uint32_t> words(kernel.image_bytes / 4 + size_t{4} * kernel.threads + 2 * registers);
  std::memcpy(words.data(), input.image.data(), std::min<size_t>(input.image.size(), kernel.image_bytes));
  const size_t a = kernel.image_bytes / 4, d = a + size_t{4} * kernel.threads;
  const auto put = [&](const std::vector<uint32_t>& from, size_t at, size_t most) {
    std::copy_n(from.begin(), std::min(from.size(), most), words.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(input.a, a, size_t{4} * kernel.threads);
  put(input.d, d, registers);
  const uint64_t data = machine.memory().allocate(words.size() * 4, "data");
  machine.memory().write(data, std::as_bytes(std::span(words)));
  options.block = {kernel.threads, 1, 1};
  machine.launch(program, "k", options, std::as_bytes(std::span(&data, 1)), observers);
  machine.memory().read(data, std::as_writable_bytes(std::span(words)));
  return {words.end() - static_cast<std::ptrdiff_t>(registers), words.end()};
}

}  // namespace attest::vm::wgmma
