// Numbers that look random, made of others.
#pragma once

#include <cstdint>

namespace attest::vm {

// The generator and its finaliser: splitmix64 (Steele, Lea, Flood, 2014).
inline constexpr uint64_t kHashStep = 0x9E3779B97F4A7C15u;

constexpr uint64_t hash_bits(uint64_t state, uint64_t value) {
  uint64_t x = (state ^ value) + kHashStep;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

constexpr uint64_t next_random(uint64_t& state) {
  const uint64_t random = hash_bits(state, 0);
  state += kHashStep;
  return random;
}

}  // namespace attest::vm
