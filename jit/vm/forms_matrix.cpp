// Matrix instructions of a warp: mma.sync, ldmatrix, stmatrix, movmatrix.
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "jit/vm/access.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/fragments.h"
#include "jit/vm/payload_table.h"
#include "jit/vm/perturb.h"
#include "jit/vm/rendezvous.h"
#include "jit/vm/tensor_core.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

// --- mma.sync ---

enum class Accumulator : uint8_t { f32, f16, s32, f64 };

// One row a form: shape, formats of A and B (column-major B, as .row.col says), accumulator.
struct MatrixForm {
  const char* name;
  MatrixShape shape;
  MatrixFormat a, b;
  Accumulator accumulator;
  bool saturate = false;
};
using enum MatrixFormat;
constexpr MatrixForm kMatrixForms[] = {
    {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", {16, 8, 16}, f16, f16, Accumulator::f32},
    {"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", {16, 8, 8}, f16, f16, Accumulator::f32},
    {"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", {16, 8, 16}, f16, f16, Accumulator::f16},
    {"mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16", {16, 8, 8}, f16, f16, Accumulator::f16},
    {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", {16, 8, 16}, bf16, bf16, Accumulator::f32},
    {"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", {16, 8, 8}, bf16, bf16, Accumulator::f32},
    {"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", {16, 8, 8}, tf32, tf32, Accumulator::f32},
    {"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", {16, 8, 4}, tf32, tf32, Accumulator::f32},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32", {16, 8, 32}, e4m3, e4m3, Accumulator::f32},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32", {16, 8, 32}, e4m3, e5m2, Accumulator::f32},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e4m3.f32", {16, 8, 32}, e5m2, e4m3, Accumulator::f32},
    {"mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32", {16, 8, 32}, e5m2, e5m2, Accumulator::f32},
    {"mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32", {16, 8, 32}, s8, s8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32", {16, 8, 32}, s8, u8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32", {16, 8, 32}, u8, s8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32", {16, 8, 32}, u8, u8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32",
     {16, 8, 32},
     s8,
     s8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.u8.s32",
     {16, 8, 32},
     s8,
     u8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k32.row.col.satfinite.s32.u8.s8.s32",
     {16, 8, 32},
     u8,
     s8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k32.row.col.satfinite.s32.u8.u8.s32",
     {16, 8, 32},
     u8,
     u8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32", {16, 8, 16}, s8, s8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k16.row.col.s32.s8.u8.s32", {16, 8, 16}, s8, u8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32", {16, 8, 16}, u8, s8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k16.row.col.s32.u8.u8.s32", {16, 8, 16}, u8, u8, Accumulator::s32},
    {"mma.sync.aligned.m16n8k16.row.col.satfinite.s32.s8.s8.s32",
     {16, 8, 16},
     s8,
     s8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k16.row.col.satfinite.s32.s8.u8.s32",
     {16, 8, 16},
     s8,
     u8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k16.row.col.satfinite.s32.u8.s8.s32",
     {16, 8, 16},
     u8,
     s8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m16n8k16.row.col.satfinite.s32.u8.u8.s32",
     {16, 8, 16},
     u8,
     u8,
     Accumulator::s32,
     true},
    {"mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64", {8, 8, 4}, f64, f64, Accumulator::f64},
    {"mma.sync.aligned.m16n8k4.row.col.f64.f64.f64.f64", {16, 8, 4}, f64, f64, Accumulator::f64},
    {"mma.sync.aligned.m16n8k8.row.col.f64.f64.f64.f64", {16, 8, 8}, f64, f64, Accumulator::f64},
    {"mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64", {16, 8, 16}, f64, f64, Accumulator::f64},
};

struct Registers {
  int a, b, c;
};
// Registers a lane holds of each matrix: its elements over 32 lanes.
constexpr Registers registers(const MatrixForm& form) {
  const int c_packed = form.accumulator == Accumulator::f16 ? 2 : 1;
  return {form.shape.m * form.shape.k / 32 / packed(form.a),
          form.shape.k * form.shape.n / 32 / packed(form.b), form.shape.m * form.shape.n / 32 / c_packed};
}

void require_all_lanes(const Warp& warp, const Instruction& instruction) {
  if (warp.mask != kAllLanes)
    trap(warp, instruction, Rule::divergent_barrier, warp.mask,
         "a matrix instruction needs all 32 lanes of the warp, here are only " + lane_list(warp.mask));
}

// The lanes' registers, as matrices with an element a word (f64: a double).
template <class T, class Place>
void gather(const Warp& warp, const uint32_t* rows, int count, int e, int bits, int columns, Place place,
            T* matrix) {
  const auto mask = static_cast<T>(bits == 8 * static_cast<int>(sizeof(T)) ? ~T{0} : (T{1} << bits) - 1);
  for (int i = 0; i < count; ++i) {
    const T* row = warp.row<T>(rows[i]);
    for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
      for (int h = 0; h < e; ++h) {
        const Place2 at = place(lane, i, h, e);
        matrix[at.row * columns + at.column] =
            row[lane] >> (h * bits % (8 * static_cast<int>(sizeof(T)))) & mask;
      }
    }
  }
}
constexpr auto c_element = [](int lane, int i, int h, int e) { return c_place(lane, i * e + h); };

