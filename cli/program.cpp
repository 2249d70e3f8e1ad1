// Command line to action, exception to exit status.
#include "cli/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "cli/command.h"
#include "cli/report_file.h"
#include "golden/checkpoint_error.h"
#include "jit/errors.h"

namespace attest::cli {
namespace {

constexpr const char* kAbout =
    "Proves decode-attention kernels right: a double-precision reference, property tests and a virtual "
    "machine for PTX.";

// Errors are one line; a compiler's log may follow it.
ExitStatus complain(const Console& console, ExitStatus status, std::string_view text) {
  console.notes << "attest: " << text << (text.ends_with('\n') ? "" : "\n");
  return status;
}

}  // namespace

ExitStatus run_program(const std::vector<std::string>& arguments, const Console& console) {
  CLI::App program(kAbout, "attest");
  program.set_version_flag("--version", "attest " ATTEST_VERSION);
  program.require_subcommand(0, 1);
  Action chosen;
  for (const auto add :
       {add_verify_command, add_golden_command, add_bench_command, add_table_command, add_compile_command,
        add_list_command, add_mutants_command, add_doctor_command, add_vm_command}) {
    add(program, chosen);
  }
  try {
    program.parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
    if (chosen) return chosen(console);
    console.out << program.help();
    return arguments.empty() ? ExitStatus::bad_input : ExitStatus::holds;
  } catch (const CLI::Success& asked) {  // --help, --version
    console.out << (asked.get_exit_code() == 0 && dynamic_cast<const CLI::CallForVersion*>(&asked) != nullptr
                        ? program.version() + "\n"
                        : program.help());
    return ExitStatus::holds;
  } catch (const CLI::ParseError& error) {
    return complain(console, ExitStatus::bad_input, std::string(error.what()) + "; see attest --help");
  } catch (const golden::CheckpointError& error) {
    return complain(console, ExitStatus::bad_input, error.what());
  } catch (const CompileError& error) {  // the reader's own kernels, or a compiler that is too old
    return complain(console, ExitStatus::bad_input, error.what());
  } catch (const NotAvailable& error) {
    return complain(console, ExitStatus::unavailable, error.what());
  } catch (const CacheError& error) {
    return complain(console, ExitStatus::unavailable, error.what());
  } catch (const DeviceError& error) {
    return complain(console, ExitStatus::unavailable, error.what());
  } catch (const ReportError& error) {
    return complain(console, ExitStatus::unavailable, error.what());
  } catch (const std::invalid_argument& error) {
    return complain(console, ExitStatus::bad_input, error.what());
  } catch (const std::exception& error) {
    return complain(console, ExitStatus::unavailable, std::string("internal error: ") + error.what());
  }
}

}  // namespace attest::cli
