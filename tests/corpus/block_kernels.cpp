// Shared memory, barriers, atomics and patterns in which blocks and warps cooperate.
#include <algorithm>
#include <bit>

#include "corpus.h"

#define BLOCK(NAME, BODY)                        \
  "extern \"C\" __global__ void " NAME           \
  "(const unsigned* in, unsigned* out, int n) {" \
  "  int t = threadIdx.x, i = blockIdx.x * blockDim.x + t; (void)i; (void)n;" BODY "}"

namespace attest::corpus {
namespace {

using u32 = std::uint32_t;

// f(the block's 64 words, thread) for every word.
template <class F>
Words per_block(std::span<const u32> in, F f) {
  Words out;
  for (std::size_t i = 0; i < in.size(); ++i)
    out.push_back(f(in.subspan(i / 64 * 64, 64), static_cast<u32>(i % 64)));
  return out;
}
u32 sum(std::span<const u32> words) {
  u32 total = 0;
  for (u32 word : words) total += word;
  return total;
}

constexpr Kernel kKernels[] = {
    {"block_sum", "a tree reduction in shared memory",
     BLOCK("block_sum",
           "__shared__ unsigned s[64]; s[t] = in[i]; __syncthreads(); for (int d = 32; d > 0; d /= 2) { if "
           "(t < d) s[t] += s[t + d]; __syncthreads(); } out[i] = s[0];"),
     [](std::span<const u32> in) {
       return per_block(in, [](std::span<const u32> block, u32) { return sum(block); });
     }},
    {"block_scan", "a double-buffered scan",
     BLOCK("block_scan",
           "__shared__ unsigned s[2][64]; int p = 0; s[0][t] = in[i]; __syncthreads(); for (int d = 1; d < "
           "64; d *= 2) { s[1 - p][t] = s[p][t] + (t >= d ? s[p][t - d] : 0u); p = 1 - p; __syncthreads(); } "
           "out[i] = s[p][t];"),
     [](std::span<const u32> in) {
       return per_block(
           in, [](std::span<const u32> block, u32 thread) { return sum(block.subspan(0, thread + 1)); });
     }},
    {"tile_transpose", "a padded two-dimensional tile in a two-dimensional block",
     "extern \"C\" __global__ void tile_transpose(const unsigned* in, unsigned* out, int n) {"
     "  __shared__ unsigned tile[8][9]; int x = threadIdx.x % 8, y = threadIdx.x / 8; int base = blockIdx.x "
     "* 64; tile[y][x] = in[base + y * 8 + x]; __syncthreads(); out[base + y * 8 + x] = tile[x][y]; }",
     [](std::span<const u32> in) {
       return per_block(
           in, [](std::span<const u32> block, u32 thread) { return block[thread % 8 * 8 + thread / 8]; });
     }},
    {"shared_histogram", "atomics in shared, then in global memory",
     BLOCK("shared_histogram",
           "__shared__ unsigned bins[16]; if (t < 16) bins[t] = 0; __syncthreads(); atomicAdd(&bins[in[i] & "
           "15], 1u); __syncthreads(); if (t < 16) atomicAdd(&out[t], bins[t]);"),
     [](std::span<const u32> in) {
       Words out(16);
       for (u32 word : in) ++out[word & 15];
       return out;
     }},
    {"counting_barriers", "barriers that count, or and and",
     BLOCK(
         "counting_barriers",
         "int c = __syncthreads_count((in[i] & 7) == 1); int o = __syncthreads_or((in[i] & 4095) == 5); int "
         "a = __syncthreads_and(in[i] > 3); out[i] = (unsigned)c + (o ? 1000u : 0u) + (a ? 2000u : 0u);"),
     [](std::span<const u32> in) {
       return per_block(in, [](std::span<const u32> block, u32) {
         u32 count = 0;
         bool any = false, every = true;
         for (u32 word : block) {
           count += word % 8 == 1 ? 1 : 0;
           any = any || word % 4096 == 5;
           every = every && word > 3;
         }
         return count + (any ? 1000u : 0u) + (every ? 2000u : 0u);
       });
     }},
    {"producer_consumer", "named barriers: one warp arrives, the other waits",
     BLOCK(
         "producer_consumer",
         "__shared__ unsigned s[32]; int lane = t & 31; out[i] = 0; for (int round = 0; round < 4; ++round) {"
         "  if (t < 32) { if (round > 0) asm volatile(\"bar.sync 2, 64;\" ::: \"memory\"); s[lane] = in[i] + "
         "round; asm volatile(\"bar.arrive 1, 64;\" ::: \"memory\"); }"
         "  else { asm volatile(\"bar.sync 1, 64;\" ::: \"memory\"); out[i] += s[31 - lane] * (round + 1); "
         "if (round < 3) asm volatile(\"bar.arrive 2, 64;\" ::: \"memory\"); } }"),
     [](std::span<const u32> in) {
       return per_block(in, [](std::span<const u32> block, u32 thread) {
         u32 total = 0;
         for (u32 round = 0; thread >= 32 && round < 4; ++round)
           total += (block[63 - thread] + round) * (round + 1);
         return total;
       });
     }},
    {"matrix_product", "an 8 x 8 product of words through shared memory",
     BLOCK("matrix_product",
           "__shared__ unsigned a[8][8], b[8][8]; int x = t % 8, y = t / 8; a[y][x] = in[i]; b[y][x] = in[i] "
           "^ 0x5bd1e995u; __syncthreads(); unsigned r = 0; for (int k = 0; k < 8; ++k) r += a[y][k] * "
           "b[k][x]; out[i] = r;"),
     [](std::span<const u32> in) {
       return per_block(in, [](std::span<const u32> block, u32 thread) {
         u32 r = 0;
         for (u32 k = 0; k < 8; ++k)
           r += block[thread / 8 * 8 + k] * (block[k * 8 + thread % 8] ^ 0x5bd1e995u);
         return r;
       });
     }},
    {"last_block_sums", "the block that arrives last adds up what all have written",
     "__device__ unsigned arrived = 0; __device__ unsigned partial[2];" BLOCK(
         "last_block_sums",
         "__shared__ bool last; unsigned v = in[i]; for (int d = 16; d > 0; d /= 2) v += "
         "__shfl_down_sync(0xffffffffu, v, d); __shared__ unsigned s[2]; if ((t & 31) == 0) s[t / 32] = v; "
         "__syncthreads();"
         "if (t == 0) { partial[blockIdx.x] = s[0] + s[1]; __threadfence(); last = atomicInc(&arrived, "
         "gridDim.x - 1) == gridDim.x - 1; } __syncthreads();"
         "if (last && t == 0) { __threadfence(); unsigned r = 0; for (int k = 0; k < (int)gridDim.x; ++k) r "
         "+= ((volatile unsigned*)partial)[k]; out[0] = r; }"),
     [](std::span<const u32> in) { return Words{sum(in)}; }},
    {"integer_atomics", "minimum, maximum, logic, exchange, subtraction, 64-bit addition",
     BLOCK("integer_atomics",
           "unsigned a = in[i]; atomicMin((int*)out, (int)a); atomicMax(out + 1, a); atomicOr(out + 2, a & "
           "0x0f0f0f0f); atomicXor(out + 3, a); atomicSub(out + 4, a); atomicAnd(out + 5, a);"
           "atomicAdd((unsigned long long*)(out + 6), (unsigned long long)a * a); atomicMax((int*)out + 8, "
           "(int)a); atomicInc(out + 9, 99u); atomicDec(out + 10, 50u);"),
     [](std::span<const u32> in) {
       Words out(11);
       std::uint64_t squares = 0;
       auto low = std::int32_t{0}, high = std::int32_t{0};
       for (u32 word : in) {
         low = std::min(low, static_cast<std::int32_t>(word));
         high = std::max(high, static_cast<std::int32_t>(word));
         out[1] = std::max(out[1], word);
         out[2] |= word & 0x0f0f0f0f;
         out[3] ^= word;
         out[4] -= word;
         squares += std::uint64_t{word} * word;
       }
       out[0] = static_cast<u32>(low);
       out[6] = static_cast<u32>(squares);
       out[7] = static_cast<u32>(squares >> 32);
       out[8] = static_cast<u32>(high);
       out[9] = static_cast<u32>(in.size()) % 100;              // 0, 1, .., 99, 0, ..
       out[10] = (51 - static_cast<u32>(in.size()) % 51) % 51;  // 0, 50, 49, .., 0, 50, ..
       return out;
     }},
    {"compare_and_swap", "a floating-point maximum by compare and swap, and exchange of a lock",
     BLOCK(
         "compare_and_swap",
         "float v = (float)(in[i] & 0xffff) * 0.25f; unsigned old = out[0], seen; do { seen = old; if "
         "(__uint_as_float(seen) >= v) break; old = atomicCAS(out, seen, __float_as_uint(v)); } while (old "
         "!= seen);"
         "bool done = false; while (!done) { if (atomicExch(out + 1, 1u) == 0u) { __threadfence(); "
         "((volatile unsigned*)out)[2] += in[i]; __threadfence(); atomicExch(out + 1, 0u); done = true; } }"),
     [](std::span<const u32> in) {
       u32 highest = 0;
       for (u32 word : in) highest = std::max(highest, word & 0xffff);
       return Words{as_word(static_cast<float>(highest) * 0.25f), 0, sum(in)};
     }},
    {"float_atomics", "red.add of floats whose sums are exact",
     BLOCK("float_atomics",
           "atomicAdd((float*)out, (float)(in[i] & 1023)); atomicAdd((double*)(out + 2), (double)in[i]);"),
     [](std::span<const u32> in) {
       float f = 0;
       double d = 0;
       for (u32 word : in) {
         f += static_cast<float>(word & 1023);
         d += word;
       }
       const auto bits = std::bit_cast<std::uint64_t>(d);
       return Words{as_word(f), 0, static_cast<u32>(bits), static_cast<u32>(bits >> 32)};
     }},
    {"bitonic_sort", "a sorting network in dynamic shared memory",
     "extern __shared__ unsigned s[];" BLOCK(
         "bitonic_sort",
         "s[t] = in[i]; __syncthreads(); for (int k = 2; k <= 64; k *= 2) for (int j = k / 2; j > 0; j /= 2) "
         "{ int p = t ^ j; if (p > t) { bool up = (t & k) == 0; unsigned x = s[t], y = s[p]; if ((x > y) == "
         "up) { s[t] = y; s[p] = x; } } __syncthreads(); } out[i] = s[t];"),
     [](std::span<const u32> in) {
       Words out(in.begin(), in.end());
       for (auto at = out.begin(); at != out.end(); at += 64) std::sort(at, at + 64);
       return out;
     },
     2, 64, 256},
    {"aggregated_append", "one atomic a warp, then every lane writes at its rank",
     BLOCK("aggregated_append",
           "bool keep = (in[i] & 1) == 0; unsigned m = __ballot_sync(0xffffffffu, keep); int lane = t & 31; "
           "unsigned base = 0; if (lane == 0) base = atomicAdd(out + n, (unsigned)__popc(m)); base = "
           "__shfl_sync(0xffffffffu, base, 0);"
           "if (keep) out[base + __popc(m & ((1u << lane) - 1))] = in[i];"),
     [](std::span<const u32> in) {
       Words out;
       for (u32 word : in) {
         if (word % 2 == 0) out.push_back(word);
       }
       const auto kept = static_cast<u32>(out.size());
       out.resize(in.size());
       out.push_back(kept);
       return out;
     },
     2, 64, 0, 80, 0, true},
    {"stencil_with_halo", "neighbours from shared memory, edges from global",
     BLOCK("stencil_with_halo",
           "__shared__ unsigned s[66]; s[t + 1] = in[i]; if (t == 0) s[0] = in[(i + n - 1) % n]; if (t == "
           "63) s[65] = in[(i + 1) % n]; __syncthreads(); out[i] = s[t] + 2 * s[t + 1] + 3 * s[t + 2];"),
     [](std::span<const u32> in) {
       Words out;
       const std::size_t n = in.size();
       for (std::size_t i = 0; i < n; ++i)
         out.push_back(in[(i + n - 1) % n] + 2 * in[i] + 3 * in[(i + 1) % n]);
       return out;
     }},
    {"early_exit", "threads that leave before the others' named barrier",
     BLOCK("early_exit",
           "out[i] = 1; if (t >= 32) return; __shared__ unsigned s[32]; s[t] = in[i]; asm "
           "volatile(\"bar.sync 1, 32;\" ::: \"memory\"); out[i] = s[(t + 5) & 31];"),
     [](std::span<const u32> in) {
       return per_block(in, [](std::span<const u32> block, u32 thread) {
         return thread < 32 ? block[(thread + 5) % 32] : 1u;
       });
     }},
};

}  // namespace

std::span<const Kernel> block_kernels() { return kKernels; }

}  // namespace attest::corpus
