// Lanes of a warp that must meet before an instruction can happen: shfl.sync, vote.sync, bar.warp.sync, ...
#pragma once

#include "jit/vm/code.h"

namespace attest::vm {

struct Warp;

// Handlers (Form::run) of warp-wide instructions; Form::evaluate then does the work with warp.mask = the
// lanes that met. The member mask is row r[4]. Every lane must be in its own mask; lanes that exited are not
// waited for. As the PTX ISA allows since sm_70, lanes may arrive at different instructions, provided form
// and member mask are the same.
void meet_members(Warp& warp, const Instruction& instruction);

// For .aligned instructions: all living lanes of the warp at this very instruction. Lanes that wait for each
// other elsewhere are a trap.
void meet_warp(Warp& warp, const Instruction& instruction);

// Nobody of the warp can run: lets lanes go that wait only for lanes which have exited meanwhile. True if any
// did. Traps if all wait, and some of them at an .aligned instruction.
bool retry_rendezvous(Warp& warp);

}  // namespace attest::vm
