// What a kernel may do wrong with a barrier word traps here.
#include "jit/vm/mbarrier.h"

#include <memory>
#include <string>

#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

[[noreturn]] void fail(const Doer& doer, const std::string& what) {
  trap(doer.warp, doer.instruction, Rule::asynchronous, 1u << doer.lane, what);
}

uint64_t offset_of(const Block& block, const std::byte* at) {
  return static_cast<uint64_t>(at - block.shared.get());
}

bool holds(const Block& block, const std::byte* at) {
  return at >= block.shared.get() && at < block.shared.get() + block.shared_bytes;
}

LivingBarrier* find_living(Block& block, const std::byte* at) {
  if (!block.mbarriers) return nullptr;
  const auto found = block.mbarriers->living.find(offset_of(block, at));
  if (found == block.mbarriers->living.end()) return nullptr;
  return BarrierWord::read(at).pack() == found->second.bits ? &found->second : nullptr;
}

LivingBarrier& living(const Doer& doer, Block& block, const std::byte* at) {
  LivingBarrier* const barrier = find_living(block, at);
  if (!barrier)
    fail(doer, "there is no mbarrier at this address: it was not initialised, or was overwritten");
  return *barrier;
}

// Observers have heard of the arrival that ended the phase.
void tell_phase(const Doer& doer, const Block& block, const std::byte* at) {
  if (!observed(doer.warp)) return;
  const uint64_t rank = &block == doer.warp.block ? 0 : uint64_t{block.rank} + 1;
  const Site site = site_of(doer.warp, doer.instruction);
  for (Observer* observer : doer.warp.launch->observers)
    observer->mbarrier_phase(site, rank << kSharedRankShift | offset_of(block, at));
}

}  // namespace

Block& block_of(const Warp& warp, const std::byte* at) {
  if (!holds(*warp.block, at))
    for (Block* block : *warp.block->cluster)
      if (holds(*block, at)) return *block;
  return *warp.block;
}

Block& barrier_block(const Doer& doer, const std::byte* at, bool local) {
  const auto refuse = [&](const char* what) {
    trap(doer.warp, doer.instruction, Rule::wrong_space, 1u << doer.lane, what);
  };
  Block& block = block_of(doer.warp, at);
  if (!holds(block, at)) refuse("an mbarrier that is not in shared memory");
  if (&block != doer.warp.block && local)
    refuse("an mbarrier of another block, where only the own block's is possible");
  return block;
}

void make_barrier(const Doer& doer, Block& block, std::byte* at, uint32_t arrivals) {
  if (arrivals == 0 || arrivals > BarrierWord::kMost)
    fail(doer, "an mbarrier for " + std::to_string(arrivals) + " arrivals; 1 to 1048575 are possible");
  if (find_living(block, at))
    fail(doer, "there is an mbarrier at this address already: mbarrier.inval must end it first");
  if (!block.mbarriers) block.mbarriers = std::make_shared<Mbarriers>();
  const BarrierWord word{arrivals, arrivals, 0, false, true};
  word.write(at);
  block.mbarriers->living[offset_of(block, at)] = {word.pack(), 0};
}

void end_barrier(const Doer& doer, Block& block, std::byte* at) {
  living(doer, block, at);
  block.mbarriers->living.erase(offset_of(block, at));
  BarrierWord{}.write(at);
  std::memset(block.shared_initialised.get() + offset_of(block, at), 0, 8);
}

BarrierWord look_at_barrier(const Doer& doer, Block& block, const std::byte* at) {
  return BarrierWord::unpack(living(doer, block, at).bits);
}

BarrierWord change_barrier(const Doer& doer, Block& block, std::byte* at, const BarrierChange& change) {
  LivingBarrier& barrier = living(doer, block, at);
  const BarrierWord before = BarrierWord::unpack(barrier.bits);
  BarrierWord word = before;
  if (change.awaited > BarrierWord::kMost - word.pending)
    fail(doer, "the mbarrier's pending count overflows");
  word.pending += change.awaited;
  const int64_t bytes = word.bytes + change.bytes;
  constexpr int64_t kMostBytes = BarrierWord::kMost;
  if (bytes < -kMostBytes || bytes > kMostBytes)
    fail(doer, "the mbarrier's byte count leaves its range: " + std::to_string(bytes));
  word.bytes = static_cast<int32_t>(bytes);
  if (change.arrivals > word.pending)
    fail(doer, std::to_string(change.arrivals) + " arrivals on an mbarrier that awaits " +
                   std::to_string(word.pending) + " more in this phase");
  word.pending -= change.arrivals;
  if (change.leaves && change.arrivals > word.expected)
    fail(doer, std::to_string(change.arrivals) + " arrivals leave an mbarrier whose phases expect " +
                   std::to_string(word.expected));
  if (change.leaves) word.expected -= change.arrivals;
  if (word.pending == 0 && word.bytes < 0)
    fail(doer, std::to_string(-word.bytes) + " more bytes came to the mbarrier at shared offset " +
                   std::to_string(offset_of(block, at)) +
                   " than its phase expects, and nobody is awaited who could expect them");
  if (word.settle()) {
    ++barrier.phase;
    tell_phase(doer, block, at);
  }
  barrier.bits = word.pack();
  word.write(at);
  ++block.changes;
  return before;
}

uint64_t phases_over(const Block& block, const std::byte* at) {
  if (!block.mbarriers) return 0;
  const auto found = block.mbarriers->living.find(offset_of(block, at));
  return found == block.mbarriers->living.end() ? 0 : found->second.phase;
}

std::string barrier_text(const Block& block, const std::byte* at) {
  const BarrierWord word = BarrierWord::read(at);
  return "the mbarrier at shared offset " + std::to_string(offset_of(block, at)) + " (" +
         std::to_string(word.pending) + " of " + std::to_string(word.expected) + " arrivals and " +
         std::to_string(word.bytes) + " bytes to come)";
}

}  // namespace attest::vm
