// One bounds check, one alignment check, one look at the flags.
#include "jit/vm/byte_range.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "jit/vm/access.h"

namespace attest::vm {
namespace {

struct Check {
  const Warp& warp;
  const Instruction& instruction;
  uint32_t lane;
  uint64_t bytes;
  const Demand& demand;

  [[noreturn]] void fail(Rule rule, const std::string& what) const {
    trap(warp, instruction, rule, 1u << lane,
         std::string(demand.what) + " of " + std::to_string(bytes) + " bytes at " + what);
  }
  void aligned(uint64_t address, const std::string& place) const {
    if (address % demand.alignment)
      fail(Rule::misaligned, place + ", which is not aligned to " + std::to_string(demand.alignment));
  }
  void written(const uint8_t* flags, uint64_t first, const std::string& place) const {
    if (demand.touch == Touch::store || !demand.initialised || !warp.launch->options->check_memory) return;
    const uint8_t* const hole = std::find(flags, flags + bytes, uint8_t{0});
    if (hole != flags + bytes)
      fail(Rule::uninitialised, place + ": byte " +
                                    std::to_string(first + static_cast<uint64_t>(hole - flags)) +
                                    " was never written, or a copy that nobody waited for writes it");
  }
};

ByteRange check_shared(const Check& check, uint64_t address) {
  Block* block = check.warp.block;
  uint64_t offset = address;
  if (const uint64_t tag = address >> kSharedRankShift) {
    const uint64_t blocks = block->cluster->size();
    offset = address & ((uint64_t{1} << kSharedRankShift) - 1);
    if (tag > blocks)
      check.fail(Rule::out_of_bounds, "shared address " + std::to_string(address) + ", of block " +
                                          std::to_string(tag - 1) + " of a cluster of " +
                                          std::to_string(blocks));
    block = (*block->cluster)[tag - 1];
  }
  const std::string place = "shared memory offset " + std::to_string(offset);
  if (check.demand.own_block && block != check.warp.block)
    check.fail(Rule::wrong_space, place + " of another block, where only the own block's is possible");
  if (const char* why = block == check.warp.block ? nullptr : unreachable(*block))
    check.fail(Rule::use_after_free,
               place + " of the cluster's block of rank " + std::to_string(block->rank) + ", which " + why);
  if (offset > block->shared_bytes || check.bytes > block->shared_bytes - offset)
    check.fail(Rule::out_of_bounds, place + ", which ends at " + std::to_string(block->shared_bytes));
  check.aligned(offset, place);
  uint8_t* const flags = block->shared_initialised.get() + offset;
  check.written(flags, offset, place);
  const uint64_t seen =
      block == check.warp.block ? offset : (uint64_t{block->rank} + 1) << kSharedRankShift | offset;
  return {Space::shared, seen, check.bytes, block->shared.get() + offset, flags, block, nullptr};
}

ByteRange check_global(const Check& check, uint64_t address) {
  Buffer* const buffer = check.warp.launch->memory->find(address);
  if (!buffer) check.fail(Rule::out_of_bounds, std::to_string(address) + ", which belongs to no buffer");
  const uint64_t offset = address - buffer->address;
  const std::string place =
      "buffer '" + buffer->name + "' offset " + std::to_string(static_cast<int64_t>(offset));
  if (buffer->freed) check.fail(Rule::use_after_free, place + ", which was freed");
  if (offset > buffer->bytes || check.bytes > buffer->bytes - offset)
    check.fail(Rule::out_of_bounds, place + ", which ends at " + std::to_string(buffer->bytes));
  if (buffer->constant) check.fail(Rule::wrong_space, place + ", which is constant memory");
  const Touch touch = check.demand.touch;
  if ((touch != Touch::load && buffer->access == Access::read) ||
      (touch != Touch::store && buffer->access == Access::write))
    check.fail(Rule::permission,
               place + (buffer->access == Access::read ? ", which is read-only" : ", which is write-only"));
  check.aligned(address, place);
  uint8_t* const flags = buffer->initialised.get() + offset;
  if (!buffer->complete) check.written(flags, offset, place);
  return {Space::global, address, check.bytes, buffer->data + offset, flags, nullptr, buffer};
}

}  // namespace

ByteRange check_range(const Warp& warp, const Instruction& instruction, uint32_t lane, Space space,
                      uint64_t address, uint64_t bytes, const Demand& demand) {
  const Check check{warp, instruction, lane, bytes, demand};
  if (space == Space::generic) {
    space = address / kWindowBytes == 1 ? Space::shared : Space::global;
    if (space == Space::shared) address -= kSharedWindow;
  }
  return space == Space::shared ? check_shared(check, address) : check_global(check, address);
}

void hide(const ByteRange& range) {
  if (range.buffer) range.buffer->complete = false;
  std::memset(range.written, 0, range.bytes);
}

void reveal(const ByteRange& range) { std::memset(range.written, 1, range.bytes); }

}  // namespace attest::vm
