// setp, set, selp, slct: comparisons and what is chosen by them.
#include <bit>
#include <string>
#include <type_traits>

#include "jit/vm/arithmetic.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

enum class Cmp { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan };

// The ...u comparisons are true when either operand is NaN.
template <Cmp C, class T>
inline bool compare(T a, T b) {
  switch (C) {
    case Cmp::eq:
      return a == b;
    case Cmp::ne:
      return std::is_floating_point_v<T> ? (a < b || a > b) : a != b;
    case Cmp::lt:
      return a < b;
    case Cmp::le:
      return a <= b;
    case Cmp::gt:
      return a > b;
    case Cmp::ge:
      return a >= b;
    case Cmp::equ:
      return !(a < b || a > b);
    case Cmp::neu:
      return !(a == b);
    case Cmp::ltu:
      return !(a >= b);
    case Cmp::leu:
      return !(a > b);
    case Cmp::gtu:
      return !(a <= b);
    case Cmp::geu:
      return !(a < b);
    case Cmp::num:
      return a == a && b == b;
    case Cmp::nan:
      return a != a || b != b;
  }
  return false;
}

template <class T>
struct Value {  // what is compared: 16-bit floats as float
  static T of(T value) { return value; }
};
template <>
struct Value<F16> {
  static float of(F16 value) { return widen(value); }
};
template <>
struct Value<BF16> {
  static float of(BF16 value) { return widen(value); }
};

inline float flushed_half(float value) {  // .ftz of f16: subnormals are below 2^-14
  return std::fabs(value) < 0x1p-14f ? std::copysign(0.0f, value) : value;
}

template <class T, Cmp C, bool Ftz>
inline bool holds(T a, T b) {
  auto x = Value<T>::of(a), y = Value<T>::of(b);
  if constexpr (Ftz && std::is_same_v<T, float>) return compare<C>(flush(x), flush(y));
  if constexpr (Ftz && std::is_same_v<T, F16>) return compare<C>(flushed_half(x), flushed_half(y));
  return compare<C>(x, y);
}

// Instruction::evaluate of every row here: the comparison's bits, lane by lane, into warp.compared[0].
template <class T, Cmp C, bool Ftz>
void compare_lanes(Warp& warp, const Instruction& instruction) {
  const Source<T> a(warp, instruction.r[1]), b(warp, instruction.r[2]);
  uint32_t bits = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    bits |= static_cast<uint32_t>(holds<T, C, Ftz>(a.at(lane), b.at(lane))) << lane;
  warp.compared[0] = bits;
}
// The low halves of a pair into compared[0], the high ones into compared[1].
template <class H, Cmp C, bool Ftz>
void compare_halves(Warp& warp, const Instruction& instruction) {
  const uint32_t* a = warp.row<uint32_t>(instruction.r[1]);
  const uint32_t* b = warp.row<uint32_t>(instruction.r[2]);
  uint32_t low_bits = 0, high_bits = 0;
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const H a0{static_cast<uint16_t>(a[lane])}, a1{static_cast<uint16_t>(a[lane] >> 16)};
    const H b0{static_cast<uint16_t>(b[lane])}, b1{static_cast<uint16_t>(b[lane] >> 16)};
    low_bits |= static_cast<uint32_t>(holds<H, C, Ftz>(a0, b0)) << lane;
    high_bits |= static_cast<uint32_t>(holds<H, C, Ftz>(a1, b1)) << lane;
  }
  warp.compared[0] = low_bits;
  warp.compared[1] = high_bits;
}

// Instruction::variant: how the comparison is combined with the predicate r[3].
constexpr uint8_t kNone = 0, kAnd = 1, kOr = 2, kXor = 3;
inline uint32_t combine(const Warp& warp, const Instruction& instruction, uint32_t bits) {
  if (instruction.variant == kNone) return bits;
  const uint32_t c = warp.predicate(instruction.r[3]);
  return instruction.variant == kAnd ? bits & c : instruction.variant == kOr ? bits | c : bits ^ c;
}
inline void put(const Warp& warp, uint32_t row, uint32_t bits) {
  uint32_t& predicate = warp.predicate(row);
  predicate = (predicate & ~warp.mask) | (bits & warp.mask);
}

