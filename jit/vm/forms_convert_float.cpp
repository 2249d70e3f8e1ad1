// cvt between floats of every width, pairs and tf32 among them.
// PTX ISA: data-movement-and-conversion-instructions-cvt
#include <cfenv>
#include <cmath>
#include <string>
#include <type_traits>

#include "jit/vm/arithmetic.h"
#include "jit/vm/conversion.h"
#include "jit/vm/formats.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;
using namespace conversion;

template <class D>
D sat_of(D value) {
  if constexpr (std::is_same_v<D, F16> || std::is_same_v<D, BF16>)
    return round_half<D>(saturate(widen(value)));  // 0, 1 and everything between are exact
  else
    return saturate(value);
}

// A 16-bit float in a wider format is exact.
template <class D, class S, bool Ftz, bool Sat>
D widened(S a) {
  D value;
  if constexpr (std::is_same_v<S, float>)
    value = static_cast<D>(Ftz ? flush(a) : a);
  else
    value = static_cast<D>(widen(a));
  if constexpr (Ftz && std::is_same_v<S, BF16>) value = flush(value);  // those of f16 are normal here
  if constexpr (std::is_same_v<D, float>) value = canonical(value);
  return Sat ? sat_of(value) : value;
}
template <bool Ftz, bool Sat, bool Dir>
float narrow(double a) {
  float value;
  if constexpr (Dir)
    value = opaque(static_cast<float>(opaque(a)));
  else
    value = static_cast<float>(a);
  if constexpr (Ftz) value = flush(value);
  return Sat ? saturate(value) : canonical(value);
}
// .ftz does not reach a directed rounding to f16: the hardware keeps the direction of a subnormal input (H100
// 80GB HBM3, driver 580.159, 2026-11-23); the other modes give zero with and without it.
template <class H, class S, Round M, bool Ftz, bool Sat, bool Relu, bool Finite>
H to_half(S a) {
  if constexpr (Ftz && std::is_same_v<H, BF16>) a = flush(a);
  H value;
  if constexpr (M == Round::nearest && !Finite && std::is_same_v<S, float>) {
    value = round_half<H>(a);
  } else {
    double from;
    if constexpr (std::is_same_v<S, F16> || std::is_same_v<S, BF16>)
      from = static_cast<double>(widen(a));
    else
      from = static_cast<double>(a);
    value = H{static_cast<uint16_t>(encode(from, format_of<H>(), M, Finite))};
  }
  if constexpr (Sat) value = sat_of(value);
  if constexpr (Relu) value = value.bits & 0x8000u && widen(value) == widen(value) ? H{0} : value;
  return value;
}

// Same type, rounded to an integer: cvt.rni.f32.f32 and so on; without a mode only .sat and .ftz have an
// effect.
template <class T, Round M, bool Ftz, bool Sat>
T integral_float(T a) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>) {
    const double value = static_cast<double>(widen(a));
    const T result = T{static_cast<uint16_t>(encode(integral(M, value), format_of<T>(), Round::nearest))};
    return Sat ? sat_of(result) : result;
  } else {
    const T from = Ftz ? flush(a) : a;
    T result = static_cast<T>(integral(M, static_cast<double>(from)));
    return Sat ? saturate(result) : canonical(result);
  }
}
template <class T>
void add_integral(FormTable& table, const string& type, const string& letters) {
  const char* meaning = "Rounded to an integral value of the same type.";
  const auto rows = [&]<Round M>(const string& mode) {
    table.add({"cvt." + mode + type + type, letters, scalar_lanes<integral_float<T, M, false, false>>(),
               kSection, meaning});
    if constexpr (!std::is_same_v<T, BF16>)
      table.add({"cvt." + mode + ".sat" + type + type, letters,
                 scalar_lanes<integral_float<T, M, false, true>>(), kSection, meaning});
    if constexpr (std::is_same_v<T, float>) {
      table.add({"cvt." + mode + ".ftz" + type + type, letters,
                 scalar_lanes<integral_float<T, M, true, false>>(), kSection, meaning});
      table.add({"cvt." + mode + ".ftz.sat" + type + type, letters,
                 scalar_lanes<integral_float<T, M, true, true>>(), kSection, meaning});
    }
  };
  rows.template operator()<Round::nearest>("rni");
  rows.template operator()<Round::zero>("rzi");
  rows.template operator()<Round::down>("rmi");
  rows.template operator()<Round::up>("rpi");
}
template <bool Ftz, bool Sat>
float same_f32(float a) {
  const float value = Ftz ? flush(a) : a;
  return Sat ? saturate(value) : canonical(value);
}
double sat_f64(double a) { return saturate(a); }
double same_f64(double a) { return a; }
template <class H, bool Sat>
H same_half(H a) {
  return Sat ? sat_of(a) : a;
}

