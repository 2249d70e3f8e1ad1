// Instructions on payload values: what each form does when floats are elements of the algebra.
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "jit/vm/arithmetic_mode.h"
#include "jit/vm/each_lane.h"
#include "jit/vm/forms.h"
#include "jit/vm/payload_table.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

using std::string;

// A float type: its bits, and the elements that they stand for.
struct F32Type {
  using Bits = uint32_t;
  static constexpr Bits kSign = 0x80000000u;
  static Payload get(const PayloadTable& table, Bits bits) { return table.f32(bits); }
  static Bits put(PayloadTable& table, const Payload& value) { return table.to_f32(value); }
  static uint32_t widened(const PayloadTable&, Bits bits) { return bits; }
  static Bits narrowed(PayloadTable&, uint32_t bits) { return bits; }
};
struct F64Type {
  using Bits = uint64_t;
  static constexpr Bits kSign = uint64_t{1} << 63;
  static Payload get(const PayloadTable& table, Bits bits) { return table.f64(bits); }
  static Bits put(PayloadTable& table, const Payload& value) { return table.to_f64(value); }
  static uint32_t widened(PayloadTable& table, Bits bits) { return table.narrowed_f64(bits); }
  static Bits narrowed(const PayloadTable& table, uint32_t bits) { return table.widened_f64(bits); }
};
template <MatrixFormat Format>
struct HalfType {
  using Bits = uint16_t;
  static constexpr Bits kSign = 0x8000u;
  static Payload get(const PayloadTable& table, Bits bits) { return table.f32(table.widened(Format, bits)); }
  static Bits put(PayloadTable& table, const Payload& value) {
    return table.narrowed(Format, table.to_f32(value));
  }
  static uint32_t widened(const PayloadTable& table, Bits bits) { return table.widened(Format, bits); }
  static Bits narrowed(PayloadTable& table, uint32_t bits) { return table.narrowed(Format, bits); }
};
using F16Type = HalfType<MatrixFormat::f16>;
using BF16Type = HalfType<MatrixFormat::bf16>;

// --- operations on the bits of one number ---

template <class T>
using Bits = typename T::Bits;
template <class T>
using Operation = Bits<T> (*)(PayloadTable&, const Bits<T>*);

template <class T, auto F>
Bits<T> one(PayloadTable& table, const Bits<T>* x) {
  return T::put(table, F(T::get(table, x[0])));
}
template <class T, auto F>
Bits<T> two(PayloadTable& table, const Bits<T>* x) {
  return T::put(table, F(T::get(table, x[0]), T::get(table, x[1])));
}
Payload sum(const Payload& a, const Payload& b) { return a + b; }
Payload difference(const Payload& a, const Payload& b) { return a - b; }
Payload product(const Payload& a, const Payload& b) { return a * b; }
Payload quotient(const Payload& a, const Payload& b) { return a / b; }
Payload reciprocal(const Payload& a) { return payload_of(1) / a; }
Payload root(const Payload& a) { return sqrt(a); }
Payload reciprocal_root(const Payload& a) { return payload_of(1) / sqrt(a); }
Payload power(const Payload& a) { return exp2(a); }
Payload logarithm(const Payload& a) { return log2(a); }
Payload sine(const Payload& a) {
  return tagged(
      3, a, [](double x) { return std::sin(x); }, true);
}
Payload cosine(const Payload& a) {
  return tagged(
      4, a, [](double x) { return std::cos(x); }, false);
}
Payload hyperbolic_tangent(const Payload& a) {
  return tagged(
      5, a, [](double x) { return std::tanh(x); }, true);
}
template <class T>
Bits<T> multiply_add(PayloadTable& table, const Bits<T>* x) {
  return T::put(table, T::get(table, x[0]) * T::get(table, x[1]) + T::get(table, x[2]));
}
template <class T>
Bits<T> negated(PayloadTable&, const Bits<T>* x) {
  return x[0] ^ T::kSign;
}
template <class T>
Bits<T> absolute(PayloadTable&, const Bits<T>* x) {
  return static_cast<Bits<T>>(x[0] & ~T::kSign);
}
// By the shadows; of equals either will do: a correct result does not depend on it.
template <class T, bool Max, bool Nan>
Bits<T> extreme(PayloadTable& table, const Bits<T>* x) {
  const double a = T::get(table, x[0]).shadow, b = T::get(table, x[1]).shadow;
  if (a != a || b != b) return (a != a) == Nan ? x[0] : x[1];
  return (a < b) == Max ? x[1] : x[0];
}

