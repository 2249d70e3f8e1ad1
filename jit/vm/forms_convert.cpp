// cvt between integers, and between integers and floats, with every rounding mode.
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
#include "jit/vm/conversion.h"
#include "jit/vm/formats.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"

namespace attest::vm {
namespace {

using std::string;
using namespace conversion;

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

  const auto row = [&](const char* name, const char* letters, Handler run, const char* meaning) {
    table.add({name, letters, run, kSection, meaning});
  };
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
