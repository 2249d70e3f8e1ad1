#include "jit/vm/wgmma_descriptor.h"

namespace attest::vm {

std::optional<MatrixDescriptor> read_descriptor(uint64_t bits, std::string& fault) {
  constexpr uint64_t kReserved =
      uint64_t{3} << 14 | uint64_t{3} << 30 | uint64_t{7} << 46 | uint64_t{0x3ff} << 52;
  if (bits & kReserved) {
    fault =
        "bits 14-15, 30-31, 46-48 and 52-61 must be 0: addresses and offsets are in units of 16 bytes and "
        "have 14 bits";
    return std::nullopt;
  }
  const auto base_offset = static_cast<uint32_t>(bits >> 49 & 7);
  if (base_offset != 0) {
    fault = "base offset " + std::to_string(base_offset) +
            " is not modelled: let the swizzle's pattern start at a multiple of its size";
    return std::nullopt;
  }
  const auto field = [&](int shift) { return static_cast<uint32_t>(bits >> shift & 0x3fff) << 4; };
  constexpr uint32_t kWidths[4] = {16, 128, 64, 32};
  return MatrixDescriptor{field(0), field(16), field(32), kWidths[bits >> 62]};
}

uint32_t piece_address(const MatrixDescriptor& descriptor, Major major, uint32_t line, uint32_t j) {
  const auto& [start, leading, stride, width] = descriptor;
  const bool swizzled = width > 16;
  uint32_t offset = line % 8 * width + line / 8 * (major == Major::mn && !swizzled ? leading : stride);
  if (major == Major::k)
    offset += j * (swizzled ? 16 : leading);
  else
    offset += swizzled ? j % (width / 16) * 16 + j / (width / 16) * leading : j * stride;
  const uint32_t address = start + offset;
  return address ^ (address >> 3 & (width - 16));
}

}  // namespace attest::vm
