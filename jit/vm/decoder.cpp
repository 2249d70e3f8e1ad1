// Rows of the constant part are numbered apart from those of the registers (bit 31) until their number is
// known.
#include "jit/vm/decoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "jit/vm/control.h"
#include "jit/vm/parse_error.h"
#include "jit/vm/parser.h"
#include "jit/vm/specials.h"

namespace attest::vm {
namespace {

constexpr uint32_t kConstantTag = 0x80000000u;
constexpr uint64_t kMaxFrameBytes = uint64_t{1} << 20;
constexpr uint64_t kMaxSharedBytes = uint64_t{1} << 24;

uint64_t align_up(uint64_t value, uint64_t align) { return (value + align - 1) / align * align; }

Width width_of(uint64_t bytes) { return bytes == 8 ? Width::w64 : Width::w32; }

uint32_t width_bits(size_t slot, Width width, bool target) {
  return static_cast<uint32_t>(width) << (2 * slot) | (target ? 1u << (16 + slot) : 0u);
}

}  // namespace

Decoder::Decoder(const syntax::Module& module, const ProgramData& program, const syntax::Function& entry)
    : module_(module), program_(program), entry_(entry) {}

void Decoder::fail(const std::string& what) const {
  throw ParseError(line_, text_.empty() ? what : "`" + text_ + "`: " + what);
}

// --- names
// ----------------------------------------------------------------------------------------------------------------

const Decoder::Reg* Decoder::find_register(std::string_view name) {
  for (size_t i = scopes_.size(); i-- > 0;) {
    ScopeNames& scope = scopes_[i];
    const auto found = scope.registers.find(name);
    if (found != scope.registers.end()) return &found->second;
    size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    // A family's name may itself end in digits: %f1<3> has %f10, %f11, %f12.
    for (size_t cut = digits; cut < name.size() && name.size() - cut <= 7; ++cut) {
      if (name[cut] == '0' && name.size() - cut > 1) continue;
      const auto family = scope.families.find(name.substr(0, cut));
      if (family == scope.families.end()) continue;
      uint32_t number = 0;
      for (size_t j = cut; j < name.size(); ++j) number = number * 10 + static_cast<uint32_t>(name[j] - '0');
      if (number >= family->second.count) continue;
      return &(scope.registers[std::string(name)] = new_register(family->second.type, line_));
    }
  }
  return nullptr;
}

const Decoder::Var* Decoder::find_variable(std::string_view name) const {
  for (size_t i = scopes_.size(); i-- > 0;) {
    const auto found = scopes_[i].variables.find(name);
    if (found != scopes_[i].variables.end()) return &found->second;
  }
  const auto found = module_variables_.find(name);
  return found == module_variables_.end() ? nullptr : &found->second;
}

int Decoder::find_function(std::string_view name) const {
  const auto found = program_.functions.find(name);
  return found == program_.functions.end() ? -1 : static_cast<int>(found->second);
}

Decoder::Reg Decoder::new_register(const std::string& type, int line) {
  Reg reg;
  if (type == "pred") {
    reg.width = Width::predicate;
    reg.bytes = 1;
  } else {
    const uint64_t bytes = type_bytes(type);
    if (bytes > 8) throw ParseError(line, "128-bit registers are not modelled");
    reg.bytes = static_cast<uint32_t>(bytes);
    reg.width = width_of(bytes);
  }
  reg.row = temporary(reg.width);
  return reg;
}

uint32_t Decoder::temporary(Width width) {
  const uint32_t bytes =
      std::max(row_bytes(width), 64u);  // a predicate takes a cache line's width of its own
  const uint32_t row = register_bytes_;
  register_bytes_ += bytes;
  if (current_ < code_.functions.size())
    code_.functions[current_].rows.push_back(
        {true, width == Width::w64, width == Width::predicate, row, bytes});
  if (register_bytes_ >= kConstantTag) fail("too many registers");
  return row;
}

uint32_t Decoder::constant_row(uint64_t bits, Width width) {
  if (width == Width::w32) bits &= 0xFFFFFFFFu;
  const auto key = std::pair(bits, static_cast<int>(width));
  const auto found = constants_.find(key);
  if (found != constants_.end()) return found->second;
  const auto row = static_cast<uint32_t>(code_.constants.size());
  if (width == Width::predicate) {
    code_.constants.resize(row + 64);
    const uint32_t all = bits ? kAllLanes : 0;
    std::memcpy(code_.constants.data() + row, &all, 4);
  } else {
    const size_t bytes = width == Width::w64 ? 8 : 4;
    code_.constants.resize(row + bytes * kLanes);
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      std::memcpy(code_.constants.data() + row + lane * bytes, &bits, bytes);
  }
  return constants_[key] = row | kConstantTag;
}

uint32_t Decoder::special_row(Special special, bool wide) {
  const auto key = std::pair(static_cast<int>(special), wide);
  const auto found = special_rows_.find(key);
  if (found != special_rows_.end()) return found->second;
  const auto row = static_cast<uint32_t>(code_.constants.size());
  code_.constants.resize(row + (wide ? 256 : 128));
  code_.specials.push_back({special, row, wide});
  return special_rows_[key] = row | kConstantTag;
}

uint32_t Decoder::symbol_row(const std::string& name, int64_t offset, Width width) {
  if (const Var* variable = find_variable(name)) {
    if (variable->space == Space::global || variable->space == Space::constant) {
      if (width != Width::w64) fail("the address of '" + name + "' needs a 64-bit register");
      const auto key = std::tuple(variable->module_index, offset);
      const auto found = relocation_rows_.find(key);
      if (found != relocation_rows_.end()) return found->second;
      const auto row = static_cast<uint32_t>(code_.constants.size());
      code_.constants.resize(row + 256);
      code_.relocations.push_back({row, static_cast<uint32_t>(variable->module_index), offset});
      return relocation_rows_[key] = row | kConstantTag;
    }
    return constant_row(variable->address + static_cast<uint64_t>(offset), width);
  }
  const int function = find_function(name);
  if (function >= 0) {
    if (width != Width::w64) fail("the address of '" + name + "' needs a 64-bit register");
    return constant_row(kFunctionWindow + 16 * static_cast<uint64_t>(function), width);
  }
  return kNoRow;
}

// --- operands
// -------------------------------------------------------------------------------------------------------------

namespace {

struct LetterMeaning {
  Width width;
  uint32_t bytes;
  bool relaxed;
};
LetterMeaning letter_meaning(char letter) {
  switch (letter | 0x20) {
    case 'p':
      return {Width::predicate, 1, false};
    case 'h':
      return {Width::w32, 2, false};
    case 'v':
      return {Width::w32, 2, true};
    case 'n':
      return {Width::w32, 4, true};
    case 'w':
    case 'f':
      return {Width::w32, 4, false};
    default:
      return {Width::w64, 8, false};
  }
}

std::string register_kind(const Decoder::Reg& reg) {
  return reg.width == Width::predicate ? "a predicate"
                                       : "a register of " + std::to_string(reg.bytes * 8) + " bits";
}
std::string letter_text(const LetterMeaning& meaning) {
  return meaning.width == Width::predicate ? "a predicate" : std::to_string(meaning.bytes * 8) + " bits";
}

}  // namespace

uint32_t Decoder::source(const syntax::Operand& operand, char letter) {
  using Kind = syntax::Operand::Kind;
  const LetterMeaning meaning = letter_meaning(letter);
  switch (operand.kind) {
    case Kind::name: {
      const Reg* reg = find_register(operand.name);
      if (reg) {
        if (meaning.relaxed && reg->width == Width::w64) {  // the low bits of a wider register
          Instruction narrow;
          narrow.run = narrow_row;
          narrow.r[0] = temporary(Width::w32);
          narrow.r[1] = reg->row;
          emit_before(narrow);
          return narrow.r[0];
        }
        const bool fits = reg->width == meaning.width &&
                          (meaning.relaxed ? reg->bytes >= meaning.bytes : reg->bytes == meaning.bytes);
        if (!fits)
          fail("operand `" + operand.name + "` is " + register_kind(*reg) + ", the instruction wants " +
               letter_text(meaning));
        if (!operand.negated) return reg->row;
        if (meaning.width != Width::predicate) fail("`!` before an operand that is no predicate");
        Instruction negate;
        negate.run = negate_predicate;
        negate.r[0] = temporary(Width::predicate);
        negate.r[1] = reg->row;
        emit_before(negate);
        return negate.r[0];
      }
      if (const SpecialName* special = find_special(operand.name)) {
        if (meaning.width == Width::predicate) {
          if (special->special == Special::is_explicit_cluster) return special_row(special->special, false);
          fail("special register `" + operand.name + "` is no predicate");
        }
        const bool wide = meaning.width == Width::w64;
        if (special->wide && !wide) fail("special register `" + operand.name + "` has 64 bits");
        return special_row(special->special, wide);
      }
      if (operand.name == "WARP_SZ") return constant_row(kLanes, meaning.width);
      if (meaning.width != Width::predicate) {
        const uint32_t row = symbol_row(operand.name, operand.offset, meaning.width);
        if (row != kNoRow) return row;
      }
      fail("`" + operand.name + "` is not declared");
    }
    case Kind::integer:
      if (letter == 'f' || letter == 'd') fail("an integer literal where a float is wanted");
      return constant_row(operand.bits, meaning.width);
    case Kind::f32:
      if (meaning.width != Width::w32 || meaning.bytes != 4)
        fail("a 32-bit float literal where " + letter_text(meaning) + " are wanted");
      return constant_row(operand.bits, meaning.width);
    case Kind::f64:
      if (letter == 'f')
        return constant_row(std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(operand.bits))),
                            Width::w32);
      if (meaning.width != Width::w64)
        fail("a 64-bit float literal where " + letter_text(meaning) + " are wanted");
      return constant_row(operand.bits, meaning.width);
    default:
      fail("an operand of the wrong kind");
  }
}