void multiply_doubles(Warp& warp, const MatrixForm& form, const uint32_t* rows) {
  const Registers count = registers(form);
  std::array<uint64_t, 256> a{}, b{}, c{};
  const auto [m, n, k] = form.shape;
  gather(warp, rows + count.c, count.a, 1, 64, k, a_place, a.data());
  gather(warp, rows + count.c + count.a, count.b, 1, 64, n, b_place, b.data());
  gather(warp, rows + count.c + count.a + count.b, count.c, 1, 64, n, c_element, c.data());
  std::array<double, 256> left, right, sum;
  for (size_t i = 0; i < 256; ++i) {
    left[i] = std::bit_cast<double>(a[i]);
    right[i] = std::bit_cast<double>(b[i]);
    sum[i] = std::bit_cast<double>(c[i]);
  }
  const auto size = [](int x, int y) { return static_cast<size_t>(x * y); };
  double_matrix_step(form.shape, {left.data(), size(m, k)}, {right.data(), size(k, n)},
                     {sum.data(), size(m, n)}, {sum.data(), size(m, n)});
  for (int i = 0; i < count.c; ++i) {
    for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
      const Place2 at = c_place(lane, i);
      warp.row<uint64_t>(rows[i])[lane] =
          std::bit_cast<uint64_t>(sum[static_cast<size_t>(at.row * n + at.column)]);
    }
  }
}

// One step of mma.sync with float operands that the tensor core takes as they are, as the launch's arithmetic
// has it.
void float_step(const Warp& warp, MatrixShape shape, MatrixFormat a_format, std::span<const uint32_t> a,
                MatrixFormat b_format, std::span<const uint32_t> b, AccumulatorFormat accumulator,
                std::span<const uint32_t> c, std::span<uint32_t> d) {
  const LaunchOptions& options = *warp.launch->options;
  const TensorCoreModel model = mma_sync_model(a_format);
  if (options.arithmetic == Arithmetic::perturb)
    perturbed_matrix_step(options.seed, model, shape, a_format, a, b_format, b, accumulator, c, d);
  else
    fused_matrix_step(model, shape, a_format, a, b_format, b, accumulator, c, d);
}

