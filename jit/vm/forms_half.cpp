// f16, bf16 and their pairs: every result is rounded once to the type.
#include <bit>
#include <cmath>
#include <string>
#include <type_traits>

#include "jit/vm/arithmetic.h"
#include "jit/vm/formats.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

template <class H>
constexpr H kNan = H{0x7FFF};

template <class H>
bool nan(H a) {
  return (a.bits & 0x7FFFu) > (std::is_same_v<H, F16> ? 0x7C00u : 0x7F80u);
}

// Below the smallest normal number: zero of the same sign.
template <class H>
H flush_half(H a) {
  const uint16_t exponent = std::is_same_v<H, F16> ? 0x7C00u : 0x7F80u;
  return a.bits & exponent ? a : H{static_cast<uint16_t>(a.bits & 0x8000u)};
}
template <bool Ftz, class H>
H in(H a) {
  if constexpr (Ftz) return flush_half(a);
  return a;
}
template <bool Ftz, bool Sat, bool Relu, class H>
H out(H a) {
  if constexpr (Ftz) a = flush_half(a);
  if constexpr (Sat) return round_half<H>(saturate(widen(a)));
  if constexpr (Relu) return a.bits & 0x8000u && !nan(a) ? H{0} : a;
  return a;
}

// Sums of two halves are exact enough in float: 24 >= 2 * 11 + 2 bits make the second rounding harmless.
template <class H, bool Ftz, bool Sat>
H add(H a, H b) {
  return out<Ftz, Sat, false>(round_half<H>(widen(in<Ftz>(a)) + widen(in<Ftz>(b))));
}
template <class H, bool Ftz, bool Sat>
H sub(H a, H b) {
  return out<Ftz, Sat, false>(round_half<H>(widen(in<Ftz>(a)) - widen(in<Ftz>(b))));
}
// Products are exact in double.
template <class H>
double wide(H a) {
  return static_cast<double>(widen(a));
}
// .ftz asks whether the result would be below 2^-14 if the exponent had no limit; the last 11-bit number
// below is 2^-14 (1 - 2^-11), and from halfway on results round to 2^-14 itself (measured: H100 80GB HBM3,
// driver 580.159, 2026-11-23). `exact` may be rounded to odd.
template <class H, bool Ftz>
H round_flushed(double exact) {
  static_assert(!Ftz || std::is_same_v<H, F16>, "only f16 has .ftz");
  if (Ftz && std::fabs(exact) < 0x1p-14 * (1 - 0x1p-12)) exact = std::copysign(0.0, exact);
  return round_half<H>(narrow_to_odd(exact));
}
template <class H, bool Ftz, bool Sat>
H mul(H a, H b) {
  return out<Ftz, Sat, false>(round_flushed<H, Ftz>(wide(in<Ftz>(a)) * wide(in<Ftz>(b))));
}
template <class H, bool Ftz, bool Sat, bool Relu>
H fma(H a, H b, H c) {
  const double sum = add_to_odd(wide(in<Ftz>(a)) * wide(in<Ftz>(b)), wide(in<Ftz>(c)));
  return out<Ftz, Sat, Relu>(round_flushed<H, Ftz>(sum));
}
template <class H, bool Ftz>
H neg(H a) {
  return in<Ftz>(nan(a) ? a : H{static_cast<uint16_t>(a.bits ^ 0x8000u)});
}
template <class H, bool Ftz>
H abs(H a) {
  return in<Ftz>(H{static_cast<uint16_t>(a.bits & 0x7FFFu)});
}
template <class H, bool Ftz, bool Nan, bool XorSign, bool Max>
H extreme(H x, H y) {
  H a = in<Ftz>(x), b = in<Ftz>(y);
  const bool sign = ((a.bits ^ b.bits) & 0x8000u) != 0;
  if constexpr (XorSign) {
    a.bits &= 0x7FFFu;
    b.bits &= 0x7FFFu;
  }
  H result;
  if (nan(a) || nan(b)) {
    if (Nan || (nan(a) && nan(b))) return kNan<H>;
    result = nan(a) ? b : a;
  } else if (widen(a) == widen(b)) {
    result = ((a.bits & 0x8000u) != 0) == Max ? b : a;
  } else {
    result = (widen(a) < widen(b)) == Max ? b : a;
  }
  if constexpr (XorSign) result.bits = static_cast<uint16_t>((result.bits & 0x7FFFu) | (sign ? 0x8000u : 0));
  return result;
}
template <class H, bool Ftz>
H ex2(H a) {
  return in<Ftz>(round_half<H>(narrow_to_odd(std::exp2(wide(in<Ftz>(a))))));
}
template <class H>
H tanh(H a) {
  return round_half<H>(narrow_to_odd(std::tanh(wide(a))));
}

// The same operation on both halves of a pair.
template <class H, auto F>
struct Paired {
  static H low(uint32_t a) { return H{static_cast<uint16_t>(a)}; }
  static H high(uint32_t a) { return H{static_cast<uint16_t>(a >> 16)}; }
  static uint32_t join(H low_half, H high_half) { return uint32_t{high_half.bits} << 16 | low_half.bits; }
  static uint32_t one(uint32_t a) { return join(F(low(a)), F(high(a))); }
  static uint32_t two(uint32_t a, uint32_t b) { return join(F(low(a), low(b)), F(high(a), high(b))); }
  static uint32_t three(uint32_t a, uint32_t b, uint32_t c) {
    return join(F(low(a), low(b), low(c)), F(high(a), high(b), high(c)));
  }
};

