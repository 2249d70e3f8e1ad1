// Reads a buffer's elements by its type.
#include "cli/payload_digest.h"

#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "jit/vm/hash.h"

namespace attest::cli {
namespace {

template <class Bits>
Bits bits_of(std::span<const std::byte> element) {
  Bits bits;
  std::memcpy(&bits, element.data(), sizeof bits);
  return bits;
}

}  // namespace

bool holds_payloads(const ElementCodec& codec) {
  return codec.name == "f64" || codec.name == "f32" || codec.name == "f16" || codec.name == "bf16";
}

vm::Payload payload_element(const vm::PayloadTable& table, const ElementCodec& codec,
                            std::span<const std::byte> element) {
  if (codec.name == "f64") return table.f64(bits_of<std::uint64_t>(element));
  if (codec.name == "f32") return table.f32(bits_of<std::uint32_t>(element));
  const auto half = bits_of<std::uint16_t>(element);
  return codec.name == "f16" ? table.f16(half) : table.bf16(half);
}

PayloadDigest payload_digest(const vm::Machine& machine, std::uint64_t address, const BufferParameter& buffer,
                             const vm::PayloadTable& table) {
  const std::size_t size = buffer.codec->bytes;
  std::vector<std::byte> element(size);
  PayloadDigest result;
  for (std::int64_t i = 0; i < buffer.elements(); ++i) {
    const std::uint64_t at = address + static_cast<std::uint64_t>(i) * size;
    if (!machine.memory().initialised(at, size)) continue;
    machine.memory().read(at, element);
    try {
      const std::uint64_t value = digest(payload_element(table, *buffer.codec, element));
      result.digest = vm::hash_bits(vm::hash_bits(result.digest, static_cast<std::uint64_t>(i)), value);
    } catch (const vm::CannotCheck& error) {
      throw vm::CannotCheck(fmt::format("element {}: {}", i, error.what()));
    }
    ++result.written;
  }
  return result;
}

}  // namespace attest::cli
