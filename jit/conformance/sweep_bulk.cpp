// Evaluators for asynchronous bulk copies of bytes, their reductions, st.async and red.async: every thread
// moves 16 bytes of its own and waits for them with an mbarrier of its own, or with its bulk groups.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

// %bar: this thread's mbarrier for one arrival. %other: 16 bytes a thread of a second tile. %c...: addresses
// of the cluster for %shared, %other and %bar, all in this block, the only one.
const std::string kBegin =
    "{ .shared .align 8 .b8 bars[2048]; .shared .align 16 .b8 tile[4096]; .reg .b32 %bar, %other, %cshared, "
    "%cother, %cbar; .reg .b64 %policy; .reg .b16 %blocks; .reg .pred %p; mov.u32 %bar, bars; mad.lo.u32 "
    "%bar, %thread, 8, %bar; mov.u32 %other, tile; mad.lo.u32 %other, %thread, 16, %other; mov.b16 %blocks, "
    "1; createpolicy.fractional.L2::evict_last.b64 %policy, 0f3F800000; mapa.shared::cluster.u32 %cshared, "
    "%shared, 0; mapa.shared::cluster.u32 %cother, %other, 0; mapa.shared::cluster.u32 %cbar, %bar, 0; "
    "mbarrier.init.shared::cta.b64 [%bar], 1; ";
const std::string kFence = "fence.proxy.async; ";
const std::string kLook = asked_until("mbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], 0;");
const std::string kCommit = "cp.async.bulk.commit_group; ", kWait = "cp.async.bulk.wait_group 0; ";
const std::string kFour = "b32,b32,b32,b32";
const std::string kX = "{%x0, %x1, %x2, %x3}; ", kD = "{%d0, %d1, %d2, %d3}, ";

std::string expect(size_t bytes) {
  return "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], " + std::to_string(bytes) + "; ";
}
std::string hint(const std::string& form) { return contains(form, "cache_hint") ? ", %policy; " : "; "; }

void same(const Thread& x, uint64_t* d) {
  for (size_t i = 0; i < 4; ++i) d[i] = x(i);
}

// --- what a reduction makes of two elements ---

// The nearest f16 or bf16, ties to even; the canonical NaN.
uint64_t rounded(bool brain, long double value) {
  const int fraction = brain ? 7 : 10, least = brain ? -126 : -14;
  if (std::isnan(value)) return 0x7fff;
  const uint64_t sign = std::signbit(value) ? 0x8000 : 0, infinity = brain ? 0x7f80 : 0x7c00;
  if (value == 0) return sign;
  if (std::isinf(value)) return sign | infinity;
  const int exponent = std::max(std::ilogb(value), least);
  const auto steps = static_cast<uint64_t>(std::nearbyint(std::ldexp(std::fabs(value), fraction - exponent)));
  // A significand with its leading one counts the exponent up by one, and so does a carry.
  return sign | std::min((static_cast<uint64_t>(exponent - least) << fraction) + steps, infinity);
}

// PTX ISA, cp.reduce.async.bulk: .add.f32 flushes subnormal inputs and results.
float flushed(float value) { return std::fabs(value) < 0x1p-126f ? std::copysign(0.0f, value) : value; }

uint64_t float_result(const std::string& operation, const std::string& type, uint64_t a, uint64_t b) {
  const long double x = value_of(type, a), y = value_of(type, b);
  if (type == "f32") {
    const float sum = flushed(flushed(static_cast<float>(x)) + flushed(static_cast<float>(y)));
    if (std::isnan(sum)) return 0x7fffffff;
    uint32_t bits;
    std::memcpy(&bits, &sum, 4);
    return bits;
  }
  if (type == "f64") {
    const double sum = static_cast<double>(x) + static_cast<double>(y);
    uint64_t bits;
    std::memcpy(&bits, &sum, 8);
    return bits;
  }
  const bool brain = type == "bf16";
  if (operation == "add") return rounded(brain, x + y);
  if (std::isnan(x) || std::isnan(y)) return rounded(brain, std::isnan(x) ? y : x);
  const bool less = x < y || (x == y && std::signbit(x) > std::signbit(y));  // -0 is below +0
  return (operation == "min") == less ? a : b;
}

