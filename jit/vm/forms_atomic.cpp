// atom and red: read, modify, write, one lane after the other.
#include <atomic>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>

#include "jit/vm/access.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"
#include "jit/vm/reduction.h"

namespace attest::vm {
namespace {

using std::string;
using namespace reduction;

// Of one instruction, on one element a lane. One that leaves everything as it was counts as a load for those
// who find out that nothing happens any more: who spins on a lock that is taken changes nothing.
template <class U, class New, class Old>
void modify(Warp& warp, const Instruction& instruction, New new_value, Old old_value) {
  LaneAddresses addresses;
  lane_addresses(warp, instruction, addresses);
  Resolved where;
  Block& block = *warp.block;
  const uint64_t changes = block.changes;
  resolve(warp, instruction, addresses, sizeof(U), Touch::atomic, where);
  bool changed = false;
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const U old = exchange<U>(where.of(lane), [&](U before) { return new_value(lane, before); });
    changed = changed || new_value(lane, old) != old;
    if (instruction.r[0] != kNoRow) old_value(lane, old);
  }
  if (changed) return;
  block.changes = changes;
  ++block.global_loads;
}

// d = old; *a = F(old, b).      PTX ISA: parallel-synchronization-and-communication-instructions-atom
// Operands: r[0] d (kNoRow for red), r[1] b, r[5] address.
template <class T, auto F>
void atomic(Warp& warp, const Instruction& instruction) {
  using U = Bits<T>;
  const Source<T> b(warp, instruction.r[1]);
  modify<U>(
      warp, instruction,
      [&](uint32_t lane, U old) { return std::bit_cast<U>(F(std::bit_cast<T>(old), b.at(lane))); },
      [&](uint32_t lane, U old) { warp.row<RowOf<T>>(instruction.r[0])[lane] = old; });
}

// atom.cas d, [a], b, c: *a = old == b ? c : old.
template <class U>
void compare_and_swap(Warp& warp, const Instruction& instruction) {
  const Source<U> b(warp, instruction.r[1]), c(warp, instruction.r[2]);
  modify<U>(
      warp, instruction,
      [&](uint32_t lane, U old) { return old == b.at(lane) ? static_cast<U>(c.at(lane)) : old; },
      [&](uint32_t lane, U old) { warp.row<RowOf<U>>(instruction.r[0])[lane] = old; });
}

template <class T>
T exch(T, T b) {
  return b;
}
template <class P, class H>
P add_pair(P a, P b) {
  const H lower = round_half<H>(low(a) + low(b)), upper = round_half<H>(high(a) + high(b));
  return P{uint32_t{upper.bits} << 16 | lower.bits};
}

template <bool Red, char L, bool Three>
void decode(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const size_t expected = (Red ? 2 : 3) + (Three ? 1 : 0);
  if (in.operands.size() != expected)
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands, expected " +
                 std::to_string(expected));
  if (out.memory.space != Space::generic && out.memory.space != Space::global &&
      out.memory.space != Space::shared)
    decoder.fail("atomics are for global and shared memory");
  size_t at = 0;
  if (!Red) {
    const char upper = L == 'f' ? 'W' : L == 'd' ? 'Q' : static_cast<char>(L - 32);
    const syntax::Operand& d = in.operands[at++];
    out.r[0] = d.kind == syntax::Operand::Kind::underscore ? kNoRow : decoder.target(d, upper);
  }
  decoder.address(in.operands[at++], out);
  out.r[1] = decoder.source(in.operands[at++], L);
  if (Three) out.r[2] = decoder.source(in.operands[at++], L);
  if (out.memory.order == Order::weak) out.memory.order = Order::relaxed;  // the default of atom and red
  if (out.memory.scope == Scope::none) out.memory.scope = Scope::gpu;
}

template <char L>
void add_rows(FormTable& table, const string& tail, Handler run, const char* meaning) {
  table.add({"atom" + tail, "", run, "parallel-synchronization-and-communication-instructions-atom", meaning,
             decode<false, L, false>});
  table.add({"red" + tail, "", run, "parallel-synchronization-and-communication-instructions-red", meaning,
             decode<true, L, false>});
}

