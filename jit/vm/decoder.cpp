// Decodes one entry and the functions that it reaches into code: declarations, statements, layout.
#include "jit/vm/decoder.h"

#include <algorithm>
#include <set>
#include <utility>

#include "jit/vm/control.h"
#include "jit/vm/parse_error.h"
#include "jit/vm/parser.h"
#include "jit/vm/specials.h"

namespace attest::vm {
namespace {

constexpr uint64_t kMaxFrameBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxSharedBytes = uint64_t{1} << 24;

}  // namespace

Decoder::Decoder(const syntax::Module& module, const ProgramData& program, const syntax::Function& entry)
    : module_(module), program_(program), entry_(entry) {}

void Decoder::fail(const std::string& what) const {
  throw ParseError(line_, text_.empty() ? what : "`" + text_ + "`: " + what);
}

// --- declarations ---

uint32_t Decoder::frame(uint64_t bytes, uint64_t align) {
  const uint64_t at = align_up(frame_top_, std::max<uint64_t>(align, 1));
  if (at + bytes > kMaxFrameBytes) fail("more than 1 MiB of local memory per lane");
  frame_top_ = static_cast<uint32_t>(at + bytes);
  code_.frame_bytes = std::max(code_.frame_bytes, frame_top_);
  return static_cast<uint32_t>(at);
}

void Decoder::declare(const syntax::Register& reg) {
  ScopeNames& scope = scopes_.back();
  if (reg.count) {
    scope.families[reg.name] = {reg.type, *reg.count};
    if (reg.type != "pred" && type_bytes(reg.type) > 8 && *reg.count > 0)
      throw ParseError(reg.line, "128-bit registers are not modelled");
  } else {
    scope.registers[reg.name] = new_register(reg.type, reg.line);
  }
}

void Decoder::declare(const syntax::Variable& variable) {
  Var var;
  var.bytes = variable.bytes();
  switch (variable.space) {
    case Space::shared:
      var.space = Space::shared;
      var.address = shared_.at(&variable);
      break;
    case Space::local:
    case Space::param:
      if (!variable.initial.empty())
        throw ParseError(variable.line, "an initial value for '" + variable.name + "' is not possible");
      var.space = Space::local;
      var.address = frame(variable.bytes(), variable.align);
      break;
    default:
      throw ParseError(variable.line,
                       "variable '" + variable.name + "' in a state space that a function cannot declare");
  }
  scopes_.back().variables[variable.name] = var;
}

Place Decoder::formal(const syntax::Variable& variable) {
  if (variable.space == Space::reg) {
    const Reg reg = new_register(variable.type, variable.line);
    scopes_.back().registers[variable.name] = reg;
    return {true, reg.width == Width::w64, reg.width == Width::predicate, reg.row, reg.bytes};
  }
  declare(variable);
  return {false, false, false, static_cast<uint32_t>(scopes_.back().variables[variable.name].address),
          static_cast<uint32_t>(variable.bytes())};
}

void Decoder::open_scope() {
  ScopeNames scope;
  scope.id = static_cast<uint32_t>(scope_parents_.size());
  scope.frame_top = frame_top_;
  scope_parents_.push_back(scopes_.empty() ? kNoRow : scopes_.back().id);
  scopes_.push_back(std::move(scope));
}

void Decoder::close_scope() {
  frame_top_ = scopes_.back().frame_top;
  scopes_.pop_back();
}

// --- statements ---

void Decoder::put(Instruction instruction, const std::string& text) {
  code_.instructions.push_back(instruction);
  code_.texts.push_back(text);
}

void Decoder::instruction(const syntax::Instruction& in) {
  line_ = in.line;
  text_ = in.text;
  Instruction out;
  out.line = in.line;
  int policies = 0;
  const std::string name = form_name(in, out, policies);
  const FormTable& table = FormTable::instance();
  const int number = table.find(name);
  if (number < 0) fail("instruction form `" + name + "` is not modelled");
  const Form& form = table.row(number);
  out.form = static_cast<uint32_t>(number);
  out.run = form.run;
  out.evaluate = form.evaluate;
  out.variant = form.variant;
  const syntax::Instruction* source_text = &in;
  syntax::Instruction trimmed;
  if (policies > 0) {
    trimmed = in;
    if (trimmed.operands.size() < static_cast<size_t>(policies)) fail("a cache policy operand is missing");
    for (int i = 0; i < policies; ++i) {
      source(trimmed.operands.back(), 'q');  // must exist; it changes nothing here
      trimmed.operands.pop_back();
    }
    source_text = &trimmed;
  }
  if (!in.guard.empty()) {
    const Reg* guard = find_register(in.guard);
    if (!guard || guard->width != Width::predicate)
      fail("guard `" + in.guard + "` is not a declared predicate");
    out.guard = guard->row;
    out.guard_negated = in.guard_negated;
  }
  if (form.decode)
    form.decode(*this, *source_text, out);
  else
    operands_by_letters(form.operands, *source_text, out);
  for (Instruction& extra : before_) {
    extra.form = out.form;
    put(extra, text_);
  }
  put(out, text_);
  if (has_wgmma_) name_registers(in);
  for (Instruction& extra : after_) {
    extra.form = out.form;
    extra.guard = out.guard;
    extra.guard_negated = out.guard_negated;
    put(extra, text_);
  }
  before_.clear();
  after_.clear();
  text_.clear();
}

void Decoder::statement(const syntax::Statement& statement) {
  using Kind = syntax::Statement::Kind;
  line_ = statement.line;
  switch (statement.kind) {
    case Kind::instruction:
      instruction(statement.instruction);
      break;
    case Kind::label: {
      const auto key = std::pair(scopes_.back().id, statement.label);
      if (labels_.count(key)) fail("label `" + statement.label + "` is defined twice");
      labels_[key] = static_cast<uint32_t>(code_.instructions.size());
      break;
    }
    case Kind::registers:
      for (const syntax::Register& reg : statement.registers) declare(reg);
      break;
    case Kind::variable:
      declare(statement.variable);
      break;
    case Kind::open:
      open_scope();
      break;
    case Kind::close:
      close_scope();
      break;
    case Kind::branch_targets:
    case Kind::call_targets:
    case Kind::prototype:
      break;  // collected before the body is decoded
  }
}

void Decoder::function(size_t index) {
  const syntax::Function& syntax_function = *functions_[index];
  current_ = index;
  line_ = syntax_function.line;
  register_bytes_ = static_cast<uint32_t>(align_up(register_bytes_, 256));
  frame_top_ = static_cast<uint32_t>(align_up(code_.frame_bytes, 16));
  FunctionCode info = code_.functions[index];
  info.entry_pc = static_cast<uint32_t>(code_.instructions.size());
  scopes_.clear();
  open_scope();
  tables_.clear();
  for (const syntax::Statement& each : syntax_function.body)
    if (each.kind == syntax::Statement::Kind::branch_targets ||
        each.kind == syntax::Statement::Kind::call_targets || each.kind == syntax::Statement::Kind::prototype)
      tables_[each.label] = &each;
  if (syntax_function.entry) {
    uint64_t offset = 0;
    for (const syntax::Variable& parameter : syntax_function.parameters) {
      if (parameter.space != Space::param)
        throw ParseError(parameter.line, "a kernel parameter must be .param");
      offset = align_up(offset, parameter.align);
      Var var;
      var.space = Space::param;
      var.kernel_param = true;
      var.address = offset;
      var.bytes = parameter.bytes();
      scopes_.back().variables[parameter.name] = var;
      offset += parameter.bytes();
    }
  } else {
    for (const syntax::Variable& result : syntax_function.results) info.results.push_back(formal(result));
    code_.functions[index].rows.clear();  // a result outlives the call
    info.frame_begin = frame_top_;
    for (const syntax::Variable& parameter : syntax_function.parameters)
      info.parameters.push_back(formal(parameter));
    info.return_row = temporary(Width::w32);
  }
  info.rows = std::move(code_.functions[index].rows);
  code_.functions[index] = std::move(info);
  for (const syntax::Statement& each : syntax_function.body) statement(each);
  line_ = syntax_function.line;
  Instruction end;  // falling off the end returns
  end.run = syntax_function.entry ? exit_lanes : return_lanes;
  end.line = line_;
  end.list = static_cast<uint32_t>(index);
  const int ret = FormTable::instance().find("ret");
  end.form = static_cast<uint32_t>(ret);
  put(end, "ret (end of " + syntax_function.name + ")");
  code_.functions[index].frame_end = code_.frame_bytes;
  resolve_labels();
}

void Decoder::resolve_labels() {
  for (const Fixup& fixup : fixups_) {
    uint32_t scope = fixup.scope;
    for (; scope != kNoRow; scope = scope_parents_[scope]) {
      const auto found = labels_.find({scope, fixup.label});
      if (found == labels_.end()) continue;
      code_.instructions[fixup.instruction].list = found->second;
      break;
    }
    if (scope == kNoRow) throw ParseError(fixup.line, "label `" + fixup.label + "` is not defined");
  }
  fixups_.clear();
  labels_.clear();
}

// --- the whole entry ---

void Decoder::collect(const syntax::Operand& operand, std::vector<std::string>& names) const {
  if (!operand.name.empty()) names.push_back(operand.name);
  for (const syntax::Operand& part : operand.parts) collect(part, names);
}

// Finds the functions and shared variables that the entry can reach.
void Decoder::reach() {
  std::map<std::string, const syntax::Function*, std::less<>> defined;
  for (const syntax::Function& function : module_.functions)
    if (function.defined && !function.entry) defined[function.name] = &function;
  std::set<std::string> used_variables;
  functions_.push_back(&entry_);
  const auto add = [&](const syntax::Function* function) {
    if (function_numbers_.count(function->name)) return;
    function_numbers_[function->name] = static_cast<uint32_t>(functions_.size());
    functions_.push_back(function);
  };
  for (size_t i = 0; i < functions_.size(); ++i) {
    for (const syntax::Statement& statement : functions_[i]->body) {
      if (statement.kind != syntax::Statement::Kind::instruction) continue;
      has_wgmma_ = has_wgmma_ || statement.instruction.opcode == "wgmma";
      std::vector<std::string> names;
      for (const syntax::Operand& operand : statement.instruction.operands) collect(operand, names);
      bool direct = statement.instruction.opcode != "call";
      for (const std::string& name : names) {
        used_variables.insert(name);
        const auto found = defined.find(name);
        if (found == defined.end()) continue;
        add(found->second);
        direct = true;
      }
      if (!direct)  // through a pointer: any function may be meant
        for (const auto& [name, function] : defined) add(function);
    }
  }
  for (size_t i = 0; i < module_.variables.size(); ++i) {
    const syntax::Variable& variable = module_.variables[i];
    Var var;
    var.space = variable.space;
    var.module_index = static_cast<int>(i);
    var.bytes = variable.bytes();
    if (variable.space == Space::shared && !used_variables.count(variable.name)) continue;
    if (variable.space == Space::shared) shared_[&variable] = 0;
    module_variables_[variable.name] = var;
  }
  for (const syntax::Function* function : functions_)
    for (const syntax::Statement& statement : function->body)
      if (statement.kind == syntax::Statement::Kind::variable && statement.variable.space == Space::shared)
        shared_[&statement.variable] = 0;
  for (const syntax::Function* function : functions_) {
    FunctionCode info;
    info.name = function->name;
    info.number =
        program_.functions.count(function->name) ? program_.functions.find(function->name)->second : 0;
    code_.functions.push_back(std::move(info));
  }
}

// Module variables first, in the order of the text; dynamic shared memory follows the static one.
void Decoder::layout_shared() {
  uint64_t top = 0;
  uint64_t dynamic_align = 16;
  std::vector<const syntax::Variable*> order;
  for (const syntax::Variable& variable : module_.variables)
    if (shared_.count(&variable)) order.push_back(&variable);
  for (const syntax::Function* function : functions_)
    for (const syntax::Statement& statement : function->body)
      if (statement.kind == syntax::Statement::Kind::variable && shared_.count(&statement.variable))
        order.push_back(&statement.variable);
  for (const syntax::Variable* variable : order) {
    if (!variable->initial.empty())
      throw ParseError(variable->line, "shared memory cannot have initial values");
    if (variable->unsized || (variable->is_extern && variable->count == 0)) {
      dynamic_align = std::max(dynamic_align, variable->align);
      continue;
    }
    top = align_up(top, variable->align);
    shared_[variable] = top;
    top += variable->bytes();
    if (top > kMaxSharedBytes) throw ParseError(variable->line, "more than 16 MiB of shared memory");
  }
  code_.static_shared_bytes = top;
  code_.dynamic_shared_offset = align_up(top, dynamic_align);
  for (const syntax::Variable* variable : order)
    if (variable->unsized) shared_[variable] = code_.dynamic_shared_offset;
  for (const syntax::Variable& variable : module_.variables)
    if (shared_.count(&variable)) module_variables_[variable.name].address = shared_[&variable];
}

// Gives rows their final place: constants first, then scratch rows, then registers.
void Decoder::finish() {
  code_.constants.resize(align_up(code_.constants.size(), 256));
  code_.scratch_row = static_cast<uint32_t>(code_.constants.size());
  const uint32_t base = code_.scratch_row + kScratchRows * 256;
  for (const Instruction& each : code_.instructions) {
    if (each.run != call_direct) continue;
    const CallSite& call = code_.calls[each.list];
    const FunctionCode& callee = code_.functions[static_cast<size_t>(call.function)];
    if (!same_signature(call.arguments, callee.parameters) || !same_signature(call.results, callee.results))
      throw ParseError(each.line,
                       "the arguments or results of this call are not those of '" + callee.name + "'");
  }
  const auto place = [&](uint32_t& row) {
    if (row == kNoRow) return;
    row = row & kConstantTag ? row & ~kConstantTag : row + base;
  };
  uint32_t pc = 0;
  for (Instruction& each : code_.instructions) {
    each.pc = pc++;
    for (uint32_t& row : each.r) place(row);
    place(each.guard);
  }
  for (uint32_t& row : code_.lists) place(row);
  place(code_.callee_row);
  for (FunctionCode& function : code_.functions) {
    place(function.return_row);
    for (Place& each : function.rows) place(each.at);
    for (Place& each : function.parameters)
      if (each.in_register) place(each.at);
    for (Place& each : function.results)
      if (each.in_register) place(each.at);
  }
  for (CallSite& call : code_.calls) {
    for (Place& each : call.arguments)
      if (each.in_register) place(each.at);
    for (Place& each : call.results)
      if (each.in_register) place(each.at);
  }
  if (has_wgmma_) watch_registers();
  code_.file_bytes = static_cast<uint32_t>(align_up(base + register_bytes_, 256));
  code_.frame_bytes = static_cast<uint32_t>(align_up(code_.frame_bytes, 16));
}

Code Decoder::run(EntryInfo& info) {
  line_ = entry_.line;
  reach();
  layout_shared();
  for (size_t i = 0; i < functions_.size(); ++i) function(i);
  finish();
  info.name = entry_.name;
  uint64_t offset = 0;
  for (const syntax::Variable& parameter : entry_.parameters) {
    offset = align_up(offset, parameter.align);
    info.parameters.push_back({parameter.name, parameter.bytes(), parameter.align, offset});
    offset += parameter.bytes();
  }
  info.parameter_bytes = offset;
  info.static_shared_bytes = code_.static_shared_bytes;
  info.local_bytes = code_.frame_bytes;
  info.maxntid = entry_.maxntid;
  info.reqntid = entry_.reqntid;
  info.cluster = entry_.reqnctapercluster;
  info.instructions = code_.instructions.size();
  return std::move(code_);
}

}  // namespace attest::vm