uint64_t integer_result(const std::string& operation, const std::string& type, uint64_t a, uint64_t b) {
  const int bits = bits_of(type);
  const bool less = type[0] == 's' ? signed_bits(a, bits) < signed_bits(b, bits) : a < b;
  if (operation == "add") return a + b;
  if (operation == "min") return less ? a : b;
  if (operation == "max") return less ? b : a;
  if (operation == "inc") return a >= b ? 0 : a + 1;
  if (operation == "dec") return a == 0 || a > b ? b : a - 1;
  return operation == "and" ? a & b : operation == "or" ? a | b : a ^ b;
}

}  // namespace

uint64_t reduced_element(const std::string& operation, const std::string& type, uint64_t was, uint64_t with) {
  return contains(type, "f") ? float_result(operation, type, was, with)
                             : integer_result(operation, type, was, with);
}

namespace {

// Of `words` words of 32 bits each: x0.. was there, the operands behind it are reduced into it.
void reduced(const std::string& operation, const std::string& type, size_t words, const Thread& x,
             uint64_t* d) {
  const int bits = bits_of(type);
  for (size_t i = 0; i < words; ++i) d[i] = 0;
  for (int at = 0; at < static_cast<int>(32 * words); at += bits) {
    const auto element = [&](size_t first) {
      const size_t word = first + static_cast<size_t>(at / 32);
      const uint64_t low = low_bits(x(word), 32) >> (at % 32);
      return low_bits(bits == 64 ? low | low_bits(x(word + 1), 32) << 32 : low, bits);
    };
    const uint64_t a = element(0), b = element(words);
    const uint64_t value = reduced_element(operation, type, a, b);
    for (int done = 0; done < bits; done += 32)
      d[(at + done) / 32] |= low_bits(low_bits(value, bits) >> done, 32) << (at % 32);
  }
}

}  // namespace

// cp.async.bulk without a tensor, and its groups.
Sweep sweep_bulk_copy(const std::string& form) {
  if (!starts(form, "cp.async.bulk.") || contains(form, ".tensor")) return {};
  const std::string store = "cp.async.bulk.global.shared::cta.bulk_group";
  const std::string to_shared = "st.shared.v4.b32 [%shared], " + kX,
                    to_memory = "st.global.v4.b32 [%memory], ";
  const std::string zeros = "{0, 0, 0, 0}; ", from_memory = "ld.global.v4.b32 " + kD + "[%memory]; }";
  std::string body;
  if (contains(form, ".prefetch"))
    body = to_memory + kX + kFence + form + " [%memory], 16" + hint(form) + from_memory;
  else if (contains(form, ".shared::cluster.shared::cta"))
    body = to_shared + kFence + expect(16) + form + " [%cother], [%shared], 16, [%cbar]; " + kLook +
           "ld.shared.v4.b32 " + kD + "[%other]; }";
  else if (contains(form, "complete_tx")) {  // a multicast's address is of each of its blocks
    const bool cluster = contains(form, "shared::cluster") && !contains(form, "multicast");
    body = to_memory + kX + "st.shared.v4.b32 [%shared], " + zeros + kFence + expect(16) + form +
           (cluster ? " [%cshared], [%memory], 16, [%cbar]" : " [%shared], [%memory], 16, [%bar]") +
           (contains(form, "multicast") ? ", %blocks" : "") + hint(form) + kLook + "ld.shared.v4.b32 " + kD +
           "[%shared]; }";
  } else {
    // A store; behind wait_group.read its source is free for other bytes.
    const bool reads = contains(form, "wait_group.read");
    body = to_shared + to_memory + zeros + kFence + (starts(form, store) ? form : store) +
           " [%memory], [%shared], 16" + hint(form) + kCommit +
           (reads ? form + " 0; st.shared.v4.b32 [%shared], " + zeros : "") + kWait + from_memory;
  }
  return {form, kFour, kFour, kBegin + body, same};
}

