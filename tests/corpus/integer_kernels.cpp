// Integer arithmetic, control flow and device functions.
#include <algorithm>
#include <array>
#include <bit>

#include "corpus.h"

// One thread a word; `a` is the thread's word, `b` its partner's, `i` its index.
#define ELEMENTWISE(NAME, BODY)                                          \
  "extern \"C\" __global__ void " NAME                                   \
  "(const unsigned* in, unsigned* out, int n) {"                         \
  "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;" \
  "  unsigned a = in[i], b = in[(i * 7 + 3) % n]; (void)b;" BODY "}"

namespace attest::corpus {
namespace {

using u32 = std::uint32_t;
using i32 = std::int32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

constexpr Kernel kKernels[] = {
    {"add_mul_shift", "32-bit add, multiply, shifts, logic",
     ELEMENTWISE("add_mul_shift",
                 "out[i] = ((a + b) * 2654435761u) ^ (a << (b & 31)) ^ ((int)b >> (a & 31)) ^ (~a & b);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         return ((a + b) * 2654435761u) ^ (a << (b & 31)) ^
                static_cast<u32>(static_cast<i32>(b) >> (a & 31)) ^ (~a & b);
       });
     }},
    {"multiply_wide", "64-bit products, high halves",
     ELEMENTWISE(
         "multiply_wide",
         "unsigned long long p = (unsigned long long)a * b; long long q = (long long)(int)a * (int)b;"
         "unsigned long long c = p * 0x9e3779b97f4a7c15ull + (unsigned long long)q;"
         "out[i] = (unsigned)(c >> 32) ^ (unsigned)c ^ __umulhi(a, b) ^ (unsigned)__mulhi((int)a, (int)b)"
         "  ^ (unsigned)__umul64hi(c, p);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u64 p = u64{a} * b;
         const i64 q = i64{static_cast<i32>(a)} * static_cast<i32>(b);
         const u64 c = p * 0x9e3779b97f4a7c15ull + static_cast<u64>(q);
         __extension__ using u128 = unsigned __int128;
         const u64 high = static_cast<u64>((u128{c} * p) >> 64);
         return static_cast<u32>(c >> 32) ^ static_cast<u32>(c) ^ static_cast<u32>(p >> 32) ^
                static_cast<u32>(q >> 32) ^ static_cast<u32>(high);
       });
     }},
    {"divide_remainder", "signed and unsigned division by a variable",
     ELEMENTWISE("divide_remainder",
                 "unsigned d = (b >> 7) | 1; int s = (int)(d >> 3) + 1;"
                 "out[i] = a / d + (a % d) * 3 + (unsigned)((int)a / s) + (unsigned)((int)a % s);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u32 d = (b >> 7) | 1;
         const i32 s = static_cast<i32>(d >> 3) + 1;
         return a / d + (a % d) * 3 + static_cast<u32>(static_cast<i32>(a) / s) +
                static_cast<u32>(static_cast<i32>(a) % s);
       });
     }},
    {"divide_by_constant", "division by constants, compiled to multiplications",
     ELEMENTWISE("divide_by_constant",
                 "out[i] = a / 7 + (a % 10) * 100 + (unsigned)((int)b / -13) + (unsigned)((int)b % 1000);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         return a / 7 + (a % 10) * 100 + static_cast<u32>(static_cast<i32>(b) / -13) +
                static_cast<u32>(static_cast<i32>(b) % 1000);
       });
     }},
    {"divide_64", "64-bit division and remainder",
     ELEMENTWISE("divide_64",
                 "unsigned long long x = ((unsigned long long)a << 32) | b, d = ((unsigned long long)(b & "
                 "0xffff) << 20) + a + 1;"
                 "long long y = (long long)x; unsigned long long r = x / d + x % d + (unsigned long long)(y "
                 "/ (long long)((d >> 9) + 1));"
                 "out[i] = (unsigned)r ^ (unsigned)(r >> 32);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u64 x = (u64{a} << 32) | b, d = (u64{b & 0xffff} << 20) + a + 1;
         const u64 r = x / d + x % d + static_cast<u64>(static_cast<i64>(x) / static_cast<i64>((d >> 9) + 1));
         return static_cast<u32>(r) ^ static_cast<u32>(r >> 32);
       });
     }},
    {"bit_counts", "population count, leading zeros, first set bit, bit reversal",
     ELEMENTWISE("bit_counts",
                 "unsigned long long w = ((unsigned long long)a << 32) | b;"
                 "out[i] = __popc(a) + 100 * __clz(b) + 10000 * __ffs(a & 0xff00) + __brev(b) + __popcll(w) "
                 "+ 7 * __clzll(w >> (a & 63));"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u64 w = (u64{a} << 32) | b;
         u32 reversed = 0;
         for (int bit = 0; bit < 32; ++bit) reversed |= ((b >> bit) & 1) << (31 - bit);
         const u32 masked = a & 0xff00;
         const u32 first = masked == 0 ? 0 : static_cast<u32>(std::countr_zero(masked)) + 1;
         return static_cast<u32>(std::popcount(a)) + 100 * static_cast<u32>(std::countl_zero(b)) +
                10000 * first + reversed + static_cast<u32>(std::popcount(w)) +
                7 * static_cast<u32>(std::countl_zero(w >> (a & 63)));
       });
     }},
    {"byte_permute", "prmt and funnel shifts",
     ELEMENTWISE("byte_permute",
                 "out[i] = __byte_perm(a, b, 0x6251) ^ __byte_perm(a, b, b & 0x7777) ^ __funnelshift_l(a, b, "
                 "11) ^ __funnelshift_r(a, b, a);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u64 bytes = (u64{b} << 32) | a;
         const auto permute = [&](u32 selector) {
           u32 result = 0;
           for (int k = 0; k < 4; ++k) {
             const u32 which = (selector >> (4 * k)) & 7;
             result |= static_cast<u32>((bytes >> (8 * which)) & 0xff) << (8 * k);
           }
           return result;
         };
         const u32 left = static_cast<u32>((bytes << 11) >> 32);
         const u32 right = static_cast<u32>(bytes >> (a & 31));
         return permute(0x6251) ^ permute(b & 0x7777) ^ left ^ right;
       });
     }},
    {"bit_fields", "extraction and insertion of fields at variable places",
     ELEMENTWISE(
         "bit_fields",
         "unsigned at = b & 31, width = (b >> 8) & 15, e, s, p;"
         "asm(\"bfe.u32 %0, %1, %2, %3;\" : \"=r\"(e) : \"r\"(a), \"r\"(at), \"r\"(width));"
         "asm(\"bfe.s32 %0, %1, %2, %3;\" : \"=r\"(s) : \"r\"(a), \"r\"(at), \"r\"(width));"
         "asm(\"bfi.b32 %0, %1, %2, %3, %4;\" : \"=r\"(p) : \"r\"(a), \"r\"(b), \"r\"(at), \"r\"(width));"
         "out[i] = e + 3 * s + 5 * p;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u32 at = b & 31, width = (b >> 8) & 15;
         u32 unsigned_field = 0, inserted = b;
         for (u32 k = 0; k < width; ++k) {
           if (at + k < 32) unsigned_field |= ((a >> (at + k)) & 1) << k;
           if (at + k < 32) inserted = (inserted & ~(1u << (at + k))) | (((a >> k) & 1) << (at + k));
         }
         u32 signed_field = unsigned_field;  // bits past the field repeat bit min(at + width - 1, 31) of a
         if (width > 0) {
           const u32 top = std::min(at + width - 1, 31u);
           if (((a >> top) & 1) != 0) {
             for (u32 k = 0; k < 32; ++k) {
               if (k >= width || at + k > 31) signed_field |= 1u << k;
             }
           }
         }
         return unsigned_field + 3 * signed_field + 5 * inserted;
       });
     }},
    {"extremes", "minimum, maximum, absolute value and differences",
     ELEMENTWISE("extremes",
                 "out[i] = min(a, b) + 3u * (unsigned)max((int)a, (int)b) + 5u * (unsigned)abs((int)(a >> 1) "
                 "- (int)(b >> 1))"
                 "  + __usad(a, b, 17u) + __sad((int)(a >> 2), (int)(b >> 2), 9u);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const i64 half = i64{a >> 1} - i64{b >> 1}, quarter = i64{a >> 2} - i64{b >> 2};
         return std::min(a, b) + 3u * static_cast<u32>(std::max(static_cast<i32>(a), static_cast<i32>(b))) +
                5u * static_cast<u32>(half < 0 ? -half : half) + (a > b ? a - b : b - a) + 17u +
                static_cast<u32>(quarter < 0 ? -quarter : quarter) + 9u;
       });
     }},
    {"byte_dot", "four-way byte dot products (dp4a)",
     ELEMENTWISE("byte_dot",
                 "int s; unsigned u; asm(\"dp4a.s32.s32 %0, %1, %2, %3;\" : \"=r\"(s) : \"r\"(a), \"r\"(b), "
                 "\"r\"(1000));"
                 "asm(\"dp4a.u32.u32 %0, %1, %2, %3;\" : \"=r\"(u) : \"r\"(a), \"r\"(b), \"r\"(7)); out[i] = "
                 "(unsigned)s * 31u + u;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         i32 s = 1000;
         u32 u = 7;
         for (int k = 0; k < 32; k += 8) {
           s += static_cast<std::int8_t>(a >> k) * static_cast<std::int8_t>(b >> k);
           u += ((a >> k) & 0xff) * ((b >> k) & 0xff);
         }
         return static_cast<u32>(s) * 31u + u;
       });
     }},
    {"carry_chain", "add and subtract with carry",
     ELEMENTWISE(
         "carry_chain",
         "unsigned l, m, h, p, q;"
         "asm(\"add.cc.u32 %0, %3, %4; addc.cc.u32 %1, %4, %5; addc.u32 %2, %3, 0;\""
         "  : \"=&r\"(l), \"=&r\"(m), \"=&r\"(h) : \"r\"(a), \"r\"(b), \"r\"(0xffffffffu - a));"
         "asm(\"sub.cc.u32 %0, %2, %3; subc.u32 %1, %3, %2;\" : \"=&r\"(p), \"=&r\"(q) : \"r\"(a), \"r\"(b));"
         "out[i] = l ^ (m * 3) ^ (h * 5) ^ (p * 7) ^ (q * 11);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u64 low = u64{a} + b, middle = u64{b} + (0xffffffffu - a) + (low >> 32);
         const u32 high = a + static_cast<u32>(middle >> 32);
         const u32 difference = a - b, upper = b - a - (a < b ? 1u : 0u);
         return static_cast<u32>(low) ^ (static_cast<u32>(middle) * 3) ^ (high * 5) ^ (difference * 7) ^
                (upper * 11);
       });
     }},
    {"small_integers", "8- and 16-bit arithmetic with wrap-around and sign extension",
     ELEMENTWISE("small_integers",
                 "short s = (short)(a * 3); unsigned short u = (unsigned short)(b - a); signed char c = "
                 "(signed char)(a ^ b); unsigned char d = (unsigned char)(b >> 5);"
                 "s = (short)(s * c); u = (unsigned short)(u + d); c = (signed char)(c - 100);"
                 "out[i] = (unsigned)(int)s + 3u * u + 5u * (unsigned)(int)c + (s < c ? 1000u : 0u);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const auto c0 = static_cast<std::int8_t>(a ^ b);
         const auto s = static_cast<std::int16_t>(static_cast<std::int16_t>(a * 3) * c0);
         const auto u = static_cast<std::uint16_t>(static_cast<std::uint16_t>(b - a) +
                                                   static_cast<std::uint8_t>(b >> 5));
         const auto c = static_cast<std::int8_t>(c0 - 100);
         return static_cast<u32>(i32{s}) + 3u * u + 5u * static_cast<u32>(i32{c}) + (s < c ? 1000u : 0u);
       });
     }},
    {"dense_switch", "a jump table",
     ELEMENTWISE("dense_switch",
                 "unsigned r; switch (a & 15) { case 0: r = b; break; case 1: r = b + 7; break; case 2: r = "
                 "b * 3; break; case 3: r = ~b; break;"
                 "case 4: r = b >> 3; break; case 5: r = b ^ 0x55; break; case 6: r = b << 5; break; case 7: "
                 "r = b - a; break;"
                 "case 8: r = b | 1; break; case 9: r = b & 0xf0f0; break; case 10: r = 10; break; case 11: "
                 "r = a; break; default: r = a * b; } out[i] = r;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) -> u32 {
         const std::array<u32, 12> rows = {b,      b + 7, b * 3,  ~b,          b >> 3, b ^ 0x55,
                                           b << 5, b - a, b | 1u, b & 0xf0f0u, 10u,    a};
         return (a & 15) < 12 ? rows[a & 15] : a * b;
       });
     }},
    {"collatz_steps", "divergent while loops",
     ELEMENTWISE("collatz_steps",
                 "unsigned x = (a & 1023) + 1, steps = 0; while (x != 1) { x = (x & 1) ? 3 * x + 1 : x >> 1; "
                 "++steps; } out[i] = steps;"),
     [](std::span<const u32> in) {
       return each(in, [](u32 a) {
         u32 steps = 0;
         for (u64 x = (a & 1023) + 1; x != 1; ++steps) x = x % 2 == 1 ? 3 * x + 1 : x / 2;
         return steps;
       });
     }},
    {"greatest_divisor", "nested data-dependent loops and remainders",
     ELEMENTWISE("greatest_divisor",
                 "unsigned x = (a & 0xffff) * 12 + 12, y = (b & 0xffff) * 18 + 18; while (y) { unsigned t = "
                 "x % y; x = y; y = t; } out[i] = x;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         u32 x = (a & 0xffff) * 12 + 12, y = (b & 0xffff) * 18 + 18;
         while (x != y) (x > y ? x : y) -= std::min(x, y) * ((std::max(x, y) - 1) / std::min(x, y));
         return x;
       });
     }},
    {"integer_root", "binary search without division",
     ELEMENTWISE("integer_root",
                 "unsigned r = 0; for (int bit = 15; bit >= 0; --bit) { unsigned t = r | (1u << bit); if (t "
                 "* t <= a) r = t; } out[i] = r;"),
     [](std::span<const u32> in) {
       return each(in, [](u32 a) {
         u64 r = 0;
         while ((r + 1) * (r + 1) <= a) ++r;
         return static_cast<u32>(r);
       });
     }},
    {"recursive_fibonacci", "a recursive device function: calls, parameters, local stack",
     "__device__ __noinline__ unsigned fibonacci(unsigned k) { return k < 2 ? k : fibonacci(k - 1) + "
     "fibonacci(k - 2); }" ELEMENTWISE("recursive_fibonacci", "out[i] = fibonacci(a % 11);"),
     [](std::span<const u32> in) {
       return each(in, [](u32 a) {
         u32 x = 0, y = 1;
         for (u32 k = 0; k < a % 11; ++k) {
           const u32 sum = x + y;
           x = y;
           y = sum;
         }
         return x;
       });
     }},
    {"function_of_struct", "device functions that take and return structures",
     "struct Fraction { long long top, bottom; int sign; };"
     "__device__ __noinline__ Fraction combine(Fraction x, Fraction y) { return {x.top * y.bottom + y.top, "
     "x.bottom ^ y.bottom, x.sign - y.sign}; }" ELEMENTWISE(
         "function_of_struct",
         "Fraction x = {(long long)a, (long long)b, 3}, y = {(long long)(int)b, 5, (int)a}; Fraction r = "
         "combine(x, combine(y, x));"
         "out[i] = (unsigned)r.top + (unsigned)(r.bottom >> 3) + (unsigned)r.sign;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u64 inner_top = u64(i64{static_cast<i32>(b)}) * b + a, inner_bottom = 5u ^ u64 { b };
         const u32 inner_sign = a - 3u;
         const u64 top = u64{a} * inner_bottom + inner_top, bottom = b ^ inner_bottom;
         return static_cast<u32>(top) + static_cast<u32>(static_cast<i64>(bottom) >> 3) + (3u - inner_sign);
       });
     }},
    {"counter_generator", "a counter-based generator: rounds of wide multiplications",
     ELEMENTWISE(
         "counter_generator",
         "unsigned x = a, y = b, k = 0xcaffe123u; for (int r = 0; r < 10; ++r) { unsigned h = __umulhi(x, "
         "0xd256d193u), l = x * 0xd256d193u; x = h ^ k ^ y; y = l; k += 0x9e3779b9u; } out[i] = x ^ y;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         u32 x = a, y = b, k = 0xcaffe123u;
         for (int round = 0; round < 10; ++round) {
           const u64 product = u64{x} * 0xd256d193u;
           x = static_cast<u32>(product >> 32) ^ k ^ y;
           y = static_cast<u32>(product);
           k += 0x9e3779b9u;
         }
         return x ^ y;
       });
     }},
};

}  // namespace

std::span<const Kernel> integer_kernels() { return kKernels; }

}  // namespace attest::corpus
