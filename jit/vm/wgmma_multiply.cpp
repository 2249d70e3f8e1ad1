// Gathers operands into matrices with an element a word, multiplies, scatters D.
#include "jit/vm/wgmma_multiply.h"

#include <cstring>
#include <optional>
#include <utility>

#include "jit/vm/payload_table.h"
#include "jit/vm/perturb.h"

namespace attest::vm {
namespace {

constexpr const char* name_of(MatrixFormat format) {
  constexpr const char* kNames[] = {"f16", "bf16", "tf32", "e4m3", "e5m2", "s8", "u8", "f64"};
  return kNames[static_cast<size_t>(format)];
}

// Every n of every combination of types. ptxas takes .satfinite before and behind the types.
std::vector<WgmmaForm> all_forms() {
  using enum MatrixFormat;
  struct Types {
    MatrixFormat a, b;
    WgmmaAccumulator accumulator;
    const char* name;
  };
  std::vector<Types> types = {{bf16, bf16, WgmmaAccumulator::f32, "f32"},
                              {f16, f16, WgmmaAccumulator::f32, "f32"},
                              {f16, f16, WgmmaAccumulator::f16, "f16"},
                              {tf32, tf32, WgmmaAccumulator::f32, "f32"}};
  for (MatrixFormat a : {e4m3, e5m2})
    for (MatrixFormat b : {e4m3, e5m2}) {
      types.push_back({a, b, WgmmaAccumulator::f32, "f32"});
      types.push_back({a, b, WgmmaAccumulator::f16, "f16"});
    }
  for (MatrixFormat a : {s8, u8})
    for (MatrixFormat b : {s8, u8}) types.push_back({a, b, WgmmaAccumulator::s32, "s32"});
  std::vector<WgmmaForm> forms;
  for (const auto& [a, b, accumulator, d] : types) {
    const bool integer = accumulator == WgmmaAccumulator::s32;
    const int k = 8 * 2 * kPieceBytes / element_bits(a);
    for (int n = 8; n <= 256; n += 8) {
      if (integer && n % 16 != 0 && n != 8 && n != 24) continue;
      const std::string head =
          "wgmma.mma_async.sync.aligned.m64n" + std::to_string(n) + "k" + std::to_string(k);
      const std::string tail = std::string(".") + d + "." + name_of(a) + "." + name_of(b);
      forms.push_back({n, k, a, b, accumulator, false, head + tail});
      if (!integer) continue;
      forms.push_back({n, k, a, b, accumulator, true, head + ".satfinite" + tail});
      forms.push_back({n, k, a, b, accumulator, true, head + tail + ".satfinite"});
    }
  }
  return forms;
}

}  // namespace

const std::vector<WgmmaForm>& wgmma_forms() {
  static const std::vector<WgmmaForm> table = all_forms();
  return table;
}

Pieces pieces_of(const Instruction& instruction, char operand) {
  const WgmmaForm& form = wgmma_form(instruction);
  const bool a = operand == 'A';
  const bool transposed = (instruction.variant & (a ? kTransposeA : kTransposeB)) != 0;
  return {transposed ? Major::mn : Major::k, a ? kWgmmaRows : form.n, form.k,
          8 * kPieceBytes / element_bits(a ? form.a : form.b)};
}

namespace {

// --- operands in shared memory ---

// An element of a piece as "row 3, k 8 of A", "column 3, k 8 of B".
std::string element_text(const Pieces& pieces, char operand, int piece, int element) {
  const int line = piece / pieces.a_line(), j = piece % pieces.a_line();
  const bool along_k = pieces.major == Major::k;
  return (operand == 'A' ? "row " : "column ") +
         std::to_string(pieces.row(line, j) + (along_k ? 0 : element)) + ", k " +
         std::to_string(pieces.column(line, j) + (along_k ? element : 0)) + " of " + operand;
}

void require_written(const Warp& warp, const Instruction& instruction, char operand,
                     const std::vector<uint32_t>& addresses) {
  if (!warp.launch->options->check_memory) return;
  const uint8_t* flags = warp.block->shared_initialised.get();
  for (size_t i = 0; i < addresses.size(); ++i) {
    const void* hole = std::memchr(flags + addresses[i], 0, kPieceBytes);
    if (!hole) continue;
    const Pieces pieces = pieces_of(instruction, operand);
    const auto byte = static_cast<int>(static_cast<const uint8_t*>(hole) - (flags + addresses[i]));
    trap(warp, instruction, Rule::uninitialised, kAllLanes,
         element_text(pieces, operand, static_cast<int>(i), byte * pieces.elements / kPieceBytes) +
             ", at shared address " + std::to_string(addresses[i] + static_cast<uint32_t>(byte)) +
             ": nobody wrote it");
  }
}

// All 128 lanes must give the same descriptor.
MatrixDescriptor descriptor_of(const Warp* warps, const Instruction& instruction, uint32_t row,
                               char operand) {
  const uint64_t bits = warps[0].row<uint64_t>(row)[0];
  for (uint32_t w = 0; w < kWarpsTogether; ++w) {
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      if (warps[w].row<uint64_t>(row)[lane] != bits)
        trap(warps[w], instruction, Rule::divergent_operand, 1u << lane,
             std::string("the lanes of the warpgroup give different descriptors of ") + operand);
  }
  std::string fault;
  const std::optional<MatrixDescriptor> descriptor = read_descriptor(bits, fault);
  if (!descriptor)
    trap(warps[0], instruction, Rule::other, kAllLanes,
         std::string("the descriptor of ") + operand + ": " + fault);
  return *descriptor;
}

// Reads the pieces into a matrix with an element a word: element (row, k) at row * row_step + k * k_step.
template <class T>
void read_pieces(const Block& block, const Pieces& pieces, const std::vector<uint32_t>& addresses,
                 size_t row_step, size_t k_step, uint32_t* words) {
  const size_t step = pieces.major == Major::k ? k_step : row_step;
  constexpr size_t kElements = kPieceBytes / sizeof(T);
  const uint32_t* address = addresses.data();
  for (int line = 0; line < pieces.lines(); ++line) {
    for (int j = 0; j < pieces.a_line(); ++j) {
      T elements[kElements];
      std::memcpy(elements, block.shared.get() + *address++, kPieceBytes);
      uint32_t* to = words + static_cast<size_t>(pieces.row(line, j)) * row_step +
                     static_cast<size_t>(pieces.column(line, j)) * k_step;
      for (size_t i = 0; i < kElements; ++i) to[i * step] = elements[i];
    }
  }
}

void load_operand(const Warp& warp, const Instruction& instruction, char operand,
                  const std::vector<uint32_t>& addresses, size_t row_step, size_t k_step, uint32_t* words) {
  require_written(warp, instruction, operand, addresses);
  const Pieces pieces = pieces_of(instruction, operand);
  const Block& block = *warp.block;
  if (pieces.elements == 16) return read_pieces<uint8_t>(block, pieces, addresses, row_step, k_step, words);
  if (pieces.elements == 8) return read_pieces<uint16_t>(block, pieces, addresses, row_step, k_step, words);
  read_pieces<uint32_t>(block, pieces, addresses, row_step, k_step, words);
}

// --- operands in registers ---

const uint32_t* rows_of(const Warp& warp, const Instruction& instruction) {
  return &warp.launch->code->lists[instruction.list];
}

void gather_a(const Warp* warps, const Instruction& instruction, uint32_t* a) {
  const WgmmaForm& form = wgmma_form(instruction);
  const uint32_t* rows = rows_of(warps[0], instruction) + form.registers();
  const int e = packed(form.a), bits = element_bits(form.a);
  const uint32_t mask = bits == 32 ? ~0u : (1u << bits) - 1;
  for (uint32_t w = 0; w < kWarpsTogether; ++w, a += kRowsPerWarp * form.k) {
    for (int i = 0; i < 4; ++i) {
      const uint32_t* row = warps[w].row<uint32_t>(rows[i]);
      for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
        for (int h = 0; h < e; ++h) {
          const Place2 at = a_place(lane, i, h, e);
          a[at.row * form.k + at.column] = row[lane] >> (h * bits) & mask;
        }
      }
    }
  }
}

// Calls f(matrix element, register word, shift) for every element of D: warp w has rows 16w to 16w + 15, in
// eights of columns as mma.sync has C.
template <class F>
void each_of_d(const Warp* warps, const Instruction& instruction, uint32_t* d, F f) {
  const WgmmaForm& form = wgmma_form(instruction);
  const uint32_t* rows = rows_of(warps[0], instruction);
  const bool half = form.accumulator == WgmmaAccumulator::f16;
  const int e = half ? 2 : 1;
  for (uint32_t w = 0; w < kWarpsTogether; ++w, d += kRowsPerWarp * form.n) {
    for (int i = 0; i < form.registers(); ++i) {
      uint32_t* row = warps[w].row<uint32_t>(rows[i]);
      for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
        for (int h = 0; h < e; ++h) {
          const Place2 at = c_place(lane, (i * e + h) % 4);
          f(d[at.row * form.n + at.column + (i * e + h) / 4 * 8], row[lane], 16 * h);
        }
      }
    }
  }
}

