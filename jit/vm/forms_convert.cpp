// cvt: between integers and floats of every width, with every rounding mode.
// PTX ISA: data-movement-and-conversion-instructions-cvt
#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "jit/vm/arithmetic.h"
#include "jit/vm/formats.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;

constexpr const char* kSection = "data-movement-and-conversion-instructions-cvt";

// A result narrower than its register is extended to it: rows hold at least 32 bits.
template <class T>
using Extended =
    std::conditional_t<sizeof(T) == 8, T, std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>>;
template <class T>
constexpr char letter(bool target) {
  const char source = sizeof(T) == 8 ? 'q' : sizeof(T) == 4 ? 'n' : 'v';
  const char result = sizeof(T) == 8 ? 'Q' : sizeof(T) == 4 ? 'W' : 'V';
  return target ? result : source;
}

// --- integer to integer ---

template <class D, class S>
Extended<D> truncate(S a) {
  return static_cast<Extended<D>>(static_cast<D>(a));
}
template <class D, class S>
Extended<D> clamp(S a) {
  using Wide = __int128;
  const Wide value = std::clamp<Wide>(a, std::numeric_limits<D>::min(), std::numeric_limits<D>::max());
  return static_cast<Extended<D>>(value);
}
template <class D, class S>
void add_int(FormTable& table, const string& d, const string& s) {
  const string letters = {letter<D>(true), letter<S>(false)};
  table.add({"cvt." + d + "." + s, letters, lanes<truncate<D, S>>(), kSection,
             "Low bits, extended by the source's sign."});
  // .sat is a modifier only where it has an effect.
  if constexpr (std::cmp_greater(std::numeric_limits<D>::min(), std::numeric_limits<S>::min()) ||
                std::cmp_less(std::numeric_limits<D>::max(), std::numeric_limits<S>::max()))
    table.add({"cvt.sat." + d + "." + s, letters, scalar_lanes<clamp<D, S>>(), kSection,
               "Clamped to the result's range."});
}
template <class D>
void add_int_to(FormTable& table, const string& d) {
  add_int<D, uint8_t>(table, d, "u8");
  add_int<D, int8_t>(table, d, "s8");
  add_int<D, uint16_t>(table, d, "u16");
  add_int<D, int16_t>(table, d, "s16");
  add_int<D, uint32_t>(table, d, "u32");
  add_int<D, int32_t>(table, d, "s32");
  add_int<D, uint64_t>(table, d, "u64");
  add_int<D, int64_t>(table, d, "s64");
}

// --- float to integer ---

