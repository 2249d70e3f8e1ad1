// mov with packing and unpacking, cvta, isspacep, and the clocks.
#include <bit>
#include <string>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"
#include "jit/vm/specials.h"

namespace attest::vm {
namespace {

using std::string;

template <class T>
T same(T a) {
  return a;
}
void move_predicate(Warp& warp, const Instruction& instruction) {
  const uint32_t value = warp.predicate(instruction.r[1]);
  uint32_t& d = warp.predicate(instruction.r[0]);
  d = (d & ~warp.mask) | (value & warp.mask);
}

// Bits [shift, shift + count) of each lane, for mov between a register and a vector of narrower ones.
template <class Row>
void unpack(Warp& warp, const Instruction& instruction) {  // parts = whole; variant = bits of a part
  const Row* whole = warp.row<Row>(instruction.r[0]);
  Row copy[kLanes];
  for (uint32_t lane = 0; lane < kLanes; ++lane) copy[lane] = whole[lane];
  const uint32_t* parts = warp.launch->code->lists.data() + instruction.list;
  for (uint32_t i = 0; i < instruction.count; ++i) {
    if (parts[i] == kNoRow) continue;
    uint32_t* part = warp.row<uint32_t>(parts[i]);
    const uint32_t shift = i * instruction.variant;
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const auto value = static_cast<uint32_t>(copy[lane] >> shift);
      part[lane] = warp.mask >> lane & 1 ? value : part[lane];
    }
  }
}
template <class Row>
void pack(Warp& warp, const Instruction& instruction) {
  const uint32_t* parts = warp.launch->code->lists.data() + instruction.list;
  Row value[kLanes] = {};
  const Row keep = static_cast<Row>((uint64_t{1} << instruction.variant) - 1);
  for (uint32_t i = 0; i < instruction.count; ++i) {
    const uint32_t* part = warp.row<uint32_t>(parts[i]);
    const uint32_t shift = i * instruction.variant;
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      value[lane] |= static_cast<Row>((Row{part[lane]} & keep) << shift);
  }
  Row* whole = warp.row<Row>(instruction.r[0]);
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    whole[lane] = warp.mask >> lane & 1 ? value[lane] : whole[lane];
}

void read_clock(Warp& warp, const Instruction& instruction) {
  const uint64_t value = clock_value(warp, static_cast<Special>(instruction.variant));
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    if (instruction.wide_address)
      warp.row<uint64_t>(instruction.r[0])[lane] = value;
    else
      warp.row<uint32_t>(instruction.r[0])[lane] = static_cast<uint32_t>(value);
  }
}

// mov.type d, a;      PTX ISA: data-movement-and-conversion-instructions-mov (and -mov-2 for vectors)
template <char L>
void decode_mov(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  using Kind = syntax::Operand::Kind;
  if (in.operands.size() != 2) decoder.fail("expected two operands");
  const syntax::Operand& d = in.operands[0];
  const syntax::Operand& a = in.operands[1];
  const char target = static_cast<char>((L == 'f' ? 'w' : L == 'd' ? 'q' : L) - 32);
  const uint32_t bits = L == 'h' ? 16 : L == 'w' || L == 'f' ? 32 : 64;
  const auto part_rows = [&](const syntax::Operand& vector, bool is_target) {
    const size_t count = vector.parts.size();
    if ((count != 2 && count != 4) || bits / count < 16)
      decoder.fail("a vector of " + std::to_string(count) + " parts does not fit");
    out.count = static_cast<uint8_t>(count);
    out.variant = static_cast<uint8_t>(bits / count);
    const char part = bits / count == 16 ? 'h' : 'w';
    std::vector<uint32_t> rows;
    for (const syntax::Operand& each : vector.parts) {
      if (each.kind == Kind::underscore)
        rows.push_back(kNoRow);
      else
        rows.push_back(is_target ? decoder.target(each, static_cast<char>(part - 32))
                                 : decoder.source(each, part));
    }
    out.list = decoder.list(rows);
  };
  if (d.kind == Kind::vector) {
    if (L == 'h') decoder.fail("16 bits cannot be unpacked");
    part_rows(d, true);
    out.r[0] = decoder.source(a, L);
    out.run = bits == 64 ? unpack<uint64_t> : unpack<uint32_t>;
    return;
  }
  out.r[0] = decoder.target(d, target);
  if (a.kind == Kind::vector) {
    if (L == 'h') decoder.fail("16 bits cannot be packed");
    part_rows(a, false);
    out.run = bits == 64 ? pack<uint64_t> : pack<uint32_t>;
    return;
  }
  if (a.kind == Kind::name) {
    const SpecialName* special = find_special(a.name);
    if (special && special->clock) {
      if (special->wide != (bits == 64)) decoder.fail("`" + a.name + "` has another width");
      out.run = read_clock;
      out.variant = static_cast<uint8_t>(special->special);
      out.wide_address = special->wide;
      return;
    }
  }
  // Float literals may be moved to untyped registers: the bits are what counts.
  if (a.kind == Kind::f32 && bits == 32)
    out.r[1] = decoder.constant_row(a.bits, Width::w32);
  else if (a.kind == Kind::f64 && bits == 64)
    out.r[1] = decoder.constant_row(a.bits, Width::w64);
  else
    out.r[1] = decoder.source(a, L);
}

