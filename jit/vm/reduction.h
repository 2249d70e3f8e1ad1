// What atom, red and cp.reduce.async.bulk do to an element, and how it is replaced indivisibly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "jit/vm/arithmetic.h"
#include "jit/vm/lanes.h"

namespace attest::vm::reduction {

// Replaces *at by f(*at) indivisibly, also against other host threads, and returns what was there. `at` is
// aligned to U's size.
template <class U, class F>
U exchange(std::byte* at, F f) {
  U* place = reinterpret_cast<U*>(at);
  U old = __atomic_load_n(place, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(place, &old, f(old), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
  }
  return old;
}

// The unsigned integer of T's size.
template <class T>
using Bits =
    std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;

template <class T>
T add(T a, T b) {
  return static_cast<T>(a + b);
}
template <class T>
T and_(T a, T b) {
  return a & b;
}
template <class T>
T or_(T a, T b) {
  return a | b;
}
template <class T>
T xor_(T a, T b) {
  return a ^ b;
}
template <class T>
T min(T a, T b) {
  return a < b ? a : b;
}
template <class T>
T max(T a, T b) {
  return a > b ? a : b;
}
inline uint32_t inc(uint32_t a, uint32_t b) { return a >= b ? 0 : a + 1; }
inline uint32_t dec(uint32_t a, uint32_t b) { return a == 0 || a > b ? b : a - 1; }
// In global memory subnormals are flushed, in shared memory they are not (PTX ISA, atom).
inline float add_f32(float a, float b) { return canonical(a + b); }
inline float add_f32_ftz(float a, float b) { return canonical(flush(flush(a) + flush(b))); }
template <class H>
H add_half(H a, H b) {
  return round_half<H>(widen(a) + widen(b));
}

}  // namespace attest::vm::reduction