// --- handlers ---

// Calls f and says at which instruction the algebra had no answer.
template <class F>
void explained(Warp& warp, const Instruction& instruction, F f) {
  try {
    f(*warp.launch->options->payload);
  } catch (const CannotCheck& reason) {
    throw CannotCheck("PTX line " + std::to_string(instruction.line) + ": `" +
                      warp.launch->code->texts[instruction.pc] + "` in payload arithmetic: " + reason.what());
  }
}

// r[0] = Op(r[1], .., r[N]); of pairs, in both halves.
template <class T, size_t N, Operation<T> Op>
void operate(Warp& warp, const Instruction& instruction) {
  using Row = std::conditional_t<sizeof(Bits<T>) == 8, uint64_t, uint32_t>;
  explained(warp, instruction, [&](PayloadTable& table) {
    each_lane(warp.mask, [&](uint32_t lane) {
      std::array<Bits<T>, N> x;
      for (size_t i = 0; i < N; ++i) x[i] = static_cast<Bits<T>>(warp.row<Row>(instruction.r[1 + i])[lane]);
      warp.row<Row>(instruction.r[0])[lane] = Op(table, x.data());
    });
  });
}
template <class T, size_t N, Operation<T> Op>
void operate_on_pairs(Warp& warp, const Instruction& instruction) {
  explained(warp, instruction, [&](PayloadTable& table) {
    each_lane(warp.mask, [&](uint32_t lane) {
      uint32_t result = 0;
      for (uint32_t shift = 0; shift < 32; shift += 16) {
        std::array<uint16_t, N> x;
        for (size_t i = 0; i < N; ++i)
          x[i] = static_cast<uint16_t>(warp.row<uint32_t>(instruction.r[1 + i])[lane] >> shift);
        result |= uint32_t{Op(table, x.data())} << shift;
      }
      warp.row<uint32_t>(instruction.r[0])[lane] = result;
    });
  });
}

template <class D, class S>
void convert(Warp& warp, const Instruction& instruction) {
  using To = std::conditional_t<sizeof(Bits<D>) == 8, uint64_t, uint32_t>;
  using From = std::conditional_t<sizeof(Bits<S>) == 8, uint64_t, uint32_t>;
  explained(warp, instruction, [&](PayloadTable& table) {
    each_lane(warp.mask, [&](uint32_t lane) {
      const auto from = static_cast<Bits<S>>(warp.row<From>(instruction.r[1])[lane]);
      warp.row<To>(instruction.r[0])[lane] = D::narrowed(table, S::widened(table, from));
    });
  });
}
// d = {a, b} with a in the upper half.
template <class D>
void convert_pair(Warp& warp, const Instruction& instruction) {
  explained(warp, instruction, [&](PayloadTable& table) {
    each_lane(warp.mask, [&](uint32_t lane) {
      const uint32_t upper = D::narrowed(table, warp.row<uint32_t>(instruction.r[1])[lane]);
      const uint32_t lower = D::narrowed(table, warp.row<uint32_t>(instruction.r[2])[lane]);
      warp.row<uint32_t>(instruction.r[0])[lane] = upper << 16 | lower;
    });
  });
}

// To an integer: plain numbers only.
template <class S>
void to_integer(Warp& warp, const Instruction& instruction) {
  using From = std::conditional_t<sizeof(Bits<S>) == 8, uint64_t, uint32_t>;
  explained(warp, instruction, [&](PayloadTable& table) {
    each_lane(warp.mask, [&](uint32_t lane) {
      if (PayloadTable::is_name(
              S::widened(table, static_cast<Bits<S>>(warp.row<From>(instruction.r[1])[lane]))))
        throw CannotCheck("a computed value has no integer part");
    });
    FormTable::instance().row(static_cast<int>(instruction.form)).run(warp, instruction);
  });
}