template <class S>
double exact(S a) {
  if constexpr (std::is_same_v<S, F16> || std::is_same_v<S, BF16>)
    return static_cast<double>(widen(a));
  else
    return static_cast<double>(a);
}
double integral(Round mode, double value) {
  switch (mode) {
    case Round::nearest: {
      const double floor = std::floor(value), part = value - floor;
      const bool up = part > 0.5 || (part == 0.5 && std::fmod(floor, 2.0) != 0);
      return std::copysign(floor + up, value);
    }
    case Round::zero:
      return std::trunc(value);
    case Round::down:
      return std::floor(value);
    case Round::up:
      return std::ceil(value);
    default:
      return value;
  }
}
// Always clamped. NaN gives 0, but the sign bit's value where source or result has 64 bits (PTX ISA, cvt).
// variant: the rounding mode, and kFtz.
constexpr uint8_t kFtz = 16;
template <class D, class S>
Extended<D> to_int(uint8_t variant, S a) {
  double value = exact(a);
  if (variant & kFtz) value = static_cast<double>(flush(static_cast<float>(value)));
  if (value != value) {
    const bool plain = !std::is_same_v<S, double> && sizeof(D) < 8;
    return plain
               ? 0
               : static_cast<Extended<D>>(static_cast<D>(std::make_unsigned_t<D>(1) << (8 * sizeof(D) - 1)));
  }
  value = integral(static_cast<Round>(variant & 15), value);
  constexpr D kLow = std::numeric_limits<D>::min(), kHigh = std::numeric_limits<D>::max();
  const double limit = std::ldexp(1.0, std::numeric_limits<D>::digits);  // one past the largest
  if (value >= limit) return static_cast<Extended<D>>(kHigh);
  if (value <= static_cast<double>(kLow)) return static_cast<Extended<D>>(kLow);
  return static_cast<Extended<D>>(static_cast<D>(value));
}
template <class D, class S>
void add_to_int(FormTable& table, const string& d, const string& s) {
  const char source = std::is_same_v<S, double> ? 'd' : std::is_same_v<S, float> ? 'f' : 'h';
  const string letters = {letter<D>(true), source};
  const char* meaning = "Rounded to an integer, clamped; NaN gives 0 (with 64 bits: only the sign bit).";
  constexpr std::pair<const char*, Round> kModes[] = {
      {"rni", Round::nearest}, {"rzi", Round::zero}, {"rmi", Round::down}, {"rpi", Round::up}};
  for (const auto& [mode_name, rounding] : kModes) {
    const string mode = mode_name;  // lambdas of clang 14 cannot capture bindings
    const Round round = rounding;
    for (const string sat : {"", ".sat"}) {
      if (std::is_same_v<S, BF16> && !sat.empty()) continue;  // ptxas knows no .sat of bf16
      const auto row = [&](const char* ftz, uint8_t flags) {
        table.add({string("cvt.") + mode + ftz + sat + "." + d + "." + s, letters,
                   variant_lanes<to_int<D, S>>(), kSection, meaning, nullptr, nullptr,
                   static_cast<uint8_t>(static_cast<uint8_t>(round) | flags)});
      };
      row("", 0);
      if constexpr (std::is_same_v<S, float>) row(".ftz", kFtz);
    }
  }
}
template <class S>
void add_float_to_ints(FormTable& table, const string& s) {
  if constexpr (!std::is_same_v<S, BF16>) {
    add_to_int<uint8_t, S>(table, "u8", s);
    add_to_int<int8_t, S>(table, "s8", s);
  }
  add_to_int<uint16_t, S>(table, "u16", s);
  add_to_int<int16_t, S>(table, "s16", s);
  add_to_int<uint32_t, S>(table, "u32", s);
  add_to_int<int32_t, S>(table, "s32", s);
  add_to_int<uint64_t, S>(table, "u64", s);
  add_to_int<int64_t, S>(table, "s64", s);
}

// --- integer to float ---

template <class D, class S, bool Dir>
D int_to_float(S a) {
  if constexpr (Dir) return opaque(static_cast<D>(opaque(a)));
  return static_cast<D>(a);
}
// Bits below 2^11 only matter as "something is left": folded into one, so that a double holds the value well
// enough.
template <class S>
double sticky(S a) {
  if constexpr (sizeof(S) < 8) {
    return static_cast<double>(a);
  } else {
    const bool minus = std::is_signed_v<S> && a < 0;
    uint64_t size = minus ? uint64_t{0} - static_cast<uint64_t>(a) : static_cast<uint64_t>(a);
    if (size >> 53) size = (size >> 11 << 11) | (size & 0x7FF ? uint64_t{1} << 11 : 0);
    const auto value = static_cast<double>(size);
    return minus ? -value : value;
  }
}
template <class H>
constexpr const Format& format_of() {
  return std::is_same_v<H, F16> ? kF16 : kBf16;
}
template <class H, class S>
H int_to_half(uint8_t variant, S a) {
  return H{static_cast<uint16_t>(encode(sticky(a), format_of<H>(), static_cast<Round>(variant)))};
}