uint32_t Decoder::target(const syntax::Operand& operand, char letter) {
  const LetterMeaning meaning = letter_meaning(letter);
  if (operand.kind == syntax::Operand::Kind::underscore) return temporary(meaning.width);
  if (operand.kind != syntax::Operand::Kind::name || operand.negated || operand.offset)
    fail("a result that is no register");
  const Reg* reg = find_register(operand.name);
  if (!reg) fail("`" + operand.name + "` is not declared");
  if (reg->width != meaning.width ||
      (meaning.relaxed ? reg->bytes < meaning.bytes : reg->bytes != meaning.bytes))
    fail("result `" + operand.name + "` is " + register_kind(*reg) + ", the instruction gives " +
         letter_text(meaning));
  return reg->row;
}

uint32_t Decoder::register_row(const syntax::Operand& operand, Width& width, uint32_t& bytes) {
  if (operand.kind != syntax::Operand::Kind::name) fail("an operand that is no register");
  const Reg* reg = find_register(operand.name);
  if (!reg) fail("`" + operand.name + "` is not declared");
  width = reg->width;
  bytes = reg->bytes;
  return reg->row;
}

void Decoder::address(const syntax::Operand& operand, Instruction& out) {
  if (operand.kind != syntax::Operand::Kind::address) fail("expected an address in brackets");
  if (!operand.parts.empty()) fail("an address with coordinates is not modelled here");
  out.immediate = operand.offset;
  out.r[5] = kNoRow;
  Space& space = out.memory.space;
  out.memory.call_parameter = space == Space::param;  // of a kernel's parameters every byte is there
  if (operand.name.empty()) {
    if (space == Space::param && !in_entry()) space = Space::local;
    return;
  }
  if (const Reg* reg = find_register(operand.name)) {
    if (reg->width == Width::predicate || reg->bytes < 4) fail("an address register of fewer than 32 bits");
    out.r[5] = reg->row;
    out.wide_address = reg->width == Width::w64;
    out.widths |= width_bits(5, reg->width, false);
    if (space == Space::param && !in_entry()) space = Space::local;
    return;
  }
  const Var* variable = find_variable(operand.name);
  if (!variable) fail("`" + operand.name + "` is not declared");
  const bool matches = space == variable->space || (space == Space::param && variable->space == Space::local);
  if (space == Space::generic && variable->space == Space::global) {
    // A global symbol's generic address is its address.
  } else if (!matches) {
    fail("`" + operand.name + "` is in another state space");
  }
  if (variable->space == Space::global || variable->space == Space::constant) {
    out.r[5] = symbol_row(operand.name, 0, Width::w64);
    out.wide_address = true;
    out.widths |= width_bits(5, Width::w64, false);
  } else {
    out.immediate += static_cast<int64_t>(variable->address);
  }
  if (space == Space::param) space = variable->space;
}

