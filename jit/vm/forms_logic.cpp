// Bitwise logic, shifts and bit fields.
#include <algorithm>
#include <bit>
#include <string>
#include <type_traits>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

template <class T>
T and_(T a, T b) {
  return static_cast<T>(a & b);
}
template <class T>
T or_(T a, T b) {
  return static_cast<T>(a | b);
}
template <class T>
T xor_(T a, T b) {
  return static_cast<T>(a ^ b);
}
template <class T>
T not_(T a) {
  return static_cast<T>(~a);
}
template <class T>
T cnot(T a) {
  return a == 0 ? 1 : 0;
}

// Shift counts are unsigned 32-bit and clamp at the width: everything is shifted out.
template <class T>
T shl(T a, uint32_t n) {
  return n >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << n);
}
template <class T>
T shr(T a, uint32_t n) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> std::min(n, kBits - 1));
  return n >= kBits ? T{0} : static_cast<T>(a >> n);
}

template <class T>
void add_bitwise(FormTable& table, const string& type, char l) {
  const char u = static_cast<char>(l - 32);
  table.add({"and." + type, {u, l, l}, lanes<and_<T>>(), "logic-and-shift-instructions-and", "Bitwise and."});
  table.add({"or." + type, {u, l, l}, lanes<or_<T>>(), "logic-and-shift-instructions-or", "Bitwise or."});
  table.add({"xor." + type,
             {u, l, l},
             lanes<xor_<T>>(),
             "logic-and-shift-instructions-xor",
             "Bitwise exclusive or."});
  table.add(
      {"not." + type, {u, l}, lanes<not_<T>>(), "logic-and-shift-instructions-not", "Bitwise complement."});
  table.add({"cnot." + type,
             {u, l},
             lanes<cnot<T>>(),
             "logic-and-shift-instructions-cnot",
             "1 if a is 0, else 0."});
  table.add({"shl." + type,
             {u, l, 'w'},
             lanes<shl<T>>(),
             "logic-and-shift-instructions-shl",
             "Left shift; counts past the width give 0."});
}
template <class T>
void add_right_shift(FormTable& table, const string& type, char l) {
  const char u = static_cast<char>(l - 32);
  table.add({"shr." + type,
             {u, l, 'w'},
             lanes<shr<T>>(),
             "logic-and-shift-instructions-shr",
             "Right shift; counts past the width leave only sign bits (0 if unsigned)."});
}

// shf: the 64-bit value b:a shifted; .l gives the upper word, .r the lower one.
template <bool Left, bool Wrap>
uint32_t shf(uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t n = Wrap ? c & 31 : std::min(c, 32u);
  const uint64_t both = uint64_t{b} << 32 | a;
  return Left ? static_cast<uint32_t>((both << n) >> 32) : static_cast<uint32_t>(both >> n);
}