template <class S>
void add_from_int(FormTable& table, const string& s) {
  const char source = letter<S>(false);
  const char* meaning = "The integer, rounded once.";
  const auto host = [&]<class D>(const string& d, char target) {
    const string letters = {target, source};
    constexpr Handler directed = scalar_lanes<int_to_float<D, S, true>>();
    table.add({"cvt.rn." + d + "." + s, letters, lanes<int_to_float<D, S, false>>(), kSection, meaning});
    table.add({"cvt.rz." + d + "." + s, letters, rounded<FE_TOWARDZERO, directed>, kSection, meaning});
    table.add({"cvt.rm." + d + "." + s, letters, rounded<FE_DOWNWARD, directed>, kSection, meaning});
    table.add({"cvt.rp." + d + "." + s, letters, rounded<FE_UPWARD, directed>, kSection, meaning});
  };
  host.template operator()<float>("f32", 'W');
  host.template operator()<double>("f64", 'Q');
  const auto half = [&]<class H>(const string& d) {
    const string letters = {'H', source};
    const auto row = [&](const char* mode, Round round) {
      table.add({string("cvt.") + mode + "." + d + "." + s, letters, variant_lanes<int_to_half<H, S>>(),
                 kSection, meaning, nullptr, nullptr, static_cast<uint8_t>(round)});
    };
    row("rn", Round::nearest);
    row("rz", Round::zero);
    row("rm", Round::down);
    row("rp", Round::up);
  };
  half.template operator()<F16>("f16");
  if constexpr (sizeof(S) > 1) half.template operator()<BF16>("bf16");
}

// --- float to float ---

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

// cvt.pack.sat.d.s32 d, a, b: both clamped to 16 bits, a in the upper half. With c: to 8 bits, above c's two
// low bytes.
template <class T>
uint32_t pack_16(int32_t a, int32_t b) {
  const auto one = [](int32_t v) {
    return static_cast<uint32_t>(
               std::clamp<int32_t>(v, std::numeric_limits<T>::min(), std::numeric_limits<T>::max())) &
           0xFFFFu;
  };
  return one(a) << 16 | one(b);
}
template <class T>
uint32_t pack_8(int32_t a, int32_t b, uint32_t c) {
  const auto one = [](int32_t v) {
    return static_cast<uint32_t>(
               std::clamp<int32_t>(v, std::numeric_limits<T>::min(), std::numeric_limits<T>::max())) &
           0xFFu;
  };
  return c << 16 | one(a) << 8 | one(b);
}

}  // namespace

void add_convert_forms(FormTable& table) {
  add_int_to<uint8_t>(table, "u8");
  add_int_to<int8_t>(table, "s8");
  add_int_to<uint16_t>(table, "u16");
  add_int_to<int16_t>(table, "s16");
  add_int_to<uint32_t>(table, "u32");
  add_int_to<int32_t>(table, "s32");
  add_int_to<uint64_t>(table, "u64");
  add_int_to<int64_t>(table, "s64");
  add_float_to_ints<F16>(table, "f16");
  add_float_to_ints<BF16>(table, "bf16");
  add_float_to_ints<float>(table, "f32");
  add_float_to_ints<double>(table, "f64");
  add_from_int<uint8_t>(table, "u8");
  add_from_int<int8_t>(table, "s8");
  add_from_int<uint16_t>(table, "u16");
  add_from_int<int16_t>(table, "s16");
  add_from_int<uint32_t>(table, "u32");
  add_from_int<int32_t>(table, "s32");
  add_from_int<uint64_t>(table, "u64");
  add_from_int<int64_t>(table, "s64");
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
  row("cvt.pack.sat.s16.s32", "Www", scalar_lanes<pack_16<int16_t>>(),
      "Both clamped to 16 bits, a in the upper half.");
  row("cvt.pack.sat.u16.s32", "Www", scalar_lanes<pack_16<uint16_t>>(),
      "Both clamped to 16 bits, a in the upper half.");
  row("cvt.pack.sat.s8.s32.b32", "Wwww", scalar_lanes<pack_8<int8_t>>(),
      "Both clamped to 8 bits, below c's low half.");
  row("cvt.pack.sat.u8.s32.b32", "Wwww", scalar_lanes<pack_8<uint8_t>>(),
      "Both clamped to 8 bits, below c's low half.");
}

}  // namespace attest::vm
