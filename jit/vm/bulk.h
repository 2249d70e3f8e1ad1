// Asynchronous bulk operations under way. Each is an actor: what it reads and writes happens as late or as
// early as is legal, and until somebody has waited for it the bytes that it writes count as never written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "jit/vm/byte_range.h"
#include "jit/vm/warp.h"

namespace attest::vm {

// Applies one element at `from` to the one at `to`, indivisibly.
using Combine = void (*)(std::byte* to, const std::byte* from);

// A stretch of an operation's bytes.
struct BulkRun {
  ByteRange to;
  const std::byte* from = nullptr;  // null: filled
};

struct BulkOperation {
  std::vector<BulkRun> runs;
  std::vector<ByteRange> reads;  // for the observers, and for whom it holds up
  uint64_t fill = 0;             // elements of the runs without a source
  uint32_t element_bytes = 1;    // of `fill` and `combine`
  Combine combine = nullptr;     // null: copies
  std::vector<std::byte> held;   // once it has read: all runs, one after another
  bool async_proxy = true;
  // How it ends: as bytes that come to a barrier, or (null) with a group of its lane.
  Block* barrier_block = nullptr;
  std::byte* barrier = nullptr;
  uint64_t barrier_address = 0;  // as in AccessEvent, seen from the issuer's block
  uint64_t barrier_bytes = 0;

  // Set by start_bulk().
  const Instruction* instruction = nullptr;
  Block* issuer = nullptr;
  uint32_t warp = 0, lane = 0;
  uint64_t actor = 0;
  uint64_t group = 0;  // commits of the lane before it
  uint64_t phase = 0;  // of the barrier, in which its bytes came
  bool read = false, written = false;
  bool reads_waited = false;  // somebody knows that it has read
};

// Begins: tells the observers, hides what it writes, and does what is done early.
void start_bulk(Warp& warp, const Instruction& instruction, uint32_t lane, BulkOperation operation);

// Somebody looks at the barrier at `at` of `block`, whose phase is not over: what may come as late as now
// comes.
void deliver_bulk(Block& block, const std::byte* at);
// Somebody has seen the end of a phase: what came in it may be read.
void reveal_bulk(Block& block, const std::byte* at);
bool bulk_in_flight(const Block& block, const std::byte* at);

// cp.async.bulk.commit_group, cp.async.bulk.wait_group{.read} for the lanes of warp.mask: all but the `keep`
// youngest groups have written (or only read) everything.
void commit_bulk(Warp& warp);
void wait_bulk(Warp& warp, const Instruction& instruction, uint64_t keep, bool only_reads);

// The block's last lane has exited, and its shared memory is gone: traps if an operation that nobody waited
// for needs it. What is left to do to global memory is done when the kernel ends.
void end_bulk(Block& block);

}  // namespace attest::vm
