// attest golden: released checkpoints and what the released code computed from them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/golden_report.h"
#include "cli/report_file.h"
#include "cli/results.h"
#include "golden/golden_check.h"
#include "golden/golden_write.h"
#include "golden/inspect.h"

namespace attest::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> directories;
  std::string variant;
  std::string layers = "all";
  bool tensors = false;
  std::string json, junit;
};

ExitStatus check_directories(const Console& console, const CheckOptions& options) {
  std::optional<ReportFile> json_file, junit_file;
  if (!options.json.empty()) json_file.emplace(options.json);
  if (!options.junit.empty()) junit_file.emplace(options.junit);
  Results results("reference");
  std::vector<golden::GoldenReport> reports;
  for (const std::string& directory : options.directories) {
    reports.push_back(golden::check(
        directory,
        {.variant = options.variant, .attention_only = options.layers == "attention", .on_row = {}}));
    results.add(reports.back());
    if (options.tensors) {
      console.out << "  " << directory << '\n';
      print_golden_tensors(console, reports.back());
      console.out << '\n';
    }
  }
  print_golden_summary(console, reports);
  console.out << fmt::format("\n  {} tensors of {} directories: {} passed, {} failed, {} mistrusted\n",
                             results.count(RowStatus::passed) + results.count(RowStatus::failed) +
                                 results.count(RowStatus::mistrusted),
                             reports.size(), results.count(RowStatus::passed),
                             results.count(RowStatus::failed), results.count(RowStatus::mistrusted));
  if (json_file) json_file->publish(results.json());
  if (junit_file) junit_file->publish(results.junit());
  return results.exit_status();
}

struct WriteCommand {
  std::string directory, checkpoint, tokens;
  golden::WriteOptions options;
};

ExitStatus write(const Console& console, const WriteCommand& command) {
  const Tensor<Index> tokens = golden::read_tokens(command.tokens);
  golden::write_golden(command.checkpoint, tokens, command.directory, command.options);
  console.out << fmt::format("  {}: golden.safetensors of {} sequences of {} tokens\n", command.directory,
                             tokens.size(0), tokens.size(1));
  return ExitStatus::holds;
}

}  // namespace

void add_golden_command(CLI::App& program, Action& chosen) {
  CLI::App* golden = program.add_subcommand("golden", "Released checkpoints against the reference");
  golden->require_subcommand(1);

  auto check = std::make_shared<CheckOptions>();
  CLI::App* check_command =
      golden->add_subcommand("check", "Recompute everything that golden.safetensors holds");
  check_command
      ->add_option("DIR", check->directories, "Folders with config.json, weights and golden.safetensors")
      ->required();
  check_command->add_option("--variant", check->variant, "Settles a checkpoint that could be several");
  check_command->add_option("--layers", check->layers, "all, or attention: each layer's attention alone")
      ->check(CLI::IsMember({"all", "attention"}))
      ->capture_default_str();
  check_command->add_flag("--tensors", check->tensors, "One line a tensor");
  check_command->add_option("--json", check->json, "Write the rows to this file");
  check_command->add_option("--junit", check->junit, "Write JUnit XML to this file");
  check_command->callback([&chosen, check] {
    chosen = [check](const Console& console) { return check_directories(console, *check); };
  });

  auto path = std::make_shared<std::string>();
  CLI::App* inspect_command =
      golden->add_subcommand("inspect", "What a checkpoint holds: files, variant, names, types, shapes");
  inspect_command->add_option("PATH", *path, "A folder or a weights file")->required();
  inspect_command->callback([&chosen, path] {
    chosen = [path](const Console& console) {
      for (const std::string& line : golden::inspect(*path)) console.out << "  " << line << '\n';
      return ExitStatus::holds;
    };
  });

  auto written = std::make_shared<WriteCommand>();
  CLI::App* write_command =
      golden->add_subcommand("write", "Make a golden directory from a checkpoint, computed by the reference");
  write_command->add_option("DIR", written->directory, "Where it goes")->required();
  write_command->add_option("--from", written->checkpoint, "A folder with config.json and weights")
      ->required();
  write_command->add_option("--tokens", written->tokens, "Text: one sequence of token identifiers a line")
      ->required();
  write_command->add_option("--variant", written->options.variant,
                            "Settles a checkpoint that could be several");
  write_command
      ->add_option("--prefill", written->options.prefill_tokens,
                   "Tokens of the generation path's prefill; 0: half")
      ->check(CLI::NonNegativeNumber);
  write_command->callback([&chosen, written] {
    chosen = [written](const Console& console) { return write(console, *written); };
  });
}

}  // namespace attest::cli
