// Evaluators for wgmma: 256 threads, two warpgroups, multiply whole numbers, of which every sum is exact. And
// variants without an evaluator: random bits, whose rounding only a device can tell.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "jit/conformance/sweep.h"
#include "jit/conformance/wgmma_operands.h"

namespace attest::conformance {
namespace {

using namespace wgmma;

constexpr const Type* kTypes[] = {&kF16, &kBf16, &kTf32, &kE4m3, &kE5m2, &kS8, &kU8};
const Type& type_of(const std::string& name) {
  return **std::find_if(std::begin(kTypes), std::end(kTypes),
                        [&](const Type* type) { return type->name == name; });
}

// D = A B + D. The image in shared memory is made of the threads' operands, 16 bytes each in turn: byte i of
// it is of thread i / 16 % 256, operand i / 4096 * 4 + i % 16 / 4.
struct Multiply {
  std::string row;
  Type a{}, b{};
  std::string accumulator;  // "f32", "f16", "s32"
  uint32_t n = 0;
  bool saturate = false;
  Tile tile_a{}, tile_b{};
  uint32_t units = 0;        // of 16 bytes that a thread gives to the image
  bool registers_a = false;  // operands 0 to 3 of each thread
  bool negate_a = false, negate_b = false, accumulate = true;
  bool random = false;  // operands of every kind; warpgroup 1 has tiles of its own, 2048 bytes further on

