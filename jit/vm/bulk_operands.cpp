// Decoding and reading of what bulk copies are given.
#include "jit/vm/bulk_operands.h"

#include <algorithm>
#include <utility>

#include "jit/vm/bulk.h"
#include "jit/vm/mbarrier.h"

namespace attest::vm {

BulkDecoder::BulkDecoder(Decoder& decoder, const syntax::Instruction& in, Instruction& out)
    : decoder_(decoder), in_(in), out_(out) {
  rows_.fill(kNoRow);
  out_.count = 0;  // bit slot / 2: the address register is a 64-bit one
}

bool BulkDecoder::has(const char* modifier) const { return has_modifier(in_, modifier); }

const syntax::Operand& BulkDecoder::next() {
  if (at_ >= in_.operands.size()) decoder_.fail("too few operands");
  return in_.operands[at_++];
}

void BulkDecoder::put_address(BulkSlot slot, Space space, syntax::Operand operand) {
  Instruction part;
  part.memory.space = space;
  decoder_.address(operand, part);
  rows_[slot] = part.r[5];
  rows_[slot + 1u] = decoder_.constant_row(static_cast<uint64_t>(part.immediate), Width::w64);
  if (part.wide_address) out_.count |= static_cast<uint8_t>(1u << slot / 2);
}

void BulkDecoder::address(BulkSlot slot, Space space) { put_address(slot, space, next()); }

void BulkDecoder::tensor(BulkSlot slot, uint32_t rank) {
  syntax::Operand operand = next();
  const std::vector<syntax::Operand> parts = std::move(operand.parts);
  operand.parts.clear();
  if (parts.size() != 1 || parts[0].kind != syntax::Operand::Kind::vector || parts[0].parts.size() != rank)
    decoder_.fail("expected [tensor map, {coordinates}] with " + std::to_string(rank) + " coordinates");
  put_address(slot, Space::generic, std::move(operand));
  for (uint32_t i = 0; i < rank; ++i) rows_[kCoordinates + i] = decoder_.source(parts[0].parts[i], 'w');
}

void BulkDecoder::number(BulkSlot slot, char letter) { rows_[slot] = decoder_.source(next(), letter); }

void BulkDecoder::finish() {
  if (has("L2::cache_hint")) decoder_.source(next(), 'q');  // must exist; it changes nothing here
  if (at_ != in_.operands.size()) decoder_.fail("too many operands");
  out_.list = decoder_.list({rows_.begin(), rows_.end()});
}

namespace {

uint32_t row_of(const Warp& warp, const Instruction& instruction, uint32_t slot) {
  return warp.launch->code->lists[instruction.list + slot];
}

}  // namespace

uint64_t bulk_address(const Warp& warp, const Instruction& instruction, BulkSlot slot, uint32_t lane) {
  const uint64_t offset = warp.row<uint64_t>(row_of(warp, instruction, slot + 1u))[lane];
  const uint32_t row = row_of(warp, instruction, slot);
  if (row == kNoRow) return offset;
  return offset +
         (instruction.count >> slot / 2 & 1 ? warp.row<uint64_t>(row)[lane] : warp.row<uint32_t>(row)[lane]);
}

uint32_t bulk_number(const Warp& warp, const Instruction& instruction, BulkSlot slot, uint32_t lane) {
  return warp.row<uint32_t>(row_of(warp, instruction, slot))[lane];
}

std::vector<uint64_t> bulk_targets(const Warp& warp, const Instruction& instruction, uint32_t lane,
                                   uint64_t address) {
  if (!(instruction.variant & kMulticast)) return {address >> kSharedRankShift << kSharedRankShift};
  const uint32_t mask = bulk_number(warp, instruction, kBlocks, lane) & 0xFFFF;  // 16 bits
  const uint64_t blocks = warp.block->cluster->size();
  if (mask == 0 || mask >> blocks)
    trap(warp, instruction, Rule::out_of_bounds, 1u << lane,
         "a multicast to the blocks of mask " + std::to_string(mask) + " in a cluster of " +
             std::to_string(blocks));
  std::vector<uint64_t> tags;
  for (uint64_t rank = 0; rank < blocks; ++rank)
    if (mask >> rank & 1) tags.push_back((rank + 1) << kSharedRankShift);
  return tags;
}

void ends_at_barrier(const Warp& warp, const Instruction& instruction, uint32_t lane, uint64_t address,
                     const Block* target, uint64_t bytes, BulkOperation& operation) {
  const ByteRange barrier =
      check_range(warp, instruction, lane, Space::shared, address, 8, {"mbarrier", Touch::atomic, 8});
  if (barrier.block != target)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         "the mbarrier is in another block than the destination");
  look_at_barrier({warp, instruction, lane}, *barrier.block, barrier.data);
  operation.barrier_block = barrier.block;
  operation.barrier = barrier.data;
  operation.barrier_address = barrier.address;
  operation.barrier_bytes = bytes;
}

}  // namespace attest::vm
