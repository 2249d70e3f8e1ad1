// Families of instruction forms whose expectation is computed by an evaluator that shares no code with the
// machine: a kernel of a form, and what the PTX ISA says that it gives.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jit/conformance/forms.h"

namespace attest::conformance {

// `operands` and `results`: types of value_type.h, comma-separated. The rest is as in forms.h.
struct Sweep {
  std::string covers;  // row of the machine's form table, "/" and what tells variants apart
  std::string results, operands;
  std::string body;
  std::function<void(const Thread&, uint64_t* results)> evaluate;
  uint32_t blocks = 1;
  std::optional<vm::TensorMap> map = std::nullopt;
};

// The sweep of a row of the machine's form table; without a body when no family has the row.
Sweep sweep_of(const std::string& row);
// Further kernels of rows that one kernel does not show: swizzles, element types, fills, rounding.
std::vector<Sweep> sweep_variants();
Form form_of(const Sweep& sweep);
// A form for each row that a family has, then for each variant.
std::vector<Form> swept_forms();

// Each gives a sweep for a row of the table if the row is of its family, else one without a body.
Sweep sweep_comparison(const std::string& form);
Sweep sweep_integer(const std::string& form);
Sweep sweep_conversion(const std::string& form);
Sweep sweep_memory(const std::string& form);
Sweep sweep_address(const std::string& form);
Sweep sweep_matrix_move(const std::string& form);
Sweep sweep_copy(const std::string& form);
Sweep sweep_mbarrier(const std::string& form);
Sweep sweep_barrier(const std::string& form);
Sweep sweep_hint(const std::string& form);
Sweep sweep_bulk_copy(const std::string& form);
Sweep sweep_bulk_reduction(const std::string& form);
Sweep sweep_async_store(const std::string& form);
Sweep sweep_tensor(const std::string& form);
Sweep sweep_wgmma(const std::string& form);
std::vector<Sweep> tensor_variants();
std::vector<Sweep> wgmma_variants();

// --- for the families ---

std::vector<std::string> parts_of(std::string_view text, char separator);
inline bool starts(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}
inline bool contains(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}
bool one_of(std::string_view text, std::initializer_list<std::string_view> names);
// "{%x0, %x1}", or "%x0" for a single one.
std::string registers(char letter, size_t first, size_t count);
inline uint64_t low_bits(uint64_t value, int bits) {
  return bits >= 64 ? value : value & ((uint64_t{1} << bits) - 1);
}
inline int64_t signed_bits(uint64_t value, int bits) {
  return bits >= 64 ? static_cast<int64_t>(value) : static_cast<int64_t>(value << (64 - bits)) >> (64 - bits);
}
// "b32,b32,b32"
std::string repeated(const std::string& what, size_t times);
// Asks, with a statement that sets %p, until it holds: but not for ever, so that an instruction that goes
// wrong on a device is a difference and no hang.
std::string asked_until(const std::string& statement);
// What an asynchronous reduction makes of two elements; `type` as in "u32", "s64", "f16", "bf16", "f32".
uint64_t reduced_element(const std::string& operation, const std::string& type, uint64_t was, uint64_t with);
// Width of "u8", "s16", "bf16", "f64", "b32", "f16x2", "pred" in bits.
int bits_of(std::string_view type);
// The exact value of a number of this type; NaN for a NaN.
long double value_of(std::string_view type, uint64_t bits);

}  // namespace attest::conformance