// Instruction::evaluate of comparisons (forms_compare.cpp), by the shadows. Outcomes: the set of relations
// for which the comparison holds.
constexpr unsigned kLess = 1, kEqual = 2, kGreater = 4, kUnordered = 8;
template <class T, unsigned Outcomes>
void compare(Warp& warp, const Instruction& instruction) {
  using Row = std::conditional_t<sizeof(Bits<T>) == 8, uint64_t, uint32_t>;
  explained(warp, instruction, [&](PayloadTable& table) {
    uint32_t bits = 0;
    each_lane(warp.mask, [&](uint32_t lane) {
      const auto shadow = [&](size_t i) {
        return T::get(table, static_cast<Bits<T>>(warp.row<Row>(instruction.r[i])[lane])).shadow;
      };
      const double a = shadow(1), b = shadow(2);
      const unsigned outcome = a < b ? kLess : a == b ? kEqual : a > b ? kGreater : kUnordered;
      bits |= static_cast<uint32_t>((Outcomes & outcome) != 0) << lane;
    });
    warp.compared[0] = bits;
  });
}

// mma.sync: forms_matrix.cpp asks for the arithmetic itself.
void multiply_matrices(Warp& warp, const Instruction& instruction) {
  explained(warp, instruction, [&](PayloadTable&) {
    FormTable::instance().row(static_cast<int>(instruction.form)).evaluate(warp, instruction);
  });
}

// --- the table: opcode and types, without the modifiers that round or approximate ---

using Table = std::map<string, Replacement>;

template <class T>
void add_comparisons(Table& table, const string& type) {
  const auto add = [&](const string& name, Handler evaluate) {
    table["setp." + name + "." + type].evaluate = evaluate;
    for (const char* result : {"u32", "s32", "f32"})
      table["set." + name + "." + result + "." + type].evaluate = evaluate;
  };
  add("eq", compare<T, kEqual>);
  add("ne", compare<T, kLess | kGreater>);
  add("lt", compare<T, kLess>);
  add("le", compare<T, kLess | kEqual>);
  add("gt", compare<T, kGreater>);
  add("ge", compare<T, kGreater | kEqual>);
  add("equ", compare<T, kEqual | kUnordered>);
  add("neu", compare<T, kLess | kGreater | kUnordered>);
  add("ltu", compare<T, kLess | kUnordered>);
  add("leu", compare<T, kLess | kEqual | kUnordered>);
  add("gtu", compare<T, kGreater | kUnordered>);
  add("geu", compare<T, kGreater | kEqual | kUnordered>);
  add("num", compare<T, kLess | kEqual | kGreater>);
  add("nan", compare<T, kUnordered>);
}

