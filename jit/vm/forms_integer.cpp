// Integer arithmetic: add ... sad, the extended-precision carry chain, bit fields, dot products.
#include <algorithm>
#include <bit>
#include <limits>
#include <string>
#include <type_traits>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

template <class T>
using Unsigned = std::make_unsigned_t<T>;
// Wide enough that no 16-bit product is promoted to a signed int that overflows.
template <class T>
using Calc = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
using Double = std::conditional_t<
    sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>,
    std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>,
                       std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;

template <class T>
T add(T a, T b) {
  return static_cast<T>(Calc<T>(a) + Calc<T>(b));
}
template <class T>
T sub(T a, T b) {
  return static_cast<T>(Calc<T>(a) - Calc<T>(b));
}
template <class T>
T mul_lo(T a, T b) {
  return static_cast<T>(Calc<T>(a) * Calc<T>(b));
}
template <class T>
T mul_hi(T a, T b) {
  return static_cast<T>((Double<T>(a) * Double<T>(b)) >> (8 * sizeof(T)));
}
template <class T>
Double<T> mul_wide(T a, T b) {
  return static_cast<Double<T>>(Double<T>(a) * Double<T>(b));
}
template <class T>
T mad_lo(T a, T b, T c) {
  return add(mul_lo(a, b), c);
}
template <class T>
T mad_hi(T a, T b, T c) {
  return add(mul_hi(a, b), c);
}
template <class T>
Double<T> mad_wide(T a, T b, Double<T> c) {
  using U = std::make_unsigned_t<Double<T>>;
  return static_cast<Double<T>>(static_cast<U>(mul_wide(a, b)) + static_cast<U>(c));
}
// Division by zero gives all ones, as the unsigned algorithm of the hardware does; the PTX ISA leaves it
// open.
template <class T>
T div(T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return sub<T>(0, a);
  return static_cast<T>(a / b);
}
template <class T>
T rem(T a, T b) {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>)
    if (b == -1) return 0;
  return static_cast<T>(a % b);
}
template <class T>
T min(T a, T b) {
  return a < b ? a : b;
}
template <class T>
T max(T a, T b) {
  return a > b ? a : b;
}
template <class T>
T abs(T a) {
  return a < 0 ? sub<T>(0, a) : a;
}
template <class T>
T neg(T a) {
  return sub<T>(0, a);
}
template <class T>
T sad(T a, T b, T c) {
  return add<T>(c, a < b ? sub(b, a) : sub(a, b));
}
template <class T>
T min_relu(T a, T b) {
  return max<T>(min(a, b), 0);
}
template <class T>
T max_relu(T a, T b) {
  return max<T>(max(a, b), 0);
}

