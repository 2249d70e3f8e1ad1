// Gives syntax its meaning: names become rows and addresses, instruction forms become table rows.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jit/vm/code.h"
#include "jit/vm/forms.h"
#include "jit/vm/program_data.h"
#include "jit/vm/syntax.h"

namespace attest::vm {

// A row number with this bit counts from the constant part, whose place is not known until all of it is.
constexpr uint32_t kConstantTag = 0x80000000u;

constexpr uint64_t align_up(uint64_t value, uint64_t align) { return (value + align - 1) / align * align; }

enum class Width : uint8_t { none = 0, predicate = 1, w32 = 2, w64 = 3 };
inline uint32_t row_bytes(Width width) { return width == Width::w64 ? 256 : width == Width::w32 ? 128 : 4; }

// Decodes one entry with the device functions that it reaches. Form decoders (Form::decode) use the public
// part.
class Decoder {
 public:
  Decoder(const syntax::Module& module, const ProgramData& program, const syntax::Function& entry);
  // Fills `info` too. Throws ParseError.
  Code run(EntryInfo& info);

  // A declared register (or special register).
  struct Reg {
    uint32_t row = kNoRow;
    Width width = Width::none;
    uint32_t bytes = 0;  // of the declared type; 1 for a predicate
  };
  struct Var {
    Space space = Space::global;  // where ld and st find it: a function's parameters are in local memory
    bool kernel_param = false;
    uint64_t address = 0;   // within its space; of global and constant variables: unknown until launch
    int module_index = -1;  // of a module variable
    uint64_t bytes = 0;
  };

  [[noreturn]] void fail(const std::string& what) const;
  const Reg* find_register(std::string_view name);
  const Var* find_variable(std::string_view name) const;
  // Function number in the module, or -1.
  int find_function(std::string_view name) const;

  // Row of a source or target operand of the given letter (forms.h). Immediates become constant rows.
  uint32_t source(const syntax::Operand& operand, char letter);
  uint32_t target(const syntax::Operand& operand, char letter);
  // A register of any width; `width` says which. `_` as a target gives kNoRow.
  uint32_t register_row(const syntax::Operand& operand, Width& width, uint32_t& bytes);
  uint32_t constant_row(uint64_t bits, Width width);
  // Row of 64-bit (or 32-bit) addresses of a symbol, or kNoRow if the name is none.
  uint32_t symbol_row(const std::string& name, int64_t offset, Width width);
  uint32_t temporary(Width width);
  // Sets r[5], wide_address, immediate and resolves ld.param to the space it means.
  void address(const syntax::Operand& operand, Instruction& out);
  // Appends rows to Code::lists and returns the index of the first.
  uint32_t list(const std::vector<uint32_t>& rows);
  // Fills in `list` of the instruction that stands `ahead` places after the one being decoded, once labels
  // are known.
  void branch_to(const std::string& label, size_t ahead = 0);
  // The targets of a .branchtargets table, as labels.
  const std::vector<std::string>& branch_table(const std::string& name) const;
  // Emits before the instruction that is being decoded.
  void emit_before(Instruction instruction);
  // Emits after it.
  void emit_after(Instruction instruction);
  void operands_by_letters(const std::string& letters, const syntax::Instruction& in, Instruction& out);
  CallSite& new_call(uint32_t& number);
  uint32_t function_index(std::string_view name);  // in Code::functions; fails for one without a body
  Place place_of(const syntax::Operand& operand);
  uint64_t parameter_bytes() const;  // of the kernel
  bool in_entry() const { return current_ == 0; }
  uint32_t current_function_index() const { return static_cast<uint32_t>(current_); }
  uint32_t callee_row();
  uint32_t carry_row();  // predicate: the condition code of add.cc
  const syntax::Statement* prototype(const std::string& name) const;
  uint32_t special_row(Special special, bool wide);
  const std::string& module_target() const { return module_.target; }

 private:
  struct Family {
    std::string type;
    uint32_t count = 0;
  };
  struct ScopeNames {
    std::map<std::string, Reg, std::less<>> registers;
    std::map<std::string, Family, std::less<>> families;
    std::map<std::string, Var, std::less<>> variables;
    uint32_t id = 0;
    uint32_t frame_top = 0;
  };
  struct Fixup {
    size_t instruction;
    std::string label;
    uint32_t scope;
    int line;
  };

  void reach();
  void collect(const syntax::Operand& operand, std::vector<std::string>& names) const;
  void layout_shared();
  void function(size_t index);
  void statement(const syntax::Statement& statement);
  void instruction(const syntax::Instruction& in);
  void declare(const syntax::Variable& variable);
  void declare(const syntax::Register& reg);
  Reg new_register(const std::string& type, int line);
  Place formal(const syntax::Variable& variable);
  uint32_t frame(uint64_t bytes, uint64_t align);
  void open_scope();
  void close_scope();
  void resolve_labels();
  void finish();
  void put(Instruction instruction, const std::string& text);
  void name_registers(const syntax::Instruction& in);
  void watch_registers();

  const syntax::Module& module_;
  const ProgramData& program_;
  const syntax::Function& entry_;
  Code code_;
  std::vector<const syntax::Function*> functions_;  // same index as Code::functions
  std::map<std::string, uint32_t, std::less<>> function_numbers_;
  std::map<const syntax::Variable*, uint64_t> shared_;
  std::map<std::string, Var, std::less<>> module_variables_;
  std::vector<ScopeNames> scopes_;
  std::vector<uint32_t> scope_parents_;
  std::map<std::pair<uint32_t, std::string>, uint32_t> labels_;
  std::map<std::string, const syntax::Statement*, std::less<>> tables_;
  std::vector<Fixup> fixups_;
  std::map<std::pair<uint64_t, int>, uint32_t> constants_;
  std::map<std::pair<int, bool>, uint32_t> special_rows_;
  std::map<std::tuple<int, int64_t>, uint32_t> relocation_rows_;
  std::vector<Instruction> before_, after_;
  struct NamedRegister {
    uint32_t row;
    std::string name;
  };
  struct Naming {
    bool in_flight = false;  // a wgmma, whose D and A these are
    std::vector<NamedRegister> registers;
  };
  bool has_wgmma_ = false;
  std::vector<Naming> naming_;  // of each instruction, in kernels with wgmma
  size_t current_ = 0;
  uint32_t register_bytes_ = 0;
  uint32_t frame_top_ = 0;
  uint32_t carry_row_ = kNoRow;
  int line_ = 0;
  std::string text_;
};

// Whether ".modifier" stands in the instruction's name.
bool has_modifier(const syntax::Instruction& in, std::string_view modifier);
// Decode function of forms without operands.
void decode_nothing(Decoder& decoder, const syntax::Instruction& in, Instruction& out);

// The name under which an instruction is looked up: modifiers that do not change what it does are left out,
// those that only qualify a memory access go to `out.memory`. `policies` is the number of trailing operands
// (cache policies) to ignore.
std::string form_name(const syntax::Instruction& in, Instruction& out, int& policies);

}  // namespace attest::vm