// setp.CmpOp{.BoolOp}{.ftz}.type p{|q}, a, b{, {!}c};      PTX ISA:
// comparison-and-selection-instructions-setp p = (a cmp b) op c, q = !(a cmp b) op c; for pairs of halves p
// is the low half's result, q the high half's.
template <bool Halves>
void setp(Warp& warp, const Instruction& instruction) {
  instruction.evaluate(warp, instruction);
  const uint32_t p = combine(warp, instruction, warp.compared[0]);
  const uint32_t q = combine(warp, instruction, Halves ? warp.compared[1] : ~warp.compared[0]);
  put(warp, instruction.r[0], p);
  if (instruction.r[5] != kNoRow) put(warp, instruction.r[5], q);
}

// set.CmpOp{.BoolOp}{.ftz}.dtype.stype d, a, b{, {!}c}: True in every lane where it holds, else 0.
template <bool Halves, uint32_t True>
void set(Warp& warp, const Instruction& instruction) {
  instruction.evaluate(warp, instruction);
  const uint32_t first = combine(warp, instruction, warp.compared[0]);
  const uint32_t second = Halves ? combine(warp, instruction, warp.compared[1]) : 0;
  uint32_t* d = warp.row<uint32_t>(instruction.r[0]);
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t value = (first >> lane & 1 ? True : 0) | (second >> lane & 1 ? True << 16 : 0);
    d[lane] = warp.mask >> lane & 1 ? value : d[lane];
  }
}

// Second: whether p|q is possible.
template <char Target, char L, uint8_t Bool, bool Second>
void decode_compare(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  string letters = {Target, L, L};
  if (Bool != kNone) letters += 'p';
  decoder.operands_by_letters(letters, in, out);
  if (!Second && out.r[5] != kNoRow) decoder.fail("a comparison of one half has one result");
  out.variant = Bool;
}

constexpr const char* kSetp = "comparison-and-selection-instructions-setp";
constexpr const char* kSet = "comparison-and-selection-instructions-set";
constexpr const char* kSetpMeaning = "Compares into a predicate, and its complement into a second one.";
constexpr const char* kSetMeaning = "Compares into a register: all ones or 1.0 where it holds, else 0.";

// One row per way to combine.
template <char Target, char L, bool Second = true>
void add_rows(FormTable& table, const string& head, const string& tail, Handler run, Handler comparison) {
  const char* section = Target == 'P' ? kSetp : kSet;
  const char* meaning = Target == 'P' ? kSetpMeaning : kSetMeaning;
  table.add({head + tail, "", run, section, meaning, decode_compare<Target, L, kNone, Second>, comparison});
  table.add(
      {head + ".and" + tail, "", run, section, meaning, decode_compare<Target, L, kAnd, Second>, comparison});
  table.add(
      {head + ".or" + tail, "", run, section, meaning, decode_compare<Target, L, kOr, Second>, comparison});
  table.add(
      {head + ".xor" + tail, "", run, section, meaning, decode_compare<Target, L, kXor, Second>, comparison});
}

