// Elements of buffers by the names that LAUNCH.json uses: f32, bf16, u8, s64, ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace attest::cli {

// A number wide enough for every element type: 64 bits of significand hold all 64-bit integers and all
// doubles exactly.
using Number = long double;

enum class ElementKind { floating, signed_integer, unsigned_integer };

struct ElementCodec {
  std::string_view name;
  std::size_t bytes;
  ElementKind kind;

  // Rounds once to nearest even (floats); throws std::invalid_argument for an integer that does not fit or is
  // not whole.
  void encode(Number value, std::span<std::byte> to) const;
  Number decode(std::span<const std::byte> from) const;
  // Element `index` of the random stream of `seed`: floats standard normal, integers all their bits.
  void random(std::uint64_t seed, std::uint64_t index, std::span<std::byte> to) const;
};

// Throws std::invalid_argument listing the names.
const ElementCodec& element_codec(std::string_view name);

}  // namespace attest::cli
