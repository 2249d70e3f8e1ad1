// attest list: the tables that the program knows, by name.
#include <CLI/CLI.hpp>
#include <ostream>

#include "cli/command.h"
#include "jit/kernel_spec.h"
#include "jit/vm/program.h"
#include "properties/law.h"
#include "properties/mutants.h"
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

// Every column to the left; the first is the name.
TextTable text_table(std::vector<std::string> header) {
  const std::size_t columns = header.size();
  TextTable table(std::move(header));
  for (std::size_t column = 1; column < columns; ++column) table.align(column, TextTable::Align::left);
  return table;
}

ExitStatus list_variants(const Console& console) {
  TextTable table = text_table({"variant", "kernels", "equivariance", "source"});
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

ExitStatus list_laws(const Console& console) {
  TextTable table = text_table({"law", "asks", "sentence"});
  for (const Law& law : laws()) {
    const std::string subjects = !law.subjects.kernel      ? "reference"
                                 : !law.subjects.reference ? "kernels"
                                                           : "both";
    table.add({{std::string(law.name), Colour::strong}, {subjects}, {std::string(law.sentence)}});
    table.add({{""}, {""}, {std::string(law.formula), Colour::quiet}});
  }
  table.print(console);
  return ExitStatus::holds;
}

ExitStatus list_kernels(const Console& console) {
  TextTable table = text_table({"kernel", "family", "file", "summary"});
  for (const KernelInfo& kernel : kernels()) {
    table.add({{std::string(kernel.name), Colour::strong},
               {std::string(name(kernel.family))},
               {std::string(kernel.file)},
               {std::string(kernel.summary)}});
  }
  table.print(console);
  return ExitStatus::holds;
}

ExitStatus list_mutants(const Console& console) {
  TextTable table = text_table({"mutant", "law", "on", "what it is", "real defects"});
  for (const Mutant& mutant : mutants()) {
    table.add({{std::string(mutant.edit.name), Colour::strong},
               {std::string(mutant.law)},
               {std::string(mutant.variant)},
               {std::string(mutant.edit.description)},
               {std::string(mutant.models), Colour::quiet}});
  }
  table.print(console);
  return ExitStatus::holds;
}

ExitStatus list_forms(const Console& console) {
  TextTable table = text_table({"form", "PTX ISA section", "meaning"});
  for (const vm::FormInfo& form : vm::supported_forms())
    table.add({{form.text, Colour::strong}, {form.section}, {form.meaning}});
  table.print(console);
  return ExitStatus::holds;
}

}  // namespace

void add_list_command(CLI::App& program, Action& chosen) {
  CLI::App* list = program.add_subcommand("list", "What the program knows, by name");
  list->require_subcommand(1);
  const struct {
    const char* name;
    const char* summary;
    ExitStatus (*print)(const Console&);
  } tables[] = {{"variants", "Attention variants", list_variants},
                {"laws", "What every reference and kernel must obey", list_laws},
                {"kernels", "Device code", list_kernels},
                {"mutants", "Mistakes that the laws must see", list_mutants},
                {"forms", "PTX instruction forms that the virtual machine runs", list_forms}};
  for (const auto& row : tables) {
    list->add_subcommand(row.name, row.summary)->callback([&chosen, print = row.print] { chosen = print; });
  }
}

}  // namespace attest::cli
