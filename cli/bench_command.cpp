// attest bench: hands the rest of the command line to Google Benchmark.
#include <CLI/CLI.hpp>
#include <memory>

#include "bench/benchmarks.h"
#include "cli/command.h"

namespace attest::cli {

void add_bench_command(CLI::App& program, Action& chosen) {
  struct Options {
    std::string device = "auto";
    std::string kernels;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = program.add_subcommand(
      "bench", "Decode timings; takes Google Benchmark's flags, such as --benchmark_filter=mlra");
  command->allow_extras();
  command->add_option("--device", options->device, "auto, vm or cuda")
      ->check(CLI::IsMember({"auto", "vm", "cuda"}))
      ->capture_default_str();
  command->add_option("--kernels", options->kernels, "Read the kernel sources from this folder");
  command->callback([&chosen, options, command] {
    chosen = [options, flags = command->remaining()](const Console&) {
      bench::BenchmarkOptions run{.device = options->device, .benchmark_flags = flags};
      if (!options->kernels.empty()) run.source = KernelSource::from_folder(options->kernels);
      return bench::run_benchmarks(run) == 0 ? ExitStatus::holds : ExitStatus::violated;
    };
  });
}

}  // namespace attest::cli
