// libFuzzer: parses and decodes its input as PTX, and runs nothing: many more inputs a second than
// fuzz_program. What is refused must be refused at a line of the input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "jit/vm/parse_error.h"
#include "jit/vm/program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    attest::vm::Program::parse(text);
  } catch (const attest::vm::ParseError& error) {
    if (error.line < 0 || error.line > 1 + std::count(text.begin(), text.end(), '\n')) std::abort();
  }
  return 0;
}