template <class T>
int32_t popc(T a) {
  return std::popcount(a);
}
template <class T>
uint32_t clz(T a) {
  return static_cast<uint32_t>(std::countl_zero(a));
}
template <class T>
T brev(T a) {
  T r = 0;
  for (size_t i = 0; i < 8 * sizeof(T); ++i) r = static_cast<T>(r << 1 | (a >> i & 1));
  return r;
}
// Position of the highest bit that differs from the sign, or 0xffffffff; .shiftamt: how far to shift it to
// the top.
template <class T, bool Amount>
uint32_t bfind(T a) {
  using U = std::make_unsigned_t<T>;
  auto bits = static_cast<U>(a);
  if (std::is_signed_v<T> && a < 0) bits = static_cast<U>(~bits);
  if (bits == 0) return 0xFFFFFFFFu;
  const auto zeros = static_cast<uint32_t>(std::countl_zero(bits));
  return Amount ? zeros : 8 * sizeof(T) - 1 - zeros;
}
// A field's position or length. The PTX ISA has 8 bits of it count; the hardware does so for 32-bit types,
// and takes all 32 bits of the register for 64-bit ones (H100 80GB HBM3, driver 580.159, 2026-11-23).
template <class T>
uint32_t field_number(uint32_t value) {
  return sizeof(T) == 8 ? std::min(value, 256u) : value & 0xFF;
}
template <class T>
T bfe(T a, uint32_t position, uint32_t length) {
  using U = std::make_unsigned_t<T>;
  constexpr uint32_t kBits = 8 * sizeof(T);
  const uint32_t from = field_number<T>(position), count = field_number<T>(length);
  if (count == 0) return 0;
  const bool negative =
      std::is_signed_v<T> && (static_cast<U>(a) >> std::min(from + count - 1, kBits - 1) & 1);
  U value = from >= kBits ? U{0} : static_cast<U>(static_cast<U>(a) >> from);
  // Bits past the top of a read as the sign (0 if unsigned).
  const uint32_t known = std::min(count, from >= kBits ? 0 : kBits - from);
  const U keep = known >= kBits ? static_cast<U>(~U{0}) : static_cast<U>((U{1} << known) - 1);
  value &= keep;
  if (negative) value |= static_cast<U>(~keep);
  return static_cast<T>(value);
}
template <class T>
T bfi(T a, T b, uint32_t position, uint32_t length) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  const uint32_t at = field_number<T>(position), count = field_number<T>(length);
  if (at >= kBits || count == 0) return b;
  const T ones = count >= kBits ? static_cast<T>(~T{0}) : static_cast<T>((T{1} << count) - 1);
  const T field = static_cast<T>(ones << at);
  return static_cast<T>((b & ~field) | ((a << at) & field));
}
// szext: the low b bits of a, extended by their sign or by zeros.
template <class T, bool Wrap>
T szext(T a, uint32_t b) {
  const uint32_t count = Wrap ? b & 31 : std::min(b, 32u);
  return bfe<T>(a, 0, count);
}
// fns: the position of the n-th set bit of a mask, from `base` upwards or, for negative n, downwards; all
// ones if there is none. n = 0 asks whether `base` itself is set.
uint32_t fns(uint32_t mask, uint32_t base, int32_t n) {
  if (base > 31) return 0xFFFFFFFFu;
  if (n == 0) return mask >> base & 1 ? base : 0xFFFFFFFFu;
  const int step = n > 0 ? 1 : -1;
  int64_t left = n > 0 ? int64_t{n} : -int64_t{n};
  for (int at = static_cast<int>(base); at >= 0 && at < 32; at += step)
    if ((mask >> at & 1) && --left == 0) return static_cast<uint32_t>(at);
  return 0xFFFFFFFFu;
}
uint32_t bmsk_clamp(uint32_t a, uint32_t b) {
  const uint32_t at = std::min(a, 32u), count = std::min(b, 32u);
  const uint64_t ones = (uint64_t{1} << count) - 1;
  return static_cast<uint32_t>(ones << at);
}
uint32_t bmsk_wrap(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(((uint64_t{1} << (b & 31)) - 1) << (a & 31));
}

// prmt: byte i of the result is the byte of b:a that selector nibble i names; bit 3 of the nibble replicates
// its sign.
uint32_t prmt(uint32_t a, uint32_t b, uint32_t c) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t selector = c >> (4 * i) & 15;
    uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (selector & 7))) & 0xFF;
    if (selector & 8) byte = byte & 0x80 ? 0xFF : 0;
    result |= byte << (8 * i);
  }
  return result;
}
// The named modes use the two low bits of c.
template <int Mode>
uint32_t prmt_mode(uint32_t a, uint32_t b, uint32_t c) {
  constexpr uint32_t kSelectors[6][4] = {{0x3210, 0x4321, 0x5432, 0x6543}, {0x5670, 0x6701, 0x7012, 0x0123},
                                         {0x0000, 0x1111, 0x2222, 0x3333}, {0x3210, 0x3211, 0x3222, 0x3333},
                                         {0x0000, 0x1110, 0x2210, 0x3210}, {0x1010, 0x3232, 0x1010, 0x3232}};
  return prmt(a, b, kSelectors[Mode][c & 3]);
}

// lop3: any function of three bits; immLut's bit (a << 2 | b << 1 | c) is the result.
void lop3(Warp& warp, const Instruction& instruction) {
  const uint32_t* a = warp.row<uint32_t>(instruction.r[1]);
  const uint32_t* b = warp.row<uint32_t>(instruction.r[2]);
  const uint32_t* c = warp.row<uint32_t>(instruction.r[3]);
  uint32_t* d = warp.row<uint32_t>(instruction.r[0]);
  const auto table = static_cast<uint32_t>(instruction.immediate);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t term =
          (i & 4 ? a[lane] : ~a[lane]) & (i & 2 ? b[lane] : ~b[lane]) & (i & 1 ? c[lane] : ~c[lane]);
      value |= term & (0u - (table >> i & 1));
    }
    d[lane] = warp.mask >> lane & 1 ? value : d[lane];
  }
}

