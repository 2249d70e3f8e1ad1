// Matrix instructions of a warpgroup: wgmma.mma_async, its fence and its groups; setmaxnreg.
//
// A wgmma is computed when it is issued or when it is waited for, as early or as late as is legal. It reads
// shared memory then; registers it may read and write at any time between, since nobody else may touch them
// (register_hazards.h).
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/hash.h"
#include "jit/vm/register_hazards.h"
#include "jit/vm/warpgroup.h"
#include "jit/vm/wgmma_multiply.h"

namespace attest::vm {
namespace {

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
  return wgmma_form(a).n == wgmma_form(b).n && wgmma_form(a).k == wgmma_form(b).k;
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
  take_registers(first, instruction, group, static_cast<size_t>(wgmma_form(instruction).registers()),
                 multiply.number, same_shape);
  multiply.accumulates = scale_d(warps, instruction);
  if (!(instruction.variant & kRegistersA))
    multiply.a = operand_addresses(warps, instruction, instruction.r[1], 'A');
  multiply.b = operand_addresses(warps, instruction, instruction.r[2], 'B');
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
  while (name != wgmma_forms()[number].name) ++number;  // the form table has led here
  const WgmmaForm& form = wgmma_forms()[number];
  const bool in_registers = in.operands.size() > 1 && in.operands[1].kind == syntax::Operand::Kind::vector;
  const bool transposable = element_bits(form.a) == 16;
  const size_t scales = form.accumulator == WgmmaAccumulator::s32 ? 0 : 2;
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
  for (const WgmmaForm& form : wgmma_forms())
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
