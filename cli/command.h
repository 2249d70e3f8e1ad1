// The commands of the program: each adds its own options and, when chosen, becomes the action that runs.
#pragma once

#include <functional>

#include "cli/console.h"
#include "cli/exit_status.h"

namespace CLI {
class App;
}

namespace attest::cli {

// What a chosen command does. It reports to the console and throws on bad input: program.cpp maps exceptions
// to exit statuses.
using Action = std::function<ExitStatus(const Console&)>;

// One function a command, each in the file of its name.
void add_bench_command(CLI::App& program, Action& chosen);
void add_compile_command(CLI::App& program, Action& chosen);
void add_doctor_command(CLI::App& program, Action& chosen);
void add_golden_command(CLI::App& program, Action& chosen);
void add_list_command(CLI::App& program, Action& chosen);
void add_mutants_command(CLI::App& program, Action& chosen);
void add_table_command(CLI::App& program, Action& chosen);
void add_verify_command(CLI::App& program, Action& chosen);
void add_vm_command(CLI::App& program, Action& chosen);
// Below `attest vm`.
void add_vm_conformance_command(CLI::App& vm_command, Action& chosen);

}  // namespace attest::cli
