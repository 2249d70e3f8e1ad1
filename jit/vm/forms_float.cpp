// .f32 and .f64 arithmetic. Approximate instructions round the exact result once, which is within what the
// PTX ISA promises; hardware may differ from that in the last bits.
#include <bit>
#include <cfenv>
#include <cmath>
#include <string>

#include "jit/vm/arithmetic.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

// .ftz flushes inputs and result; .sat clamps the result.
template <bool Ftz, class T>
inline T in(T value) {
  if constexpr (Ftz) return flush(value);
  return value;
}
template <bool Ftz, bool Sat, class T>
inline T out(T value) {
  if constexpr (Ftz) value = flush(value);
  if constexpr (Sat) return saturate(value);
  return canonical(value);
}

// Opaque: for rounding modes other than nearest (RoundingScope).
template <bool Opaque, class T>
inline T held(T value) {
  if constexpr (Opaque) return opaque(value);
  return value;
}

template <class T, bool Ftz, bool Sat, bool Dir>
T add(T a, T b) {
  return out<Ftz, Sat>(held<Dir>(held<Dir>(in<Ftz>(a)) + held<Dir>(in<Ftz>(b))));
}
template <class T, bool Ftz, bool Sat, bool Dir>
T sub(T a, T b) {
  return out<Ftz, Sat>(held<Dir>(held<Dir>(in<Ftz>(a)) - held<Dir>(in<Ftz>(b))));
}
// .ftz asks whether the result would be below the smallest normal number if the exponent had no limit: 2^-126
// (1 - 2^-24) is flushed although rounding it to a subnormal gives 2^-126 (measured: H100 80GB HBM3, driver
// 580.159, 2026-11-23: mul, div.rm, f16 mul and fma; fma keeps 2^-126 - 2^-250). `scaled` is the same result
// times 2^64, rounded at the full 24 bits.
constexpr float kScale = 0x1p64f;
inline float flush_tiny(float result, float scaled) {
  return std::fabs(scaled) < 0x1p-62f ? std::copysign(0.0f, result) : result;
}
template <class T, bool Ftz, bool Sat, bool Dir>
T mul(T a, T b) {
  const T x = held<Dir>(in<Ftz>(a)), y = held<Dir>(in<Ftz>(b));
  T product = held<Dir>(x * y);
  if constexpr (Ftz) product = flush_tiny(product, held<Dir>(held<Dir>(x * kScale) * y));
  return out<Ftz, Sat>(product);
}
template <class T, bool Ftz, bool Sat, bool Dir>
T fma(T a, T b, T c) {
  const T x = held<Dir>(in<Ftz>(a)), y = held<Dir>(in<Ftz>(b)), z = held<Dir>(in<Ftz>(c));
  T sum = held<Dir>(std::fma(x, y, z));
  if constexpr (Ftz)
    sum = flush_tiny(sum, held<Dir>(std::fma(held<Dir>(x * kScale), y, held<Dir>(z * kScale))));
  return out<Ftz, Sat>(sum);
}
template <class T, bool Ftz, bool Sat, bool Dir>
T div(T a, T b) {
  const T x = held<Dir>(in<Ftz>(a)), y = held<Dir>(in<Ftz>(b));
  T quotient = held<Dir>(x / y);
  if constexpr (Ftz) quotient = flush_tiny(quotient, held<Dir>(held<Dir>(x * kScale) / y));
  return out<Ftz, Sat>(quotient);
}
template <class T, bool Ftz, bool Sat, bool Dir>
T rcp(T a) {
  return div<T, Ftz, Sat, Dir>(T{1}, a);
}
template <class T, bool Ftz, bool Sat, bool Dir>
T root(T a) {
  return out<Ftz, Sat>(held<Dir>(std::sqrt(held<Dir>(in<Ftz>(a)))));
}