// cp.reduce.async.bulk without a tensor, and red.async.
Sweep sweep_bulk_reduction(const std::string& form) {
  const bool one = starts(form, "red.async");
  if (!one && (!starts(form, "cp.reduce.async.bulk.") || contains(form, ".tensor"))) return {};
  const std::vector<std::string> parts = parts_of(form, '.');
  const std::string type = parts.back();
  const std::string operation = parts[parts.size() - (contains(form, "noftz") ? 3 : 2)];
  if (one) {
    // Of one register; the row's name leaves out the space, which must be written.
    const bool wide = bits_of(type) == 64;
    const std::string bits = wide ? "b64" : "b32";
    const std::string spelled = "red.async.relaxed.cluster.shared::cluster" + form.substr(9);
    return {form, bits, bits + "," + bits,
            kBegin + "st.shared." + bits + " [%shared], %x0; " + expect(bits_of(type) / 8) + spelled +
                " [%cshared], %x1, [%cbar]; " + kLook + "ld.shared." + bits + " %d0, [%shared]; }",
            [=](const Thread& x, uint64_t* d) { d[0] = integer_result(operation, type, x(0), x(1)); }};
  }
  const bool half = one_of(type, {"f16", "bf16"});
  const std::string word = half ? type + "x2" : type == "f32" ? "f32" : "b32";
  std::string operands = word;
  for (int i = 1; i < 8; ++i) operands += "," + word;
  const std::string source = "st.shared.v4.b32 [%shared], {%x4, %x5, %x6, %x7}; ";
  const auto evaluate = [=](const Thread& x, uint64_t* d) { reduced(operation, type, 4, x, d); };
  if (contains(form, "complete_tx"))
    return {form, kFour, operands,
            kBegin + source + "st.shared.v4.b32 [%other], " + kX + kFence + expect(16) + form +
                " [%cother], [%shared], 16, [%cbar]; " + kLook + "ld.shared.v4.b32 " + kD + "[%other]; }",
            evaluate};
  // Doubles are results as such: the payload of their NaNs is nobody's promise.
  const bool wide = type == "f64";
  const std::string four = wide ? "v2.b64 " : "v4.b32 ";
  const std::string with = wide ? "{%x2, %x3}; " : "{%x4, %x5, %x6, %x7}; ";
  return {form, wide ? "f64,f64" : kFour, wide ? "f64,f64,f64,f64" : operands,
          kBegin + "st.shared." + four + "[%shared], " + with + "st.global." + four + "[%memory], " +
              (wide ? "{%x0, %x1}; " : kX) + kFence + form + " [%memory], [%shared], 16" + hint(form) +
              kCommit + kWait + "ld.global." + four + (wide ? "{%d0, %d1}, " : kD) + "[%memory]; }",
          [=](const Thread& x, uint64_t* d) {
            if (!wide) return evaluate(x, d);
            for (size_t i = 0; i < 2; ++i) d[i] = float_result(operation, type, x(i), x(2 + i));
          }};
}

// st.async{.v2, .v4}: what the registers hold, and behind it what was there.
Sweep sweep_async_store(const std::string& form) {
  if (!starts(form, "st.async.")) return {};
  const std::vector<std::string> parts = parts_of(form, '.');
  const std::string& vector = parts[parts.size() - 2];
  const size_t count = vector == "v2"   ? 2
                       : vector == "v4" ? 4
                                        : 1,
               bytes = static_cast<size_t>(bits_of(parts.back())) / 8;
  std::string operands, type = bytes == 8 ? "b64" : "b32";
  for (size_t i = 0; i < count; ++i) operands += (i ? "," : "") + type;
  return {form, kFour, operands,
          kBegin + "st.shared.v4.b32 [%shared], {1, 2, 3, 4}; " + expect(bytes * count) +
              "st.async.weak.shared::cluster" + form.substr(8) + " [%cshared], " + registers('x', 0, count) +
              ", [%cbar]; " + kLook + "ld.shared.v4.b32 " + kD + "[%shared]; }",
          [=](const Thread& x, uint64_t* d) {
            for (size_t word = 0; word < 4; ++word) {
              const size_t number = word * 4 / bytes;
              d[word] = number < count ? low_bits(x(number) >> (word * 32 % (8 * bytes)), 32) : word + 1;
            }
          }};
}

}  // namespace attest::conformance
