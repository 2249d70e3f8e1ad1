// How an access that is not allowed reads: what was tried, at which place, and what is wrong with it.
#pragma once

#include <cstdint>
#include <string>

#include "jit/vm/memory.h"
#include "jit/vm/observer.h"
#include "jit/vm/warp.h"

namespace attest::vm {

// Of `bytes` bytes by an instruction, for all lanes that have the same kind of wrong.
class AccessFault {
 public:
  AccessFault(const Warp& warp, const Instruction& instruction, uint32_t bytes, Touch touch)
      : warp_(warp), instruction_(instruction), bytes_(bytes), touch_(touch) {}
  // "read of 4 bytes at " + what
  [[noreturn]] void fail(Rule rule, uint32_t lanes, const std::string& what) const;

 private:
  const Warp& warp_;
  const Instruction& instruction_;
  uint32_t bytes_;
  Touch touch_;
};

// "buffer 'out' offset 12"
std::string buffer_place(const Buffer& buffer, uint64_t address);
// The window that an address of the generic space lies in.
std::string window_text(uint64_t address);

}  // namespace attest::vm
