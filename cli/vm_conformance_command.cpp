// attest vm conformance: every instruction form on a device and on the virtual machine, or against a device's
// record.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/report_file.h"
#include "jit/conformance/calibration.h"
#include "jit/conformance/executor_target.h"
#include "jit/conformance/record.h"
#include "jit/nvrtc.h"
#include "jit/vm_executor.h"

namespace attest::cli {
namespace {

using nlohmann::ordered_json;
namespace kit = conformance;

struct ConformanceOptions {
  std::string device = "cuda";
  std::string record;   // file to write
  bool resume = false;  // go on with that file
  std::string against;  // file to compare with
  bool calibrate = false;
  std::uint64_t calibrated_inputs = std::uint64_t{1} << 32;
  std::string filter;
  std::uint64_t seed = 1;
  std::uint64_t patterns = 4096;
  bool all = false;
  std::string json;
};

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

ordered_json to_json(const kit::Report& report) {
  ordered_json forms = ordered_json::array();
  for (const kit::FormResult& form : report.forms) {
    forms.push_back({{"form", form.form},
                     {"status", kit::name(form.status)},
                     {"results", form.results},
                     {"differences", form.differences},
                     {"nan_payloads", form.nan_payloads},
                     {"approximate", form.approximate},
                     {"worst_relative", form.worst_relative},
                     {"example", form.example}});
  }
  return {{"expected", report.expected_name}, {"actual", report.actual_name}, {"forms", forms}};
}

ordered_json to_json(const kit::CalibrationRow& row) {
  return {{"function", row.function},
          {"inputs", kit::name(row.kind)},
          {"count", row.inputs},
          {"not_correctly_rounded", row.not_correctly_rounded},
          {"flushed_results", row.flushed},
          {"flushed_inputs", row.flushed_input},
          {"wrong_class", row.wrong_class},
          {"wrong_class_at", fmt::format("{:#010x}", row.wrong_class_input)},
          {"worst_relative_error", row.worst_relative},
          {"worst_relative_at", fmt::format("{:#010x}", row.worst_relative_input)},
          {"worst_absolute_error", row.worst_absolute},
          {"worst_absolute_at", fmt::format("{:#010x}", row.worst_absolute_input)},
          {"worst_ulps", row.worst_ulps},
          {"worst_ulps_at", fmt::format("{:#010x}", row.worst_ulps_input)}};
}

// One line a form that does not simply agree, then the counts. `evaluators`: of which a form may have none.
void print(const Console& console, const kit::Report& report, bool all, bool evaluators) {
  std::uint64_t payloads = 0, approximate = 0;
  for (const kit::FormResult& form : report.forms) {
    payloads += form.nan_payloads > 0;
    approximate += form.approximate > 0;
    const bool untold = form.status == kit::Status::rejected || form.status == kit::Status::refused;
    if ((form.status == kit::Status::agrees || (evaluators && untold)) && !all) continue;
    const bool bad = form.status == kit::Status::differs || form.status == kit::Status::failed;
    console.out << fmt::format("  {:52} {}", form.form,
                               console.paint(bad                                  ? Colour::bad
                                             : form.status == kit::Status::agrees ? Colour::good
                                                                                  : Colour::quiet,
                                             kit::name(form.status)));
    if (form.differences > 0)
      console.out << fmt::format(" in {} of {} results", form.differences, form.results);
    if (!form.example.empty()) console.out << ": " << form.example.substr(0, 300);
    console.out << '\n';
  }
  console.out << fmt::format("{} against {}: {} forms", report.actual_name, report.expected_name,
                             report.forms.size());
  for (const kit::Status status : {kit::Status::agrees, kit::Status::differs, kit::Status::failed})
    console.out << fmt::format(", {} {}", report.count(status), kit::name(status));
  const std::uint64_t rejected = report.count(kit::Status::rejected),
                      refused = report.count(kit::Status::refused);
  console.out << (evaluators ? fmt::format(", {} without an evaluator", rejected + refused)
                             : fmt::format(", {} {}, {} {}", rejected, kit::name(kit::Status::rejected),
                                           refused, kit::name(kit::Status::refused)));
  console.out << fmt::format("; {} agree but for NaN payloads, {} within a documented error\n", payloads,
                             approximate);
}

ExitStatus run_conformance_command(const Console& console, const ConformanceOptions& options) {
  if (options.patterns == 0 || options.patterns % 256 != 0)
    throw std::invalid_argument(fmt::format("--patterns {}: expected a multiple of 256", options.patterns));
  std::optional<ReportFile> json_file;
  if (!options.json.empty()) json_file.emplace(options.json);
  const bool evaluators = options.device == "isa";
  if (evaluators && (options.calibrate || !options.record.empty()))
    throw std::invalid_argument("--device isa: there is no device to record or to calibrate");
  std::unique_ptr<Executor> executor;
  std::unique_ptr<kit::Target> made;
  DeviceInfo device;
  if (evaluators) {
    made = std::make_unique<kit::Evaluators>();
    device.name = made->name();
  } else {
    executor = make_executor(options.device);
    device = executor->device();
    made = std::make_unique<kit::ExecutorTarget>(*executor);
  }
  kit::Target& target = *made;
  ordered_json report = {
      {"device", device.name}, {"driver", device.driver}, {"date", today()}, {"seed", options.seed}};
  ExitStatus status = ExitStatus::holds;

  if (!options.record.empty()) {
    kit::Options recorded = kit::record_options(options.seed);
    recorded.filter = options.filter;
    kit::Record record;
    try {
      if (options.resume && std::filesystem::exists(options.record)) {
        record = kit::read_record(options.record);
        kit::continue_record(record, target, recorded);
      } else {
        record = kit::make_record(target, recorded, device.driver, today());
      }
      kit::write_record(record, options.record);
    } catch (const kit::RecordError& error) {
      throw std::invalid_argument(error.what());
    }
    console.out << fmt::format("recorded {} forms of {} in {}", record.forms.size(), device.name,
                               options.record);
    for (const kit::Verdict verdict :
         {kit::Verdict::accepted, kit::Verdict::evaluated, kit::Verdict::rejected, kit::Verdict::failed})
      console.out << fmt::format(", {} {}",
                                 std::ranges::count(record.forms, verdict, &kit::RecordedForm::verdict),
                                 kit::name(verdict));
    console.out << '\n';
    if (!kit::complete(record, recorded)) {
      console.out << fmt::format(
          "stopped: {} failed: {}\nA device runs nothing behind a kernel that failed: run the same command "
          "with "
          "--resume to go on behind it\n",
          record.forms.back().text, record.forms.back().note);
      return ExitStatus::violated;
    }
  }
  if (!options.against.empty()) {
    std::optional<kit::Report> found;
    try {
      found = kit::replay(kit::read_record(options.against), target);
    } catch (const kit::RecordError& error) {
      throw std::invalid_argument(error.what());
    }
    print(console, *found, options.all, evaluators);
    if (!found->passed()) status = ExitStatus::violated;
    report["replay"] = to_json(*found);
  } else if (!options.calibrate && options.record.empty()) {
    VmExecutor machine;
    kit::ExecutorTarget virtual_machine(machine);
    kit::Options run{.seed = options.seed,
                     .patterns = options.patterns,
                     .matrix_patterns = 4 * options.patterns,
                     .exhaustive = true,
                     .filter = options.filter};
    const kit::Report found = kit::run_conformance(target, virtual_machine, run);
    print(console, found, options.all, evaluators);
    if (!found.passed()) status = ExitStatus::violated;
    report["conformance"] = to_json(found);
  }
  if (options.calibrate) {
    ordered_json rows = ordered_json::array();
    const auto nvrtc = Nvrtc::open();
    const std::uint64_t step = (std::uint64_t{1} << 32) / options.calibrated_inputs;
    for (const std::string& function : kit::calibrated_functions()) {
      if (function.find(options.filter) == std::string::npos) continue;
      for (const kit::CalibrationRow& row :
           kit::calibrate(*executor, *nvrtc, function, 0, options.calibrated_inputs, step)) {
        rows.push_back(to_json(row));
        console.out << fmt::format(
            "  {:20} {:16} {:>10} inputs: relative {:.4g} at {:#010x}, absolute {:.4g} at {:#010x}, {} ulps, "
            "{} not correctly "
            "rounded, {} flushed, {} flushed inputs, {} of another class\n",
            row.function, kit::name(row.kind), row.inputs, row.worst_relative, row.worst_relative_input,
            row.worst_absolute, row.worst_absolute_input, row.worst_ulps, row.not_correctly_rounded,
            row.flushed, row.flushed_input, row.wrong_class);
      }
    }
    report["calibration"] = rows;
  }
  if (json_file) json_file->publish(report.dump(1) + "\n");
  return status;
}

}  // namespace

void add_vm_conformance_command(CLI::App& vm_command, Action& chosen) {
  auto options = std::make_shared<ConformanceOptions>();
  CLI::App* command = vm_command.add_subcommand(
      "conformance", "run every instruction form on a device and on the virtual machine");
  command
      ->add_option(
          "--device", options->device,
          "cuda; vm; isa: evaluators written from the text of the PTX ISA, for the forms that have one")
      ->check(CLI::IsMember({"cuda", "vm", "isa"}));
  CLI::Option* record = command->add_option("--record", options->record,
                                            "write the device's results to this file, and compare nothing");
  command
      ->add_flag("--resume", options->resume,
                 "go on with the file of --record behind a form that failed on the device")
      ->needs(record);
  command->add_option("--against", options->against,
                      "compare the device with the record in this file instead");
  command->add_flag("--calibrate", options->calibrate,
                    "measure the approximate functions over all f32 inputs instead");
  command
      ->add_option("--inputs", options->calibrated_inputs,
                   "inputs of a calibration, evenly spaced; a power of two")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 32));
  command->add_option("--form", options->filter, "only this form, or forms whose text contains this");
  command->add_option("--seed", options->seed, "of the operands");
  command->add_option("--patterns", options->patterns, "operands a form, a multiple of 256");
  command->add_flag("--all", options->all, "list forms that agree too");
  command->add_option("--json", options->json, "write the report to this file");
  command->callback([options, &chosen] {
    chosen = [options](const Console& console) { return run_conformance_command(console, *options); };
  });
}

}  // namespace attest::cli
