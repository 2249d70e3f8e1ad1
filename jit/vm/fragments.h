// Which element of a matrix a lane's register holds, for mma.sync and, warp by warp, for wgmma.
#pragma once

#include "jit/vm/tensor_core.h"

namespace attest::vm {

constexpr int element_bits(MatrixFormat format) {
  switch (format) {
    case MatrixFormat::f16:
    case MatrixFormat::bf16:
      return 16;
    case MatrixFormat::tf32:
      return 32;
    case MatrixFormat::f64:
      return 64;
    default:
      return 8;
  }
}
// Elements that share a register: a register has 32 bits, for f64 64.
constexpr int packed(MatrixFormat format) {
  return format == MatrixFormat::f64 ? 1 : 32 / element_bits(format);
}

// Where element `h` of register `i` of a lane lies. g = lane / 4, t = lane % 4, e elements a register.
// Source: PTX ISA, the fragment figures of mma.m16n8k*; one formula covers all of them.
struct Place2 {
  int row, column;
};
constexpr Place2 a_place(int lane, int i, int h, int e) {
  return {lane / 4 + 8 * (i % 2), e * (lane % 4) + h + 4 * e * (i / 2)};
}
constexpr Place2 b_place(int lane, int i, int h, int e) { return {e * (lane % 4) + h + 4 * e * i, lane / 4}; }
constexpr Place2 c_place(int lane, int i) { return {lane / 4 + 8 * (i / 2), 2 * (lane % 4) + i % 2}; }

}  // namespace attest::vm
