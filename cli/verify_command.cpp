// attest verify: the shipped golden files and every law on every variant's compiled kernels.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/golden_report.h"
#include "cli/progress.h"
#include "cli/report_file.h"
#include "cli/results.h"
#include "cli/verify_report.h"
#include "golden/checkpoint.h"
#include "golden/golden_check.h"
#include "golden/released_model.h"
#include "jit/executor.h"
#include "jit/kernel_cache.h"
#include "properties/jit_kernel.h"
#include "properties/verify.h"

namespace attest::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  VerifyOptions verify;
  std::string device = "auto";
  std::string kernels_folder;
  std::string json, junit;

  // The golden files say nothing of one law, one case or somebody's kernels.
  bool with_golden() const { return verify.laws.empty() && verify.repro.empty() && kernels_folder.empty(); }
};

// The shipped golden directories of the chosen variants (all when none is chosen), by name.
std::vector<std::string> golden_directories(const std::vector<std::string>& variants) {
  std::vector<std::string> directories;
  const fs::path shipped = fs::path(ATTEST_SOURCE_DIR) / "golden" / "data";
  if (!fs::is_directory(shipped)) return directories;
  for (const auto& entry : fs::directory_iterator(shipped)) {
    if (!entry.is_directory()) continue;
    if (!variants.empty()) {
      const auto checkpoint = golden::Checkpoint::open(entry.path().string());
      const std::string variant = golden::recognise((entry.path() / "config.json").string(), checkpoint)
                                      .config.attention.variant_name();
      if (std::find(variants.begin(), variants.end(), variant) == variants.end()) continue;
    }
    directories.push_back(entry.path().string());
  }
  std::sort(directories.begin(), directories.end());
  return directories;
}

std::vector<golden::GoldenReport> check_golden(const Console& console,
                                               const std::vector<std::string>& variants) {
  const std::vector<std::string> directories = golden_directories(variants);
  std::vector<golden::GoldenReport> reports;
  Progress progress(console, static_cast<std::int64_t>(directories.size()), "golden files");
  for (const std::string& directory : directories) {
    reports.push_back(golden::check(directory));
    progress.update(static_cast<std::int64_t>(reports.size()), fs::path(directory).filename().string());
  }
  return reports;
}

VerifyReport check_laws(const Console& console, const VerifyOptions& options) {
  std::optional<Progress> progress;
  std::string what;
  return verify(options, [&](const VerifyProgress& state) {
    if (!progress) progress.emplace(console, state.cases_total, "cases");
    if (state.row != nullptr) what = state.row->variant + " " + state.row->law;
    progress->update(state.cases_done, what);
  });
}

int variants_in(const VerifyReport& report) {
  std::vector<std::string> names;
  for (const VerifyRow& row : report.rows) names.push_back(row.variant);
  std::sort(names.begin(), names.end());
  return static_cast<int>(std::unique(names.begin(), names.end()) - names.begin());
}

void print_totals(const Console& console, const Results& results, const VerifyReport& report,
                  std::size_t golden_count, double seconds) {
  const bool failed = results.count(RowStatus::failed) > 0;
  const bool holds = results.exit_status() == ExitStatus::holds;
  const char* const verdict = failed ? "VIOLATED" : holds ? "all holds" : "NOT PROVED";
  console.out << fmt::format("\n  {}: {} passed, {} failed, {} mistrusted, {} skipped\n",
                             console.paint(failed  ? Colour::bad
                                           : holds ? Colour::good
                                                   : Colour::doubtful,
                                           verdict),
                             results.count(RowStatus::passed), results.count(RowStatus::failed),
                             results.count(RowStatus::mistrusted), results.count(RowStatus::skipped));
  double worst = 0;
  for (const VerifyRow& row : report.rows) worst = std::max(worst, row.worst_error_over_bound);
  const int variant_count = variants_in(report);
  console.out << fmt::format("  {} cases of laws on {} variant{}, worst error over bound {}; {}{:.0f} s\n",
                             report.cases(), variant_count, variant_count == 1 ? "" : "s", ratio_text(worst),
                             golden_count == 0 ? "" : fmt::format("{} golden directories; ", golden_count),
                             seconds);
}

ExitStatus run_verify(const Console& console, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<ReportFile> json_file, junit_file;
  if (!options.json.empty()) json_file.emplace(options.json);
  if (!options.junit.empty()) junit_file.emplace(options.junit);

  const KernelSource source = options.kernels_folder.empty()
                                  ? KernelSource::embedded()
                                  : KernelSource::from_folder(options.kernels_folder);
  const auto cache = std::make_shared<KernelCache>(KernelCache::default_folder());
  const DeviceInfo device = make_executor(options.device)->device();
  console.out << fmt::format("  attest verify on {} ({}), kernels {}, NVRTC {}, seed {}\n\n", device.kind,
                             device.name, source.origin(), cache->nvrtc().version(), options.verify.seed);

  VerifyOptions verify_options = options.verify;
  verify_options.kernel = jit_kernels(device.kind, cache, source);
  if (!verify_options.repro.empty()) parse_repro_line(verify_options.repro);  // refuse it before the work

  Results results(device.kind);
  std::vector<golden::GoldenReport> goldens;
  if (options.with_golden()) goldens = check_golden(console, verify_options.variants);
  for (const golden::GoldenReport& report : goldens) results.add(report);
  const VerifyReport report = check_laws(console, verify_options);
  results.add(report);

  if (!goldens.empty()) {
    console.out << "  Released code against the reference: error relative to the tensor's largest magnitude "
                   "(bound 1e-12);\n"
                   "  float32 runs against the bound that float32 arithmetic earns\n";
    print_golden_summary(console, goldens);
    console.out << '\n';
  }
  console.out
      << "  Laws: worst error over bound of reference and kernels (0: same bits or exact; below 1: holds)\n";
  print_matrix(console, report);
  print_skips(console, report);
  print_violations(console, report);
  if (const std::string notice = cache->notice(); !notice.empty())
    console.out << "  note: " << notice << '\n';
  print_totals(console, results, report, goldens.size(),
               std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (json_file) json_file->publish(results.json());
  if (junit_file) junit_file->publish(results.junit());
  return results.exit_status();
}

}  // namespace

void add_verify_command(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      program.add_subcommand("verify", "Golden files and every law on every variant's compiled kernels");
  command->add_option("--variant", options->verify.variants, "Only these; see list variants");
  command->add_option("--law", options->verify.laws, "Only these; see list laws");
  command->add_option("--device", options->device, "auto (a GPU when there is one), vm or cuda")
      ->check(CLI::IsMember({"auto", "vm", "cuda"}))
      ->capture_default_str();
  command->add_option("--cases", options->verify.cases, "For every law and variant")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", options->verify.seed, "The same seed gives the same cases")
      ->capture_default_str();
  command->add_option("--repro", options->verify.repro,
                      "Only the case of this line, as a failure printed it");
  command->add_option("--kernels", options->kernels_folder,
                      "Read the kernel sources from this folder (jit/kernels holds ours)");
  command->add_option("--json", options->json, "Write the rows to this file");
  command->add_option("--junit", options->junit, "Write JUnit XML to this file");
  command->add_option("--jobs", options->verify.jobs, "Threads; 0: as many as there are processors")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->callback([&chosen, options] {
    chosen = [options](const Console& console) { return run_verify(console, *options); };
  });
}

}  // namespace attest::cli