// Rows for every rounding mode, .ftz and .sat of one operation.
template <class T, template <bool, bool, bool> class Op>
struct Rows {
  static void add(FormTable& table, const string& opcode, const string& letters, bool bare, bool with_sat,
                  const char* section, const char* meaning) {
    constexpr bool kSingle = std::is_same_v<T, float>;
    const string type = kSingle ? ".f32" : ".f64";
    const auto rows = [&]<bool Ftz, bool Sat>() {
      const string tail = string(Ftz ? ".ftz" : "") + (Sat ? ".sat" : "") + type;
      const auto row = [&](const string& mode, Handler run) {
        table.add({opcode + mode + tail, letters, run, section, meaning});
      };
      if (bare) row("", lanes<Op<Ftz, Sat, false>::value>());
      row(".rn", lanes<Op<Ftz, Sat, false>::value>());
      constexpr Handler directed = scalar_lanes<Op<Ftz, Sat, true>::value>();
      row(".rz", rounded<FE_TOWARDZERO, directed>);
      row(".rm", rounded<FE_DOWNWARD, directed>);
      row(".rp", rounded<FE_UPWARD, directed>);
    };
    rows.template operator()<false, false>();
    if constexpr (kSingle) {
      rows.template operator()<true, false>();
      if (with_sat) {
        rows.template operator()<false, true>();
        rows.template operator()<true, true>();
      }
    }
  }
};
template <class T>
struct Ops {
  template <bool F, bool S, bool D>
  struct Add {
    static constexpr auto value = &add<T, F, S, D>;
  };
  template <bool F, bool S, bool D>
  struct Sub {
    static constexpr auto value = &sub<T, F, S, D>;
  };
  template <bool F, bool S, bool D>
  struct Mul {
    static constexpr auto value = &mul<T, F, S, D>;
  };
  template <bool F, bool S, bool D>
  struct Fma {
    static constexpr auto value = &fma<T, F, S, D>;
  };
  template <bool F, bool S, bool D>
  struct Div {
    static constexpr auto value = &div<T, F, S, D>;
  };
  template <bool F, bool S, bool D>
  struct Rcp {
    static constexpr auto value = &rcp<T, F, S, D>;
  };
  template <bool F, bool S, bool D>
  struct Root {
    static constexpr auto value = &root<T, F, S, D>;
  };
};

template <class T>
void add_arithmetic(FormTable& table) {
  const bool single = std::is_same_v<T, float>;
  const string f = single ? "f" : "d", F = single ? "W" : "Q";
  using O = Ops<T>;
  Rows<T, O::template Add>::add(table, "add", F + f + f, true, true, "floating-point-instructions-add",
                                "a + b, rounded once.");
  Rows<T, O::template Sub>::add(table, "sub", F + f + f, true, true, "floating-point-instructions-sub",
                                "a - b, rounded once.");
  Rows<T, O::template Mul>::add(table, "mul", F + f + f, true, true, "floating-point-instructions-mul",
                                "a * b, rounded once.");
  Rows<T, O::template Fma>::add(table, "fma", F + f + f + f, false, true, "floating-point-instructions-fma",
                                "a * b + c, rounded once.");
  Rows<T, O::template Fma>::add(table, "mad", F + f + f + f, false, true, "floating-point-instructions-mad",
                                "a * b + c, rounded once.");
  Rows<T, O::template Div>::add(table, "div", F + f + f, false, false, "floating-point-instructions-div",
                                "a / b, rounded once.");
  Rows<T, O::template Rcp>::add(table, "rcp", F + f, false, false, "floating-point-instructions-rcp",
                                "1 / a, rounded once.");
  Rows<T, O::template Root>::add(table, "sqrt", F + f, false, false, "floating-point-instructions-sqrt",
                                 "Square root, rounded once.");
}

// min, max: a NaN loses against a number, unless .NaN; -0 < +0; .xorsign.abs: magnitudes, with the xor of the
// signs.
template <class T>
bool negative(T value) {
  return std::signbit(value);
}
template <class T, bool Ftz, bool Nan, bool XorSign, bool Max>
T extreme(T x, T y) {
  T a = in<Ftz>(x), b = in<Ftz>(y);
  const bool sign = negative(a) != negative(b);
  if constexpr (XorSign) {
    a = std::fabs(a);
    b = std::fabs(b);
  }
  T result;
  if (a != a || b != b) {
    if (Nan || (a != a && b != b)) {
      if constexpr (std::is_same_v<T, float>)
        return std::bit_cast<float>(kCanonicalNan);
      else
        return std::bit_cast<double>(uint64_t{0x7FFFFFFFFFFFFFFF});
    }
    result = a != a ? b : a;
  } else if (a == b) {
    result = negative(a) == Max ? b : a;  // of two zeros, the negative one is the smaller
  } else {
    result = (a < b) == Max ? b : a;
  }
  if constexpr (XorSign) result = std::copysign(result, sign ? T{-1} : T{1});
  return result;
}