// Every row of one comparison of one type. L: the operand letter of the source.
template <class T, Cmp C, bool Ftz, char L>
void add_spelling(FormTable& table, const string& cmp, const string& type) {
  const Handler comparison = compare_lanes<T, C, Ftz>;
  const string ftz = Ftz ? ".ftz" : "";
  constexpr bool kHalf = std::is_same_v<T, F16> || std::is_same_v<T, BF16>;
  add_rows<'P', L, !kHalf>(table, "setp." + cmp, ftz + "." + type, setp<false>, comparison);
  add_rows<'W', L>(table, "set." + cmp, ftz + ".u32." + type, set<false, 0xFFFFFFFFu>, comparison);
  add_rows<'W', L>(table, "set." + cmp, ftz + ".s32." + type, set<false, 0xFFFFFFFFu>, comparison);
  if constexpr (!kHalf)
    add_rows<'W', L>(table, "set." + cmp, ftz + ".f32." + type, set<false, 0x3F800000u>, comparison);
  if constexpr (Ftz && std::is_same_v<T, float>) {  // ptxas also takes .ftz behind the result's type
    add_rows<'W', L>(table, "set." + cmp, ".u32.ftz." + type, set<false, 0xFFFFFFFFu>, comparison);
    add_rows<'W', L>(table, "set." + cmp, ".s32.ftz." + type, set<false, 0xFFFFFFFFu>, comparison);
    add_rows<'W', L>(table, "set." + cmp, ".f32.ftz." + type, set<false, 0x3F800000u>, comparison);
  }
  if constexpr (kHalf) {
    constexpr uint32_t kOne = std::is_same_v<T, F16> ? 0x3C00u : 0x3F80u;
    const Handler halves = compare_halves<T, C, Ftz>;
    add_rows<'H', L>(table, "set." + cmp, ftz + "." + type + "." + type, set<false, kOne>, comparison);
    add_rows<'H', L>(table, "set." + cmp, ftz + ".u16." + type, set<false, 0xFFFFu>, comparison);
    add_rows<'H', L>(table, "set." + cmp, ftz + ".s16." + type, set<false, 0xFFFFu>, comparison);
    const string pair = type + "x2";
    add_rows<'P', 'w'>(table, "setp." + cmp, ftz + "." + pair, setp<true>, halves);
    add_rows<'W', 'w'>(table, "set." + cmp, ftz + "." + pair + "." + pair, set<true, kOne>, halves);
    add_rows<'W', 'w'>(table, "set." + cmp, ftz + ".u32." + pair, set<true, 0xFFFFu>, halves);
    add_rows<'W', 'w'>(table, "set." + cmp, ftz + ".s32." + pair, set<true, 0xFFFFu>, halves);
  }
}
template <class T, Cmp C, char L>
void add_comparison(FormTable& table, const string& cmp, const string& type) {
  add_spelling<T, C, false, L>(table, cmp, type);
  if constexpr (std::is_same_v<T, float> || std::is_same_v<T, F16>)
    add_spelling<T, C, true, L>(table, cmp, type);
}

template <class T, char L>
void add_equality(FormTable& table, const string& type) {
  add_comparison<T, Cmp::eq, L>(table, "eq", type);
  add_comparison<T, Cmp::ne, L>(table, "ne", type);
}
template <class T, char L>
void add_order(FormTable& table, const string& type) {
  add_comparison<T, Cmp::lt, L>(table, "lt", type);
  add_comparison<T, Cmp::le, L>(table, "le", type);
  add_comparison<T, Cmp::gt, L>(table, "gt", type);
  add_comparison<T, Cmp::ge, L>(table, "ge", type);
  if constexpr (std::is_unsigned_v<T>) {
    add_comparison<T, Cmp::lt, L>(table, "lo", type);
    add_comparison<T, Cmp::le, L>(table, "ls", type);
    add_comparison<T, Cmp::gt, L>(table, "hi", type);
    add_comparison<T, Cmp::ge, L>(table, "hs", type);
  }
}
template <class T, char L>
void add_floats(FormTable& table, const string& type) {
  add_equality<T, L>(table, type);
  add_order<T, L>(table, type);
  add_comparison<T, Cmp::equ, L>(table, "equ", type);
  add_comparison<T, Cmp::neu, L>(table, "neu", type);
  add_comparison<T, Cmp::ltu, L>(table, "ltu", type);
  add_comparison<T, Cmp::leu, L>(table, "leu", type);
  add_comparison<T, Cmp::gtu, L>(table, "gtu", type);
  add_comparison<T, Cmp::geu, L>(table, "geu", type);
  add_comparison<T, Cmp::num, L>(table, "num", type);
  add_comparison<T, Cmp::nan, L>(table, "nan", type);
}

template <class T>
T selp(T a, T b, bool p) {
  return p ? a : b;
}
template <class T>
T slct_int(T a, T b, int32_t c) {
  return c >= 0 ? a : b;
}
template <class T, bool Ftz>
T slct_float(T a, T b, float c) {
  return (Ftz ? flush(c) : c) >= 0.0f ? a : b;
}

}  // namespace

