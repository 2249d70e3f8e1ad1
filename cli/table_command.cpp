// attest table: numbers that follow from the definitions, beside what kernels were counted doing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/cache_table.h"
#include "cli/command.h"
#include "cli/report_file.h"
#include "reference/rope.h"

namespace attest::cli {
namespace {

struct CacheOptions {
  std::vector<int> degrees = {1, 2, 4, 8};
  std::vector<std::string> variants;
  bool formula_only = false;
  std::string json;
};

// In units of a head's width, as publications have it.
std::string widths(double elements) { return fmt::format("{:g}", elements / kPublishedHeadWidth); }

ExitStatus print_cache_table(const Console& console, const CacheOptions& options) {
  std::optional<ReportFile> json_file;
  if (!options.json.empty()) json_file.emplace(options.json);
  const std::vector<CacheRow> rows = cache_table(options.variants, options.degrees, !options.formula_only);

  console.out << "  KV cache that one device holds, and loads at every decode step, per token and layer, in "
                 "head widths of 128\n"
                 "  elements: by formula, and as counted while the kernel ran on the virtual machine.\n\n";
  std::vector<std::string> header = {"variant"};
  for (const int degree : options.degrees) {
    header.push_back(fmt::format("TP {}", degree));
    if (!options.formula_only) header.emplace_back("counted");
  }
  TextTable table(std::move(header));
  bool agree = true;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < rows.size(); i += options.degrees.size()) {
    std::vector<TextTable::Cell> cells = {{rows[i].variant, Colour::strong}};
    for (std::size_t j = i; j < i + options.degrees.size(); ++j) {
      const CacheRow& row = rows[j];
      const bool refused = !row.refusal.empty();
      cells.push_back({refused ? "-" : widths(row.elements)});
      if (!options.formula_only) {
        cells.push_back({row.counted ? widths(row.counted->distinct_elements) : "-",
                         row.agrees() ? Colour::good : Colour::bad});
      }
      agree = agree && row.agrees();
      nlohmann::ordered_json entry = {{"variant", row.variant}, {"tp", row.ranks}};
      if (refused) {
        entry["refusal"] = row.refusal;
      } else {
        entry["elements_per_token"] = row.elements;
        entry["head_widths_per_token"] = row.elements / kPublishedHeadWidth;
        entry["bf16_bytes_per_token"] = 2 * row.elements;
      }
      if (row.counted) {
        entry["head_config"] = row.counted->head_config;
        entry["counted_elements_per_token"] = row.counted->distinct_elements;
        entry["loads_of_each_element"] = row.counted->total_elements / row.counted->distinct_elements;
      } else if (!row.not_counted.empty()) {
        entry["not_counted"] = row.not_counted;
      }
      json.push_back(std::move(entry));
    }
    table.add(std::move(cells));
  }
  table.print(console);
  console.out << '\n';
  for (const std::string& note : cache_notes(rows)) console.out << "  " << note << '\n';
  if (!agree) console.out << console.paint(Colour::bad, "  formula and count differ\n");
  if (json_file) json_file->publish(json.dump(2) + "\n");
  return agree ? ExitStatus::holds : ExitStatus::violated;
}

struct AngleOptions {
  std::string rope = "half-split/base=10000";
  int dim = 64;
  std::vector<Index> positions = {131072, 1048576, 2097152};
};

}  // namespace

void add_table_command(CLI::App& program, Action& chosen) {
  CLI::App* table = program.add_subcommand("table", "Tables that follow from the definitions");
  table->require_subcommand(1);

  auto cache = std::make_shared<CacheOptions>();
  CLI::App* kv_cache = table->add_subcommand("kv-cache", "Cache that each device holds and loads per token");
  kv_cache->add_option("--tp", cache->degrees, "Tensor-parallel degrees")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  kv_cache->add_option("--variant", cache->variants, "Only these variants");
  kv_cache->add_flag("--formula-only", cache->formula_only, "Run no kernels (needs no NVRTC)");
  kv_cache->add_option("--json", cache->json, "Write the rows to this file");
  kv_cache->callback([&chosen, cache] {
    chosen = [cache](const Console& console) { return print_cache_table(console, *cache); };
  });

  auto angles = std::make_shared<AngleOptions>();
  CLI::App* rope =
      table->add_subcommand("rope-angles", "What float32 and bfloat16 rotary tables cost at far positions");
  rope->add_option("--rope", angles->rope, "The embedding, such as half-split/base=10000")
      ->capture_default_str();
  rope->add_option("--dim", angles->dim, "Rotated width of a head")
      ->check(CLI::Range(2, 4096))
      ->capture_default_str();
  rope->add_option("--position", angles->positions, "Positions")->delimiter(',')->capture_default_str();
  rope->callback([&chosen, angles] {
    chosen = [angles](const Console& console) {
      const RopeSpec spec = parse_rope_spec(angles->rope);
      if (const auto problems = spec.problems(angles->dim); !problems.empty()) {
        throw std::invalid_argument("--rope " + angles->rope + ": " + problems.front());
      }
      console.out << rope_precision_report(spec, angles->dim, angles->positions);
      return ExitStatus::holds;
    };
  });
}

}  // namespace attest::cli
