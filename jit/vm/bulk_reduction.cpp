// One row a reduction; elements are replaced indivisibly, also against other host threads.
#include "jit/vm/bulk_reduction.h"

#include <bit>
#include <cstring>

#include "jit/vm/reduction.h"

namespace attest::vm {
namespace {

using namespace reduction;

template <class T, auto F>
void combine(std::byte* to, const std::byte* from) {
  using U = Bits<T>;
  U operand;
  std::memcpy(&operand, from, sizeof operand);
  exchange<U>(to,
              [&](U old) { return std::bit_cast<U>(F(std::bit_cast<T>(old), std::bit_cast<T>(operand))); });
}

// A number beats a NaN, and -0 is less than +0 (PTX ISA: min, max of half precision).
template <class H, bool Larger>
H extreme_half(H a, H b) {
  const float x = widen(a), y = widen(b);
  if (x != x && y != y) return H{0x7FFF};
  if (x != x || y != y) return x != x ? b : a;
  if (x == y) return (a.bits >> 15 != 0) != Larger ? a : b;
  return (x < y) != Larger ? a : b;
}

constexpr BulkReduction kReductions[] = {
    {"add", "u32", 4, combine<uint32_t, &add<uint32_t>>, true},
    {"add", "s32", 4, combine<uint32_t, &add<uint32_t>>, true},
    {"add", "u64", 8, combine<uint64_t, &add<uint64_t>>, true},
    {"add", "f32", 4, combine<float, &add_f32_ftz>, false},
    {"add", "f64", 8, combine<double, &add<double>>, false},
    {"add", "f16", 2, combine<F16, &add_half<F16>>, false},
    {"add", "bf16", 2, combine<BF16, &add_half<BF16>>, false},
    {"min", "u32", 4, combine<uint32_t, &min<uint32_t>>, true},
    {"max", "u32", 4, combine<uint32_t, &max<uint32_t>>, true},
    {"min", "s32", 4, combine<int32_t, &min<int32_t>>, true},
    {"max", "s32", 4, combine<int32_t, &max<int32_t>>, true},
    {"min", "u64", 8, combine<uint64_t, &min<uint64_t>>, false},
    {"max", "u64", 8, combine<uint64_t, &max<uint64_t>>, false},
    {"min", "s64", 8, combine<int64_t, &min<int64_t>>, false},
    {"max", "s64", 8, combine<int64_t, &max<int64_t>>, false},
    {"min", "f16", 2, combine<F16, &extreme_half<F16, false>>, false},
    {"max", "f16", 2, combine<F16, &extreme_half<F16, true>>, false},
    {"min", "bf16", 2, combine<BF16, &extreme_half<BF16, false>>, false},
    {"max", "bf16", 2, combine<BF16, &extreme_half<BF16, true>>, false},
    {"inc", "u32", 4, combine<uint32_t, &inc>, true},
    {"dec", "u32", 4, combine<uint32_t, &dec>, true},
    {"and", "b32", 4, combine<uint32_t, &and_<uint32_t>>, true},
    {"or", "b32", 4, combine<uint32_t, &or_<uint32_t>>, true},
    {"xor", "b32", 4, combine<uint32_t, &xor_<uint32_t>>, true},
    {"and", "b64", 8, combine<uint64_t, &and_<uint64_t>>, false},
    {"or", "b64", 8, combine<uint64_t, &or_<uint64_t>>, false},
    {"xor", "b64", 8, combine<uint64_t, &xor_<uint64_t>>, false},
};

}  // namespace

std::span<const BulkReduction> bulk_reductions() { return kReductions; }

const BulkReduction* find_reduction(std::string_view operation, std::string_view type) {
  for (const BulkReduction& row : kReductions)
    if (row.operation == operation && row.type == type) return &row;
  return nullptr;
}

}  // namespace attest::vm