// What sm_90 does for fp8 operands (ptxas 13.0 emits it): operands become f16, one step takes the k with k %
// 4 < 2 from zero, a second one the others, and C is added last, rounded to nearest.
void fp8_step(const Warp& warp, const MatrixForm& form, const uint32_t* a, const uint32_t* b,
              const uint32_t* c, uint32_t* d) {
  const auto [m, n, k] = form.shape;
  const auto as_f16 = [](MatrixFormat format, uint32_t bits) -> uint32_t {
    if (format == e5m2) return bits << 8;  // the upper half of an f16
    const uint32_t sign = (bits & 0x80u) << 8;
    const double value = matrix_value(e4m3, bits & 0x7fu);
    if (value != value) return sign | 0x7fffu;
    if (value == 0) return sign;
    // e4m3's range lies within f16's normal numbers: shift the fraction, move the bias.
    const auto f32_bits = std::bit_cast<uint32_t>(static_cast<float>(value));
    return sign | (((f32_bits >> 23) - 112u) << 10) | (f32_bits >> 13 & 0x3ffu);
  };
  std::array<uint32_t, 16 * 16> left;
  std::array<uint32_t, 16 * 8> right, sum{};
  for (int half = 0; half < 2; ++half) {
    for (int column = 0; column < 16; ++column) {
      const int from = column / 2 * 4 + 2 * half + column % 2;
      for (int row = 0; row < m; ++row)
        left[static_cast<size_t>(row * 16 + column)] = as_f16(form.a, a[row * k + from]);
      for (int j = 0; j < n; ++j)
        right[static_cast<size_t>(column * n + j)] = as_f16(form.b, b[from * n + j]);
    }
    float_step(warp, {m, n, 16}, f16, left, f16, right, AccumulatorFormat::f32, sum, sum);
  }
  for (size_t i = 0; i < sum.size(); ++i) {
    const float result = std::bit_cast<float>(c[i]) + std::bit_cast<float>(sum[i]);
    d[i] = result != result ? 0x7fffffffu : std::bit_cast<uint32_t>(result);
  }
}

// mma.sync.aligned.shape.row.col{.satfinite}.dtype.atype.btype.ctype d, a, b, c;
void multiply(Warp& warp, const Instruction& instruction) {
  require_all_lanes(warp, instruction);
  const MatrixForm& form = kMatrixForms[instruction.variant];
  const uint32_t* rows = &warp.launch->code->lists[instruction.list];
  if (form.accumulator == Accumulator::f64) return multiply_doubles(warp, form, rows);
  const Registers count = registers(form);
  const auto [m, n, k] = form.shape;
  const bool half = form.accumulator == Accumulator::f16;
  const int e = packed(form.a), c_packed = half ? 2 : 1, c_bits = half ? 16 : 32;
  std::array<uint32_t, 16 * 32> a;
  std::array<uint32_t, 32 * 8> b;
  std::array<uint32_t, 16 * 8> c, d;
  gather(warp, rows + count.c, count.a, e, element_bits(form.a), k, a_place, a.data());
  gather(warp, rows + count.c + count.a, count.b, e, element_bits(form.b), n, b_place, b.data());
  gather(warp, rows + count.c + count.a + count.b, count.c, c_packed, c_bits, n, c_element, c.data());
  const std::span<const uint32_t> left(a.data(), static_cast<size_t>(m * k)),
      right(b.data(), static_cast<size_t>(k * n));
  const AccumulatorFormat format = half ? AccumulatorFormat::f16 : AccumulatorFormat::f32;
  if (form.accumulator == Accumulator::s32)
    integer_matrix_step(form.shape, form.a, left, form.b, right, form.saturate, c, d);
  else if (const LaunchOptions& options = *warp.launch->options; options.arithmetic == Arithmetic::payload)
    payload_matrix_step(*options.payload, form.shape, form.a, left, form.b, right, format, c, d);
  else if (options.arithmetic == Arithmetic::wide)
    wide_matrix_step(form.shape, form.a, left, form.b, right, format, c, d);
  else if (element_bits(form.a) == 8)
    fp8_step(warp, form, a.data(), b.data(), c.data(), d.data());
  else
    float_step(warp, form.shape, form.a, left, form.b, right, format, c, d);
  for (int i = 0; i < count.c; ++i) {
    uint32_t* row = warp.row<uint32_t>(rows[i]);
    for (int lane = 0; lane < static_cast<int>(kLanes); ++lane) {
      uint32_t bits = 0;
      for (int h = 0; h < c_packed; ++h) {
        const Place2 at = c_place(lane, i * c_packed + h);
        bits |= d[static_cast<size_t>(at.row * n + at.column)] << (h * c_bits);
      }
      row[lane] = bits;
    }
  }
}

// A vector operand's elements; a lone register stands for a vector of one.
std::vector<syntax::Operand> elements(const syntax::Operand& operand) {
  return operand.kind == syntax::Operand::Kind::vector ? operand.parts
                                                       : std::vector<syntax::Operand>{operand};
}

