// Rule R7: registers that a wgmma in flight has may not be touched, and a wgmma may not have registers that
// were touched since the last wgmma.fence. Source: PTX ISA,
// asynchronous-warpgroup-level-matrix-instructions-wgmma-fence.
#pragma once

#include <cstdint>

#include "jit/vm/code.h"
#include "jit/vm/warp.h"
#include "jit/vm/warpgroup.h"

namespace attest::vm {

// Called before an instruction that names watched registers: traps if one of them is in flight, else
// remembers the touch.
void touch_registers(Warp& warp, const Instruction& instruction);

// Most instructions name none.
inline void check_registers(Warp& warp, const Instruction& instruction) {
  const std::vector<uint32_t>& first = warp.launch->code->hazards.first;
  if (first[instruction.pc] != first[instruction.pc + 1]) touch_registers(warp, instruction);
}

// A wgmma with this number takes its registers: the first `accumulators` that it names are D, the others A.
// Several may accumulate into the same registers without waiting if `same_shape(a, b)` says so of the two
// instructions; several may read the same A.
void take_registers(const Warp& warp, const Instruction& instruction, Warpgroup& group, size_t accumulators,
                    uint64_t number, bool (*same_shape)(const Instruction&, const Instruction&));

// wgmma.fence
void fence_registers(Warpgroup& group);

// Lanes end: nothing may be in flight.
void require_nothing_in_flight(const Warp& warp, const Instruction& instruction);

}  // namespace attest::vm