template <class H>
struct Adder {
  FormTable& table;
  string type;  // ".f16"

  template <auto F>
  void one(const string& head, const char* section, const char* meaning) const {
    table.add({head + type, "Hh", lanes<F>(), section, meaning});
    table.add({head + type + "x2", "Ww", lanes<&Paired<H, F>::one>(), section, meaning});
  }
  template <auto F>
  void two(const string& head, const char* section, const char* meaning) const {
    table.add({head + type, "Hhh", lanes<F>(), section, meaning});
    table.add({head + type + "x2", "Www", lanes<&Paired<H, F>::two>(), section, meaning});
  }
  template <auto F>
  void three(const string& head, const char* section, const char* meaning) const {
    table.add({head + type, "Hhhh", lanes<F>(), section, meaning});
    table.add({head + type + "x2", "Wwww", lanes<&Paired<H, F>::three>(), section, meaning});
  }
};

template <class H, bool Ftz>
void add_type(FormTable& table, const string& type) {
  const Adder<H> adder{table, type};
  const string ftz = Ftz ? ".ftz" : "";
  for (const char* rn : {"", ".rn"}) {
    adder.template two<&add<H, Ftz, false>>(
        string("add") + rn + ftz, "half-precision-floating-point-instructions-add", "a + b, rounded once.");
    adder.template two<&sub<H, Ftz, false>>(
        string("sub") + rn + ftz, "half-precision-floating-point-instructions-sub", "a - b, rounded once.");
    adder.template two<&mul<H, Ftz, false>>(
        string("mul") + rn + ftz, "half-precision-floating-point-instructions-mul", "a * b, rounded once.");
    if constexpr (std::is_same_v<H, F16>) {
      adder.template two<&add<H, Ftz, true>>(string("add") + rn + ftz + ".sat",
                                             "half-precision-floating-point-instructions-add",
                                             "a + b, clamped to [0, 1].");
      adder.template two<&sub<H, Ftz, true>>(string("sub") + rn + ftz + ".sat",
                                             "half-precision-floating-point-instructions-sub",
                                             "a - b, clamped to [0, 1].");
      adder.template two<&mul<H, Ftz, true>>(string("mul") + rn + ftz + ".sat",
                                             "half-precision-floating-point-instructions-mul",
                                             "a * b, clamped to [0, 1].");
    }
  }
  const char* section = "half-precision-floating-point-instructions-fma";
  adder.template three<&fma<H, Ftz, false, false>>("fma.rn" + ftz, section, "a * b + c, rounded once.");
  adder.template three<&fma<H, Ftz, false, true>>("fma.rn" + ftz + ".relu", section,
                                                  "a * b + c, rounded once; negative results give 0.");
  if constexpr (std::is_same_v<H, F16>)
    adder.template three<&fma<H, Ftz, true, false>>("fma.rn" + ftz + ".sat", section,
                                                    "a * b + c, clamped to [0, 1].");
  adder.template one<&neg<H, Ftz>>("neg" + ftz, "half-precision-floating-point-instructions-neg", "-a.");
  adder.template one<&abs<H, Ftz>>("abs" + ftz, "half-precision-floating-point-instructions-abs", "|a|.");
  const auto extremes = [&]<bool Max>(const string& name, const char* where) {
    adder.template two<&extreme<H, Ftz, false, false, Max>>(name + ftz, where,
                                                            "A NaN loses against a number; -0 < +0.");
    adder.template two<&extreme<H, Ftz, true, false, Max>>(name + ftz + ".NaN", where,
                                                           "NaN if either is NaN; -0 < +0.");
    adder.template two<&extreme<H, Ftz, false, true, Max>>(
        name + ftz + ".xorsign.abs", where, "Of the magnitudes, with the exclusive or of the signs.");
    adder.template two<&extreme<H, Ftz, true, true, Max>>(
        name + ftz + ".NaN.xorsign.abs", where, "Of the magnitudes, with the exclusive or of the signs.");
  };
  extremes.template operator()<false>("min", "half-precision-floating-point-instructions-min");
  extremes.template operator()<true>("max", "half-precision-floating-point-instructions-max");
}

}  // namespace

void add_half_forms(FormTable& table) {
  add_type<F16, false>(table, ".f16");
  add_type<F16, true>(table, ".f16");
  add_type<BF16, false>(table, ".bf16");
  const char* once = "Approximate: the exact result, rounded once to nearest.";
  const Adder<F16> f16{table, ".f16"};
  const Adder<BF16> bf16{table, ".bf16"};
  f16.one<&ex2<F16, false>>("ex2.approx", "half-precision-floating-point-instructions-ex2", once);
  bf16.one<&ex2<BF16, true>>("ex2.approx.ftz", "half-precision-floating-point-instructions-ex2", once);
  f16.one<&tanh<F16>>("tanh.approx", "half-precision-floating-point-instructions-tanh", once);
  bf16.one<&tanh<BF16>>("tanh.approx", "half-precision-floating-point-instructions-tanh", once);
}

}  // namespace attest::vm