uint32_t Decoder::list(const std::vector<uint32_t>& rows) {
  const auto first = static_cast<uint32_t>(code_.lists.size());
  code_.lists.insert(code_.lists.end(), rows.begin(), rows.end());
  return first;
}

void Decoder::branch_to(const std::string& label, size_t ahead) {
  fixups_.push_back({code_.instructions.size() + before_.size() + ahead, label, scopes_.back().id, line_});
}

const std::vector<std::string>& Decoder::branch_table(const std::string& name) const {
  const auto found = tables_.find(name);
  if (found == tables_.end() || found->second->kind != syntax::Statement::Kind::branch_targets)
    fail("`" + name + "` is no .branchtargets table");
  return found->second->targets;
}

const syntax::Statement* Decoder::prototype(const std::string& name) const {
  const auto found = tables_.find(name);
  return found == tables_.end() ? nullptr : found->second;
}

void Decoder::emit_before(Instruction instruction) {
  instruction.line = line_;
  before_.push_back(instruction);
}
void Decoder::emit_after(Instruction instruction) {
  instruction.line = line_;
  after_.push_back(instruction);
}

CallSite& Decoder::new_call(uint32_t& number) {
  number = static_cast<uint32_t>(code_.calls.size());
  return code_.calls.emplace_back();
}

