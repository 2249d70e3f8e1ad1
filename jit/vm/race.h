// A finding of the race checker, and how it reads.
#pragma once

#include <cstdint>
#include <string>

#include "jit/vm/syntax.h"

namespace attest::vm {

// What one side of a race did.
struct RaceSide {
  int line = 0;
  std::string instruction;
  uint64_t block = 0;  // number, x fastest
  uint32_t warp = 0;
  uint32_t lanes = 0;         // those that touched the place
  bool asynchronous = false;  // an operation touched it that these lanes had started
};

struct Race {
  enum class Kind {
    write_write,
    read_write,
    write_read,
    atomic_plain,
    non_coherent,
    missing_proxy_fence  // rule R6: ordered, but the async proxy need not see the write
  };
  Kind kind = Kind::write_write;
  Space space = Space::global;
  std::string place;  // "shared memory offset 64", "buffer 'out' offset 12"
  RaceSide earlier, later;
  uint64_t occurrences = 1;  // the same two instructions, other places or threads

  // Whether an asynchronous operation takes part, or a cp.async, or the async proxy (rules R5, R6).
  bool asynchronous() const;
  // "write-write race at shared memory offset 64: PTX line 12 `st.shared...` block 0 warp 0 lanes 3 and ..."
  std::string text() const;
};

}  // namespace attest::vm