template <bool Max>
void add_extremes(FormTable& table) {
  const string name = Max ? "max" : "min";
  const char* section = Max ? "floating-point-instructions-max" : "floating-point-instructions-min";
  const char* plain = "A NaN loses against a number; -0 < +0.";
  const char* nan = "NaN if either is NaN; -0 < +0.";
  const char* xorsign = "Of the magnitudes, with the exclusive or of the signs.";
  table.add({name + ".f32", "Wff", lanes<extreme<float, false, false, false, Max>>(), section, plain});
  table.add({name + ".ftz.f32", "Wff", lanes<extreme<float, true, false, false, Max>>(), section, plain});
  table.add({name + ".NaN.f32", "Wff", lanes<extreme<float, false, true, false, Max>>(), section, nan});
  table.add({name + ".ftz.NaN.f32", "Wff", lanes<extreme<float, true, true, false, Max>>(), section, nan});
  table.add(
      {name + ".xorsign.abs.f32", "Wff", lanes<extreme<float, false, false, true, Max>>(), section, xorsign});
  table.add({name + ".ftz.xorsign.abs.f32", "Wff", lanes<extreme<float, true, false, true, Max>>(), section,
             xorsign});
  table.add({name + ".NaN.xorsign.abs.f32", "Wff", lanes<extreme<float, false, true, true, Max>>(), section,
             xorsign});
  table.add({name + ".ftz.NaN.xorsign.abs.f32", "Wff", lanes<extreme<float, true, true, true, Max>>(),
             section, xorsign});
  table.add({name + ".f64", "Qdd", lanes<extreme<double, false, false, false, Max>>(), section, plain});
}

template <class T, bool Ftz>
T absolute(T a) {
  return out<Ftz, false>(std::fabs(in<Ftz>(a)));
}
template <class T, bool Ftz>
T negated(T a) {
  return out<Ftz, false>(-in<Ftz>(a));
}
template <class T>
T with_sign(T sign, T magnitude) {
  return std::copysign(magnitude, sign);
}

// --- approximations ---

// div.approx: a * (1 / b); for 2^126 < |b| < 2^128 the reciprocal is a subnormal that the hardware flushes.
template <bool Ftz>
float div_approx(float a, float b) {
  a = in<Ftz>(a);
  b = in<Ftz>(b);
  const float size = std::fabs(b);
  if (a != a) return canonical(a);
  if (size > 0x1p126f && size < INFINITY)
    return canonical(std::isinf(a) ? NAN : std::copysign(0.0f, negative(a) != negative(b) ? -1.0f : 1.0f));
  return out<Ftz, false>(a / b);
}
template <bool Ftz>
float div_full(float a, float b) {
  return out<Ftz, false>(in<Ftz>(a) / in<Ftz>(b));
}
template <bool Ftz>
float rcp_approx(float a) {
  return out<Ftz, false>(1.0f / in<Ftz>(a));
}
template <bool Ftz>
float sqrt_approx(float a) {
  return out<Ftz, false>(std::sqrt(in<Ftz>(a)));
}
template <bool Ftz>
float rsqrt_approx(float a) {
  return out<Ftz, false>(static_cast<float>(1.0 / std::sqrt(static_cast<double>(in<Ftz>(a)))));
}
template <bool Ftz>
float ex2_approx(float a) {
  return out<Ftz, false>(static_cast<float>(std::exp2(static_cast<double>(in<Ftz>(a)))));
}
template <bool Ftz>
float lg2_approx(float a) {
  return out<Ftz, false>(static_cast<float>(std::log2(static_cast<double>(in<Ftz>(a)))));
}
template <bool Ftz>
float sin_approx(float a) {
  return out<Ftz, false>(static_cast<float>(std::sin(static_cast<double>(in<Ftz>(a)))));
}
template <bool Ftz>
float cos_approx(float a) {
  return out<Ftz, false>(static_cast<float>(std::cos(static_cast<double>(in<Ftz>(a)))));
}
float tanh_approx(float a) { return canonical(static_cast<float>(std::tanh(static_cast<double>(a)))); }
// The double approximations work on the upper 32 bits of the operand and give an upper 32 bits; subnormals
// are flushed.
double upper(double value) {
  return std::bit_cast<double>(std::bit_cast<uint64_t>(value) & 0xFFFFFFFF00000000u);
}
double rcp_approx_f64(double a) { return flush(upper(1.0 / flush(upper(a)))); }
template <bool Ftz>
double rsqrt_approx_f64(double a) {
  const bool subnormal = std::fabs(a) < 0x1p-1022;  // is scaled first, so that all its bits count
  const double from = in<Ftz>(subnormal && !Ftz ? a : upper(a));
  return upper(1.0 / std::sqrt(from));
}

