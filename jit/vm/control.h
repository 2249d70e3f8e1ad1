// Handlers of control flow that the decoder puts in by itself.
#pragma once

#include "jit/vm/code.h"

namespace attest::vm {

void negate_predicate(Warp& warp, const Instruction& instruction);  // r[0] = !r[1]
void narrow_row(Warp& warp, const Instruction& instruction);        // r[0] = low 32 bits of r[1]
void exit_lanes(Warp& warp, const Instruction& instruction);
void call_direct(Warp& warp, const Instruction& instruction);  // `list`: index into Code::calls
void return_lanes(Warp& warp,
                  const Instruction& instruction);  // `list`: the function, index into Code::functions

// Whether arguments and parameters (or results) agree in number, size and kind.
bool same_signature(const std::vector<Place>& a, const std::vector<Place>& b);

}  // namespace attest::vm