// cvta.space d, a: into the generic space; cvta.to.space back. Offset 0 for global and constant memory.
template <class T, uint64_t Base, bool To>
T convert_address(T a) {
  return static_cast<T>(To ? a - Base : a + Base);
}

template <uint64_t Base>
void add_cvta(FormTable& table, const string& space) {
  const char* section = "data-movement-and-conversion-instructions-cvta";
  table.add({"cvta." + space + ".u64", "Qq", lanes<convert_address<uint64_t, Base, false>>(), section,
             "The generic address of an address of the space."});
  table.add({"cvta.to." + space + ".u64", "Qq", lanes<convert_address<uint64_t, Base, true>>(), section,
             "The address within the space of a generic address."});
}

template <uint64_t Window>
bool in_window(uint64_t a) {
  return a / kWindowBytes == Window;
}
// isspacep.shared{::cta}: of this block, not of another one of its cluster.
void in_own_shared(Warp& warp, const Instruction& instruction) {
  const uint64_t* a = warp.row<uint64_t>(instruction.r[1]);
  uint32_t bits = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint64_t tag = (a[lane] - kSharedWindow) >> kSharedRankShift;
    bits |= static_cast<uint32_t>(in_window<1>(a[lane]) && (tag == 0 || tag - 1 == warp.block->rank)) << lane;
  }
  uint32_t& predicate = warp.predicate(instruction.r[0]);
  predicate = (predicate & ~warp.mask) | (bits & warp.mask);
}
bool in_global(uint64_t a) { return a >> Memory::kBufferShift != 0; }

}  // namespace

void add_move_forms(FormTable& table) {
  const char* section = "data-movement-and-conversion-instructions-mov";
  const char* meaning = "Copies; packs or unpacks a vector, takes an address or a special register.";
  for (const char* type : {"b16", "u16", "s16"})
    table.add({string("mov.") + type, "", lanes<same<uint16_t>>(), section, meaning, decode_mov<'h'>});
  for (const char* type : {"b32", "u32", "s32"})
    table.add({string("mov.") + type, "", lanes<same<uint32_t>>(), section, meaning, decode_mov<'w'>});
  for (const char* type : {"b64", "u64", "s64"})
    table.add({string("mov.") + type, "", lanes<same<uint64_t>>(), section, meaning, decode_mov<'q'>});
  table.add({"mov.f32", "", lanes<same<uint32_t>>(), section, meaning, decode_mov<'f'>});
  table.add({"mov.f64", "", lanes<same<uint64_t>>(), section, meaning, decode_mov<'d'>});
  table.add({"mov.pred", "Pp", move_predicate, section, "Copies a predicate."});

  add_cvta<0>(table, "global");
  add_cvta<0>(table, "const");
  add_cvta<kSharedWindow>(table, "shared");
  add_cvta<kSharedWindow>(table, "shared::cta");
  add_cvta<kSharedWindow>(table, "shared::cluster");
  add_cvta<kLocalWindow>(table, "local");
  add_cvta<kParamWindow>(table, "param");
  add_cvta<kParamWindow>(table, "param::entry");
  section = "data-movement-and-conversion-instructions-isspacep";
  meaning = "Whether a generic address lies in the space.";
  for (const char* space : {"shared", "shared::cta"})
    table.add({string("isspacep.") + space, "Pq", in_own_shared, section, meaning});
  table.add({"isspacep.shared::cluster", "Pq", lanes<in_window<1>>(), section, meaning});
  table.add({"isspacep.local", "Pq", lanes<in_window<2>>(), section, meaning});
  table.add({"isspacep.param", "Pq", lanes<in_window<3>>(), section, meaning});
  table.add({"isspacep.param::entry", "Pq", lanes<in_window<3>>(), section, meaning});
  table.add({"isspacep.global", "Pq", lanes<in_global>(), section, meaning});
}

}  // namespace attest::vm
