// Operands of bulk copies: more addresses than an instruction has rows for, so they stand in Code::lists.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "jit/vm/byte_range.h"
#include "jit/vm/decoder.h"
#include "jit/vm/tensor_map.h"
#include "jit/vm/warp.h"

namespace attest::vm {

// Places in the instruction's list. An address takes two: its register (kNoRow: none) and its offset.
enum BulkSlot : uint8_t {
  kTo = 0,
  kFrom = 2,
  kBarrier = 4,
  kSize = 6,
  kBlocks = 7,       // mask of a multicast
  kCoordinates = 8,  // up to five
  kBulkSlots = kCoordinates + kMaxTensorRank
};

// Collects an instruction's operands in order, then writes the list.
class BulkDecoder {
 public:
  BulkDecoder(Decoder& decoder, const syntax::Instruction& in, Instruction& out);
  bool has(const char* modifier) const;
  // Takes the next operand.
  void address(BulkSlot slot, Space space);
  void tensor(BulkSlot slot, uint32_t rank);  // [map, {coordinates}]
  void number(BulkSlot slot, char letter);
  // The cache policy, if the form has one; then nothing may be left.
  void finish();

 private:
  const syntax::Operand& next();
  void put_address(BulkSlot slot, Space space, syntax::Operand operand);
  Decoder& decoder_;
  const syntax::Instruction& in_;
  Instruction& out_;
  size_t at_ = 0;
  std::array<uint32_t, kBulkSlots> rows_;
};

// What a lane gives for an operand.
uint64_t bulk_address(const Warp& warp, const Instruction& instruction, BulkSlot slot, uint32_t lane);
uint32_t bulk_number(const Warp& warp, const Instruction& instruction, BulkSlot slot, uint32_t lane);

// The blocks that a multicast names, as tags of shared addresses: (rank + 1) << 24; {the tag that `address`
// has} without one.
std::vector<uint64_t> bulk_targets(const Warp& warp, const Instruction& instruction, uint32_t lane,
                                   uint64_t address);
// `address` in the block of the tag.
constexpr uint64_t in_block(uint64_t tag, uint64_t address) {
  return tag | (address & ((uint64_t{1} << kSharedRankShift) - 1));
}

struct BulkOperation;
// The operation's end is `bytes` bytes at the barrier at `address`, which must be in the block of `target`.
void ends_at_barrier(const Warp& warp, const Instruction& instruction, uint32_t lane, uint64_t address,
                     const Block* target, uint64_t bytes, BulkOperation& operation);

inline constexpr uint8_t kMulticast = 1;  // Instruction::variant

}  // namespace attest::vm
