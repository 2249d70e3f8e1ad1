// attest mutants: known mistakes planted in our kernels, and which law sees each.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/progress.h"
#include "cli/report_file.h"
#include "jit/kernel_cache.h"
#include "properties/jit_kernel.h"
#include "properties/mutants.h"

namespace attest::cli {
namespace {

struct Options {
  MutantOptions mutants;
  std::string device = "auto";
  std::string json = {};
};

ExitStatus run(const Console& console, const Options& options) {
  std::optional<ReportFile> json_file;
  if (!options.json.empty()) json_file.emplace(options.json);
  const auto cache = std::make_shared<KernelCache>(KernelCache::default_folder());
  MutantOptions mutant_options = options.mutants;
  mutant_options.kernel = [&](const KernelSource& source) {
    return jit_kernels(options.device, cache, source);
  };

  std::optional<Progress> progress;
  const std::vector<MutantRow> rows =
      run_mutants(mutant_options, [&](int done, int total, const MutantRow& row) {
        if (!progress) progress.emplace(console, total, "mutants");
        progress->update(done, row.mutant);
      });
  progress.reset();

  TextTable table({"mutant", "refuted by", "cases", "repeats", "seconds"});
  table.align(1, TextTable::Align::left);
  int survivors = 0;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const MutantRow& row : rows) {
    const bool killed = !row.killed_by.empty() && row.repeats;
    survivors += killed ? 0 : 1;
    table.add({{row.mutant, Colour::strong},
               {row.killed_by.empty() ? "SURVIVED" : row.killed_by, killed ? Colour::good : Colour::bad},
               {std::to_string(row.cases)},
               {row.repeats ? "yes" : "no", row.repeats ? Colour::plain : Colour::bad},
               {fmt::format("{:.1f}", row.seconds)}});
    json.push_back({{"mutant", row.mutant},
                    {"description", row.description},
                    {"models", row.models},
                    {"killed_by", row.killed_by},
                    {"repeats", row.repeats},
                    {"cases", row.cases},
                    {"repro", row.repro},
                    {"seconds", row.seconds}});
  }
  table.print(console);
  console.out << fmt::format("\n  {} mutants, {} refuted with a line that fails again, {} not\n", rows.size(),
                             static_cast<int>(rows.size()) - survivors, survivors);
  if (json_file) json_file->publish(json.dump(2) + "\n");
  return survivors == 0 ? ExitStatus::holds : ExitStatus::violated;
}

}  // namespace

void add_mutants_command(CLI::App& program, Action& chosen) {
  CLI::App* mutants =
      program.add_subcommand("mutants", "Mistakes planted in the kernels, which the laws must see");
  mutants->require_subcommand(1);
  auto options = std::make_shared<Options>(
      Options{MutantOptions{.names = {}, .kernel = {}, .source = KernelSource::embedded()}});
  CLI::App* command = mutants->add_subcommand("run", "Verify every mutant; exit 1 when one survives");
  command->add_option("MUTANT", options->mutants.names, "Only these; see list mutants");
  command->add_option("--device", options->device, "auto, vm or cuda")
      ->check(CLI::IsMember({"auto", "vm", "cuda"}))
      ->capture_default_str();
  command->add_option("--cases", options->mutants.cases, "At most, for every mutant and law")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", options->mutants.seed, "Of the cases")->capture_default_str();
  command->add_option("--jobs", options->mutants.jobs, "Threads; 0: as many as there are processors")
      ->check(CLI::Range(0, 1024));
  command->add_option("--json", options->json, "Write the rows to this file");
  command->callback(
      [&chosen, options] { chosen = [options](const Console& console) { return run(console, *options); }; });
}

}  // namespace attest::cli
