// One row an element type; little-endian bytes, as the device has them.
#include "cli/element_codec.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "reference/number_formats.h"
#include "reference/random.h"

namespace attest::cli {
namespace {

using enum ElementKind;
constexpr std::array<ElementCodec, 13> kCodecs = {{{"f64", 8, floating},
                                                   {"f32", 4, floating},
                                                   {"f16", 2, floating},
                                                   {"bf16", 2, floating},
                                                   {"e4m3", 1, floating},
                                                   {"s8", 1, signed_integer},
                                                   {"s16", 2, signed_integer},
                                                   {"s32", 4, signed_integer},
                                                   {"s64", 8, signed_integer},
                                                   {"u8", 1, unsigned_integer},
                                                   {"u16", 2, unsigned_integer},
                                                   {"u32", 4, unsigned_integer},
                                                   {"u64", 8, unsigned_integer}}};

void put(std::uint64_t bits, std::span<std::byte> to) { std::memcpy(to.data(), &bits, to.size()); }

}  // namespace

void ElementCodec::encode(Number value, std::span<std::byte> to) const {
  if (kind == floating) {
    put(attest::encode(parse_format(name), static_cast<double>(value)), to.first(bytes));
    return;
  }
  const Number half = std::ldexp(Number{1}, static_cast<int>(bytes * 8) - 1);
  const bool is_signed = kind == signed_integer;
  const Number least = is_signed ? -half : 0, most = is_signed ? half - 1 : 2 * half - 1;
  if (!(value >= least && value <= most) || std::floor(value) != value) {
    throw std::invalid_argument(fmt::format("{} is not a value of {}", value, name));
  }
  put(value < 0 ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value))
                : static_cast<std::uint64_t>(value),
      to.first(bytes));
}

Number ElementCodec::decode(std::span<const std::byte> from) const {
  std::uint64_t bits = 0;
  std::memcpy(&bits, from.data(), bytes);
  if (kind == floating) return attest::decode(parse_format(name), bits);
  if (kind == unsigned_integer) return static_cast<Number>(bits);
  const unsigned unused = 64 - static_cast<unsigned>(bytes * 8);  // the sign moves to the top and comes back
  return static_cast<Number>(static_cast<std::int64_t>(bits << unused) >> unused);
}

void ElementCodec::random(std::uint64_t seed, std::uint64_t index, std::span<std::byte> to) const {
  const auto stream = static_cast<std::uint64_t>(Stream::extra);
  if (kind == floating) {
    encode(random_normal(seed, stream, index), to);
  } else {
    put(random_bits(seed, stream, index), to.first(bytes));
  }
}

const ElementCodec& element_codec(std::string_view name) {
  std::string names;
  for (const ElementCodec& codec : kCodecs) {
    if (codec.name == name) return codec;
    names += (names.empty() ? "" : ", ") + std::string(codec.name);
  }
  throw std::invalid_argument(fmt::format("'{}' is not an element type; expected one of {}", name, names));
}

}  // namespace attest::cli