uint32_t Decoder::function_index(std::string_view name) {
  const auto found = function_numbers_.find(name);
  if (found == function_numbers_.end())
    fail("function `" + std::string(name) + "` has no body in this module");
  return found->second;
}

uint32_t Decoder::callee_row() {
  if (code_.callee_row == kNoRow) {
    code_.callee_row = temporary(Width::w32);
    code_.functions[current_].rows.pop_back();  // belongs to the warp, not to a function
  }
  return code_.callee_row;
}

uint64_t Decoder::parameter_bytes() const {
  uint64_t offset = 0;
  for (const syntax::Variable& parameter : entry_.parameters)
    offset = align_up(offset, parameter.align) + parameter.bytes();
  return offset;
}

uint32_t Decoder::carry_row() {
  if (carry_row_ == kNoRow) carry_row_ = temporary(Width::predicate);
  return carry_row_;
}

Place Decoder::place_of(const syntax::Operand& operand) {
  if (operand.kind == syntax::Operand::Kind::name) {
    if (const Reg* reg = find_register(operand.name))
      return {true, reg->width == Width::w64, reg->width == Width::predicate, reg->row, reg->bytes};
    const Var* variable = find_variable(operand.name);
    if (variable && variable->space == Space::local)
      return {false, false, false, static_cast<uint32_t>(variable->address),
              static_cast<uint32_t>(variable->bytes)};
    fail("`" + operand.name + "` cannot be passed to a function");
  }
  fail("a literal cannot be passed to a function here");
}

void Decoder::operands_by_letters(const std::string& letters, const syntax::Instruction& in,
                                  Instruction& out) {
  using Kind = syntax::Operand::Kind;
  if (in.operands.size() != letters.size())
    fail("has " + std::to_string(in.operands.size()) + " operands, expected " +
         std::to_string(letters.size()));
  for (size_t i = 0; i < letters.size(); ++i) {
    const char letter = letters[i];
    const syntax::Operand& operand = in.operands[i];
    if (letter == 'i') {
      if (operand.kind != Kind::integer)
        fail("operand " + std::to_string(i + 1) + " must be an integer literal");
      out.immediate = static_cast<int64_t>(operand.bits);
      continue;
    }
    if (i >= 5) fail("too many operands");
    const bool is_target = letter >= 'A' && letter <= 'Z';
    if (operand.kind == Kind::pair) {
      if (i != 0 || !is_target) fail("`a|b` where one operand is expected");
      out.r[0] = target(operand.parts[0], letter);
      out.r[5] = target(operand.parts[1], 'P');
      out.widths |= width_bits(0, letter_meaning(letter).width, true) | width_bits(5, Width::predicate, true);
      continue;
    }
    out.r[i] = is_target ? target(operand, letter) : source(operand, letter);
    out.widths |= width_bits(i, letter_meaning(letter).width, is_target);
  }
}

// --- declarations
// ---------------------------------------------------------------------------------------------------------

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

// --- statements
// -----------------------------------------------------------------------------------------------------------

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

// --- the whole entry
// ------------------------------------------------------------------------------------------------------

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
