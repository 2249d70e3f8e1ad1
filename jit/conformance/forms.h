// The instruction forms that the conformance kit runs on a device and on the virtual machine, with their
// operands.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jit/conformance/value_type.h"
#include "jit/vm/tensor_map.h"

namespace attest::conformance {

// What must agree. Bits always do, except: a NaN agrees with any NaN when `any_nan`; an approximate result
// may differ by relative * |value| + absolute, the error that the PTX ISA documents (`source`).
struct Agreement {
  bool any_nan = false;
  double relative = 0, absolute = 0;
  std::string source;
  bool approximate() const { return relative > 0 || absolute > 0; }
};

// One thread's view of the operands of all threads: slots of [operands, threads].
struct Thread {
  const std::vector<std::uint64_t>& slots;
  std::size_t threads;
  std::size_t index;
  std::uint64_t operator()(std::size_t operand) const { return of(index, operand); }
  std::uint64_t of(std::size_t thread, std::size_t operand) const {
    return slots[operand * threads + thread];
  }
};

struct Form {
  std::string text;  // unique: "add.sat.s32", or with a suffix that tells bodies apart: "lop3.b32/0xe8"
  std::vector<ValueType> results, operands;
  Agreement agreement;
  std::string body;  // PTX statements on %d0.., %x0.. (operands), %memory (16 bytes of global memory),
                     // %shared (16 bytes), %thread (of its block)
  // What each thread gets by the text of the PTX ISA, by code that shares nothing with the virtual machine.
  // Empty: only a device can tell.
  std::function<void(const Thread&, std::uint64_t* results)> evaluate;
  // Of 256 threads, in one cluster: the form runs in just so many. 0: in as many as there are patterns.
  std::uint32_t blocks = 0;
  // A tensor in the 16 bytes a thread: its map stands behind them (kernel_text.h).
  std::optional<vm::TensorMap> map;
};

// Every form, in a fixed order; made once. Throws std::logic_error for a faulty row (a test calls it).
const std::vector<Form>& all_forms();

// "add.{u32,s32}" -> {"add.u32", "add.s32"}; several groups multiply out, an empty alternative leaves
// nothing.
std::vector<std::string> expand_braces(const std::string& pattern);

}  // namespace attest::conformance
