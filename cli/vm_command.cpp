// attest vm run: any PTX module on the virtual machine, by a LAUNCH.json.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/launch_file.h"
#include "cli/payload_digest.h"
#include "cli/report_file.h"
#include "cli/text_file.h"
#include "jit/vm/counters.h"
#include "jit/vm/race_observer.h"

namespace attest::cli {
namespace {

using nlohmann::ordered_json;

struct VmOptions {
  std::string ptx;
  std::string launch;
  std::string schedule = "lockstep";
  std::uint64_t seed = 0;
  std::string arithmetic = "hw";
  std::vector<std::string> checks = {"memory"};
  bool counters = false;
  std::string json;
  int threads = 1;
};

vm::Schedule schedule(std::string_view name) {
  if (name == "serial") return vm::Schedule::serial;
  return name == "shuffled" ? vm::Schedule::shuffled : vm::Schedule::lockstep;
}

vm::Arithmetic arithmetic(std::string_view name) {
  if (name == "wide") return vm::Arithmetic::wide;
  if (name == "perturb") return vm::Arithmetic::perturb;
  return name == "payload" ? vm::Arithmetic::payload : vm::Arithmetic::hw;
}

// The parameter block as the PTX lays it out, and the device address of every buffer (0 for others).
struct Staged {
  std::vector<std::byte> block;
  std::vector<std::uint64_t> addresses;
};

Staged stage(vm::Machine& machine, const vm::EntryInfo& entry, const LaunchFile& launch) {
  if (entry.parameters.size() != launch.parameters.size()) {
    throw std::invalid_argument(fmt::format("entry {} takes {} parameters, the launch file gives {}",
                                            entry.name, entry.parameters.size(), launch.parameters.size()));
  }
  Staged staged{std::vector<std::byte>(entry.parameter_bytes), {}};
  for (std::size_t i = 0; i < launch.parameters.size(); ++i) {  // a tensor map may name a later buffer
    const auto* buffer = std::get_if<BufferParameter>(&launch.parameters[i]);
    staged.addresses.push_back(0);
    if (buffer == nullptr) continue;
    const auto size = static_cast<std::uint64_t>(buffer->elements()) * buffer->codec->bytes;
    staged.addresses[i] = machine.memory().allocate(size, fmt::format("param {}", i), buffer->access);
    if (buffer->initialised) machine.memory().write(staged.addresses[i], buffer->contents);
  }
  for (std::size_t i = 0; i < launch.parameters.size(); ++i) {
    const vm::ParameterInfo& info = entry.parameters[i];
    std::vector<std::byte> bytes;
    if (const auto* tensor = std::get_if<TensorMapParameter>(&launch.parameters[i])) {
      vm::TensorMap map = tensor->map;
      map.address = staged.addresses[tensor->buffer];
      const auto object = map.encode();
      bytes.assign(object.begin(), object.end());
    } else if (const auto* scalar = std::get_if<ScalarParameter>(&launch.parameters[i])) {
      bytes = scalar->contents;
    } else {
      const auto raw = std::as_bytes(std::span(&staged.addresses[i], 1));
      bytes.assign(raw.begin(), raw.end());
    }
    if (bytes.size() != info.bytes) {
      throw std::invalid_argument(fmt::format("params[{}] has {} bytes; parameter {} of entry {} has {}", i,
                                              bytes.size(), info.name, entry.name, info.bytes));
    }
    std::copy(bytes.begin(), bytes.end(), staged.block.begin() + static_cast<std::ptrdiff_t>(info.offset));
  }
  return staged;
}

// One sentence for a buffer that does not hold what was expected; empty when it does. `table`: of payload
// arithmetic, or null; elements are compared by their shadows then.
std::string mismatch(const vm::Machine& machine, std::uint64_t address, const BufferParameter& buffer,
                     const Expectation& expected, const vm::PayloadTable* table) {
  const std::size_t size = buffer.codec->bytes;
  std::vector<std::byte> bytes(expected.values.size() * size);
  machine.memory().read(address, bytes);
  std::size_t failures = 0;
  std::string first;
  for (std::size_t i = 0; i < expected.values.size(); ++i) {
    const auto element = std::span<const std::byte>(bytes).subspan(i * size, size);
    const bool shadow = table && holds_payloads(*buffer.codec);
    const Number want = expected.values[i];
    const Number got = shadow ? static_cast<Number>(payload_element(*table, *buffer.codec, element).shadow)
                              : buffer.codec->decode(element);
    const bool met = std::isnan(want)      ? std::isnan(got)
                     : std::isfinite(want) ? std::fabs(got - want) <= expected.tolerance
                                           : got == want;
    const bool written = machine.memory().initialised(address + i * size, size);
    if ((met && written) || failures++ > 0) continue;
    first = fmt::format("element {}: got {}, want {}, tolerance {}", i,
                        written ? fmt::format("{}", got) : "nothing (it was never written)", want,
                        expected.tolerance);
  }
  if (failures == 0) return "";
  return fmt::format("param {} ({} {}) {}; {} of {} differ", expected.parameter, buffer.codec->name,
                     shape_text(buffer.shape), first, failures, expected.values.size());
}

std::string single_entry(const vm::Program& program, const std::string& asked) {
  if (!asked.empty()) return asked;
  const std::vector<std::string> entries = program.entries();
  if (entries.size() == 1) return entries.front();
  std::string names;
  for (const std::string& name : entries) names += (names.empty() ? "" : ", ") + name;
  throw std::invalid_argument(
      fmt::format("the launch file names no entry and the module has {}: {}", entries.size(), names));
}

ordered_json to_json(const vm::Trap& trap) {
  return {{"rule", vm::rule_name(trap.rule)},
          {"ptx_line", trap.ptx_line},
          {"instruction", trap.instruction},
          {"block", {trap.block.x, trap.block.y, trap.block.z}},
          {"warp", trap.warp},
          {"lanes", trap.lanes},
          {"text", trap.what()}};
}

ordered_json to_json(const vm::Counters& counters) {
  ordered_json buffers = ordered_json::object();
  for (const auto& [name, traffic] : counters.buffers) {
    buffers[name] = {{"loaded_bytes", traffic.loaded_bytes},
                     {"distinct_loaded_bytes", traffic.distinct_loaded_bytes},
                     {"stored_bytes", traffic.stored_bytes},
                     {"distinct_stored_bytes", traffic.distinct_stored_bytes}};
  }
  return {{"warp_instructions", counters.warp_instructions},
          {"lane_instructions", counters.lane_instructions},
          {"global_load_bytes", counters.global_load_bytes},
          {"distinct_global_load_bytes", counters.distinct_global_load_bytes},
          {"global_load_accesses", counters.global_load_accesses},
          {"global_load_sectors", counters.global_load_sectors},
          {"global_store_bytes", counters.global_store_bytes},
          {"distinct_global_store_bytes", counters.distinct_global_store_bytes},
          {"global_store_accesses", counters.global_store_accesses},
          {"global_store_sectors", counters.global_store_sectors},
          {"shared_load_bytes", counters.shared_load_bytes},
          {"shared_store_bytes", counters.shared_store_bytes},
          {"shared_bank_conflicts", counters.shared_bank_conflicts},
          {"local_load_bytes", counters.local_load_bytes},
          {"local_store_bytes", counters.local_store_bytes},
          {"atomics", counters.atomics},
          {"barrier_arrivals", counters.barrier_arrivals},
          {"barrier_waits", counters.barrier_waits},
          {"matrix_flops", counters.matrix_flops},
          {"buffers", buffers},
          {"instructions", counters.instructions}};
}

void print_counters(const Console& console, const vm::Counters& counters) {
  const ordered_json all = to_json(counters);
  for (const auto& [name, value] : all.items()) {
    if (value.is_number()) console.out << fmt::format("  {:28} {}\n", name, value.dump());
  }
  for (const auto& [buffer, traffic] : all["buffers"].items()) {
    console.out << fmt::format("  {}: loaded {} bytes ({} distinct), stored {} ({} distinct)\n", buffer,
                               traffic["loaded_bytes"].dump(), traffic["distinct_loaded_bytes"].dump(),
                               traffic["stored_bytes"].dump(), traffic["distinct_stored_bytes"].dump());
  }
  for (const auto& [form, count] : all["instructions"].items()) {
    console.out << fmt::format("  {:>12} {}\n", count.dump(), form);
  }
}

ExitStatus run_ptx(const Console& console, const VmOptions& options) {
  const auto checks = [&](std::string_view check) {
    return std::find(options.checks.begin(), options.checks.end(), check) != options.checks.end();
  };
  std::optional<ReportFile> json_file;
  if (!options.json.empty()) json_file.emplace(options.json);

  LaunchFile launch = read_launch_file(options.launch);
  const std::string ptx = read_file(options.ptx);
  std::optional<vm::Program> program;
  try {
    program = vm::Program::parse(ptx);
  } catch (const vm::ParseError& error) {
    throw std::invalid_argument(fmt::format("{}: cannot check: {}", options.ptx, error.what()));
  }
  const std::string entry = single_entry(*program, launch.entry);
  launch.options.schedule = schedule(options.schedule);
  launch.options.seed = options.seed;
  launch.options.host_threads = options.threads;
  launch.options.check_memory = checks("memory");
  launch.options.arithmetic = arithmetic(options.arithmetic);
  vm::PayloadTable table;
  const bool payload = launch.options.arithmetic == vm::Arithmetic::payload;
  if (payload) launch.options.payload = &table;

  vm::Machine machine;
  const Staged staged = stage(machine, program->entry(entry), launch);
  ordered_json report = {{"entry", entry},
                         {"schedule", options.schedule},
                         {"arithmetic", options.arithmetic},
                         {"status", "clean"}};
  ExitStatus status = ExitStatus::holds;
  vm::CountingObserver counting;
  vm::RaceObserver racing;
  std::vector<vm::Observer*> observers;
  if (options.counters || json_file) observers.push_back(&counting);
  const bool all_races = checks("races"), asynchronous = checks("async");
  if (all_races || asynchronous) observers.push_back(&racing);
  try {
    const vm::LaunchStatistics ran = machine.launch(*program, entry, launch.options, staged.block, observers);
    report["lane_instructions"] = ran.lane_instructions;
    console.out << fmt::format("{}: ran {} blocks of {} threads, {} lane-instructions\n", entry,
                               launch.options.grid.count(), launch.options.block.count(),
                               ran.lane_instructions);
  } catch (const vm::Trap& trap) {
    status = ExitStatus::violated;
    report["status"] = "trap";
    report["trap"] = to_json(trap);
    console.out << console.paint(Colour::bad, "trap")
                << fmt::format(" ({}): {}\n", vm::rule_name(trap.rule), trap.what());
  }
  ordered_json races = ordered_json::array();
  for (const vm::Race& race : racing.races()) {
    const bool asked = race.kind == vm::Race::Kind::missing_proxy_fence
                           ? asynchronous
                           : all_races || (asynchronous && race.asynchronous());
    if (!asked) continue;
    races.push_back(race.text());
    console.out << console.paint(Colour::bad, "race") << ": " << race.text() << '\n';
  }
  if (!races.empty()) {
    if (status == ExitStatus::holds) report["status"] = "race";
    status = ExitStatus::violated;
    report["races"] = races;
  }
  if (status == ExitStatus::holds) {
    ordered_json mismatches = ordered_json::array();
    for (const Expectation& expected : launch.expectations) {
      const auto& buffer = std::get<BufferParameter>(launch.parameters[expected.parameter]);
      const std::string text = mismatch(machine, staged.addresses[expected.parameter], buffer, expected,
                                        payload ? &table : nullptr);
      if (text.empty()) continue;
      mismatches.push_back(text);
      console.out << console.paint(Colour::bad, "mismatch") << ": " << text << '\n';
    }
    if (!mismatches.empty()) {
      status = ExitStatus::violated;
      report["status"] = "mismatch";
    } else if (!launch.expectations.empty()) {
      console.out << fmt::format("{}: {} expectations met\n", console.paint(Colour::good, "clean"),
                                 launch.expectations.size());
    }
    report["mismatches"] = mismatches;
  }
  if (payload && report["status"] != "trap") {
    for (std::size_t i = 0; i < launch.parameters.size(); ++i) {
      const auto* buffer = std::get_if<BufferParameter>(&launch.parameters[i]);
      if (!buffer || buffer->access == vm::Access::read || !holds_payloads(*buffer->codec)) continue;
      const PayloadDigest found = payload_digest(machine, staged.addresses[i], *buffer, table);
      report["payload"][fmt::format("param {}", i)] = fmt::format("{:016x}", found.digest);
      console.out << fmt::format("payload of param {}: {:016x} ({} of {} elements written)\n", i,
                                 found.digest, found.written, buffer->elements());
    }
  }
  if (options.counters) print_counters(console, counting.counters());
  if (json_file) {
    report["counters"] = to_json(counting.counters());
    json_file->publish(report.dump(2) + "\n");
  }
  return status;
}

}  // namespace

void add_vm_command(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<VmOptions>();
  CLI::App* vm = program.add_subcommand("vm", "The virtual machine for PTX, by itself");
  vm->require_subcommand(1);
  CLI::App* run = vm->add_subcommand("run", "Run a PTX module; exit 1 for a trap, a finding or a mismatch");
  run->add_option("FILE", options->ptx, "PTX text")->required();
  run->add_option("--launch", options->launch, "LAUNCH.json: entry, grid, block, params, expect")->required();
  run->add_option("--schedule", options->schedule, "How lanes and warps interleave")
      ->check(CLI::IsMember({"lockstep", "serial", "shuffled"}))
      ->capture_default_str();
  run->add_option("--seed", options->seed, "Of the shuffled schedule and of perturbed arithmetic")
      ->capture_default_str();
  run->add_option(
         "--arithmetic", options->arithmetic,
         "hw: as Hopper rounds; wide: tensor cores sum in double; perturb: approximate instructions and "
         "tensor cores err at random within what is documented; payload: elements of an exact algebra, "
         "printed as a digest that order, splits and rounding do not change")
      ->check(CLI::IsMember({"hw", "wide", "perturb", "payload"}))
      ->capture_default_str();
  run->add_option(
         "--check", options->checks,
         "What to check: memory (uninitialised reads; bounds always are), races (accesses that nothing "
         "orders), async (those of them in which an asynchronous copy or operation takes part, and "
         "missing fence.proxy.async)")
      ->delimiter(',')
      ->check(CLI::IsMember({"memory", "races", "async"}))
      ->capture_default_str();
  run->add_option("--threads", options->threads, "Blocks run on this many threads")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  run->add_flag("--counters", options->counters, "Print instructions by form and bytes by buffer");
  run->add_option("--json", options->json, "Write status, trap, mismatches and counters to this file");
  add_vm_conformance_command(*vm, chosen);
  run->callback([&chosen, options] {
    chosen = [options](const Console& console) {
      try {
        return run_ptx(console, *options);
      } catch (const vm::CannotCheck& error) {
        throw std::invalid_argument(fmt::format("{}: cannot check: {}", options->ptx, error.what()));
      }
    };
  });
}

}  // namespace attest::cli