int32_t saturate(int64_t value) {
  return static_cast<int32_t>(
      std::clamp<int64_t>(value, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
}

// Both 16-bit halves of a 32-bit register.
template <class T, T (*F)(T, T)>
uint32_t halves(uint32_t a, uint32_t b) {
  const auto low = static_cast<uint16_t>(F(static_cast<T>(a), static_cast<T>(b)));
  const auto high = static_cast<uint16_t>(F(static_cast<T>(a >> 16), static_cast<T>(b >> 16)));
  return low | uint32_t{high} << 16;
}

// mul24, mad24: the low 24 bits of a and b; .lo bits 0-31 of the product, .hi bits 16-47.
template <class T>
int64_t low24(T a) {
  if constexpr (std::is_signed_v<T>)
    return static_cast<int32_t>(static_cast<uint32_t>(a) << 8) >> 8;
  else
    return a & 0xFFFFFF;
}
template <class T>
T mul24_lo(T a, T b) {
  return static_cast<T>(low24(a) * low24(b));
}
template <class T>
T mad24_lo(T a, T b, T c) {
  return add(mul24_lo(a, b), c);
}
template <class T>
T mul24_hi(T a, T b) {
  return static_cast<T>((low24(a) * low24(b)) >> 16);
}
template <class T>
T mad24_hi(T a, T b, T c) {
  return add(mul24_hi(a, b), c);
}

template <class T>
void add_type(FormTable& table, const string& type, char letter) {
  const char l = letter, u = static_cast<char>(letter - 32);
  const string two = {u, l, l}, three = {u, l, l, l}, one = {u, l};
  const auto row = [&](const char* head, const string& letters, Handler run, const char* section,
                       const char* meaning) {
    table.add({string(head) + "." + type, letters, run, section, meaning});
  };
  row("add", two, lanes<add<T>>(), "integer-arithmetic-instructions-add", "d = a + b, modulo the width.");
  row("sub", two, lanes<sub<T>>(), "integer-arithmetic-instructions-sub", "d = a - b, modulo the width.");
  row("mul.lo", two, lanes<mul_lo<T>>(), "integer-arithmetic-instructions-mul", "Low half of a * b.");
  row("mul.hi", two, lanes<mul_hi<T>>(), "integer-arithmetic-instructions-mul", "High half of a * b.");
  row("mad.lo", three, lanes<mad_lo<T>>(), "integer-arithmetic-instructions-mad",
      "Low half of a * b, plus c.");
  row("mad.hi", three, lanes<mad_hi<T>>(), "integer-arithmetic-instructions-mad",
      "High half of a * b, plus c.");
  row("div", two, lanes<div<T>>(), "integer-arithmetic-instructions-div",
      "a / b toward zero; all ones if b is 0.");
  row("rem", two, lanes<rem<T>>(), "integer-arithmetic-instructions-rem",
      "Remainder with a's sign; a if b is 0.");
  row("min", two, lanes<min<T>>(), "integer-arithmetic-instructions-min", "The smaller.");
  row("max", two, lanes<max<T>>(), "integer-arithmetic-instructions-max", "The larger.");
  row("sad", three, lanes<sad<T>>(), "integer-arithmetic-instructions-sad", "c + |a - b|.");
  if constexpr (std::is_signed_v<T>) {
    row("abs", one, lanes<abs<T>>(), "integer-arithmetic-instructions-abs",
        "|a|; the smallest value stays as it is.");
    row("neg", one, lanes<neg<T>>(), "integer-arithmetic-instructions-neg", "-a.");
  }
}

template <class T>
void add_wide(FormTable& table, const string& type, char letter, char wide) {
  const char w = static_cast<char>(wide - 32);
  table.add({"mul.wide." + type, string{w, letter, letter}, lanes<mul_wide<T>>(),
             "integer-arithmetic-instructions-mul", "Full a * b."});
  table.add({"mad.wide." + type, string{w, letter, letter, wide}, lanes<mad_wide<T>>(),
             "integer-arithmetic-instructions-mad", "Full a * b, plus c of twice the width."});
}

// --- the carry chain: add.cc, addc, sub.cc, subc, mad.cc, madc ---
// The condition code is a hidden predicate;
// the decoder gives it the row named %cc.

constexpr uint8_t kReads = 1, kWrites = 2;

enum class Chain { add, sub, mad_lo, mad_hi };

template <class T, Chain K>
void chain(Warp& warp, const Instruction& instruction) {
  using U = Unsigned<T>;
  const U* a = warp.row<U>(instruction.r[1]);
  const U* b = warp.row<U>(instruction.r[2]);
  const U* c = K == Chain::mad_lo || K == Chain::mad_hi ? warp.row<U>(instruction.r[3]) : nullptr;
  U* d = warp.row<U>(instruction.r[0]);
  uint32_t& code = warp.predicate(instruction.r[4]);
  const uint32_t in = instruction.variant & kReads ? code : 0;
  uint32_t out = 0;
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const U carry = in >> lane & 1;
    U left = a[lane], right = b[lane];
    if constexpr (K == Chain::mad_lo)
      left = static_cast<U>(mul_lo<T>(static_cast<T>(a[lane]), static_cast<T>(b[lane])));
    if constexpr (K == Chain::mad_hi)
      left = static_cast<U>(mul_hi<T>(static_cast<T>(a[lane]), static_cast<T>(b[lane])));
    if constexpr (K == Chain::mad_lo || K == Chain::mad_hi) right = c[lane];
    U result = 0;
    bool flag = false;
    if constexpr (K == Chain::sub) {
      result = left - right - carry;
      flag = left < right || (left == right && carry);
    } else {
      result = left + right + carry;
      flag = result < left || (result == left && carry);
    }
    d[lane] = result;
    out |= static_cast<uint32_t>(flag) << lane;
  }
  if (instruction.variant & kWrites) code = (code & ~warp.mask) | out;
}

template <uint8_t Use, char L, bool Three>
void decode_chain(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const string letters =
      Three ? string{static_cast<char>(L - 32), L, L, L} : string{static_cast<char>(L - 32), L, L};
  decoder.operands_by_letters(letters, in, out);
  out.variant = Use;
  out.r[4] = decoder.carry_row();
}

template <class T, char L>
void add_chain(FormTable& table, const string& type) {
  const char* section = "extended-precision-arithmetic-instructions-add-cc";
  const char* out = "Writes the carry (borrow) for the next instruction of the chain.";
  const char* in = "Adds (subtracts) the carry of the chain.";
  const char* both = "Adds (subtracts) the carry of the chain and writes the next one.";
  table.add({"add.cc." + type, "", chain<T, Chain::add>, section, out, decode_chain<kWrites, L, false>});
  table.add({"addc." + type, "", chain<T, Chain::add>, section, in, decode_chain<kReads, L, false>});
  table.add(
      {"addc.cc." + type, "", chain<T, Chain::add>, section, both, decode_chain<kReads | kWrites, L, false>});
  table.add({"sub.cc." + type, "", chain<T, Chain::sub>, section, out, decode_chain<kWrites, L, false>});
  table.add({"subc." + type, "", chain<T, Chain::sub>, section, in, decode_chain<kReads, L, false>});
  table.add(
      {"subc.cc." + type, "", chain<T, Chain::sub>, section, both, decode_chain<kReads | kWrites, L, false>});
  table.add({"mad.lo.cc." + type, "", chain<T, Chain::mad_lo>, section, out, decode_chain<kWrites, L, true>});
  table.add({"mad.hi.cc." + type, "", chain<T, Chain::mad_hi>, section, out, decode_chain<kWrites, L, true>});
  table.add({"madc.lo." + type, "", chain<T, Chain::mad_lo>, section, in, decode_chain<kReads, L, true>});
  table.add({"madc.hi." + type, "", chain<T, Chain::mad_hi>, section, in, decode_chain<kReads, L, true>});
  table.add({"madc.lo.cc." + type, "", chain<T, Chain::mad_lo>, section, both,
             decode_chain<kReads | kWrites, L, true>});
  table.add({"madc.hi.cc." + type, "", chain<T, Chain::mad_hi>, section, both,
             decode_chain<kReads | kWrites, L, true>});
}

// --- dot products and SIMD video ---

template <class A>
int64_t byte_of(uint32_t value, int i) {
  return static_cast<std::conditional_t<std::is_signed_v<A>, int8_t, uint8_t>>(value >> (8 * i));
}
template <class A>
int64_t half_of(uint32_t value, int i) {
  return static_cast<std::conditional_t<std::is_signed_v<A>, int16_t, uint16_t>>(value >> (16 * i));
}
template <class A, class B>
uint32_t dp4a(uint32_t a, uint32_t b, uint32_t c) {
  int64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += byte_of<A>(a, i) * byte_of<B>(b, i);
  return c + static_cast<uint32_t>(sum);
}
template <class A, class B, int High>
uint32_t dp2a(uint32_t a, uint32_t b, uint32_t c) {
  int64_t sum = 0;
  for (int i = 0; i < 2; ++i) sum += half_of<A>(a, i) * byte_of<B>(b, 2 * High + i);
  return c + static_cast<uint32_t>(sum);
}
template <class A, class B>
void add_dot(FormTable& table, const string& types) {
  table.add({"dp4a." + types, "Wwww", lanes<dp4a<A, B>>(), "integer-arithmetic-instructions-dp4a",
             "c + dot product of four bytes."});
  table.add({"dp2a.lo." + types, "Wwww", lanes<dp2a<A, B, 0>>(), "integer-arithmetic-instructions-dp2a",
             "c + dot product of a's halves with b's bytes 0, 1."});
  table.add({"dp2a.hi." + types, "Wwww", lanes<dp2a<A, B, 1>>(), "integer-arithmetic-instructions-dp2a",
             "c + dot product of a's halves with b's bytes 2, 3."});
}
template <class T>
uint32_t vabsdiff4(uint32_t a, uint32_t b, uint32_t) {
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const int64_t difference = byte_of<T>(a, i) - byte_of<T>(b, i);
    result |= static_cast<uint32_t>(difference < 0 ? -difference : difference) << (8 * i);
  }
  return result;
}
template <class T>
uint32_t vabsdiff4_add(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t sum = c;
  for (int i = 0; i < 4; ++i) {
    const int64_t difference = byte_of<T>(a, i) - byte_of<T>(b, i);
    sum += static_cast<uint32_t>(difference < 0 ? -difference : difference);
  }
  return sum;
}

}  // namespace