template <class H>
void add_half(FormTable& table, const string& h) {
  const char* wide = "Exact; NaN becomes canonical.";
  const char* once = "Rounded once; NaN becomes 0x7fff.";
  table.add({"cvt.f32." + h, "Wh", lanes<widened<float, H, false, false>>(), kSection, wide});
  table.add({"cvt.ftz.f32." + h, "Wh", lanes<widened<float, H, true, false>>(), kSection, wide});
  table.add({"cvt.f64." + h, "Qh", lanes<widened<double, H, false, false>>(), kSection, wide});
  constexpr bool kSat = std::is_same_v<H, F16>;  // ptxas knows no .sat of bf16
  if constexpr (kSat) {
    table.add({"cvt.sat.f32." + h, "Wh", lanes<widened<float, H, false, true>>(), kSection, wide});
    table.add({"cvt.sat.f64." + h, "Qh", lanes<widened<double, H, false, true>>(), kSection, wide});
    table.add({"cvt.sat." + h + "." + h, "Hh", lanes<same_half<H, true>>(), kSection, "Clamped to [0, 1]."});
  }
  const auto rows = [&]<Round M>(const string& mode) {
    table.add({"cvt." + mode + "." + h + ".f32", "Hf",
               scalar_lanes<to_half<H, float, M, false, false, false, false>>(), kSection, once});
    table.add({"cvt." + mode + ".ftz." + h + ".f32", "Hf",
               scalar_lanes<to_half<H, float, M, true, false, false, false>>(), kSection, once});
    table.add({"cvt." + mode + "." + h + ".f64", "Hd",
               scalar_lanes<to_half<H, double, M, false, false, false, false>>(), kSection, once});
    if constexpr (kSat) {
      table.add({"cvt." + mode + ".ftz.sat." + h + ".f32", "Hf",
                 scalar_lanes<to_half<H, float, M, true, true, false, false>>(), kSection, once});
      table.add({"cvt." + mode + ".sat." + h + ".f32", "Hf",
                 scalar_lanes<to_half<H, float, M, false, true, false, false>>(), kSection, once});
      table.add({"cvt." + mode + ".sat." + h + ".f64", "Hd",
                 scalar_lanes<to_half<H, double, M, false, true, false, false>>(), kSection, once});
    }
    if constexpr (M == Round::nearest || M == Round::zero) {
      table.add({"cvt." + mode + ".relu." + h + ".f32", "Hf",
                 scalar_lanes<to_half<H, float, M, false, false, true, false>>(), kSection, once});
      table.add({"cvt." + mode + ".satfinite." + h + ".f32", "Hf",
                 scalar_lanes<to_half<H, float, M, false, false, false, true>>(), kSection, once});
      table.add({"cvt." + mode + ".relu.satfinite." + h + ".f32", "Hf",
                 scalar_lanes<to_half<H, float, M, false, false, true, true>>(), kSection, once});
    }
  };
  rows.template operator()<Round::nearest>("rn");
  rows.template operator()<Round::zero>("rz");
  rows.template operator()<Round::down>("rm");
  rows.template operator()<Round::up>("rp");
  add_integral<H>(table, "." + h, "Hh");
}

template <class D, class S, Round M>
D half_to_half(S a) {
  return to_half<D, S, M, false, false, false, false>(a);
}

// --- pairs ---