// testp: what kind of number.
enum class Kind { finite, infinite, number, notanumber, normal, subnormal };
template <class T, Kind K>
bool testp(T a) {
  switch (K) {
    case Kind::finite:
      return std::isfinite(a);
    case Kind::infinite:
      return std::isinf(a);
    case Kind::number:
      return a == a;
    case Kind::notanumber:
      return a != a;
    case Kind::normal:
      return std::isnormal(a) || a == 0;  // the hardware counts zero as normal
    case Kind::subnormal:
      return a != 0 && std::fabs(a) < (sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022));
  }
  return false;
}
template <class T>
void add_tests(FormTable& table, const string& type, const string& letters) {
  const char* section = "floating-point-instructions-testp";
  const char* meaning = "Whether a is of the named kind.";
  table.add({"testp.finite." + type, letters, lanes<testp<T, Kind::finite>>(), section, meaning});
  table.add({"testp.infinite." + type, letters, lanes<testp<T, Kind::infinite>>(), section, meaning});
  table.add({"testp.number." + type, letters, lanes<testp<T, Kind::number>>(), section, meaning});
  table.add({"testp.notanumber." + type, letters, lanes<testp<T, Kind::notanumber>>(), section, meaning});
  table.add({"testp.normal." + type, letters, lanes<testp<T, Kind::normal>>(), section, meaning});
  table.add({"testp.subnormal." + type, letters, lanes<testp<T, Kind::subnormal>>(), section, meaning});
}

}  // namespace

void add_float_forms(FormTable& table) {
  add_arithmetic<float>(table);
  add_arithmetic<double>(table);
  add_extremes<false>(table);
  add_extremes<true>(table);
  const auto row = [&](const char* name, const char* letters, Handler run, const char* section,
                       const char* meaning) {
    table.add({name, letters, run, section, meaning});
  };
  const auto both = [&](const string& opcode, const char* letters, Handler plain, Handler ftz,
                        const char* section, const char* meaning) {
    table.add({opcode + ".f32", letters, plain, section, meaning});
    table.add({opcode + ".ftz.f32", letters, ftz, section, meaning});
  };
  both("abs", "Wf", lanes<absolute<float, false>>(), lanes<absolute<float, true>>(),
       "floating-point-instructions-abs", "|a|.");
  both("neg", "Wf", lanes<negated<float, false>>(), lanes<negated<float, true>>(),
       "floating-point-instructions-neg", "-a.");
  row("abs.f64", "Qd", lanes<absolute<double, false>>(), "floating-point-instructions-abs", "|a|.");
  row("neg.f64", "Qd", lanes<negated<double, false>>(), "floating-point-instructions-neg", "-a.");
  row("copysign.f32", "Wff", lanes<with_sign<float>>(), "floating-point-instructions-copysign",
      "b with a's sign.");
  row("copysign.f64", "Qdd", lanes<with_sign<double>>(), "floating-point-instructions-copysign",
      "b with a's sign.");
  const char* once = "Approximate: the exact result, rounded once to nearest.";
  both("div.approx", "Wff", lanes<div_approx<false>>(), lanes<div_approx<true>>(),
       "floating-point-instructions-div",
       "Approximate: a / b rounded to nearest; zero where the reciprocal of b would be subnormal.");
  both("div.full", "Wff", lanes<div_full<false>>(), lanes<div_full<true>>(),
       "floating-point-instructions-div", once);
  both("rcp.approx", "Wf", lanes<rcp_approx<false>>(), lanes<rcp_approx<true>>(),
       "floating-point-instructions-rcp", once);
  both("sqrt.approx", "Wf", lanes<sqrt_approx<false>>(), lanes<sqrt_approx<true>>(),
       "floating-point-instructions-sqrt", once);
  both("rsqrt.approx", "Wf", lanes<rsqrt_approx<false>>(), lanes<rsqrt_approx<true>>(),
       "floating-point-instructions-rsqrt", once);
  both("ex2.approx", "Wf", lanes<ex2_approx<false>>(), lanes<ex2_approx<true>>(),
       "floating-point-instructions-ex2", once);
  both("lg2.approx", "Wf", lanes<lg2_approx<false>>(), lanes<lg2_approx<true>>(),
       "floating-point-instructions-lg2", once);
  both("sin.approx", "Wf", lanes<sin_approx<false>>(), lanes<sin_approx<true>>(),
       "floating-point-instructions-sin", once);
  both("cos.approx", "Wf", lanes<cos_approx<false>>(), lanes<cos_approx<true>>(),
       "floating-point-instructions-cos", once);
  row("tanh.approx.f32", "Wf", lanes<tanh_approx>(), "floating-point-instructions-tanh", once);
  row("rcp.approx.ftz.f64", "Qd", lanes<rcp_approx_f64>(), "floating-point-instructions-rcp-approx-ftz-f64",
      "Approximate: from and to the upper 32 bits.");
  row("rsqrt.approx.f64", "Qd", lanes<rsqrt_approx_f64<false>>(), "floating-point-instructions-rsqrt",
      "Approximate: from and to the upper 32 bits.");
  row("rsqrt.approx.ftz.f64", "Qd", lanes<rsqrt_approx_f64<true>>(),
      "floating-point-instructions-rsqrt-approx-ftz-f64", "Approximate: from and to the upper 32 bits.");
  add_tests<float>(table, "f32", "Pf");
  add_tests<double>(table, "f64", "Pd");
}

}  // namespace attest::vm