void add_integer_forms(FormTable& table) {
  add_type<int16_t>(table, "s16", 'h');
  add_type<uint16_t>(table, "u16", 'h');
  add_type<int32_t>(table, "s32", 'w');
  add_type<uint32_t>(table, "u32", 'w');
  add_type<int64_t>(table, "s64", 'q');
  add_type<uint64_t>(table, "u64", 'q');
  add_wide<int16_t>(table, "s16", 'h', 'w');
  add_wide<uint16_t>(table, "u16", 'h', 'w');
  add_wide<int32_t>(table, "s32", 'w', 'q');
  add_wide<uint32_t>(table, "u32", 'w', 'q');
  add_chain<int32_t, 'w'>(table, "s32");
  add_chain<uint32_t, 'w'>(table, "u32");
  add_chain<int64_t, 'q'>(table, "s64");
  add_chain<uint64_t, 'q'>(table, "u64");
  add_dot<uint8_t, uint8_t>(table, "u32.u32");
  add_dot<uint8_t, int8_t>(table, "u32.s32");
  add_dot<int8_t, uint8_t>(table, "s32.u32");
  add_dot<int8_t, int8_t>(table, "s32.s32");

  const auto row = [&](const char* name, const char* letters, Handler run, const char* section,
                       const char* meaning) {
    table.add({name, letters, run, section, meaning});
  };
  constexpr auto add_sat = [](int32_t a, int32_t b) { return saturate(int64_t{a} + b); };
  constexpr auto sub_sat = [](int32_t a, int32_t b) { return saturate(int64_t{a} - b); };
  constexpr auto mad_hi_sat = [](int32_t a, int32_t b, int32_t c) {
    return saturate(int64_t{mul_hi(a, b)} + c);
  };
  row("add.sat.s32", "Www", lanes<add_sat>(), "integer-arithmetic-instructions-add", "d = a + b, clamped.");
  row("sub.sat.s32", "Www", lanes<sub_sat>(), "integer-arithmetic-instructions-sub", "d = a - b, clamped.");
  row("mad.hi.sat.s32", "Wwww", lanes<mad_hi_sat>(), "integer-arithmetic-instructions-mad",
      "High half of a * b, plus c, clamped.");
  row("min.relu.s32", "Www", lanes<min_relu<int32_t>>(), "integer-arithmetic-instructions-min",
      "The smaller, but not below 0.");
  row("max.relu.s32", "Www", lanes<max_relu<int32_t>>(), "integer-arithmetic-instructions-max",
      "The larger, but not below 0.");
  const char* both = "Both 16-bit halves.";
  row("add.u16x2", "Www", lanes<halves<uint16_t, add<uint16_t>>>(), "integer-arithmetic-instructions-add",
      both);
  row("add.s16x2", "Www", lanes<halves<int16_t, add<int16_t>>>(), "integer-arithmetic-instructions-add",
      both);
  row("min.u16x2", "Www", lanes<halves<uint16_t, min<uint16_t>>>(), "integer-arithmetic-instructions-min",
      both);
  row("min.s16x2", "Www", lanes<halves<int16_t, min<int16_t>>>(), "integer-arithmetic-instructions-min",
      both);
  row("max.u16x2", "Www", lanes<halves<uint16_t, max<uint16_t>>>(), "integer-arithmetic-instructions-max",
      both);
  row("max.s16x2", "Www", lanes<halves<int16_t, max<int16_t>>>(), "integer-arithmetic-instructions-max",
      both);
  row("min.relu.s16x2", "Www", lanes<halves<int16_t, min_relu<int16_t>>>(),
      "integer-arithmetic-instructions-min", both);
  row("max.relu.s16x2", "Www", lanes<halves<int16_t, max_relu<int16_t>>>(),
      "integer-arithmetic-instructions-max", both);
  row("mul24.lo.s32", "Www", lanes<mul24_lo<int32_t>>(), "integer-arithmetic-instructions-mul24",
      "Bits 0-31 of a 24-bit product.");
  row("mul24.lo.u32", "Www", lanes<mul24_lo<uint32_t>>(), "integer-arithmetic-instructions-mul24",
      "Bits 0-31 of a 24-bit product.");
  row("mul24.hi.s32", "Www", lanes<mul24_hi<int32_t>>(), "integer-arithmetic-instructions-mul24",
      "Bits 16-47 of a 24-bit product.");
  row("mul24.hi.u32", "Www", lanes<mul24_hi<uint32_t>>(), "integer-arithmetic-instructions-mul24",
      "Bits 16-47 of a 24-bit product.");
  row("mad24.hi.s32", "Wwww", lanes<mad24_hi<int32_t>>(), "integer-arithmetic-instructions-mad24",
      "Bits 16-47 of the 24-bit product, plus c.");
  row("mad24.hi.u32", "Wwww", lanes<mad24_hi<uint32_t>>(), "integer-arithmetic-instructions-mad24",
      "Bits 16-47 of the 24-bit product, plus c.");
  row("mad24.lo.s32", "Wwww", lanes<mad24_lo<int32_t>>(), "integer-arithmetic-instructions-mad24",
      "24-bit product plus c.");
  row("mad24.lo.u32", "Wwww", lanes<mad24_lo<uint32_t>>(), "integer-arithmetic-instructions-mad24",
      "24-bit product plus c.");
  const char* video = "simd-video-instructions-vadd4-vsub4-vavrg4-vabsdiff4-vmin4-vmax4";
  row("vabsdiff4.u32.u32.u32", "Wwww", lanes<vabsdiff4<uint32_t>>(), video, "|a - b| of each byte.");
  row("vabsdiff4.u32.s32.s32", "Wwww", lanes<vabsdiff4<int32_t>>(), video, "|a - b| of each byte.");
  row("vabsdiff4.u32.u32.u32.add", "Wwww", lanes<vabsdiff4_add<uint32_t>>(), video,
      "c + the sum of |a - b| over the bytes.");
  row("vabsdiff4.u32.s32.s32.add", "Wwww", lanes<vabsdiff4_add<int32_t>>(), video,
      "c + the sum of |a - b| over the bytes.");
}

}  // namespace attest::vm