// d = a * b + d as the launch's arithmetic has it.
void multiply_matrices(const LaunchOptions& options, const WgmmaForm& form, const std::vector<uint32_t>& a,
                       const std::vector<uint32_t>& b, std::vector<uint32_t>& d) {
  if (form.accumulator == WgmmaAccumulator::s32)
    return integer_matrix_step(form.shape(), form.a, a, form.b, b, form.saturate, d, d);
  const AccumulatorFormat format =
      form.accumulator == WgmmaAccumulator::f16 ? AccumulatorFormat::f16 : AccumulatorFormat::f32;
  switch (options.arithmetic) {  // an arithmetic that is not named here does not compile
    case Arithmetic::wide:
      return wide_matrix_step(form.shape(), form.a, a, form.b, b, format, d, d);
    case Arithmetic::hw:
      return fused_matrix_step(wgmma_model(form.a), form.shape(), form.a, a, form.b, b, format, d, d);
    case Arithmetic::perturb:
      return perturbed_matrix_step(options.seed, wgmma_model(form.a), form.shape(), form.a, a, form.b, b,
                                   format, d, d);
    case Arithmetic::payload:
      return payload_matrix_step(*options.payload, form.shape(), form.a, a, form.b, b, format, d, d);
  }
}

void negate(MatrixFormat format, std::vector<uint32_t>& words) {
  const uint32_t sign = 1u << (element_bits(format) - 1);
  for (uint32_t& word : words) word ^= sign;
}

}  // namespace

