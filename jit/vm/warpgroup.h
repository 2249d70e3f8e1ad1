// Four warps that execute wgmma together: how they meet, and what they have in flight.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "jit/vm/code.h"

namespace attest::vm {

struct Warp;
struct Block;

inline constexpr uint32_t kWarpsTogether = 4;

// A wgmma that was issued and not waited for. It is computed once between the two: early or late.
struct PendingMultiply {
  const Instruction* instruction = nullptr;
  uint64_t number = 0;       // from 1 on, in the warpgroup's order
  bool accumulates = false;  // scale-d
  bool computed = false;
  std::vector<uint32_t> a, b;  // shared memory addresses of 16 bytes each, in the operand's order
  uint64_t actor = 0;          // of the first warp, the others' follow; 0 when nobody observes
};

// A register that some wgmma accumulates into or takes A from (WatchedRegisters).
struct WatchedRegister {
  static constexpr uint32_t kClean = ~uint32_t{0}, kNeverFenced = kClean - 1;
  uint64_t last_user = 0;              // number of the youngest wgmma that has it
  const Instruction* user = nullptr;   // that one
  bool accumulator = false;            // of that one; else part of A
  uint32_t touched_at = kNeverFenced;  // pc of the first instruction that touched it since the last fence
  uint32_t touched_by = 0;             // number of the warp
};

struct Warpgroup {
  std::vector<WatchedRegister> registers;
  std::vector<PendingMultiply> pending;  // oldest first
  std::vector<uint64_t> groups;          // of each pending group: the number of its last wgmma, oldest first
  uint64_t issued = 0, committed = 0, completed = 0;  // numbers of the last such wgmma
};

std::shared_ptr<std::vector<Warpgroup>> make_warpgroups(const Code& code, uint32_t warps);

// Handlers (Form::run) for instructions that all lanes of a warpgroup's warps execute together;
// Form::evaluate then does the work once, with the first of the warps. `meet_warpgroup` wants four warps of
// 32 lanes, `meet_existing_warps` those that the block has.
void meet_warpgroup(Warp& warp, const Instruction& instruction);
void meet_existing_warps(Warp& warp, const Instruction& instruction);

// "lanes 0-15 of warp 1, warp 3, which has exited": whom the waiting lanes of `warp` wait for.
std::string missing_of_warpgroup(const Block& block, const Warp& warp);

}  // namespace attest::vm