template <class T, char L>
void add_extremes(FormTable& table, const string& type) {
  add_rows<L>(table, ".min." + type, atomic<T, &min<T>>, "*a = min(*a, b).");
  add_rows<L>(table, ".max." + type, atomic<T, &max<T>>, "*a = max(*a, b).");
}
template <class T, char L>
void add_bits(FormTable& table, const string& type) {
  add_rows<L>(table, ".and." + type, atomic<T, &and_<T>>, "*a = *a & b.");
  add_rows<L>(table, ".or." + type, atomic<T, &or_<T>>, "*a = *a | b.");
  add_rows<L>(table, ".xor." + type, atomic<T, &xor_<T>>, "*a = *a ^ b.");
}
template <class T, char L>
void add_exchange(FormTable& table, const string& type) {
  const char* section = "parallel-synchronization-and-communication-instructions-atom";
  table.add({"atom.exch." + type, "", atomic<T, &exch<T>>, section, "*a = b.", decode<false, L, false>});
  table.add({"atom.cas." + type, "", compare_and_swap<T>, section,
             "*a = b if *a was c's partner b, else unchanged.", decode<false, L, true>});
}

// One row serves both spaces, so the handler asks for the space.
void add_f32_by_space(Warp& warp, const Instruction& instruction) {
  if (instruction.memory.space == Space::shared)
    atomic<float, &add_f32>(warp, instruction);
  else
    atomic<float, &add_f32_ftz>(warp, instruction);
}

}  // namespace

void add_atomic_forms(FormTable& table) {
  for (const char* type : {"u32", "s32"})
    add_rows<'w'>(table, string(".add.") + type, atomic<uint32_t, &add<uint32_t>>, "*a = *a + b.");
  add_rows<'q'>(table, ".add.u64", atomic<uint64_t, &add<uint64_t>>, "*a = *a + b.");
  add_rows<'f'>(table, ".add.f32", add_f32_by_space,
                "*a = *a + b, rounded to nearest; global memory flushes subnormals.");
  add_rows<'d'>(table, ".add.f64", atomic<double, &add<double>>, "*a = *a + b, rounded to nearest.");
  add_rows<'h'>(table, ".add.noftz.f16", atomic<F16, &add_half<F16>>, "*a = *a + b, rounded to nearest.");
  add_rows<'h'>(table, ".add.noftz.bf16", atomic<BF16, &add_half<BF16>>, "*a = *a + b, rounded to nearest.");
  add_rows<'w'>(table, ".add.noftz.f16x2", atomic<F16x2, &add_pair<F16x2, F16>>, "Both halves: *a = *a + b.");
  add_rows<'w'>(table, ".add.noftz.bf16x2", atomic<BF16x2, &add_pair<BF16x2, BF16>>,
                "Both halves: *a = *a + b.");
  add_rows<'w'>(table, ".inc.u32", atomic<uint32_t, &inc>, "*a = *a >= b ? 0 : *a + 1.");
  add_rows<'w'>(table, ".dec.u32", atomic<uint32_t, &dec>, "*a = *a == 0 or *a > b ? b : *a - 1.");
  add_extremes<uint32_t, 'w'>(table, "u32");
  add_extremes<int32_t, 'w'>(table, "s32");
  add_extremes<uint64_t, 'q'>(table, "u64");
  add_extremes<int64_t, 'q'>(table, "s64");
  add_bits<uint32_t, 'w'>(table, "b32");
  add_bits<uint64_t, 'q'>(table, "b64");
  add_exchange<uint32_t, 'w'>(table, "b32");
  add_exchange<uint64_t, 'q'>(table, "b64");
  const char* section = "parallel-synchronization-and-communication-instructions-atom";
  table.add({"atom.cas.b16", "", compare_and_swap<uint16_t>, section, "*a = c if *a was b.",
             decode<false, 'h', true>});
}

}  // namespace attest::vm