void add_compare_forms(FormTable& table) {
  add_equality<uint16_t, 'h'>(table, "b16");
  add_equality<uint16_t, 'h'>(table, "u16");
  add_equality<uint16_t, 'h'>(table, "s16");
  add_equality<uint32_t, 'w'>(table, "b32");
  add_equality<uint32_t, 'w'>(table, "u32");
  add_equality<uint32_t, 'w'>(table, "s32");
  add_equality<uint64_t, 'q'>(table, "b64");
  add_equality<uint64_t, 'q'>(table, "u64");
  add_equality<uint64_t, 'q'>(table, "s64");
  add_order<uint16_t, 'h'>(table, "u16");
  add_order<int16_t, 'h'>(table, "s16");
  add_order<uint32_t, 'w'>(table, "u32");
  add_order<int32_t, 'w'>(table, "s32");
  add_order<uint64_t, 'q'>(table, "u64");
  add_order<int64_t, 'q'>(table, "s64");
  add_floats<float, 'f'>(table, "f32");
  add_floats<double, 'd'>(table, "f64");
  add_floats<F16, 'h'>(table, "f16");
  add_floats<BF16, 'h'>(table, "bf16");

  const char* section = "comparison-and-selection-instructions-selp";
  for (const char* type : {"b16", "u16", "s16"})
    table.add({string("selp.") + type, "Hhhp", lanes<selp<uint16_t>>(), section,
               "a if the predicate holds, else b."});
  for (const char* type : {"b32", "u32", "s32"})
    table.add({string("selp.") + type, "Wwwp", lanes<selp<uint32_t>>(), section,
               "a if the predicate holds, else b."});
  for (const char* type : {"b64", "u64", "s64"})
    table.add({string("selp.") + type, "Qqqp", lanes<selp<uint64_t>>(), section,
               "a if the predicate holds, else b."});
  table.add({"selp.f32", "Wffp", lanes<selp<uint32_t>>(), section, "a if the predicate holds, else b."});
  table.add({"selp.f64", "Qddp", lanes<selp<uint64_t>>(), section, "a if the predicate holds, else b."});

  section = "comparison-and-selection-instructions-slct";
  const char* meaning = "a if c >= 0, else b (also for a NaN).";
  const auto slct = [&](const string& type, const string& letters, Handler by_int, Handler by_float,
                        Handler by_float_ftz) {
    table.add({"slct." + type + ".s32", letters + "w", by_int, section, meaning});
    table.add({"slct." + type + ".f32", letters + "f", by_float, section, meaning});
    table.add({"slct.ftz." + type + ".f32", letters + "f", by_float_ftz, section, meaning});
  };
  for (const char* type : {"b16", "u16", "s16"})
    slct(type, "Hhh", scalar_lanes<slct_int<uint16_t>>(), scalar_lanes<slct_float<uint16_t, false>>(),
         scalar_lanes<slct_float<uint16_t, true>>());
  for (const char* type : {"b32", "u32", "s32"})
    slct(type, "Www", scalar_lanes<slct_int<uint32_t>>(), scalar_lanes<slct_float<uint32_t, false>>(),
         scalar_lanes<slct_float<uint32_t, true>>());
  slct("f32", "Wff", scalar_lanes<slct_int<uint32_t>>(), scalar_lanes<slct_float<uint32_t, false>>(),
       scalar_lanes<slct_float<uint32_t, true>>());
  for (const char* type : {"b64", "u64", "s64"})
    slct(type, "Qqq", scalar_lanes<slct_int<uint64_t>>(), scalar_lanes<slct_float<uint64_t, false>>(),
         scalar_lanes<slct_float<uint64_t, true>>());
  slct("f64", "Qdd", scalar_lanes<slct_int<uint64_t>>(), scalar_lanes<slct_float<uint64_t, false>>(),
       scalar_lanes<slct_float<uint64_t, true>>());
}

}  // namespace attest::vm
