// Checked access of one lane to a run of bytes of any length; access.h has the one for warps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "jit/vm/observer.h"
#include "jit/vm/warp.h"

namespace attest::vm {

// Bytes in global or shared memory, after all checks passed.
struct ByteRange {
  Space space = Space::global;
  uint64_t address = 0;  // as in AccessEvent, seen from the lane's block
  uint64_t bytes = 0;
  std::byte* data = nullptr;
  uint8_t* written = nullptr;  // one flag a byte
  Block* block = nullptr;      // of shared memory
  Buffer* buffer = nullptr;    // of global memory
};

// What an access demands of a range's bytes.
struct Demand {
  const char* what;         // "source", "destination", "mbarrier"
  Touch touch;              // an atomic one reads and writes
  uint64_t alignment = 16;  // of the address; a power of two
  bool initialised = true;  // false: reads of bytes that nobody wrote are fine here
  bool own_block = false;   // shared memory of the lane's own block only
};

// `address` is relative to `space`, which is global or shared (also of other blocks of the cluster: (rank +
// 1)
// << 24 | offset) or generic for one of the two. Throws Trap.
ByteRange check_range(const Warp& warp, const Instruction& instruction, uint32_t lane, Space space,
                      uint64_t address, uint64_t bytes, const Demand& demand);

// From now on nobody may read these bytes, until reveal(): an operation that nobody waited for writes them.
void hide(const ByteRange& range);
void reveal(const ByteRange& range);

}  // namespace attest::vm
