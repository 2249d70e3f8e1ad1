// "Cannot check": PTX that this machine refuses, with the line and the reason.
#pragma once

#include <stdexcept>
#include <string>

namespace attest::vm {

struct ParseError : std::runtime_error {
  ParseError(int line_, const std::string& what)
      : std::runtime_error("PTX line " + std::to_string(line_) + ": " + what), line(line_) {}
  int line;
};

}  // namespace attest::vm
