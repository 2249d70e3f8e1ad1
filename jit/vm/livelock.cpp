// A state is a hash of registers, masks and places of all lanes, of barriers, shared and local memory. Global
// memory and asynchronous operations are left out, because Block::changes tells of them.
#include "jit/vm/livelock.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "jit/vm/barrier.h"
#include "jit/vm/forms.h"
#include "jit/vm/spinning.h"

namespace attest::vm {
namespace {

constexpr uint64_t kQuietRounds =
    256;  // before states are looked at, or a shuffled schedule goes on in order
// Instructions of a round for each warp, and words of memory for another one: looking should cost little.
constexpr uint64_t kWarpInstructions = 256, kWordsAnInstruction = 4;
constexpr int kSteps = 4096;  // to find the instruction that looks at memory

void mix(uint64_t& hash, uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
  hash ^= hash >> 29;
}

void mix(uint64_t& hash, const void* from, uint64_t bytes) {
  const auto* next = static_cast<const std::byte*>(from);
  for (uint64_t left = bytes; left;) {
    const uint64_t part = std::min<uint64_t>(left, sizeof(uint64_t));
    uint64_t word = 0;
    std::memcpy(&word, next, part);
    mix(hash, word);
    next += part;
    left -= part;
  }
}

// Which bytes were written is no part of it: in a cycle it can only grow, and only reads that were allowed
// are allowed then.
uint64_t state_of(const Cluster& cluster) {
  uint64_t hash = 1;
  for (const std::unique_ptr<Block>& block : cluster.blocks) {
    const uint64_t frame_bytes = uint64_t{block->launch->code->frame_bytes} * kLanes;
    mix(hash, block->random);
    mix(hash, block->shared.get(), block->shared_bytes);
    for (const Barrier& barrier : block->barriers) {
      mix(hash, uint64_t{barrier.arrived} << 32 | barrier.expected);
      mix(hash, uint64_t{barrier.population} << 32 | static_cast<uint64_t>(barrier.open) << 3 |
                    static_cast<uint64_t>(barrier.counted) << 2 | static_cast<uint64_t>(barrier.all) << 1 |
                    static_cast<uint64_t>(barrier.any));
    }
    for (const Warp& warp : block->warps) {
      mix(hash, state_of(warp, kAllLanes));
      mix(hash, warp.frame, frame_bytes);
    }
  }
  return hash;
}

uint64_t instructions_of_round(const Block& block) {
  const uint64_t frames = uint64_t{block.launch->code->frame_bytes} * kLanes * block.warps.size();
  return block.warps.size() * kWarpInstructions +
         (block.shared_bytes + frames) / sizeof(uint64_t) / kWordsAnInstruction;
}

bool looks_at_memory(const Instruction& instruction) {
  const std::string& name = FormTable::instance().row(static_cast<int>(instruction.form)).name;
  return name.starts_with("ld") || name.starts_with("mbarrier") || name.starts_with("atom");
}

[[noreturn]] void livelock(const std::vector<std::unique_ptr<Cluster>>& resident) {
  for (const std::unique_ptr<Cluster>& cluster : resident) {
    for (const std::unique_ptr<Block>& block : cluster->blocks) {
      for (Warp& warp : block->warps) {
        if (!warp.runnable()) continue;
        const std::vector<Instruction>& code = warp.launch->code->instructions;
        for (int i = 0; i < kSteps && !looks_at_memory(code[next_pc(warp)]); ++i) step(warp);
        const uint32_t pc = next_pc(warp);
        uint32_t lanes = 0;
        for (uint32_t rest = warp.runnable(); rest; rest &= rest - 1)
          if (warp.lane_pc[std::countr_zero(rest)] == pc) lanes |= rest & (0u - rest);
        const std::string waiting = who_waits(*cluster);
        trap(warp, code[pc], Rule::deadlock, lanes,
             "livelock: whoever runs only spins, nothing changes any more" +
                 (waiting.empty() ? std::string() : "; " + waiting));
      }
    }
  }
  throw std::logic_error("a livelock in which nobody runs");
}

}  // namespace

bool Stillness::still(size_t thread, uint64_t epoch) {
  const std::lock_guard lock(mutex_);
  still_in_[thread] = epoch;
  if (epoch != epoch_) return false;  // somebody changed something and ended meanwhile
  return std::all_of(still_in_.begin(), still_in_.end(),
                     [&](uint64_t other) { return other == epoch || other == kForever; });
}

Schedule LivelockWatch::order() const {
  return schedule_ == Schedule::shuffled && quiet_ >= kQuietRounds ? Schedule::lockstep : schedule_;
}

void LivelockWatch::disturb() {
  quiet_ = 0;
  all_.changed();
}

void LivelockWatch::round(const std::vector<std::unique_ptr<Cluster>>& resident) {
  uint64_t changes = 0, ticks = 0, round = 0;
  for (const std::unique_ptr<Cluster>& cluster : resident) {
    for (const std::unique_ptr<Block>& block : cluster->blocks) {
      changes += block->changes - block->own_changes;
      ticks += block->ticks;
      round += instructions_of_round(*block);
    }
  }
  if (ticks - ticks_ < round) return;
  ticks_ = ticks;
  if (changes != changes_) all_.changed();
  const uint64_t epoch = all_.epoch();
  quiet_ = changes == changes_ && epoch == epoch_ ? quiet_ + 1 : 0;
  changes_ = changes;
  epoch_ = epoch;
  if (quiet_ < kQuietRounds) return;
  // Brent's cycle search: one remembered state, renewed whenever the number of rounds has doubled.
  const bool renews = quiet_ == kQuietRounds || quiet_ == 2 * mark_;
  if (!renews && quiet_ - mark_ > mark_ / 4) return;
  uint64_t state = 0;
  for (const std::unique_ptr<Cluster>& cluster : resident) mix(state, state_of(*cluster));
  if (!renews && state == state_ && all_.still(thread_, epoch)) livelock(resident);
  if (renews) mark_ = quiet_, state_ = state;
}

}  // namespace attest::vm
