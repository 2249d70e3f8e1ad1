// The kernel that runs one form on many patterns, as PTX text.
#pragma once

#include <cstdint>
#include <string>

#include "jit/conformance/forms.h"

namespace attest::conformance {

inline constexpr std::uint32_t kBlockThreads = 256;
inline constexpr std::uint64_t kSlotBytes = 8;      // of an operand or result of one thread, in every array
inline constexpr std::uint64_t kScratchBytes = 16;  // of a thread, in global and in shared memory
inline constexpr const char* kEntry = "conform";

// Entry `name(in, out, scratch)`, three 64-bit pointers, for `threads` threads in blocks of 256:
//   in:  [operands, threads] slots, out: [results, threads] slots, scratch: [threads] x 16 bytes, and behind
//   them the form's tensor map, if it has one: of a tensor that begins where scratch does.
// A predicate is the lowest bit of its slot; narrower values use a slot's first bytes.
std::string entry_text(const Form& form, std::uint64_t threads, const std::string& name = kEntry);
// A module of that one entry.
std::string module_text(const Form& form, std::uint64_t threads);
// What precedes the entries of a module.
std::string module_header();

}  // namespace attest::conformance