  uint32_t k() const { return static_cast<uint32_t>(a.k()); }
  uint32_t packed() const { return accumulator == "f16" ? 2 : 1; }  // elements of D a register
  uint32_t registers() const { return n / 2 / packed(); }
};

// wgmma.mma_async.sync.aligned.m64n16k32{.satfinite}.s32.s8.u8{.satfinite}
Multiply multiply_of(const std::string& row) {
  Multiply multiply;
  multiply.row = row;
  std::vector<std::string> parts = parts_of(row, '.');
  multiply.saturate = std::erase(parts, "satfinite") > 0;
  multiply.n = static_cast<uint32_t>(std::stoul(parts[4].substr(4)));
  multiply.accumulator = parts[5];
  multiply.a = type_of(parts[6]);
  multiply.b = type_of(parts[7]);
  // Without a swizzle, K-major: pairs of 8 rows x 16 bytes along k, row after row.
  multiply.tile_a = {multiply.a, 16, false, 0, 128, 256};
  multiply.tile_b = {multiply.b, 16, false, 4096, 128, 256};
  multiply.units = multiply.n > 128 ? 3 : 2;  // 4096 bytes of A, 32 n of B
  return multiply;
}

std::string packed_name(const Type& type) {
  return std::string(type.name) + (type.bits == 32 ? "" : "x" + std::to_string(32 / type.bits));
}

// --- what it gives ---

double number_of(const Type& type, uint64_t bits) {
  if (type.integer())
    return static_cast<double>(type.name[0] == 's' ? signed_bits(bits, 8) : static_cast<int64_t>(bits));
  const uint64_t used = bits >> type.unused_bits;
  const int width = type.exponent_bits + type.fraction_bits, bias = (1 << (type.exponent_bits - 1)) - 1;
  const uint64_t field = low_bits(used >> type.fraction_bits, type.exponent_bits);
  const uint64_t fraction = low_bits(used, type.fraction_bits), sign = used >> width << 63;
  if (field == 0)
    return std::copysign(std::ldexp(static_cast<double>(fraction), 1 - bias - type.fraction_bits),
                         sign ? -1 : 1);
  // The same number as a double has its fields further up.
  return std::bit_cast<double>(sign | (field + 1023 - static_cast<uint64_t>(bias)) << 52 |
                               fraction << (52 - type.fraction_bits));
}

// All k of a row of A or a column of B.
void line_in_image(const Thread& x, const Tile& tile, uint32_t mn, uint32_t k, double* numbers) {
  const auto bytes = static_cast<uint32_t>(tile.type.bits / 8);
  uint32_t at = 0;
  for (uint32_t j = 0; j < k; ++j, at += bytes) {
    if (tile.transposed || j % (16 / bytes) == 0) at = tile.address(mn, j);  // 16 bytes lie together
    const uint64_t word = x.of(at / 16 % 256, at / 4096 * 4 + at % 16 / 4);
    numbers[j] = number_of(tile.type, low_bits(word >> (8 * (at % 4)), tile.type.bits));
  }
}

uint64_t rounded(const Multiply& multiply, double value) {
  if (multiply.accumulator == "f32") return std::bit_cast<uint32_t>(static_cast<float>(value));
  if (multiply.accumulator == "f16") return encode(kF16, value);
  const auto sum = static_cast<int64_t>(value);
  const int64_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
  return low_bits(static_cast<uint64_t>(multiply.saturate ? std::clamp(sum, least, most) : sum), 32);
}

void product(const Multiply& multiply, const Thread& x, uint64_t* d) {
  const uint32_t k = multiply.k(), n = multiply.n;
  const auto thread = static_cast<uint32_t>(x.index % 128);
  const Cell first = d_cell(thread, 0);  // this thread's rows are this and the eighth behind it
  std::vector<double> a(size_t{2} * k), b(k);
  if (multiply.registers_a) {
    const uint32_t count = 32 / static_cast<uint32_t>(multiply.a.bits);
    for (uint32_t other = thread / 4 * 4; other < thread / 4 * 4 + 4; ++other)
      for (uint32_t i = 0; i < 4 * count; ++i) {
        const Cell cell = a_cell(multiply.a, other, i);
        const uint64_t word = x.of(x.index - thread + other, i / count);
        a[(cell.row - first.row) / 8 * k + cell.column] = number_of(
            multiply.a,
            low_bits(word >> (i % count * static_cast<uint32_t>(multiply.a.bits)), multiply.a.bits));
      }
  } else {
    for (uint32_t half = 0; half < 2; ++half)
      line_in_image(x, multiply.tile_a, first.row + 8 * half, k, &a[half * k]);
  }
  const double sign = multiply.negate_a != multiply.negate_b ? -1 : 1;
  const uint32_t packed = multiply.packed();
  std::fill_n(d, multiply.registers(), 0);
  for (uint32_t i = 0; i < n / 2; ++i) {  // elements; i and i + 2 are of one column
    const uint32_t element = i / 4 * 4 + i % 4 / 2 + i % 2 * 2;
    const Cell cell = d_cell(thread, element);
    if (i % 2 == 0) line_in_image(x, multiply.tile_b, cell.column, k, b.data());
    double sum = 0;
    if (multiply.accumulate) {
      const uint64_t word = x(size_t{4} * multiply.units);
      sum = multiply.accumulator == "s32" ? static_cast<double>(signed_bits(word, 32))
            : multiply.accumulator == "f32"
                ? element_value(Element::f32, word)
                : element_value(Element::f16, low_bits(word >> (element % 2 * 16), 16));
    }
    const double* row = &a[(cell.row - first.row) / 8 * k];
    for (uint32_t j = 0; j < k; ++j) sum += sign * row[j] * b[j];
    d[element / packed] |= rounded(multiply, sum) << (16 * (element % packed));
  }
}

// --- the kernel ---

std::string vector_of(char letter, size_t first, size_t count) {
  const std::string list = registers(letter, first, count);
  return count == 1 ? "{" + list + "}" : list;
}

Sweep sweep_multiply(const Multiply& multiply) {
  const uint32_t units = multiply.units, c = 4 * units;
  std::string body = "{ .shared .align 1024 .b8 image[" + std::to_string(4096 * units) +
                     "]; .reg .b32 %s, %group; .reg .b64 %da, %db, %more; .reg .pred %p; mov.u32 %s, image; "
                     "mad.lo.u32 %s, %thread, 16, %s; ";
  for (uint32_t i = 0; i < units; ++i)
    body += "st.shared.v4.b32 [%s+" + std::to_string(4096 * i) + "], " + vector_of('x', 4 * i, 4) + "; ";
  body += "fence.proxy.async; bar.sync 0; mov.u32 %s, image; shr.u32 %s, %s, 4; ";
  if (multiply.random) body += "shr.u32 %group, %thread, 7; mad.lo.u32 %s, %group, 128, %s; ";
  body += "cvt.u64.u32 %more, %s; add.u64 %da, %more, " + std::to_string(multiply.tile_a.descriptor()) +
          "; add.u64 %db, %more, " + std::to_string(multiply.tile_b.descriptor()) + "; ";
  for (uint32_t i = 0; i < multiply.registers(); ++i)
    body += "mov.b32 %d" + std::to_string(i) + ", %x" + std::to_string(c + (multiply.random ? i : 0)) + "; ";
  body += std::string("setp.") + (multiply.accumulate ? "eq" : "ne") +
          ".u32 %p, %thread, %thread; wgmma.fence.sync.aligned; " + multiply.row + " " +
          vector_of('d', 0, multiply.registers()) + ", " +
          (multiply.registers_a ? vector_of('x', 0, 4) : "%da") + ", %db, %p";
  if (!multiply.a.integer())
    body += std::string(multiply.negate_a ? ", -1" : ", 1") + (multiply.negate_b ? ", -1" : ", 1");
  if (multiply.a.bits == 16) {
    if (!multiply.registers_a) body += multiply.tile_a.transposed ? ", 1" : ", 0";
    body += multiply.tile_b.transposed ? ", 1" : ", 0";
  }
  body += "; wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }";

  // Types of the image's words; what no operand covers is drawn like B.
  const std::string draw = multiply.a.integer() ? "" : "small:";
  std::string operands;
  for (uint32_t unit = 0; unit < units; ++unit) {
    const bool of_a = unit < multiply.tile_b.start / 4096;
    const std::string packed = packed_name(of_a ? multiply.a : multiply.b);
    operands +=
        repeated(multiply.random ? (of_a ? "matrix_a:" : "matrix_b:") + packed : draw + packed, 4) + ",";
  }
  const std::string c_type = multiply.accumulator == "f16" ? "f16x2" : multiply.accumulator;
  operands += multiply.random ? repeated("matrix_c:" + c_type, multiply.registers()) : draw + c_type;
  Sweep sweep{multiply.row, repeated(multiply.random ? c_type : "b32", multiply.registers()), operands, body,
              nullptr};
  if (multiply.random)
    sweep.blocks = 0;
  else
    sweep.evaluate = [multiply](const Thread& x, uint64_t* d) { product(multiply, x, d); };
  return sweep;
}

}  // namespace

Sweep sweep_wgmma(const std::string& form) {
  if (!starts(form, "wgmma.")) return {};
  if (contains(form, "mma_async")) return sweep_multiply(multiply_of(form));
  // The others stand in every kernel.
  Sweep sweep = sweep_multiply(multiply_of("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16"));
  sweep.covers = form;
  return sweep;
}

std::vector<Sweep> wgmma_variants() {
  std::vector<Sweep> sweeps;
  const auto add = [&](const std::string& variant, const Multiply& multiply) {
    sweeps.push_back(sweep_multiply(multiply));
    sweeps.back().covers += "/" + variant;
  };
  const std::string head = "wgmma.mma_async.sync.aligned.m64n64";
  for (const char* tail : {"k16.f32.bf16.bf16", "k8.f32.tf32.tf32", "k32.f32.e4m3.e5m2", "k32.s32.s8.u8"}) {
    const Multiply plain = multiply_of(head + tail);
    for (const int swizzle : {16, 32, 64, 128})
      for (int majors = 0; majors < (plain.a.bits == 16 ? 4 : 1); ++majors) {
        if (swizzle == 16 && majors == 0) continue;
        Multiply multiply = plain;
        const bool a = (majors & 1) != 0, b = (majors & 2) != 0;
        multiply.tile_a = tile(plain.a, swizzle, a, 0, 64, 0);
        multiply.tile_b = tile(plain.b, swizzle, b, 8192, 64, 0);
        multiply.units = 4;
        add((swizzle == 16 ? "none" : std::to_string(swizzle) + "B") + (a ? "-trans-a" : "") +
                (b ? "-trans-b" : ""),
            multiply);
      }
    Multiply multiply = plain;
    multiply.registers_a = true;
    add("registers", multiply);
    multiply.registers_a = multiply.accumulate = false;
    add("fresh", multiply);
    if (plain.a.integer()) continue;
    multiply.accumulate = multiply.negate_a = true;
    add("negate-a", multiply);
    multiply.negate_b = true;
    add("negate-both", multiply);
  }
  for (const char* tail :
       {"k16.f32.bf16.bf16", "k16.f32.f16.f16", "k16.f16.f16.f16", "k8.f32.tf32.tf32", "k32.f32.e4m3.e4m3",
        "k32.f32.e4m3.e5m2", "k32.f32.e5m2.e4m3", "k32.f32.e5m2.e5m2", "k32.f16.e4m3.e4m3",
        "k32.f16.e4m3.e5m2", "k32.f16.e5m2.e4m3", "k32.f16.e5m2.e5m2"}) {
    Multiply multiply = multiply_of(head + tail);
    multiply.random = true;
    add("random", multiply);
    multiply.registers_a = true;
    add("random-registers", multiply);
  }
  return sweeps;
}

}  // namespace attest::conformance
