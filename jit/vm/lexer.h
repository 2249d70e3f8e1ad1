// Splits PTX text into words, numbers and punctuation, each with its line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attest::vm {

struct Token {
  enum class Kind { word, integer, f32, f64, string, punctuation, end };
  Kind kind = Kind::end;
  int line = 0;
  std::string_view text;  // within the PTX text
  uint64_t bits = 0;      // of a number
};

// Words keep their dots (`ld.global.u32`, `%tid.x`); directives are words of their own (`.reg`, `.b32`).
// Comments vanish. Throws ParseError.
std::vector<Token> tokenise(std::string_view ptx);

}  // namespace attest::vm
