// The program `attest`: parses its command line, runs the command, maps what goes wrong to exit statuses.
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/exit_status.h"

namespace attest::cli {

// `arguments` without the program's name. Every failure is one line on console.notes.
ExitStatus run_program(const std::vector<std::string>& arguments, const Console& console);

}  // namespace attest::cli
