// One wgmma: the forms, where its operands lie, the product.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/vm/fragments.h"
#include "jit/vm/tensor_core.h"
#include "jit/vm/warp.h"
#include "jit/vm/warpgroup.h"
#include "jit/vm/wgmma_descriptor.h"

namespace attest::vm {

inline constexpr int kWgmmaRows = 64, kRowsPerWarp = 16;
inline constexpr int kPieceBytes = 16;

enum class WgmmaAccumulator : uint8_t { f32, f16, s32 };

struct WgmmaForm {
  int n = 0, k = 0;
  MatrixFormat a{}, b{};
  WgmmaAccumulator accumulator{};
  bool saturate = false;
  std::string name;
  MatrixShape shape() const { return {kWgmmaRows, n, k}; }
  int registers() const { return accumulator == WgmmaAccumulator::f16 ? n / 4 : n / 2; }  // of D, a lane
};
const std::vector<WgmmaForm>& wgmma_forms();

// Of a wgmma.mma_async: `immediate` is the number of its form; r[0] is scale-d, r[1] A's descriptor, r[2]
// B's; the list has D's rows, then A's; `variant` has these bits.
inline constexpr uint8_t kNegateA = 1, kNegateB = 2, kTransposeA = 4, kTransposeB = 8, kRegistersA = 16;
inline const WgmmaForm& wgmma_form(const Instruction& instruction) {
  return wgmma_forms()[static_cast<size_t>(instruction.immediate)];
}

// What the 16-byte pieces of an operand in shared memory hold, line after line. Its rows are A's rows or B's
// columns.
struct Pieces {
  Major major;
  int rows, k, elements;  // elements a piece

  int lines() const { return major == Major::k ? rows : k; }
  int a_line() const { return (major == Major::k ? k : rows) / elements; }
  int row(int line, int j) const { return major == Major::k ? line : j * elements; }  // of the first element
  int column(int line, int j) const { return major == Major::k ? j * elements : line; }
};
Pieces pieces_of(const Instruction& instruction, char operand);

// Addresses of the operand's pieces, from the descriptor in row `row` of the four warps. Traps: descriptors
// that differ or are illegal, pieces outside shared memory, bytes that nobody wrote.
std::vector<uint32_t> operand_addresses(const Warp* warps, const Instruction& instruction, uint32_t row,
                                        char operand);

// Reads the operands now and writes D.
void compute(Warp* warps, PendingMultiply& multiply);

}  // namespace attest::vm
