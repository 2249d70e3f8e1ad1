// Arithmetic modes as other handlers for the same instructions: what runs normally pays nothing for them.
#pragma once

#include <string>
#include <vector>

#include "jit/vm/code.h"
#include "jit/vm/machine.h"

namespace attest::vm {

// Handlers in place of those of a Form; null: its own.
struct Replacement {
  Handler run = nullptr;
  Handler evaluate = nullptr;
};
using Replacements = std::vector<Replacement>;  // by number of the form

const Replacements& perturbed_forms();  // perturb.cpp
const Replacements& payload_forms();    // payload_forms.cpp

// Null for the modes that the forms themselves are written for.
inline const Replacements* replacements(Arithmetic arithmetic) {
  if (arithmetic == Arithmetic::perturb) return &perturbed_forms();
  return arithmetic == Arithmetic::payload ? &payload_forms() : nullptr;
}

// A copy of a kernel with handlers exchanged. Helpers that a form's decoder emitted beside it keep theirs.
Code with_replacements(const Code& code, const Replacements& forms);

// Splits "add.rn.ftz.f32" at its points; the opcode comes first.
std::vector<std::string> words_of(const std::string& form);
// Handler of forms that a mode has no meaning for: throws CannotCheck (payload.h), when it is reached.
void refuse_in_mode(Warp& warp, const Instruction& instruction);

}  // namespace attest::vm
