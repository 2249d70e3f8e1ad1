// Evaluators for comparisons, integer arithmetic and moves, written from the text of the PTX ISA.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "jit/conformance/sweep.h"

namespace attest::conformance {

namespace {

// PTX ISA, tables of comparison operators: what holds of each relation, and for integers the names lo, ls, hi
// and hs.
bool compare(const std::string& cmp, long double a, long double b) {
  if (std::isnan(a) || std::isnan(b)) return one_of(cmp, {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"});
  if (a < b) return one_of(cmp, {"ne", "neu", "lt", "ltu", "le", "leu", "lo", "ls", "num"});
  if (a > b) return one_of(cmp, {"ne", "neu", "gt", "gtu", "ge", "geu", "hi", "hs", "num"});
  return one_of(cmp, {"eq", "equ", "le", "leu", "ge", "geu", "ls", "hs", "num"});
}

long double flushed(std::string_view type, long double value) {
  const long double least = type == "f16" ? 0x1p-14L : 0x1p-126L;
  return std::fabs(value) < least ? 0 : value;
}

bool combine(const std::string& op, bool value, bool c) {
  return op == "and" ? value && c : op == "or" ? value || c : op == "xor" ? value != c : value;
}

// What `set` writes where the comparison holds.
uint64_t true_value(const std::string& type) {
  if (type == "f32") return 0x3F800000;
  if (type == "f16" || type == "f16x2") return 0x3C00;
  if (type == "bf16" || type == "bf16x2") return 0x3F80;
  return type == "u16" || type == "s16" ? 0xFFFF : 0xFFFFFFFF;
}

}  // namespace

// setp.cmp{.op}{.ftz}.type p|q, a, b{, c};  set.cmp{.op}{.ftz}.dtype{.ftz}.stype d, a, b{, c};
// selp, slct{.ftz}.type.ctype
Sweep sweep_comparison(const std::string& form) {
  Sweep sweep;
  std::vector<std::string> parts = parts_of(form, '.');
  const std::string opcode = parts[0], type = parts.back();
  if (opcode == "selp") {
    sweep = {form, type, type + "," + type + ",pred", form + " %d0, %x0, %x1, %x2;",
             [](const Thread& x, uint64_t* d) { d[0] = x(2) & 1 ? x(0) : x(1); }};
    return sweep;
  }
  const bool ftz = std::erase(parts, "ftz") > 0;
  if (opcode == "slct") {
    const std::string of = parts[1];
    sweep = {form, of, of + "," + of + "," + type, form + " %d0, %x0, %x1, %x2;",
             [type, ftz](const Thread& x, uint64_t* d) {
               long double c = value_of(type, x(2));
               if (ftz) c = flushed(type, c);
               d[0] = c >= 0 ? x(0) : x(1);  // a NaN selects b
             }};
    return sweep;
  }
  if (opcode != "setp" && opcode != "set") return sweep;
  const std::string cmp = parts[1];
  const std::string op = one_of(parts[2], {"and", "or", "xor"}) ? parts[2] : "";
  const bool pair = contains(type, "x2");
  const std::string element = pair ? type.substr(0, type.size() - 2) : type;
  const int bits = bits_of(element);
  const auto holds = [=](const Thread& x, int half) {
    long double a = value_of(element, x(0) >> (half * bits)), b = value_of(element, x(1) >> (half * bits));
    if (ftz) a = flushed(element, a), b = flushed(element, b);
    return compare(cmp, a, b);
  };
  sweep.covers = form;
  sweep.operands = type + "," + type + (op.empty() ? "" : ",pred");
  const std::string third = op.empty() ? ";" : ", %x2;";
  if (opcode == "setp") {
    // A single half has no second result.
    const bool two = pair || !one_of(type, {"f16", "bf16"});
    sweep.results = two ? "pred,pred" : "pred";
    sweep.body = form + (two ? " %d0|%d1" : " %d0") + ", %x0, %x1" + third;
    sweep.evaluate = [=](const Thread& x, uint64_t* d) {
      const bool c = !op.empty() && (x(2) & 1) != 0;
      d[0] = combine(op, holds(x, 0), c);
      if (two) d[1] = combine(op, pair ? holds(x, 1) : !holds(x, 0), c);
    };
    return sweep;
  }
  const std::string result = parts[parts.size() - 2];
  sweep.results = result;
  sweep.body = form + " %d0, %x0, %x1" + third;
  sweep.evaluate = [=](const Thread& x, uint64_t* d) {
    const bool c = !op.empty() && (x(2) & 1) != 0;
    const uint64_t yes = pair && !contains(result, "x2") ? 0xFFFF : true_value(result);
    d[0] = combine(op, holds(x, 0), c) ? yes : 0;
    if (pair && combine(op, holds(x, 1), c)) d[0] |= yes << 16;
  };
  return sweep;
}

namespace {

using Wide = __int128;

// The carry chain: the form's own instruction stands between one that makes a carry (x0 - x1 borrows or x0 +
// x1 carries) and one that shows the carry it leaves.
Sweep sweep_chain(const std::string& form, const std::vector<std::string>& parts) {
  const std::string type = parts.back();
  const int bits = bits_of(type);
  const bool subtracts = starts(form, "sub"), multiplies = starts(form, "mad");
  const bool reads = contains(parts[0], "c") && parts[0].back() == 'c', writes = contains(form, ".cc");
  const bool high = contains(form, ".hi");
  const std::string u = "u" + std::to_string(bits);
  Sweep sweep{form, type + "," + u, type + "," + type + "," + type + "," + type + "," + type, "", {}};
  sweep.body = std::string(subtracts ? "sub" : "add") + ".cc." + u + " %d1, %x0, %x1; " + form +
               " %d0, %x2, %x3" + (multiplies ? ", %x4; " : "; ") + (subtracts ? "subc." : "addc.") + u +
               " %d1, 0, 0;";
  sweep.evaluate = [=](const Thread& x, uint64_t* d) {
    using Natural = unsigned __int128;
    const auto natural = [&](size_t i) { return Natural{low_bits(x(i), bits)}; };
    const Natural one = 1;
    const Natural modulus = one << bits;
    bool carry = subtracts ? natural(0) < natural(1) : natural(0) + natural(1) >= modulus;
    Natural left = natural(2), right = natural(3);
    if (multiplies) {
      // 64 x 64 bits fit into 128, signed or not.
      const Natural product =
          type[0] == 's' ? static_cast<Natural>(Wide{signed_bits(x(2), bits)} * signed_bits(x(3), bits))
                         : natural(2) * natural(3);
      left = (high ? product >> bits : product) & (modulus - 1);
      right = natural(4);
    }
    const Natural in = reads && carry ? 1 : 0;
    d[0] = low_bits(static_cast<uint64_t>(subtracts ? left - right - in : left + right + in), bits);
    if (writes) carry = subtracts ? left < right + in : left + right + in >= modulus;
    d[1] = low_bits(subtracts ? uint64_t{0} - carry : uint64_t{carry}, bits);
  };
  return sweep;
}

}  // namespace

// Carry chains, relu and pairs of 16 bits, SIMD video, atomics on s64, mov.
Sweep sweep_integer(const std::string& form) {
  const std::vector<std::string> parts = parts_of(form, '.');
  const std::string type = parts.back();
  if (one_of(parts[0], {"addc", "subc", "madc"}) ||
      (parts.size() > 2 && parts[parts.size() - 2] == "cc" && one_of(parts[0], {"add", "sub", "mad"})))
    return sweep_chain(form, parts);
  if (one_of(parts[0], {"add", "min", "max"}) && (contains(form, "x2") || contains(form, "relu")) &&
      one_of(type, {"s32", "u16x2", "s16x2"})) {
    const int count = contains(type, "x2") ? 2 : 1, bits = 32 / count;
    const std::string operation = parts[0];
    const bool relu = contains(form, "relu"), is_signed = type[0] == 's';
    return {
        form, "b32", "b32,b32", form + " %d0, %x0, %x1;", [=](const Thread& x, uint64_t* d) {
          d[0] = 0;
          for (int i = 0; i < count; ++i) {
            const auto element = [&](size_t operand) {
              const uint64_t raw = low_bits(x(operand) >> (i * bits), bits);
              return is_signed ? signed_bits(raw, bits) : static_cast<int64_t>(raw);
            };
            const int64_t a = element(0), b = element(1);
            int64_t value = operation == "add" ? a + b : operation == "min" ? std::min(a, b) : std::max(a, b);
            if (relu) value = std::max<int64_t>(value, 0);
            d[0] |= low_bits(static_cast<uint64_t>(value), bits) << (i * bits);
          }
        }};
  }
  if (parts[0] == "vabsdiff4") {
    const bool is_signed = parts[2] == "s32", sums = type == "add";
    return {form, "b32", "b32,b32,b32", form + " %d0, %x0, %x1, %x2;", [=](const Thread& x, uint64_t* d) {
              uint64_t sum = x(2), bytes = 0;
              for (int i = 0; i < 32; i += 8) {
                const auto byte = [&](size_t operand) {
                  const uint64_t raw = low_bits(x(operand) >> i, 8);
                  return is_signed ? signed_bits(raw, 8) : static_cast<int64_t>(raw);
                };
                const auto difference = static_cast<uint64_t>(std::abs(byte(0) - byte(1)));
                sum += difference;
                bytes |= low_bits(difference, 8) << i;
              }
              d[0] = low_bits(sums ? sum : bytes, 32);
            }};
  }
  if (form == "atom.add.s64" || form == "red.add.s64") {
    const bool returns = form[0] == 'a';
    const std::string spelled = (returns ? "atom" : "red") + std::string(".global.add.s64");
    return {form, "b64,b64", "b64,b64",
            "mov.b64 %d0, %x0; st.global.b64 [%memory], %x0; " + spelled + (returns ? " %d0," : "") +
                " [%memory], %x1; ld.global.b64 %d1, [%memory];",
            [](const Thread& x, uint64_t* d) {
              d[0] = x(0);
              d[1] = x(0) + x(1);
            }};
  }
  if (parts[0] == "mov" && parts.size() == 2 && type != "pred")
    return {form, type, type, form + " %d0, %x0;", [](const Thread& x, uint64_t* d) { d[0] = x(0); }};
  return {};
}

}  // namespace attest::conformance
