// The instruction forms that the conformance kit runs on a device and on the virtual machine, with their
// operands.
#pragma once

#include <string>
#include <vector>

#include "jit/conformance/value_type.h"

namespace attest::conformance {

// What must agree. Bits always do, except: a NaN agrees with any NaN when `any_nan`; an approximate result
// may differ by relative * |value| + absolute, the error that the PTX ISA documents (`source`).
struct Agreement {
  bool any_nan = false;
  double relative = 0, absolute = 0;
  std::string source;
  bool approximate() const { return relative > 0 || absolute > 0; }
};

struct Form {
  std::string text;  // unique: "add.sat.s32", or with a suffix that tells bodies apart: "lop3.b32/0xe8"
  std::vector<ValueType> results, operands;
  Agreement agreement;
  std::string body;  // PTX statements on %d0.., %x0.. (operands), %memory (16 bytes of global memory),
                     // %shared (16 bytes)
};

// Every form, in a fixed order. Throws std::logic_error for a faulty row (a test calls it).
std::vector<Form> all_forms();

// "add.{u32,s32}" -> {"add.u32", "add.s32"}; several groups multiply out, an empty alternative leaves
// nothing.
std::vector<std::string> expand_braces(const std::string& pattern);

}  // namespace attest::conformance