// Predicates are bit masks, one bit per lane.
enum class Logic { conj, disj, excl, inv };
template <Logic K>
void predicate_logic(Warp& warp, const Instruction& instruction) {
  const uint32_t a = warp.predicate(instruction.r[1]);
  const uint32_t b = K == Logic::inv ? 0 : warp.predicate(instruction.r[2]);
  const uint32_t value = K == Logic::conj ? a & b : K == Logic::disj ? a | b : K == Logic::excl ? a ^ b : ~a;
  uint32_t& d = warp.predicate(instruction.r[0]);
  d = (d & ~warp.mask) | (value & warp.mask);
}

}  // namespace

void add_logic_forms(FormTable& table) {
  add_bitwise<uint16_t>(table, "b16", 'h');
  add_bitwise<uint32_t>(table, "b32", 'w');
  add_bitwise<uint64_t>(table, "b64", 'q');
  add_right_shift<uint16_t>(table, "b16", 'h');
  add_right_shift<uint16_t>(table, "u16", 'h');
  add_right_shift<int16_t>(table, "s16", 'h');
  add_right_shift<uint32_t>(table, "b32", 'w');
  add_right_shift<uint32_t>(table, "u32", 'w');
  add_right_shift<int32_t>(table, "s32", 'w');
  add_right_shift<uint64_t>(table, "b64", 'q');
  add_right_shift<uint64_t>(table, "u64", 'q');
  add_right_shift<int64_t>(table, "s64", 'q');

  const auto row = [&](const char* name, const char* letters, Handler run, const char* section,
                       const char* meaning) {
    table.add({name, letters, run, section, meaning});
  };
  row("and.pred", "Ppp", predicate_logic<Logic::conj>, "logic-and-shift-instructions-and", "Logical and.");
  row("or.pred", "Ppp", predicate_logic<Logic::disj>, "logic-and-shift-instructions-or", "Logical or.");
  row("xor.pred", "Ppp", predicate_logic<Logic::excl>, "logic-and-shift-instructions-xor",
      "Logical exclusive or.");
  row("not.pred", "Pp", predicate_logic<Logic::inv>, "logic-and-shift-instructions-not",
      "Logical complement.");
  const char* funnel = "Shifts the 64 bits b:a; .l gives the upper word, .r the lower.";
  row("shf.l.wrap.b32", "Wwww", lanes<shf<true, true>>(), "logic-and-shift-instructions-shf", funnel);
  row("shf.l.clamp.b32", "Wwww", lanes<shf<true, false>>(), "logic-and-shift-instructions-shf", funnel);
  row("shf.r.wrap.b32", "Wwww", lanes<shf<false, true>>(), "logic-and-shift-instructions-shf", funnel);
  row("shf.r.clamp.b32", "Wwww", lanes<shf<false, false>>(), "logic-and-shift-instructions-shf", funnel);
  row("popc.b32", "Ww", lanes<popc<uint32_t>>(), "integer-arithmetic-instructions-popc",
      "Number of one bits.");
  row("popc.b64", "Wq", lanes<popc<uint64_t>>(), "integer-arithmetic-instructions-popc",
      "Number of one bits.");
  row("clz.b32", "Ww", lanes<clz<uint32_t>>(), "integer-arithmetic-instructions-clz",
      "Number of leading zeros.");
  row("clz.b64", "Wq", lanes<clz<uint64_t>>(), "integer-arithmetic-instructions-clz",
      "Number of leading zeros.");
  row("brev.b32", "Ww", lanes<brev<uint32_t>>(), "integer-arithmetic-instructions-brev",
      "Bits in reverse order.");
  row("brev.b64", "Qq", lanes<brev<uint64_t>>(), "integer-arithmetic-instructions-brev",
      "Bits in reverse order.");
  const char* find = "Highest bit that is not a sign bit, or 0xffffffff.";
  row("bfind.u32", "Ww", lanes<bfind<uint32_t, false>>(), "integer-arithmetic-instructions-bfind", find);
  row("bfind.s32", "Ww", lanes<bfind<int32_t, false>>(), "integer-arithmetic-instructions-bfind", find);
  row("bfind.u64", "Wq", lanes<bfind<uint64_t, false>>(), "integer-arithmetic-instructions-bfind", find);
  row("bfind.s64", "Wq", lanes<bfind<int64_t, false>>(), "integer-arithmetic-instructions-bfind", find);
  const char* amount = "Left shift that brings that bit to the top, or 0xffffffff.";
  row("bfind.shiftamt.u32", "Ww", lanes<bfind<uint32_t, true>>(), "integer-arithmetic-instructions-bfind",
      amount);
  row("bfind.shiftamt.s32", "Ww", lanes<bfind<int32_t, true>>(), "integer-arithmetic-instructions-bfind",
      amount);
  row("bfind.shiftamt.u64", "Wq", lanes<bfind<uint64_t, true>>(), "integer-arithmetic-instructions-bfind",
      amount);
  row("bfind.shiftamt.s64", "Wq", lanes<bfind<int64_t, true>>(), "integer-arithmetic-instructions-bfind",
      amount);
  const char* extract = "Bit field; bits past the top read as the sign (0 if unsigned).";
  row("bfe.u32", "Wwww", lanes<bfe<uint32_t>>(), "integer-arithmetic-instructions-bfe", extract);
  row("bfe.s32", "Wwww", lanes<bfe<int32_t>>(), "integer-arithmetic-instructions-bfe", extract);
  row("bfe.u64", "Qqww", lanes<bfe<uint64_t>>(), "integer-arithmetic-instructions-bfe", extract);
  row("bfe.s64", "Qqww", lanes<bfe<int64_t>>(), "integer-arithmetic-instructions-bfe", extract);
  row("bfi.b32", "Wwwww", lanes<bfi<uint32_t>>(), "integer-arithmetic-instructions-bfi",
      "b with a bit field replaced by a's low bits.");
  row("bfi.b64", "Qqqww", lanes<bfi<uint64_t>>(), "integer-arithmetic-instructions-bfi",
      "b with a bit field replaced by a's low bits.");
  const char* extend = "The low b bits of a, extended by sign or zeros.";
  row("szext.clamp.u32", "Www", lanes<szext<uint32_t, false>>(), "integer-arithmetic-instructions-szext",
      extend);
  row("szext.clamp.s32", "Www", lanes<szext<int32_t, false>>(), "integer-arithmetic-instructions-szext",
      extend);
  row("szext.wrap.u32", "Www", lanes<szext<uint32_t, true>>(), "integer-arithmetic-instructions-szext",
      extend);
  row("szext.wrap.s32", "Www", lanes<szext<int32_t, true>>(), "integer-arithmetic-instructions-szext",
      extend);
  row("fns.b32", "Wwww", scalar_lanes<fns>(), "integer-arithmetic-instructions-fns",
      "Position of the n-th set bit from a base.");
  row("bmsk.clamp.b32", "Www", lanes<bmsk_clamp>(), "integer-arithmetic-instructions-bmsk",
      "b ones from bit a on.");
  row("bmsk.wrap.b32", "Www", lanes<bmsk_wrap>(), "integer-arithmetic-instructions-bmsk",
      "b ones from bit a on, both modulo 32.");
  row("prmt.b32", "Wwww", lanes<prmt>(), "data-movement-and-conversion-instructions-prmt",
      "Picks four bytes of b:a.");
  const char* mode = "Picks four bytes of b:a by a named pattern.";
  row("prmt.b32.f4e", "Wwww", lanes<prmt_mode<0>>(), "data-movement-and-conversion-instructions-prmt", mode);
  row("prmt.b32.b4e", "Wwww", lanes<prmt_mode<1>>(), "data-movement-and-conversion-instructions-prmt", mode);
  row("prmt.b32.rc8", "Wwww", lanes<prmt_mode<2>>(), "data-movement-and-conversion-instructions-prmt", mode);
  row("prmt.b32.ecl", "Wwww", lanes<prmt_mode<3>>(), "data-movement-and-conversion-instructions-prmt", mode);
  row("prmt.b32.ecr", "Wwww", lanes<prmt_mode<4>>(), "data-movement-and-conversion-instructions-prmt", mode);
  row("prmt.b32.rc16", "Wwww", lanes<prmt_mode<5>>(), "data-movement-and-conversion-instructions-prmt", mode);
  row("lop3.b32", "Wwwwi", lop3, "logic-and-shift-instructions-lop3",
      "Any bitwise function of three operands, from a table of 8 bits.");
}

}  // namespace attest::vm
