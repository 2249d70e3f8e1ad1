// attest list: the tables that the program knows, by name.
#include <CLI/CLI.hpp>
#include <ostream>

#include "cli/command.h"
#include "reference/attention_config.h"

namespace attest::cli {
namespace {

std::string_view text(Equivariance equivariance) {
  switch (equivariance) {
    case Equivariance::full:
      return "full";
    case Equivariance::semi:
      return "semi";
    case Equivariance::none:
      return "none";
  }
  return "";
}

ExitStatus list_variants(const Console& console) {
  TextTable table({"variant", "kernels", "equivariance", "source"});
  for (std::size_t column = 1; column < 4; ++column) table.align(column, TextTable::Align::left);
  for (const std::string& variant : variant_names()) {
    AttentionConfig config;
    set_variant(config, variant);
    const VariantInfo& row = info(config.variant);
    table.add({{variant, Colour::strong},
               {std::string(name(row.family))},
               {std::string(text(row.equivariance))},
               {std::string(row.source)}});
  }
  table.print(console);
  return ExitStatus::holds;
}

}  // namespace

void add_list_command(CLI::App& program, Action& chosen) {
  CLI::App* list = program.add_subcommand("list", "What the program knows, by name");
  list->require_subcommand(1);
  list->add_subcommand("variants", "Attention variants")->callback([&] { chosen = list_variants; });
}

}  // namespace attest::cli
