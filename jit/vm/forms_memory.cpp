// ld and st in every space and shape; prefetches.
#include <bit>
#include <cstring>
#include <string>

#include "jit/vm/access.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

template <class M>
inline M fetch(const std::byte* from) {
  M value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Memory value to register row: extended by M's sign to the register's width.
template <class R, class M>
inline R extend(M value) {
  if constexpr (std::is_signed_v<M>)
    return static_cast<R>(static_cast<std::make_signed_t<R>>(value));
  else
    return static_cast<R>(value);
}

// ld{.order}{.scope}{.space}{.hints}{.vec}.type d, [a];      PTX ISA:
// data-movement-and-conversion-instructions-ld
template <class M, class R>
void load(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  lane_addresses(warp, instruction, addresses);
  Resolved where;
  const uint32_t count = instruction.count;
  resolve(warp, instruction, addresses, static_cast<uint32_t>(sizeof(M)) * count, Touch::load, where);
  const uint32_t* rows = warp.launch->code->lists.data() + instruction.list;
  const uint32_t mask = warp.mask;
  for (uint32_t i = 0; i < count; ++i) {
    if (rows[i] == kNoRow) continue;
    R* d = warp.row<R>(rows[i]);
    const size_t skip = i * sizeof(M);
    if (where.same) {
      const R value = extend<R>(fetch<M>(where.base + skip));
      for (uint32_t lane = 0; lane < kLanes; ++lane) d[lane] = mask >> lane & 1 ? value : d[lane];
    } else if (where.consecutive && count == 1) {
      M values[kLanes];
      std::memcpy(values, where.base, sizeof values);
      for (uint32_t lane = 0; lane < kLanes; ++lane) d[lane] = extend<R>(values[lane]);
    } else if (where.together && mask == kAllLanes) {
      const std::byte* base = where.base + skip;
      for (uint32_t lane = 0; lane < kLanes; ++lane)
        d[lane] = extend<R>(fetch<M>(base + (addresses.at[lane] - where.low)));
    } else {
      for (uint32_t rest = mask; rest; rest &= rest - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
        d[lane] = extend<R>(fetch<M>(where.of(lane) + skip));
      }
    }
  }
}

template <class M, class R>
void store(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  lane_addresses(warp, instruction, addresses);
  Resolved where;
  const uint32_t count = instruction.count;
  resolve(warp, instruction, addresses, static_cast<uint32_t>(sizeof(M)) * count, Touch::store, where);
  const uint32_t* rows = warp.launch->code->lists.data() + instruction.list;
  for (uint32_t i = 0; i < count; ++i) {
    const R* a = warp.row<R>(rows[i]);
    const size_t skip = i * sizeof(M);
    if (where.consecutive && count == 1) {
      M values[kLanes];
      for (uint32_t lane = 0; lane < kLanes; ++lane) values[lane] = static_cast<M>(a[lane]);
      std::memcpy(where.base, values, sizeof values);
    } else {
      for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
        const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
        const M value = static_cast<M>(a[lane]);
        std::memcpy(where.of(lane) + skip, &value, sizeof value);
      }
    }
  }
}

// ld.param of a kernel parameter at a fixed offset: the same value for every lane, checked when the PTX was
// parsed.
template <class M, class R>
void load_parameter(Warp& warp, const Instruction& instruction) {
  const uint32_t* rows = warp.launch->code->lists.data() + instruction.list;
  const std::byte* from = warp.launch->params.data() + instruction.immediate;
  for (uint32_t i = 0; i < instruction.count; ++i) {
    if (rows[i] == kNoRow) continue;
    const R value = extend<R>(fetch<M>(from + i * sizeof(M)));
    R* d = warp.row<R>(rows[i]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) d[lane] = warp.mask >> lane & 1 ? value : d[lane];
  }
}

