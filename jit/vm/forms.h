// The table of instruction forms: absence from it is the only "not supported".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "jit/vm/code.h"
#include "jit/vm/syntax.h"

namespace attest::vm {

class Decoder;
// Fills the operands of an instruction that the operand letters cannot describe.
using Decode = void (*)(Decoder&, const syntax::Instruction&, Instruction&);

// One row: everything about an instruction form. Operand letters, results first (upper case):
//   P p  predicate (as a result also `p|q`)      H h  16 bits      W w  32 bits      Q q  64 bits
//   f    32 bits that may be a float literal     d    64 bits that may be a double literal
//   v V  16 or 32 bits (a register wider than the type, as cvt allows for 8- and 16-bit types)
//   n    32 bits or the low 32 bits of a 64-bit register, as cvt allows
//   i    an integer literal, into Instruction::immediate
struct Form {
  std::string name;  // opcode and modifiers that change the meaning, as in the PTX ISA
  std::string operands;
  Handler run = nullptr;
  const char* section = "";
  const char* meaning = "";
  Decode decode = nullptr;
  Handler evaluate = nullptr;  // for warp-wide forms (rendezvous.h), and for the second half of others
  uint8_t variant = 0;         // becomes Instruction::variant
};

class FormTable {
 public:
  static const FormTable& instance();
  // Number of the row, or -1.
  int find(std::string_view name) const;
  const Form& row(int number) const { return rows_[static_cast<size_t>(number)]; }
  const std::vector<Form>& rows() const { return rows_; }
  // Throws std::logic_error for a second row of the same name.
  void add(Form form);

 private:
  std::vector<Form> rows_;
  std::unordered_map<std::string, int> numbers_;
};

// Each adds the rows of its file.
void add_integer_forms(FormTable& table);
void add_logic_forms(FormTable& table);
void add_float_forms(FormTable& table);
void add_half_forms(FormTable& table);
void add_compare_forms(FormTable& table);
void add_convert_forms(FormTable& table);
void add_convert_float_forms(FormTable& table);
void add_move_forms(FormTable& table);
void add_memory_forms(FormTable& table);
void add_atomic_forms(FormTable& table);
void add_control_forms(FormTable& table);
void add_warp_forms(FormTable& table);
void add_barrier_forms(FormTable& table);
void add_matrix_forms(FormTable& table);
void add_async_forms(FormTable& table);
void add_cluster_forms(FormTable& table);
void add_wgmma_forms(FormTable& table);
void add_mbarrier_forms(FormTable& table);
void add_bulk_forms(FormTable& table);
void add_bulk_tensor_forms(FormTable& table);
void add_fence_forms(FormTable& table);

}  // namespace attest::vm
