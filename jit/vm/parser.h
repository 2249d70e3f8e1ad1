// Reads a PTX module into its syntax, without knowing what any instruction does.
#pragma once

#include <string_view>

#include "jit/vm/syntax.h"

namespace attest::vm {

// Throws ParseError for anything that is not PTX, and for directives that this machine does not know.
syntax::Module parse_module(std::string_view ptx);

// Bytes of a fundamental type name without its dot ("b8" -> 1, "f64" -> 8, "pred" -> 1); 0 if unknown.
uint64_t type_bytes(std::string_view type);

}  // namespace attest::vm