// What a decoder needs to know of a type: the handlers for 32- and 64-bit registers.
struct Handlers {
  Handler load32, load64, store32, store64, parameter32, parameter64;
};
template <class M>
constexpr Handlers handlers() {
  if constexpr (sizeof(M) == 8)
    return {nullptr, load<M, uint64_t>, nullptr, store<M, uint64_t>, nullptr, load_parameter<M, uint64_t>};
  else
    return {load<M, uint32_t>,  load<M, uint64_t>,           store<M, uint32_t>,
            store<M, uint64_t>, load_parameter<M, uint32_t>, load_parameter<M, uint64_t>};
}

template <class M, uint8_t Count, bool Store>
void decode(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  using Kind = syntax::Operand::Kind;
  constexpr Handlers kHandlers = handlers<M>();
  if (in.operands.size() != 2) decoder.fail("expected two operands");
  const syntax::Operand& data = in.operands[Store ? 1 : 0];
  const syntax::Operand& address = in.operands[Store ? 0 : 1];
  if (out.memory.space == Space::constant && Store) decoder.fail("constant memory cannot be written");
  const bool to_kernel_param = out.memory.space == Space::param;
  decoder.address(address, out);
  if (to_kernel_param && Store && out.memory.space == Space::param)
    decoder.fail("a kernel parameter cannot be written");
  out.count = Count;
  std::vector<syntax::Operand> parts = {data};
  if (Count > 1) {
    if (data.kind != Kind::vector || data.parts.size() != Count)
      decoder.fail("expected a vector of " + std::to_string(Count));
    parts = data.parts;
  }
  // Registers may be wider than the memory type (PTX ISA: operand size exceeding instruction-type size), all
  // alike.
  Width width = sizeof(M) == 8 ? Width::w64 : Width::w32;
  for (const syntax::Operand& part : parts) {
    if (part.kind != Kind::name) continue;
    const Decoder::Reg* reg = decoder.find_register(part.name);
    if (!reg) decoder.fail("`" + part.name + "` is not declared");
    if (reg->width == Width::predicate) decoder.fail("a predicate in memory");
    if (reg->bytes < sizeof(M)) decoder.fail("register `" + part.name + "` is narrower than the type");
    width = reg->width;
  }
  std::vector<uint32_t> rows;
  for (const syntax::Operand& part : parts) {
    if (part.kind == Kind::underscore && !Store) {
      rows.push_back(kNoRow);
    } else if (part.kind == Kind::name) {
      const Decoder::Reg* reg = decoder.find_register(part.name);
      if (reg->width != width) decoder.fail("registers of different widths in a vector");
      rows.push_back(reg->row);
    } else if (Store && (part.kind == Kind::integer || part.kind == Kind::f32 || part.kind == Kind::f64)) {
      rows.push_back(decoder.constant_row(part.bits, width));
    } else {
      decoder.fail("an operand of the wrong kind");
    }
  }
  out.list = decoder.list(rows);
  const bool wide = width == Width::w64;
  if (Store) {
    out.run = wide ? kHandlers.store64 : kHandlers.store32;
    return;
  }
  out.run = wide ? kHandlers.load64 : kHandlers.load32;
  if (out.memory.space == Space::param && out.r[5] == kNoRow) {
    const auto bytes = static_cast<int64_t>(sizeof(M) * Count);
    const auto size = static_cast<int64_t>(decoder.parameter_bytes());
    if (out.immediate < 0 || out.immediate + bytes > size || out.immediate % bytes)
      decoder.fail("parameter bytes [" + std::to_string(out.immediate) + ", " +
                   std::to_string(out.immediate + bytes) + ") are outside the " + std::to_string(size) +
                   " there are, or misaligned");
    out.run = wide ? kHandlers.parameter64 : kHandlers.parameter32;
  }
}

template <class M>
void add_memory(FormTable& table, const string& type) {
  const char* ld = "data-movement-and-conversion-instructions-ld";
  const char* st = "data-movement-and-conversion-instructions-st";
  const char* loads = "Loads from any space; caching hints change nothing.";
  const char* stores = "Stores to any space; caching hints change nothing.";
  const auto rows = [&]<uint8_t Count>(const string& vector) {
    table.add({"ld" + vector + type, "", load<M, uint64_t>, ld, loads, decode<M, Count, false>});
    table.add({"ldu" + vector + type, "", load<M, uint64_t>, "data-movement-and-conversion-instructions-ldu",
               loads, decode<M, Count, false>});
    table.add({"st" + vector + type, "", store<M, uint64_t>, st, stores, decode<M, Count, true>});
  };
  rows.template operator()<1>("");
  rows.template operator()<2>(".v2");
  if constexpr (sizeof(M) <= 4) rows.template operator()<4>(".v4");  // 32 bytes are for sm_100
}