// d = {a, b} with a in the upper half.
template <class H, Round M, bool Relu, bool Finite>
uint32_t pack(float a, float b) {
  const H upper = to_half<H, float, M, false, false, Relu, Finite>(a);
  const H lower = to_half<H, float, M, false, false, Relu, Finite>(b);
  return uint32_t{upper.bits} << 16 | lower.bits;
}
template <class H>
void add_pack(FormTable& table, const string& type) {
  const char* meaning = "Rounds a into the upper half, b into the lower.";
  const auto rows = [&]<Round M>(const string& mode) {
    table.add({"cvt." + mode + "." + type + ".f32", "Wff", scalar_lanes<pack<H, M, false, false>>(), kSection,
               meaning});
    table.add({"cvt." + mode + ".relu." + type + ".f32", "Wff", scalar_lanes<pack<H, M, true, false>>(),
               kSection, meaning});
    table.add({"cvt." + mode + ".satfinite." + type + ".f32", "Wff", scalar_lanes<pack<H, M, false, true>>(),
               kSection, meaning});
    table.add({"cvt." + mode + ".relu.satfinite." + type + ".f32", "Wff",
               scalar_lanes<pack<H, M, true, true>>(), kSection, meaning});
  };
  rows.template operator()<Round::nearest>("rn");
  rows.template operator()<Round::zero>("rz");
}

struct E4m3 {
  static constexpr const Format& kFormat = kE4m3;
};
struct E5m2 {
  static constexpr const Format& kFormat = kE5m2;
};
template <class E, bool Relu>
uint32_t encode8(double value) {
  if (Relu && value < 0) value = 0;
  if (Relu && value == 0) value = 0.0;  // -0 too
  return encode(value, E::kFormat, Round::nearest, true);
}
template <class E, bool Relu>
uint16_t pack8(float a, float b) {
  return static_cast<uint16_t>(encode8<E, Relu>(static_cast<double>(a)) << 8 |
                               encode8<E, Relu>(static_cast<double>(b)));
}
template <class E, bool Relu>
uint16_t pack8_from_halves(F16x2 a) {
  return static_cast<uint16_t>(encode8<E, Relu>(static_cast<double>(high(a))) << 8 |
                               encode8<E, Relu>(static_cast<double>(low(a))));
}
template <class E, bool Relu>
uint32_t unpack8(uint16_t a) {
  const auto one = [](uint32_t bits) {
    const uint32_t half = encode(decode(bits, E::kFormat), kF16, Round::nearest);
    return Relu && half >> 15 && half != 0x7FFF ? 0u : half;
  };
  return one(a >> 8) << 16 | one(a & 0xFFu);
}
template <class E>
void add_8bit(FormTable& table, const string& type) {
  const char* down = "Rounds a into the upper byte, b into the lower; overflow gives the largest number.";
  table.add({"cvt.rn.satfinite." + type + ".f32", "Hff", scalar_lanes<pack8<E, false>>(), kSection, down});
  table.add(
      {"cvt.rn.satfinite.relu." + type + ".f32", "Hff", scalar_lanes<pack8<E, true>>(), kSection, down});
  table.add({"cvt.rn.satfinite." + type + ".f16x2", "Hw", scalar_lanes<pack8_from_halves<E, false>>(),
             kSection, "Rounds both halves."});
  table.add({"cvt.rn.satfinite.relu." + type + ".f16x2", "Hw", scalar_lanes<pack8_from_halves<E, true>>(),
             kSection, "Rounds both halves."});
  table.add({"cvt.rn.f16x2." + type, "Wh", scalar_lanes<unpack8<E, false>>(), kSection, "Exact."});
  table.add({"cvt.rn.relu.f16x2." + type, "Wh", scalar_lanes<unpack8<E, true>>(), kSection,
             "Exact; negative numbers give 0."});
}

// tf32 lives in the upper 19 bits of a register.
template <Round M, bool Relu, bool Finite>
uint32_t to_tf32(float a) {
  if (a != a) return 0x7FFFFFFFu;
  if (Relu && (a < 0 || std::bit_cast<uint32_t>(a) == 0x80000000u)) return 0;
  return encode(static_cast<double>(a), kTf32, M, Finite) << 13;
}

}  // namespace

