// Floating point: rounding modes, conversions, half and quarter precision, approximate functions.
#include <cfenv>
#include <cmath>
#include <limits>

#include "corpus.h"
#include "reference/number_formats.h"

// One thread a word. `a`, `b` are the words; `x`, `y` finite floats made of them: (word mod 2^20 - 2^19) /
// 2^12, so |x| <= 128.
#define FLOATS(NAME, BODY)                                                                              \
  "__device__ float small(unsigned w) { return (float)((int)(w & 0xfffff) - 0x80000) * 0x1p-12f; }"     \
  "extern \"C\" __global__ void " NAME                                                                  \
  "(const unsigned* in, unsigned* out, int n) {"                                                        \
  "  int i = blockIdx.x * blockDim.x + threadIdx.x; if (i >= n) return;"                                \
  "  unsigned a = in[i], b = in[(i * 7 + 3) % n]; float x = small(a), y = small(b); (void)a; (void)b; " \
  "(void)x; (void)y;" BODY "}"

namespace attest::corpus {
namespace {

using u32 = std::uint32_t;
using i32 = std::int32_t;

float small(u32 word) { return static_cast<float>(static_cast<i32>(word & 0xfffff) - 0x80000) * 0x1p-12f; }

// f(x, y) of the exact floats in a rounding direction; GCC may not move the operations across the mode's
// change, hence volatile.
template <class F>
float rounded(int mode, float x, float y, F f) {
  const int before = std::fegetround();
  std::fesetround(mode);
  volatile float left = x, right = y;
  volatile float result = f(left, right);
  std::fesetround(before);
  return result;
}

u32 half(double value) { return static_cast<u32>(encode(Format::f16, value)); }
u32 brain(double value) { return static_cast<u32>(encode(Format::bf16, value)); }
double from_half(u32 bits) { return decode(Format::f16, bits & 0xffff); }
double from_brain(u32 bits) { return decode(Format::bf16, bits & 0xffff); }
double from_quarter(u32 bits) { return decode(Format::e4m3, bits & 0xff); }

constexpr Kernel kKernels[] = {
    {"horner", "a polynomial of fused multiply-adds",
     FLOATS("horner",
            "float r = 0.125f; for (int k = 0; k < 6; ++k) r = __fmaf_rn(r, x * 0.01f, y); out[i] = "
            "__float_as_uint(r);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         float r = 0.125f;
         const float x = small(a) * 0.01f, y = small(b);
         for (int k = 0; k < 6; ++k) r = std::fma(r, x, y);
         return as_word(r);
       });
     }},
    {"double_polynomial", "double arithmetic, square root and division, all exactly rounded",
     FLOATS("double_polynomial",
            "double u = x, v = y; double r = sqrt(u * u + v * v + 1.0) / (3.0 + fabs(v)) - __fma_rn(u, v, "
            "0.1) * 1e-3;"
            "unsigned long long w = __double_as_longlong(r); out[i] = (unsigned)w ^ (unsigned)(w >> 32);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const double u = small(a), v = small(b);
         const double r = std::sqrt(u * u + v * v + 1.0) / (3.0 + std::fabs(v)) - std::fma(u, v, 0.1) * 1e-3;
         const auto w = std::bit_cast<std::uint64_t>(r);
         return static_cast<u32>(w) ^ static_cast<u32>(w >> 32);
       });
     }},
    {"rounding_modes", "add, multiply, divide and square root in four rounding directions",
     FLOATS("rounding_modes",
            "float r[6] = {__fadd_rz(x, y * 1e-3f), __fmul_ru(x, y), __fdiv_rd(x, fabsf(y) + 0.7f), "
            "__fsqrt_rn(fabsf(x)), __fadd_rd(x, 1e-9f), __fmul_rz(x, 0.1f)};"
            "unsigned h = 0; for (int k = 0; k < 6; ++k) h = h * 31u + __float_as_uint(r[k]); out[i] = h;"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const float x = small(a), y = small(b);
         const auto add = [](float p, float q) { return p + q; };
         const auto multiply = [](float p, float q) { return p * q; };
         const auto divide = [](float p, float q) { return p / q; };
         const float r[6] = {rounded(FE_TOWARDZERO, x, y * 1e-3f, add),
                             rounded(FE_UPWARD, x, y, multiply),
                             rounded(FE_DOWNWARD, x, std::fabs(y) + 0.7f, divide),
                             std::sqrt(std::fabs(x)),
                             rounded(FE_DOWNWARD, x, 1e-9f, add),
                             rounded(FE_TOWARDZERO, x, 0.1f, multiply)};
         u32 h = 0;
         for (float value : r) h = h * 31u + as_word(value);
         return h;
       });
     }},
    {"float_to_integer", "conversions in every rounding mode, saturating",
     FLOATS("float_to_integer",
            "out[i] = (unsigned)__float2int_rn(x) + 3u * (unsigned)__float2int_rz(x) + 5u * "
            "(unsigned)__float2int_ru(y) + 7u * (unsigned)__float2int_rd(y)"
            "  + 11u * __float2uint_rz(x) + (unsigned)__float2int_rz(x * 1e12f) + (unsigned)(int)(long "
            "long)(x * 1e6f);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const float x = small(a), y = small(b);
         const auto integer = [](double value) { return static_cast<u32>(static_cast<std::int64_t>(value)); };
         const double huge = static_cast<double>(x * 1e12f);
         const u32 saturated = huge >= 2147483647.0    ? 0x7fffffffu
                               : huge <= -2147483648.0 ? 0x80000000u
                                                       : integer(huge);
         return integer(std::nearbyint(x)) + 3u * integer(std::trunc(x)) + 5u * integer(std::ceil(y)) +
                7u * integer(std::floor(y)) + 11u * (x < 0 ? 0u : integer(std::trunc(x))) + saturated +
                static_cast<u32>(static_cast<std::int64_t>(x * 1e6f));
       });
     }},
    {"integer_to_float", "conversions from 32- and 64-bit integers, and between float and double",
     FLOATS("integer_to_float",
            "float p = (float)a, q = (float)(int)b, r = (float)(((unsigned long long)a << 32) | b); double d "
            "= (double)(long long)(((unsigned long long)b << 32) | a);"
            "float s = (float)(d * 1e-3); float t = __uint2float_rz(a), u = __int2float_ru((int)b);"
            "out[i] = __float_as_uint(p) + 3u * __float_as_uint(q) + 5u * __float_as_uint(r) + 7u * "
            "__float_as_uint(s) + 11u * __float_as_uint(t) + 13u * __float_as_uint(u);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const float p = static_cast<float>(a), q = static_cast<float>(static_cast<i32>(b));
         const float r = static_cast<float>((std::uint64_t{a} << 32) | b);
         const double d = static_cast<double>(static_cast<std::int64_t>((std::uint64_t{b} << 32) | a));
         const float s = static_cast<float>(d * 1e-3);
         float t = static_cast<float>(a), u = static_cast<float>(static_cast<i32>(b));
         if (static_cast<double>(t) > a) t = std::nextafter(t, 0.0f);
         if (static_cast<double>(u) < static_cast<i32>(b))
           u = std::nextafter(u, std::numeric_limits<float>::infinity());
         return as_word(p) + 3u * as_word(q) + 5u * as_word(r) + 7u * as_word(s) + 11u * as_word(t) +
                13u * as_word(u);
       });
     }},
    {"half_pairs", "f16x2 arithmetic: add, fused multiply-add, maximum",
     FLOATS(
         "half_pairs",
         "unsigned p, q, r, s, t; asm(\"cvt.rn.f16x2.f32 %0, %1, %2;\" : \"=r\"(p) : \"f\"(x), \"f\"(y));"
         "asm(\"cvt.rn.f16x2.f32 %0, %1, %2;\" : \"=r\"(q) : \"f\"(y * 0.37f), \"f\"(x * 0.11f));"
         "asm(\"fma.rn.f16x2 %0, %1, %2, %1;\" : \"=r\"(r) : \"r\"(p), \"r\"(q)); asm(\"add.f16x2 %0, %1, "
         "%2;\" : \"=r\"(s) : \"r\"(p), \"r\"(q));"
         "asm(\"max.f16x2 %0, %1, %2;\" : \"=r\"(t) : \"r\"(p), \"r\"(q)); out[i] = r ^ (s * 3) ^ (t * 5);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const float x = small(a), y = small(b);
         const u32 p[2] = {half(y), half(x)}, q[2] = {half(x * 0.11f), half(y * 0.37f)};  // low half first
         u32 r = 0, s = 0, t = 0;
         for (int k = 0; k < 2; ++k) {
           const double u = from_half(p[k]), v = from_half(q[k]);
           r |= half(u * v + u) << (16 * k);  // exact in double, so rounded once
           s |= half(u + v) << (16 * k);
           t |= half(std::fmax(u, v)) << (16 * k);
         }
         return r ^ (s * 3) ^ (t * 5);
       });
     }},
    {"brain_pairs", "bf16x2: packing two floats, fused multiply-add, unpacking by shifts",
     FLOATS("brain_pairs",
            "unsigned p, r; asm(\"cvt.rn.bf16x2.f32 %0, %1, %2;\" : \"=r\"(p) : \"f\"(x * 1.003f), \"f\"(y));"
            "asm(\"fma.rn.bf16x2 %0, %1, %1, %1;\" : \"=r\"(r) : \"r\"(p)); float low = __uint_as_float(p << "
            "16), high = __uint_as_float(p & 0xffff0000u);"
            "out[i] = r ^ __float_as_uint(low + high * 0.5f);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const u32 low = brain(small(b)), high = brain(small(a) * 1.003f);
         const double u = from_brain(low), v = from_brain(high);
         const u32 r = brain(u * u + u) | (brain(v * v + v) << 16);
         return r ^ as_word(static_cast<float>(u) + static_cast<float>(v) * 0.5f);
       });
     }},
    {"quarter_conversion", "fp8 (e4m3) to and from wider formats, saturating",
     FLOATS("quarter_conversion",
            "unsigned short p; unsigned h; asm(\"cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;\" : \"=h\"(p) : "
            "\"f\"(x * 8.0f), \"f\"(y * 0.01f));"
            "asm(\"cvt.rn.f16x2.e4m3x2 %0, %1;\" : \"=r\"(h) : \"h\"(p)); out[i] = h ^ ((unsigned)p << 8);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const auto saturated = [](float value) {
           const double bounded = std::fmin(448.0, std::fmax(-448.0, static_cast<double>(value)));
           return static_cast<u32>(encode(Format::e4m3, bounded));
         };
         const u32 low = saturated(small(b) * 0.01f), high = saturated(small(a) * 8.0f);
         return (half(from_quarter(low)) | (half(from_quarter(high)) << 16)) ^ ((low | (high << 8)) << 8);
       });
     },
     2, 64, 0, 89},
    {"approximate_exponential", "ex2.approx and its inverse lg2.approx",
     FLOATS(
         "approximate_exponential",
         "float r; asm(\"ex2.approx.ftz.f32 %0, %1;\" : \"=f\"(r) : \"f\"(x)); out[i] = __float_as_uint(r);"),
     [](std::span<const u32> in) {
       return each(in, [](u32 a) {
         const auto r = static_cast<float>(std::exp2(static_cast<double>(small(a))));
         return as_word(r < 0x1p-126f ? 0.0f : r);  // .ftz: a subnormal result is zero
       });
     },
     2, 64, 0, 80, 4},
    {"fast_functions", "__expf, rsqrtf and __frcp_rn",
     FLOATS("fast_functions",
            "out[i] = __float_as_uint(__expf(x * 0.1f) * rsqrtf(fabsf(y) + 1.0f) + __frcp_rn(fabsf(x) + "
            "2.0f));"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const double x = small(a) * 0.1f, y = std::fabs(small(b)) + 1.0f, z = std::fabs(small(a)) + 2.0f;
         return as_word(static_cast<float>(std::exp(x) / std::sqrt(y) + 1.0 / z));
       });
     },
     2, 64, 0, 80, 24},
    {"library_functions", "expf, logf and tanhf of CUDA's device library",
     FLOATS("library_functions",
            "out[i] = __float_as_uint(expf(x * 0.25f) + logf(fabsf(y) + 0.5f) * 0.1f + 3.0f + tanhf(x));"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const double x = small(a), y = small(b);
         return as_word(static_cast<float>(std::exp(x * 0.25) + std::log(std::fabs(y) + 0.5) * 0.1f + 3.0 +
                                           std::tanh(x)));
       });
     },
     2, 64, 0, 80, 8},
    {"large_angle_sine", "sinf of large arguments: a local array in the slow path",
     FLOATS("large_angle_sine", "out[i] = __float_as_uint(sinf(x * 30011.0f) + 2.0f);"),
     [](std::span<const u32> in) {
       return each(in, [](u32 a) {
         return as_word(static_cast<float>(std::sin(static_cast<double>(small(a) * 30011.0f)) + 2.0));
       });
     },
     2, 64, 0, 80, 4},
    {"minimum_of_nan", "fminf and fmaxf with NaN and infinities, classification, sign copy",
     FLOATS("minimum_of_nan",
            "float p = __uint_as_float(a), q = __uint_as_float(b | 0x7f800000u); if ((b & 3) == 0) q = y;"
            "float r = fminf(q, x), s = fmaxf(q, x), t = copysignf(x, p);"
            "out[i] = __float_as_uint(r) ^ __float_as_uint(s) ^ (__float_as_uint(t) * 3) ^ (isnan(q) ? 1u : "
            "0u) ^ (isinf(q) ? 2u : 0u) ^ (q < x ? 4u : 0u) ^ (!(q >= x) ? 8u : 0u);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const float x = small(a), q = (b & 3) == 0 ? small(b) : as_float(b | 0x7f800000u);
         const bool nan = q != q;
         const float r = nan || x < q ? x : q, s = nan || x > q ? x : q;
         const u32 t = (as_word(x) & 0x7fffffffu) | (a & 0x80000000u);
         return as_word(r) ^ as_word(s) ^ (t * 3) ^ (nan ? 1u : 0u) ^ (std::isinf(q) ? 2u : 0u) ^
                (q < x ? 4u : 0u) ^ (!(q >= x) ? 8u : 0u);
       });
     }},
    {"subnormal_arithmetic", "subnormal operands and results are kept",
     FLOATS("subnormal_arithmetic",
            "float s = __uint_as_float(a & 0x807fffffu), t = __uint_as_float(b & 0x80ffffffu); out[i] = "
            "__float_as_uint(s + t) ^ (__float_as_uint(t * 0.3f) * 3) ^ (__float_as_uint(s * 1e30f) * 5);"),
     [](std::span<const u32> in) {
       return pairs(in, [](u32 a, u32 b) {
         const float s = as_float(a & 0x807fffffu), t = as_float(b & 0x80ffffffu);
         return as_word(s + t) ^ (as_word(t * 0.3f) * 3) ^ (as_word(s * 1e30f) * 5);
       });
     }},
    {"compensated_sum", "Kahan's summation: nothing may be reassociated",
     FLOATS("compensated_sum",
            "float sum = 1e8f, lost = 0; for (int k = 0; k < 40; ++k) { float v = x * (float)(k % 5 + 1) - "
            "lost; float t = sum + v; lost = (t - sum) - v; sum = t; } out[i] = __float_as_uint(sum) ^ "
            "__float_as_uint(lost);"),
     [](std::span<const u32> in) {
       return each(in, [](u32 a) {
         const float x = small(a);
         float sum = 1e8f, lost = 0;
         for (int k = 0; k < 40; ++k) {
           const float v = x * static_cast<float>(k % 5 + 1) - lost;
           const float t = sum + v;
           lost = (t - sum) - v;
           sum = t;
         }
         return as_word(sum) ^ as_word(lost);
       });
     }},
};

}  // namespace

std::span<const Kernel> float_kernels() { return kKernels; }

}  // namespace attest::corpus
