// Parses a module and decodes every entry, so that a Program that exists can be run.
#include "jit/vm/program.h"

#include <stdexcept>
#include <utility>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/parser.h"
#include "jit/vm/program_data.h"

namespace attest::vm {
namespace {

void check_variables(const syntax::Module& module, ProgramData& data) {
  for (size_t i = 0; i < module.variables.size(); ++i) {
    const syntax::Variable& variable = module.variables[i];
    if (variable.space != Space::global && variable.space != Space::constant &&
        variable.space != Space::shared)
      throw ParseError(variable.line,
                       "variable '" + variable.name + "' in a state space that a module cannot declare");
    if (variable.is_extern && variable.space != Space::shared)
      throw ParseError(variable.line, "extern variable '" + variable.name + "': linking is not modelled");
    if (variable.type == "pred" || variable.type == "b128")
      throw ParseError(variable.line,
                       "variable '" + variable.name + "' of type ." + variable.type + " is not modelled");
    data.names[variable.name] = static_cast<uint32_t>(i);
  }
  for (const syntax::Variable& variable : module.variables)
    for (const syntax::Initial& initial : variable.initial)
      if (!initial.symbol.empty() && !data.names.count(initial.symbol) &&
          !data.functions.count(initial.symbol))
        throw ParseError(variable.line, "initial value of '" + variable.name + "': `" + initial.symbol +
                                            "` is not declared");
}

}  // namespace

Program Program::parse(std::string_view ptx) {
  const syntax::Module module = parse_module(ptx);
  auto data = std::make_shared<ProgramData>();
  data->target = module.target;
  uint32_t number = 0;
  for (const syntax::Function& function : module.functions)
    if (!function.entry && data->functions.emplace(function.name, number).second) ++number;
  check_variables(module, *data);
  data->variables = module.variables;
  for (const syntax::Function& function : module.functions) {
    if (!function.entry || !function.defined) continue;
    if (data->entries.count(function.name))
      throw ParseError(function.line, "entry '" + function.name + "' is defined twice");
    EntryInfo info;
    Code code = Decoder(module, *data, function).run(info);
    data->order.push_back(function.name);
    data->code.emplace(function.name, std::move(code));
    data->entries.emplace(function.name, std::move(info));
  }
  return Program(std::move(data));
}

std::vector<std::string> Program::entries() const { return data_->order; }

const EntryInfo& Program::entry(std::string_view name) const {
  const auto found = data_->entries.find(name);
  if (found != data_->entries.end()) return found->second;
  std::string known;
  for (const std::string& each : data_->order) known += (known.empty() ? "" : ", ") + each;
  throw std::invalid_argument("no entry '" + std::string(name) +
                              "' in this module, which has: " + (known.empty() ? "none" : known));
}

const std::string& Program::target() const { return data_->target; }

std::vector<FormInfo> supported_forms() {
  std::vector<FormInfo> list;
  for (const Form& form : FormTable::instance().rows())
    list.push_back({form.name, form.operands, form.section, form.meaning});
  return list;
}

}  // namespace attest::vm
