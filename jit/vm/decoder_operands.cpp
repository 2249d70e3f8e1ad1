// What an instruction's operands become: rows of the register file, addresses, lists, places in memory.
#include <algorithm>
#include <bit>

#include "jit/vm/control.h"
#include "jit/vm/decoder.h"
#include "jit/vm/specials.h"

namespace attest::vm {
namespace {

uint32_t width_bits(size_t slot, Width width, bool target) {
  return static_cast<uint32_t>(width) << (2 * slot) | (target ? 1u << (16 + slot) : 0u);
}

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

// Remembers which registers the instruction that was just put names: of a wgmma the accumulator and A, of
// any other all of them.
void Decoder::name_registers(const syntax::Instruction& in) {
  naming_.resize(code_.instructions.size());
  Naming& naming = naming_.back();
  naming.in_flight = in.opcode == "wgmma";
  std::vector<std::string> names;
  for (const syntax::Operand& operand : in.operands)
    if (!naming.in_flight || operand.kind == syntax::Operand::Kind::vector) collect(operand, names);
  for (const std::string& name : names)
    if (const Reg* reg = find_register(name)) naming.registers.push_back({reg->row, name});
}

// Keeps of all that the registers which some wgmma names.
void Decoder::watch_registers() {
  naming_.resize(code_.instructions.size());
  WatchedRegisters& watched = code_.hazards;
  std::map<uint32_t, uint32_t> numbers;
  for (const Naming& naming : naming_) {
    if (!naming.in_flight) continue;
    for (const NamedRegister& each : naming.registers)
      if (numbers.emplace(each.row, static_cast<uint32_t>(watched.names.size())).second)
        watched.names.push_back(each.name);
  }
  for (const Naming& naming : naming_) {
    watched.first.push_back(static_cast<uint32_t>(watched.named.size()));
    for (const NamedRegister& each : naming.registers) {
      const auto number = numbers.find(each.row);
      if (number != numbers.end()) watched.named.push_back(number->second);
    }
  }
  watched.first.push_back(static_cast<uint32_t>(watched.named.size()));
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

bool has_modifier(const syntax::Instruction& in, std::string_view modifier) {
  return std::find(in.modifiers.begin(), in.modifiers.end(), modifier) != in.modifiers.end();
}

void decode_nothing(Decoder& decoder, const syntax::Instruction& in, Instruction&) {
  if (!in.operands.empty()) decoder.fail("has no operands");
}

}  // namespace attest::vm
