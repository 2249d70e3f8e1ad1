// Lanes that test an mbarrier in vain for ever: a deadlock that looks busy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "jit/vm/code.h"

namespace attest::vm {

struct Block;

// A hash of all that the next instructions of the warp's lanes depend on, memory and the clock aside.
// `placed`: the lanes whose lane_pc counts (those of a group that runs are at the group's pc).
uint64_t state_of(const Warp& warp, uint32_t placed);

// What is known of a warp's vain tests since anything changed in its cluster, or a lane there loaded from
// global memory. A warp that stands at the same test with the same registers again, and nothing has happened,
// will do so for ever: its lanes are stuck.
struct Spin {
  uint64_t happened = 0;  // changes and global loads of the cluster
  uint32_t tests = 0;     // vain ones
  uint32_t patience = 8;  // tests before the registers are looked at, which takes a while
  bool anchored = false;  // the next three say where the warp stood then
  uint32_t pc = 0;
  uint32_t lanes = 0;
  uint64_t state = 0;  // hash of the warp's registers
  uint32_t stuck = 0;
  std::array<const std::byte*, kLanes> barrier{};  // that a stuck lane tests
};

struct Spinning {
  std::vector<Spin> warps;
};

// `lanes` of the warp found at `barrier` that the phase is not over, and no copy is on its way there.
void note_vain_test(Warp& warp, const Instruction& instruction, uint32_t lanes,
                    const std::array<const std::byte*, kLanes>& barrier);

// Whether every lane of these blocks (a cluster) is stuck or waits for others, and at least one is stuck.
bool all_stuck(const std::vector<Block*>& blocks);

// Place of the test at which a stuck warp's lanes were last seen.
uint32_t vain_test(const Warp& warp);

// "warp 0 lanes 0-31 test at line 12 `...` the mbarrier at ...; ..." for everything that is stuck.
std::string who_is_stuck(const Block& block);

}  // namespace attest::vm
