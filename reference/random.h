// Counter-based random numbers: an element's value depends only on (seed, stream, index), so that shrinking a
// shape keeps the rest.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace attest {

// Names a tensor of a run; the numbers are part of every repro line's meaning, so append, never reorder.
enum class Stream : std::uint64_t {
  queries = 1,
  keys,
  values,
  latents,
  rope_keys,
  latent_queries,
  hidden,
  weights,
  pages,
  lengths,
  extra
};

// SplitMix64's finaliser (Steele, Lea, Flood 2014) applied to the three words in turn.
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return mix(mix(mix(seed) ^ stream) ^ index);
}
// Uniform in (0, 1), 53 bits, never 0 or 1.
constexpr double random_uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return (static_cast<double>(random_bits(seed, stream, index) >> 12) + 0.5) * 0x1p-52;
}
// Standard normal (Box-Muller).
inline double random_normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  const double radius = std::sqrt(-2.0 * std::log(random_uniform(seed, stream, 2 * index)));
  return radius * std::cos(2.0 * std::numbers::pi * random_uniform(seed, stream, 2 * index + 1));
}

}  // namespace attest
