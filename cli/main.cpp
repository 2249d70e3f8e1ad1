// Entry of the program `attest`.
#include "cli/program.h"

int main(int argc, char** argv) {
  return static_cast<int>(attest::cli::run_program({argv + 1, argv + argc}, attest::cli::standard_console()));
}
