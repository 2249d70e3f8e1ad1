// Families of instruction forms whose expectation is computed by an evaluator that shares no code with the
// machine: a kernel of a form, run on special and random operands, and what the PTX ISA says that it gives.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jit/vm/tensor_map.h"

namespace attest::vm {

// One thread's view of the operands of all threads: slots of [operands, threads].
struct Thread {
  const std::vector<uint64_t>& slots;
  size_t threads;
  size_t index;
  uint64_t operator()(size_t operand) const { return of(index, operand); }
  uint64_t of(size_t thread, size_t operand) const { return slots[operand * threads + thread]; }
};

// `operands` and `results`: types of jit/conformance/value_type.h, comma-separated. `body`: PTX on %x0..
// (operands), %d0.. (results), %memory and %shared (16 bytes a thread), %thread, in blocks of 256.
struct Sweep {
  std::string covers;  // row of the form table
  std::string results, operands;
  std::string body;
  std::function<void(const Thread&, uint64_t* results)> evaluate;
  uint32_t blocks = 1;  // of 256 threads, one cluster
  // Its address is %memory of thread 0; its 128 bytes stand behind the %memory of all threads.
  std::optional<TensorMap> map = std::nullopt;
};

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
// Width of "u8", "s16", "bf16", "f64", "b32", "f16x2", "pred" in bits.
int bits_of(std::string_view type);
// The exact value of a number of this type; NaN for a NaN.
long double value_of(std::string_view type, uint64_t bits);

}  // namespace attest::vm