std::vector<uint32_t> operand_addresses(const Warp* warps, const Instruction& instruction, uint32_t row,
                                        char operand) {
  const MatrixDescriptor descriptor = descriptor_of(warps, instruction, row, operand);
  const Pieces pieces = pieces_of(instruction, operand);
  std::vector<uint32_t> addresses;
  for (int line = 0; line < pieces.lines(); ++line) {
    for (int j = 0; j < pieces.a_line(); ++j) {
      const uint32_t address =
          piece_address(descriptor, pieces.major, static_cast<uint32_t>(line), static_cast<uint32_t>(j));
      if (uint64_t{address} + kPieceBytes > warps[0].block->shared_bytes)
        trap(warps[0], instruction, Rule::out_of_bounds, kAllLanes,
             element_text(pieces, operand, static_cast<int>(addresses.size()), 0) +
                 " would be at shared address " + std::to_string(address) + ", the block has " +
                 std::to_string(warps[0].block->shared_bytes) + " bytes of shared memory");
      addresses.push_back(address);
    }
  }
  require_written(warps[0], instruction, operand, addresses);
  return addresses;
}

void compute(Warp* warps, PendingMultiply& multiply) {
  const Instruction& instruction = *multiply.instruction;
  const WgmmaForm& form = wgmma_form(instruction);
  const auto n = static_cast<size_t>(form.n), k = static_cast<size_t>(form.k);
  std::vector<uint32_t> a(kWgmmaRows * k), b(k * n), d(kWgmmaRows * n);
  if (instruction.variant & kRegistersA)
    gather_a(warps, instruction, a.data());
  else
    load_operand(warps[0], instruction, 'A', multiply.a, k, 1, a.data());
  load_operand(warps[0], instruction, 'B', multiply.b, 1, n, b.data());
  if (instruction.variant & kNegateA) negate(form.a, a);
  if (instruction.variant & kNegateB) negate(form.b, b);
  const bool half = form.accumulator == WgmmaAccumulator::f16;
  const uint32_t mask = half ? 0xffff : ~0u;
  if (multiply.accumulates)
    each_of_d(warps, instruction, d.data(),
              [&](uint32_t& element, uint32_t word, int shift) { element = word >> shift & mask; });
  multiply_matrices(*warps[0].launch->options, form, a, b, d);
  each_of_d(warps, instruction, d.data(), [&](uint32_t element, uint32_t& word, int shift) {
    word = (word & ~(mask << shift)) | element << shift;
  });
  multiply.computed = true;
  multiply.a = {};
  multiply.b = {};
}

}  // namespace attest::vm
