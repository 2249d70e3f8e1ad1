// Turns a function of one lane's values into a handler for 32 lanes.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "jit/vm/warp.h"

namespace attest::vm {

// 16-bit floats as bits, so that they are not mistaken for integers.
struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
struct F16x2 {
  uint32_t bits;
};
struct BF16x2 {
  uint32_t bits;
};

template <class T>
using RowOf = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <class T>
inline T from_row(RowOf<T> raw) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>) {
    return T{static_cast<uint16_t>(raw)};
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(raw);
  } else {
    return std::bit_cast<T>(raw);
  }
}
template <class T>
inline RowOf<T> to_row(T value) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>) {
    return value.bits;
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<RowOf<T>>(static_cast<std::make_unsigned_t<T>>(value));
  } else {
    return std::bit_cast<RowOf<T>>(value);
  }
}

// Source operand of a lane function: a row, or a predicate's bits.
template <class T>
struct Source {
  const RowOf<T>* row;
  Source(const Warp& warp, uint32_t offset) : row(warp.row<RowOf<T>>(offset)) {}
  T at(uint32_t lane) const { return from_row<T>(row[lane]); }
};
template <>
struct Source<bool> {
  uint32_t bits;
  Source(const Warp& warp, uint32_t offset) : bits(warp.predicate(offset)) {}
  bool at(uint32_t lane) const { return (bits >> lane & 1) != 0; }
};

template <auto F, class R, class... A>
struct LaneLoop {
  template <size_t... I>
  static void over(Warp& warp, const Instruction& instruction, std::index_sequence<I...>) {
    loop(warp, instruction.r[0], Source<A>(warp, instruction.r[1 + I])...);
  }
  static void run(Warp& warp, const Instruction& instruction) {
    over(warp, instruction, std::index_sequence_for<A...>{});
  }

 private:
  static void loop(Warp& warp, uint32_t target, Source<A>... source) {
    const uint32_t mask = warp.mask;
    if constexpr (std::is_same_v<R, bool>) {
      uint32_t bits = 0;
      for (uint32_t lane = 0; lane < kLanes; ++lane)
        bits |= static_cast<uint32_t>(F(source.at(lane)...)) << lane;
      uint32_t& predicate = warp.predicate(target);
      predicate = (predicate & ~mask) | (bits & mask);
    } else {
      RowOf<R>* to = warp.row<RowOf<R>>(target);
      if (mask == kAllLanes) {
#pragma GCC ivdep
        for (uint32_t lane = 0; lane < kLanes; ++lane) to[lane] = to_row<R>(F(source.at(lane)...));
      } else if (std::popcount(mask) <= 8) {
        for (uint32_t rest = mask; rest; rest &= rest - 1) {
          const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
          to[lane] = to_row<R>(F(source.at(lane)...));
        }
      } else {
#pragma GCC ivdep
        for (uint32_t lane = 0; lane < kLanes; ++lane) {
          const RowOf<R> value = to_row<R>(F(source.at(lane)...));
          to[lane] = mask >> lane & 1 ? value : to[lane];
        }
      }
    }
  }
};

template <auto F, class R, class... A>
constexpr Handler lanes_of(R (*)(A...)) {
  return &LaneLoop<F, R, A...>::run;
}

// lanes<f>(): r[0] = f(r[1], r[2], ...) in every lane of the mask. f is a captureless lambda or a function;
// bool means a predicate. f must be defined for every bit pattern: lanes outside the mask may be computed and
// thrown away.
template <auto F>
constexpr Handler lanes() {
  return lanes_of<F>(+F);
}

// One lane after the other, without a vectorised copy: for what is rare or does not vectorise.
template <bool Variant, auto F, class R, class... A>
struct ScalarLoop {
  template <size_t... I>
  static void over(Warp& warp, const Instruction& instruction, std::index_sequence<I...>) {
    loop(warp, instruction, Source<A>(warp, instruction.r[1 + I])...);
  }
  static void run(Warp& warp, const Instruction& instruction) {
    over(warp, instruction, std::index_sequence_for<A...>{});
  }

 private:
  static void loop(Warp& warp, const Instruction& instruction, Source<A>... source) {
    for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      if constexpr (Variant)
        warp.row<RowOf<R>>(instruction.r[0])[lane] = to_row<R>(F(instruction.variant, source.at(lane)...));
      else
        warp.row<RowOf<R>>(instruction.r[0])[lane] = to_row<R>(F(source.at(lane)...));
    }
  }
};
template <auto F, class R, class... A>
constexpr Handler scalar_lanes_of(R (*)(A...)) {
  return &ScalarLoop<false, F, R, A...>::run;
}
template <auto F, class R, class... A>
constexpr Handler variant_lanes_of(R (*)(uint8_t, A...)) {
  return &ScalarLoop<true, F, R, A...>::run;
}
// As lanes<f>(), for functions that give a value.
template <auto F>
constexpr Handler scalar_lanes() {
  return scalar_lanes_of<F>(+F);
}
// The same with Instruction::variant as f's first argument: one function for what would be several rows'
// handlers.
template <auto F>
constexpr Handler variant_lanes() {
  return variant_lanes_of<F>(+F);
}

}  // namespace attest::vm