void add_convert_float_forms(FormTable& table) {
  add_half<F16>(table, "f16");
  add_half<BF16>(table, "bf16");
  add_integral<float>(table, ".f32", "Wf");
  add_integral<double>(table, ".f64", "Qd");
  add_pack<F16>(table, "f16x2");
  add_pack<BF16>(table, "bf16x2");
  add_8bit<E4m3>(table, "e4m3x2");
  add_8bit<E5m2>(table, "e5m2x2");

  const auto row = [&](const char* name, const char* letters, Handler run, const char* meaning) {
    table.add({name, letters, run, kSection, meaning});
  };
  row("cvt.f32.f32", "Wf", lanes<same_f32<false, false>>(), "Copies; NaN becomes canonical.");
  row("cvt.ftz.f32.f32", "Wf", lanes<same_f32<true, false>>(), "Flushes subnormals.");
  row("cvt.sat.f32.f32", "Wf", lanes<same_f32<false, true>>(), "Clamped to [0, 1].");
  row("cvt.ftz.sat.f32.f32", "Wf", lanes<same_f32<true, true>>(), "Clamped to [0, 1].");
  row("cvt.f64.f64", "Qd", lanes<same_f64>(), "Copies.");
  row("cvt.sat.f64.f64", "Qd", lanes<sat_f64>(), "Clamped to [0, 1].");
  row("cvt.f64.f32", "Qf", lanes<widened<double, float, false, false>>(), "Exact.");
  row("cvt.ftz.f64.f32", "Qf", lanes<widened<double, float, true, false>>(),
      "Exact; subnormals are flushed.");
  row("cvt.sat.f64.f32", "Qf", lanes<widened<double, float, false, true>>(), "Clamped to [0, 1].");
  const char* once = "Rounded once.";
  const auto narrowing = [&]<bool Ftz, bool Sat>(const string& tail) {
    constexpr Handler directed = scalar_lanes<narrow<Ftz, Sat, true>>();
    table.add({"cvt.rn" + tail + ".f32.f64", "Wd", lanes<narrow<Ftz, Sat, false>>(), kSection, once});
    table.add({"cvt.rz" + tail + ".f32.f64", "Wd", rounded<FE_TOWARDZERO, directed>, kSection, once});
    table.add({"cvt.rm" + tail + ".f32.f64", "Wd", rounded<FE_DOWNWARD, directed>, kSection, once});
    table.add({"cvt.rp" + tail + ".f32.f64", "Wd", rounded<FE_UPWARD, directed>, kSection, once});
  };
  narrowing.template operator()<false, false>("");
  narrowing.template operator()<true, false>(".ftz");
  narrowing.template operator()<false, true>(".sat");
  narrowing.template operator()<true, true>(".ftz.sat");
  row("cvt.rn.bf16.f16", "Hh", scalar_lanes<half_to_half<BF16, F16, Round::nearest>>(), once);
  row("cvt.rz.bf16.f16", "Hh", scalar_lanes<half_to_half<BF16, F16, Round::zero>>(), once);
  row("cvt.rn.f16.bf16", "Hh", scalar_lanes<half_to_half<F16, BF16, Round::nearest>>(), once);
  row("cvt.rz.f16.bf16", "Hh", scalar_lanes<half_to_half<F16, BF16, Round::zero>>(), once);
  const char* tf32 = "Rounded to tf32, in the upper 19 bits of the register.";
  row("cvt.rna.tf32.f32", "Wf", scalar_lanes<to_tf32<Round::nearest_away, false, false>>(), tf32);
  row("cvt.rna.satfinite.tf32.f32", "Wf", scalar_lanes<to_tf32<Round::nearest_away, false, true>>(), tf32);
  row("cvt.rn.tf32.f32", "Wf", scalar_lanes<to_tf32<Round::nearest, false, false>>(), tf32);
  row("cvt.rn.relu.tf32.f32", "Wf", scalar_lanes<to_tf32<Round::nearest, true, false>>(), tf32);
  row("cvt.rz.tf32.f32", "Wf", scalar_lanes<to_tf32<Round::zero, false, false>>(), tf32);
  row("cvt.rz.relu.tf32.f32", "Wf", scalar_lanes<to_tf32<Round::zero, true, false>>(), tf32);
}

}  // namespace attest::vm