void append(Decoder& decoder, const syntax::Operand& operand, int expected, char letter, const char* what,
            std::vector<uint32_t>& rows) {
  const std::vector<syntax::Operand> parts = elements(operand);
  if (static_cast<int>(parts.size()) != expected)
    decoder.fail(std::string("matrix ") + what + " has " + std::to_string(parts.size()) +
                 " registers, this shape takes " + std::to_string(expected));
  for (const syntax::Operand& part : parts)
    rows.push_back(letter < 'a' ? decoder.target(part, letter) : decoder.source(part, letter));
}

void decode_multiply(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  std::string name = in.opcode;
  for (const std::string& modifier : in.modifiers) name += "." + modifier;
  size_t number = 0;
  while (name != kMatrixForms[number].name) ++number;  // the form table has led here
  const MatrixForm& form = kMatrixForms[number];
  if (in.operands.size() != 4)
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands, expected 4");
  const Registers count = registers(form);
  const bool wide = form.accumulator == Accumulator::f64;
  std::vector<uint32_t> rows;
  append(decoder, in.operands[0], count.c, wide ? 'Q' : 'W', "D", rows);
  append(decoder, in.operands[1], count.a, wide ? 'd' : 'w', "A", rows);
  append(decoder, in.operands[2], count.b, wide ? 'd' : 'w', "B", rows);
  append(decoder, in.operands[3], count.c,
         wide                                   ? 'd'
         : form.accumulator == Accumulator::f32 ? 'f'
                                                : 'w',
         "C", rows);
  out.variant = static_cast<uint8_t>(number);
  out.r[0] = rows[0];  // having an operand tells it from bar.warp.sync, which orders memory
  out.list = decoder.list(rows);
}

// --- ldmatrix, stmatrix, movmatrix ---

constexpr uint32_t kRowBytes = 16;  // 8 elements of 16 bits

// Row r of 8x8 matrix i comes from the address of lane 8 * i + r. A lane holds two neighbouring elements of a
// row, with .trans of a column: row lane / 4, columns 2 * (lane % 4) and the next.
struct MatrixRows {
  std::byte* at[kLanes];
};
MatrixRows matrix_rows(Warp& warp, const Instruction& instruction, Touch touch) {
  require_all_lanes(warp, instruction);
  LaneAddresses addresses;
  lane_addresses(warp, instruction, addresses);
  Resolved where;
  const uint32_t lanes = 8u * instruction.count;
  warp.mask = lanes == kLanes ? kAllLanes : (1u << lanes) - 1;
  resolve(warp, instruction, addresses, kRowBytes, touch, where);
  MatrixRows rows;
  for (uint32_t lane = 0; lane < lanes; ++lane) rows.at[lane] = where.of(lane);
  warp.mask = kAllLanes;
  return rows;
}
// Byte of element h of a lane's register within its matrix, and the row that holds it.
struct Spot {
  uint32_t row, byte;
};
constexpr Spot spot(uint32_t lane, uint32_t h, bool transposed) {
  const uint32_t major = lane / 4, minor = 2 * (lane % 4) + h;
  return transposed ? Spot{minor, 2 * major} : Spot{major, 2 * minor};
}

// ldmatrix.sync.aligned.m8n8.num{.trans}{.shared}.b16 r, [p];
void load_matrices(Warp& warp, const Instruction& instruction) {
  const MatrixRows rows = matrix_rows(warp, instruction, Touch::load);
  const uint32_t* targets = &warp.launch->code->lists[instruction.list];
  for (uint32_t i = 0; i < instruction.count; ++i) {
    uint32_t* target = warp.row<uint32_t>(targets[i]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      uint16_t halves[2];
      for (uint32_t h = 0; h < 2; ++h) {
        const Spot from = spot(lane, h, instruction.variant != 0);
        std::memcpy(&halves[h], rows.at[8 * i + from.row] + from.byte, 2);
      }
      target[lane] = halves[0] | static_cast<uint32_t>(halves[1]) << 16;
    }
  }
}