// discard{.global}.L2 [a], 128: whoever reads the bytes before they are written again gets anything, so they
// count as never written.      PTX ISA: data-movement-and-conversion-instructions-discard
constexpr uint32_t kDiscarded = 128;
void discard(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  lane_addresses(warp, instruction, addresses);
  const LaneAddresses asked = addresses;
  Resolved where;
  resolve(warp, instruction, addresses, kDiscarded, Touch::store, where);
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1)
    warp.launch->memory->forget(asked.at[std::countr_zero(rest)], kDiscarded);
}
void decode_discard(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 2 || in.operands[1].kind != syntax::Operand::Kind::integer ||
      in.operands[1].bits != kDiscarded)
    decoder.fail("expected an address and the size 128");
  out.memory.space = Space::global;
  decoder.address(in.operands[0], out);
}

void nothing(Warp&, const Instruction&) {}
void decode_prefetch(Decoder&, const syntax::Instruction&, Instruction&) {}

// createpolicy makes a cache policy, which changes nothing here.
void zero(Warp& warp, const Instruction& instruction) {
  uint64_t* d = warp.row<uint64_t>(instruction.r[0]);
  for (uint32_t lane = 0; lane < kLanes; ++lane) d[lane] = warp.mask >> lane & 1 ? 0 : d[lane];
}
void decode_policy(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.empty()) decoder.fail("expected a result");
  out.r[0] = decoder.target(in.operands[0], 'Q');
}

}  // namespace

void add_memory_forms(FormTable& table) {
  for (const char* type : {".b8", ".u8"}) add_memory<uint8_t>(table, type);
  add_memory<int8_t>(table, ".s8");
  for (const char* type : {".b16", ".u16"}) add_memory<uint16_t>(table, type);
  add_memory<int16_t>(table, ".s16");
  for (const char* type : {".b32", ".u32", ".f32"}) add_memory<uint32_t>(table, type);
  add_memory<int32_t>(table, ".s32");
  for (const char* type : {".b64", ".u64", ".s64", ".f64"}) add_memory<uint64_t>(table, type);
  const char* section = "data-movement-and-conversion-instructions-prefetch";
  const char* meaning = "A hint: changes nothing, touches nothing.";
  for (const char* where : {".global.L1", ".global.L2", ".local.L1", ".local.L2", ".L1", ".L2",
                            ".global.L2::evict_last", ".global.L2::evict_normal"})
    table.add({string("prefetch") + where, "", nothing, section, meaning, decode_prefetch});
  table.add({"prefetchu.L1", "", nothing, section, meaning, decode_prefetch});
  for (const char* what : {"applypriority.global.L2::evict_normal", "applypriority.L2::evict_normal"})
    table.add({what, "", nothing, section, meaning, decode_prefetch});
  for (const char* what : {"discard.global.L2", "discard.L2"})
    table.add({what, "", discard, "data-movement-and-conversion-instructions-discard",
               "128 bytes of global memory count as never written.", decode_discard});
  section = "data-movement-and-conversion-instructions-createpolicy";
  for (const char* level : {"evict_last", "evict_normal", "evict_first", "evict_unchanged"}) {
    table.add({string("createpolicy.fractional.L2::") + level + ".b64", "", zero, section,
               "A cache policy: changes nothing.", decode_policy});
    table.add({string("createpolicy.fractional.L2::") + level + ".L2::evict_unchanged.b64", "", zero, section,
               "A cache policy: changes nothing.", decode_policy});
    table.add({string("createpolicy.fractional.L2::") + level + ".L2::evict_first.b64", "", zero, section,
               "A cache policy: changes nothing.", decode_policy});
  }
}

}  // namespace attest::vm
