// Matrix instructions of a warpgroup: wgmma.mma_async, its fence and its groups; setmaxnreg.
//
// A wgmma is computed when it is issued or when it is waited for, as early or as late as is legal. It reads
// shared memory then; registers it may read and write at any time between, since nobody else may touch them
// (register_hazards.h).
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/fragments.h"
#include "jit/vm/register_hazards.h"
#include "jit/vm/scheduler.h"
#include "jit/vm/tensor_core.h"
#include "jit/vm/warpgroup.h"
#include "jit/vm/wgmma_descriptor.h"

namespace attest::vm {
namespace {

constexpr int kRows = 64, kRowsPerWarp = 16;
constexpr int kPieceBytes = 16;

enum class Accumulator : uint8_t { f32, f16, s32 };

struct WgmmaForm {
  int n = 0, k = 0;
  MatrixFormat a{}, b{};
  Accumulator accumulator{};
  bool saturate = false;
  std::string name;
  MatrixShape shape() const { return {kRows, n, k}; }
  int registers() const { return accumulator == Accumulator::f16 ? n / 4 : n / 2; }  // of D, a lane
};

constexpr const char* name_of(MatrixFormat format) {
  constexpr const char* kNames[] = {"f16", "bf16", "tf32", "e4m3", "e5m2", "s8", "u8", "f64"};
  return kNames[static_cast<size_t>(format)];
}

// Every n of every combination of types. ptxas takes .satfinite before and behind the types.
std::vector<WgmmaForm> all_forms() {
  using enum MatrixFormat;
  struct Types {
    MatrixFormat a, b;
    Accumulator accumulator;
    const char* name;
  };
  std::vector<Types> types = {{bf16, bf16, Accumulator::f32, "f32"},
                              {f16, f16, Accumulator::f32, "f32"},
                              {f16, f16, Accumulator::f16, "f16"},
                              {tf32, tf32, Accumulator::f32, "f32"}};
  for (MatrixFormat a : {e4m3, e5m2})
    for (MatrixFormat b : {e4m3, e5m2}) {
      types.push_back({a, b, Accumulator::f32, "f32"});
      types.push_back({a, b, Accumulator::f16, "f16"});
    }
  for (MatrixFormat a : {s8, u8})
    for (MatrixFormat b : {s8, u8}) types.push_back({a, b, Accumulator::s32, "s32"});
  std::vector<WgmmaForm> forms;
  for (const auto& [a, b, accumulator, d] : types) {
    const bool integer = accumulator == Accumulator::s32;
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
const std::vector<WgmmaForm>& forms() {
  static const std::vector<WgmmaForm> table = all_forms();
  return table;
}
const WgmmaForm& form_of(const Instruction& instruction) {
  return forms()[static_cast<size_t>(instruction.immediate)];
}

// Instruction::variant; r[0] is scale-d, r[1] A's descriptor, r[2] B's; the list has D's rows, then A's.
constexpr uint8_t kNegateA = 1, kNegateB = 2, kTransposeA = 4, kTransposeB = 8, kRegistersA = 16;

Major major_of(const Instruction& instruction, uint8_t transposed) {
  return instruction.variant & transposed ? Major::mn : Major::k;
}

// --- operands in shared memory ---

// What the 16-byte pieces of an operand hold. Its rows are A's rows or B's columns.
struct Pieces {
  Major major;
  int rows, k, elements;  // elements a piece

  int lines() const { return major == Major::k ? rows : k; }
  int a_line() const { return (major == Major::k ? k : rows) / elements; }
  int row(int line, int j) const { return major == Major::k ? line : j * elements; }  // of the first element
  int column(int line, int j) const { return major == Major::k ? j * elements : line; }
};

Pieces pieces_of(const Instruction& instruction, char operand) {
  const WgmmaForm& form = form_of(instruction);
  const bool a = operand == 'A';
  return {major_of(instruction, a ? kTransposeA : kTransposeB), a ? kRows : form.n, form.k,
          8 * kPieceBytes / element_bits(a ? form.a : form.b)};
}

// Element `byte` of the piece as "row 3, k 8 of A", "column 3, k 8 of B".
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

// Addresses of the operand's pieces, which lie inside shared memory and have been written.
std::vector<uint32_t> addresses_of(const Warp* warps, const Instruction& instruction, uint32_t row,
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
  const WgmmaForm& form = form_of(instruction);
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
  const WgmmaForm& form = form_of(instruction);
  const uint32_t* rows = rows_of(warps[0], instruction);
  const bool half = form.accumulator == Accumulator::f16;
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

void negate(MatrixFormat format, std::vector<uint32_t>& words) {
  const uint32_t sign = 1u << (element_bits(format) - 1);
  for (uint32_t& word : words) word ^= sign;
}

// --- computing ---

void compute(Warp* warps, PendingMultiply& multiply) {
  const Instruction& instruction = *multiply.instruction;
  const WgmmaForm& form = form_of(instruction);
  const auto n = static_cast<size_t>(form.n), k = static_cast<size_t>(form.k);
  std::vector<uint32_t> a(kRows * k), b(k * n), d(kRows * n);
  if (instruction.variant & kRegistersA)
    gather_a(warps, instruction, a.data());
  else
    load_operand(warps[0], instruction, 'A', multiply.a, k, 1, a.data());
  load_operand(warps[0], instruction, 'B', multiply.b, 1, n, b.data());
  if (instruction.variant & kNegateA) negate(form.a, a);
  if (instruction.variant & kNegateB) negate(form.b, b);
  const bool half = form.accumulator == Accumulator::f16;
  const uint32_t mask = half ? 0xffff : ~0u;
  if (multiply.accumulates)
    each_of_d(warps, instruction, d.data(),
              [&](uint32_t& element, uint32_t word, int shift) { element = word >> shift & mask; });
  const AccumulatorFormat format = half ? AccumulatorFormat::f16 : AccumulatorFormat::f32;
  if (form.accumulator == Accumulator::s32)
    integer_matrix_step(form.shape(), form.a, a, form.b, b, form.saturate, d, d);
  else if (warps[0].launch->options->arithmetic == Arithmetic::wide)
    wide_matrix_step(form.shape(), form.a, a, form.b, b, format, d, d);
  else
    fused_matrix_step(wgmma_model(form.a), form.shape(), form.a, a, form.b, b, format, d, d);
  each_of_d(warps, instruction, d.data(), [&](uint32_t element, uint32_t& word, int shift) {
    word = (word & ~(mask << shift)) | element << shift;
  });
  multiply.computed = true;
  multiply.a = {};
  multiply.b = {};
}

// Whether a wgmma is computed as early or as late as is legal.
bool early(Block& block) {
  const Schedule schedule = block.launch->options->schedule;
  return schedule == Schedule::serial ||
         (schedule == Schedule::shuffled && (next_random(block.random) & 1) != 0);
}

// Up to this number, in order: the next may accumulate into the same registers.
void compute_until(Warp* warps, uint64_t number) {
  for (PendingMultiply& each : warps[0].warpgroup->pending)
    if (!each.computed && each.number <= number) compute(warps, each);
}

// --- what observers learn: each warp has an actor of its own, that reads its rows of A and all of B ---

void notify_reads(const Warp& warp, const Site& site, uint64_t actor, std::vector<uint32_t> addresses) {
  std::sort(addresses.begin(), addresses.end());
  for (size_t i = 0; i < addresses.size();) {
    const uint64_t from = addresses[i];
    uint64_t to = from;
    for (; i < addresses.size() && addresses[i] <= to; ++i) to = addresses[i] + uint64_t{kPieceBytes};
    for (Observer* observer : warp.launch->observers)
      observer->async_access({site, actor, Space::shared, Touch::load, from, to - from});
  }
}

void notify_begin(Warp* warps, const Instruction& instruction, PendingMultiply& multiply) {
  if (!observed(warps[0])) return;
  multiply.actor = warps[0].launch->actors.fetch_add(kWarpsTogether) + 1;
  const Pieces pieces = pieces_of(instruction, 'A');
  for (uint32_t w = 0; w < kWarpsTogether; ++w) {
    const Site site = site_of(warps[w], instruction);
    for (Observer* observer : warps[w].launch->observers) observer->async_begin({site, multiply.actor + w});
    std::vector<uint32_t> read = multiply.b;
    for (size_t i = 0; i < multiply.a.size(); ++i) {
      const int line = static_cast<int>(i) / pieces.a_line(), j = static_cast<int>(i) % pieces.a_line();
      if (pieces.row(line, j) / kRowsPerWarp == static_cast<int>(w)) read.push_back(multiply.a[i]);
    }
    notify_reads(warps[w], site, multiply.actor + w, std::move(read));
  }
}

void notify_end(const Warp* warps, const Instruction& wait, const PendingMultiply& multiply) {
  if (multiply.actor == 0) return;
  for (uint32_t w = 0; w < kWarpsTogether; ++w) {
    const Site site = site_of(warps[w], wait);
    for (Observer* observer : warps[w].launch->observers)
      observer->async_end({.site = site, .actor = multiply.actor + w});
  }
}

// --- the instructions; `first` is the first warp of the four ---

bool same_shape(const Instruction& a, const Instruction& b) {
  return form_of(a).n == form_of(b).n && form_of(a).k == form_of(b).k;
}

bool scale_d(const Warp* warps, const Instruction& instruction) {
  const uint32_t bits = warps[0].predicate(instruction.r[0]);
  for (uint32_t w = 0; w < kWarpsTogether; ++w) {
    const uint32_t own = warps[w].predicate(instruction.r[0]);
    const uint32_t differs = bits & 1 ? ~own : own;
    if (differs)
      trap(warps[w], instruction, Rule::divergent_operand, differs,
           "the lanes of the warpgroup give different values of scale-d");
  }
  return (bits & 1) != 0;
}

// wgmma.mma_async.sync.aligned.shape.dtype.atype.btype d, a-desc | a, b-desc, scale-d, ...;
void issue(Warp& first, const Instruction& instruction) {
  Warp* warps = &first;
  Warpgroup& group = *first.warpgroup;
  PendingMultiply multiply;
  multiply.instruction = &instruction;
  multiply.number = group.issued + 1;
  take_registers(first, instruction, group, static_cast<size_t>(form_of(instruction).registers()),
                 multiply.number, same_shape);
  multiply.accumulates = scale_d(warps, instruction);
  if (!(instruction.variant & kRegistersA))
    multiply.a = addresses_of(warps, instruction, instruction.r[1], 'A');
  multiply.b = addresses_of(warps, instruction, instruction.r[2], 'B');
  notify_begin(warps, instruction, multiply);
  group.issued = multiply.number;
  group.pending.push_back(std::move(multiply));
  if (early(*first.block)) compute_until(warps, group.issued);
}

// wgmma.fence.sync.aligned;
void fence(Warp& first, const Instruction&) {
  if (first.warpgroup) fence_registers(*first.warpgroup);
}

// wgmma.commit_group.sync.aligned;  the group may be empty
void commit_group(Warp& first, const Instruction&) {
  if (!first.warpgroup) return;
  Warpgroup& group = *first.warpgroup;
  group.groups.push_back(group.issued);
  group.committed = group.issued;
}

// wgmma.wait_group.sync.aligned n;  all but the n youngest groups are there
void wait_group(Warp& first, const Instruction& instruction) {
  if (!first.warpgroup) return;
  Warpgroup& group = *first.warpgroup;
  const auto keep = static_cast<uint64_t>(instruction.immediate);
  if (group.groups.size() <= keep) return;
  const auto end = group.groups.end() - static_cast<std::ptrdiff_t>(keep);
  const uint64_t last = *(end - 1);
  compute_until(&first, last);
  for (const PendingMultiply& each : group.pending)
    if (each.number <= last) notify_end(&first, instruction, each);
  std::erase_if(group.pending, [&](const PendingMultiply& each) { return each.number <= last; });
  group.groups.erase(group.groups.begin(), end);
  group.completed = last;
}

void nothing(Warp&, const Instruction&) {}

// --- decoding ---

void require_target(const Decoder& decoder) {
  if (decoder.module_target().find("sm_90a") == std::string::npos)
    decoder.fail("needs .target sm_90a, the module has " + decoder.module_target());
}

int64_t literal(const Decoder& decoder, const syntax::Operand& operand, int64_t low, int64_t high,
                const char* what) {
  const auto value = static_cast<int64_t>(operand.bits);
  if (operand.kind != syntax::Operand::Kind::integer || (value != low && value != high))
    decoder.fail(std::string(what) + " must be " + std::to_string(low) + " or " + std::to_string(high));
  return value;
}

// A vector of `count` 32-bit registers, each of them once in the instruction.
void registers(Decoder& decoder, const syntax::Operand& operand, int count, char letter,
               std::vector<uint32_t>& rows) {
  if (operand.kind != syntax::Operand::Kind::vector || operand.parts.size() != static_cast<size_t>(count))
    decoder.fail(std::string("matrix ") + letter + " must be a vector of " + std::to_string(count) +
                 " registers, here are " + std::to_string(operand.parts.size()));
  for (const syntax::Operand& part : operand.parts) {
    Width width = Width::none;
    uint32_t bytes = 0;
    const uint32_t row = decoder.register_row(part, width, bytes);
    if (width == Width::predicate || bytes != 4)
      decoder.fail("register `" + part.name + "` of matrix " + letter + " must have 32 bits");
    if (std::find(rows.begin(), rows.end(), row) != rows.end())
      decoder.fail("register `" + part.name + "` occurs twice in D and A");
    rows.push_back(row);
  }
}

void decode_multiply(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  require_target(decoder);
  std::string name = in.opcode;
  for (const std::string& modifier : in.modifiers) name += "." + modifier;
  size_t number = 0;
  while (name != forms()[number].name) ++number;  // the form table has led here
  const WgmmaForm& form = forms()[number];
  const bool in_registers = in.operands.size() > 1 && in.operands[1].kind == syntax::Operand::Kind::vector;
  const bool transposable = element_bits(form.a) == 16;
  const size_t scales = form.accumulator == Accumulator::s32 ? 0 : 2;
  const size_t transposes = !transposable ? 0 : in_registers ? 1 : 2;
  if (in.operands.size() != 4 + scales + transposes)
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands, expected " +
                 std::to_string(4 + scales + transposes));
  out.immediate = static_cast<int64_t>(number);
  out.variant = in_registers ? kRegistersA : 0;
  std::vector<uint32_t> rows;
  registers(decoder, in.operands[0], form.registers(), 'D', rows);
  if (in_registers)
    registers(decoder, in.operands[1], 4, 'A', rows);
  else
    out.r[1] = decoder.source(in.operands[1], 'q');
  out.r[2] = decoder.source(in.operands[2], 'q');
  out.r[0] = decoder.source(in.operands[3], 'p');
  out.list = decoder.list(rows);
  if (scales) {
    if (literal(decoder, in.operands[4], -1, 1, "imm-scale-a") < 0) out.variant |= kNegateA;
    if (literal(decoder, in.operands[5], -1, 1, "imm-scale-b") < 0) out.variant |= kNegateB;
  }
  if (transposes == 2 && literal(decoder, in.operands[6], 0, 1, "imm-trans-a")) out.variant |= kTransposeA;
  if (transposes && literal(decoder, in.operands.back(), 0, 1, "imm-trans-b")) out.variant |= kTransposeB;
}

void decode_bare(Decoder& decoder, const syntax::Instruction& in, Instruction&) {
  require_target(decoder);
  if (!in.operands.empty()) decoder.fail("has no operands");
}

void decode_wait(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  require_target(decoder);
  if (in.operands.size() != 1 || in.operands[0].kind != syntax::Operand::Kind::integer ||
      static_cast<int64_t>(in.operands[0].bits) < 0)
    decoder.fail("takes the number of groups that may stay pending, an integer from 0 on");
  out.immediate = static_cast<int64_t>(in.operands[0].bits);
}

void decode_registers(Decoder& decoder, const syntax::Instruction& in, Instruction&) {
  require_target(decoder);
  const uint64_t count = in.operands.size() == 1 ? in.operands[0].bits : 0;
  if (in.operands.size() != 1 || in.operands[0].kind != syntax::Operand::Kind::integer || count < 24 ||
      count > 256 || count % 8 != 0)
    decoder.fail("takes a count of registers, a multiple of 8 from 24 to 256");
}

}  // namespace

void add_wgmma_forms(FormTable& table) {
  const auto add = [&](const std::string& name, Handler run, Handler evaluate, Decode decode,
                       const char* section, const char* meaning) {
    table.add({.name = name,
               .operands = "",
               .run = run,
               .section = section,
               .meaning = meaning,
               .decode = decode,
               .evaluate = evaluate});
  };
  for (const WgmmaForm& form : forms())
    add(form.name, meet_warpgroup, issue, decode_multiply,
        "asynchronous-warpgroup-level-matrix-instructions-wgmma-mma",
        "D = A * B + D of four warps, early or late; rounded as Hopper's tensor cores do, or widely. "
        "Registers may not be touched until waited for.");
  add("wgmma.fence.sync.aligned", meet_warpgroup, fence, decode_bare,
      "asynchronous-warpgroup-level-matrix-instructions-wgmma-fence",
      "Registers touched before may be used by the wgmma that follow.");
  add("wgmma.commit_group.sync.aligned", meet_warpgroup, commit_group, decode_bare,
      "asynchronous-warpgroup-level-matrix-instructions-wgmma-commit-group", "Closes a group of wgmma.");
  add("wgmma.wait_group.sync.aligned", meet_warpgroup, wait_group, decode_wait,
      "asynchronous-warpgroup-level-matrix-instructions-wgmma-wait-group",
      "Finishes all but the n youngest groups.");
  for (const char* action : {"inc", "dec"})
    add(std::string("setmaxnreg.") + action + ".sync.aligned.u32", meet_existing_warps, nothing,
        decode_registers, "miscellaneous-instructions-setmaxnreg",
        "A count of registers, checked; it changes no result.");
}

}  // namespace attest::vm