// stmatrix.sync.aligned.m8n8.num{.trans}{.shared}.b16 [p], r;
void store_matrices(Warp& warp, const Instruction& instruction) {
  const MatrixRows rows = matrix_rows(warp, instruction, Touch::store);
  const uint32_t* sources = &warp.launch->code->lists[instruction.list];
  for (uint32_t i = 0; i < instruction.count; ++i) {
    const uint32_t* source = warp.row<uint32_t>(sources[i]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      for (uint32_t h = 0; h < 2; ++h) {
        const Spot to = spot(lane, h, instruction.variant != 0);
        const auto half = static_cast<uint16_t>(source[lane] >> (16 * h));
        std::memcpy(rows.at[8 * i + to.row] + to.byte, &half, 2);
      }
    }
  }
}

void decode_matrices(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const bool loads = in.opcode == "ldmatrix";
  if (in.operands.size() != 2)
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands, expected 2");
  for (const std::string& modifier : in.modifiers) {
    if (modifier == "x1" || modifier == "x2" || modifier == "x4")
      out.count = static_cast<uint8_t>(modifier[1] - '0');
    if (modifier == "trans") out.variant = 1;
    if (modifier == "shared" || modifier == "shared::cta") out.memory.space = Space::shared;
  }
  std::vector<uint32_t> rows;
  append(decoder, in.operands[loads ? 0 : 1], out.count, loads ? 'W' : 'w', "tile", rows);
  out.r[0] = rows[0];  // as above
  out.list = decoder.list(rows);
  decoder.address(in.operands[loads ? 1 : 0], out);
}

// movmatrix.sync.aligned.m8n8.trans.b16 d, a;
void transpose(Warp& warp, const Instruction& instruction) {
  require_all_lanes(warp, instruction);
  std::array<uint32_t, kLanes> source;
  std::memcpy(source.data(), warp.row<uint32_t>(instruction.r[1]), sizeof source);
  uint32_t* target = warp.row<uint32_t>(instruction.r[0]);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    uint32_t bits = 0;
    for (uint32_t h = 0; h < 2; ++h) {
      const uint32_t row = 2 * (lane % 4) + h, column = lane / 4;
      bits |= (source[4 * row + column / 2] >> (16 * (column % 2)) & 0xffffu) << (16 * h);
    }
    target[lane] = bits;
  }
}

}  // namespace

void add_matrix_forms(FormTable& table) {
  for (const MatrixForm& form : kMatrixForms) {
    table.add(
        {.name = form.name,
         .operands = "",
         .run = meet_warp,
         .section = "warp-level-matrix-instructions-mma",
         .meaning = "D = A * B + C of a warp's fragments; rounded as Hopper's tensor cores do, or widely.",
         .decode = decode_multiply,
         .evaluate = multiply});
  }
  for (const char* num : {"x1", "x2", "x4"}) {
    for (const char* trans : {"", ".trans"}) {
      for (const char* space : {"", ".shared", ".shared::cta"}) {
        const std::string rest = std::string(".sync.aligned.m8n8.") + num + trans + space + ".b16";
        table.add(
            {.name = "ldmatrix" + rest,
             .operands = "",
             .run = meet_warp,
             .section = "warp-level-matrix-instructions-ldmatrix",
             .meaning =
                 "Loads 8x8 matrices of 16-bit elements from rows of 16 bytes; traps on a misaligned row.",
             .decode = decode_matrices,
             .evaluate = load_matrices});
        table.add({.name = "stmatrix" + rest,
                   .operands = "",
                   .run = meet_warp,
                   .section = "warp-level-matrix-instructions-stmatrix",
                   .meaning = "Stores 8x8 matrices of 16-bit elements to rows of 16 bytes.",
                   .decode = decode_matrices,
                   .evaluate = store_matrices});
      }
    }
  }
  table.add({.name = "movmatrix.sync.aligned.m8n8.trans.b16",
             .operands = "Ww",
             .run = meet_warp,
             .section = "warp-level-matrix-instructions-movmatrix",
             .meaning = "Transposes an 8x8 matrix of 16-bit elements across the warp's registers.",
             .evaluate = transpose});
}

}  // namespace attest::vm
