// What a name stands for: registers, variables, functions and the rows that hold constants and special
// registers.
#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "jit/vm/decoder.h"
#include "jit/vm/parser.h"

namespace attest::vm {
namespace {

Width width_of(uint64_t bytes) { return bytes == 8 ? Width::w64 : Width::w32; }

}  // namespace

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

}  // namespace attest::vm