template <class T>
void add_operations(Table& table, const string& type) {
  const auto add = [&]<size_t N, Operation<T> Op>(const char* opcode) {
    table[string(opcode) + "." + type].run = operate<T, N, Op>;
    if constexpr (sizeof(Bits<T>) == 2)
      table[string(opcode) + "." + type + "x2"].run = operate_on_pairs<T, N, Op>;
  };
  add.template operator()<2, two<T, sum>>("add");
  add.template operator()<2, two<T, difference>>("sub");
  add.template operator()<2, two<T, product>>("mul");
  add.template operator()<3, multiply_add<T>>("fma");
  add.template operator()<3, multiply_add<T>>("mad");
  add.template operator()<2, two<T, quotient>>("div");
  add.template operator()<1, one<T, reciprocal>>("rcp");
  add.template operator()<1, one<T, root>>("sqrt");
  add.template operator()<1, one<T, reciprocal_root>>("rsqrt");
  add.template operator()<1, one<T, power>>("ex2");
  add.template operator()<1, one<T, logarithm>>("lg2");
  add.template operator()<1, one<T, sine>>("sin");
  add.template operator()<1, one<T, cosine>>("cos");
  add.template operator()<1, one<T, hyperbolic_tangent>>("tanh");
  add.template operator()<1, negated<T>>("neg");
  add.template operator()<1, absolute<T>>("abs");
  add.template operator()<2, extreme<T, true, false>>("max");
  add.template operator()<2, extreme<T, false, false>>("min");
  add.template operator()<2, extreme<T, true, true>>("max.NaN");
  add.template operator()<2, extreme<T, false, true>>("min.NaN");
  for (const char* integer : {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"})
    for (const char* mode : {"rni", "rzi", "rmi", "rpi"})
      table[string("cvt.") + mode + "." + integer + "." + type].run = to_integer<T>;
  add_comparisons<T>(table, type);
}

Table payload_table() {
  Table table;
  add_operations<F32Type>(table, "f32");
  add_operations<F64Type>(table, "f64");
  add_operations<F16Type>(table, "f16");
  add_operations<BF16Type>(table, "bf16");
  const auto conversions = [&]<class D>(const string& d) {
    table["cvt." + d + ".f32"].run = convert<D, F32Type>;
    table["cvt." + d + ".f64"].run = convert<D, F64Type>;
    table["cvt." + d + ".f16"].run = convert<D, F16Type>;
    table["cvt." + d + ".bf16"].run = convert<D, BF16Type>;
  };
  conversions.template operator()<F32Type>("f32");
  conversions.template operator()<F64Type>("f64");
  conversions.template operator()<F16Type>("f16");
  conversions.template operator()<BF16Type>("bf16");
  table["cvt.tf32.f32"].run = convert<F32Type, F32Type>;
  table["cvt.f16x2.f32"].run = convert_pair<F16Type>;
  table["cvt.bf16x2.f32"].run = convert_pair<BF16Type>;
  // Integers become plain numbers, exactly or not: a number is what its bits say.
  for (const char* integer : {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"})
    for (const char* type : {"f32", "f64"}) table[string("cvt.") + type + "." + integer] = {};
  for (const char* bits_only : {"copysign.f32", "copysign.f64", "selp.f32", "selp.f64", "selp.f16",
                                "selp.bf16", "slct.f32.s32", "slct.f64.s32"})
    table[bits_only] = {};
  return table;
}

const std::set<string> kFloatTypes = {"f16", "f16x2", "bf16", "bf16x2", "f32",    "f32x2",
                                      "f64", "tf32",  "e4m3", "e5m2",   "e4m3x2", "e5m2x2"};
// Rounding and accuracy do not concern the algebra. Other directions than to nearest do: they serve tricks
// with bits. So do .sat and .relu, which change values.
const std::set<string> kAlgebraNeutral = {"rn", "ftz", "approx", "full"};
const std::set<string> kConversionNeutral = {"rn", "rz", "rna", "ftz", "satfinite"};
const std::set<string> kCombinations = {"and", "or", "xor"};  // of comparisons

Replacement replacement(const Table& table, const string& form) {
  const std::vector<string> words = words_of(form);
  bool floats = false;
  string key = words[0];
  const bool compares = words[0] == "setp" || words[0] == "set";
  for (size_t i = 1; i < words.size(); ++i) {
    floats = floats || kFloatTypes.count(words[i]);
    const bool neutral = words[0] == "cvt"
                             ? kConversionNeutral.count(words[i])
                             : kAlgebraNeutral.count(words[i]) || (compares && kCombinations.count(words[i]));
    if (!neutral) key += "." + words[i];
  }
  static const std::set<string> kMoves = {"mov", "ld", "ldu", "st"};
  if (!floats || kMoves.count(words[0]) || words[0] == "wgmma") return {};  // wgmma looks at the mode itself
  if (words[0] == "mma" && words.back() != "f64") return {nullptr, multiply_matrices};
  const auto found = table.find(key);
  return found == table.end() ? Replacement{refuse_in_mode, nullptr} : found->second;
}

}  // namespace

const Replacements& payload_forms() {
  static const Replacements forms = [] {
    const Table table = payload_table();
    Replacements all;
    for (const Form& form : FormTable::instance().rows()) all.push_back(replacement(table, form.name));
    return all;
  }();
  return forms;
}

}  // namespace attest::vm
