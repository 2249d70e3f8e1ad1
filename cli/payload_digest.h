// Buffers that a kernel wrote in payload arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cli/launch_file.h"
#include "jit/vm/machine.h"
#include "jit/vm/payload_table.h"

namespace attest::cli {

// Whether elements of this type stand for payload values: f64, f32, f16, bf16.
bool holds_payloads(const ElementCodec& codec);
// The value that an element of such a type stands for. Throws vm::CannotCheck for bits that stand for none.
vm::Payload payload_element(const vm::PayloadTable& table, const ElementCodec& codec,
                            std::span<const std::byte> element);

// What two launches that compute the same have in common: of the elements written and their places.
struct PayloadDigest {
  std::uint64_t digest = 0;
  std::int64_t written = 0;
};
// Throws vm::CannotCheck when too little is known of an element.
PayloadDigest payload_digest(const vm::Machine& machine, std::uint64_t address, const BufferParameter& buffer,
                             const vm::PayloadTable& table);

}  // namespace attest::cli
