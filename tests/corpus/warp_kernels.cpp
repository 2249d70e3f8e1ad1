// Votes, shuffles, matches and reductions within a warp.
#include <algorithm>
#include <bit>

#include "corpus.h"

#define WARP(NAME, BODY)                                                                                \
  "extern \"C\" __global__ void " NAME                                                                  \
  "(const unsigned* in, unsigned* out, int n) {"                                                        \
  "  int i = blockIdx.x * blockDim.x + threadIdx.x; int lane = threadIdx.x & 31; const unsigned all = " \
  "0xffffffffu; (void)lane; (void)all; unsigned a = in[i];" BODY "}"

namespace attest::corpus {
namespace {

using u32 = std::uint32_t;

// f(the warp's 32 words, lane) for every word.
template <class F>
Words per_warp(std::span<const u32> in, F f) {
  Words out;
  for (std::size_t i = 0; i < in.size(); ++i)
    out.push_back(f(in.subspan(i / 32 * 32, 32), static_cast<u32>(i % 32)));
  return out;
}

constexpr Kernel kKernels[] = {
    {"butterfly_sum", "xor shuffles",
     WARP("butterfly_sum", "for (int d = 16; d > 0; d /= 2) a += __shfl_xor_sync(all, a, d); out[i] = a;"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32) {
         u32 sum = 0;
         for (u32 word : warp) sum += word;
         return sum;
       });
     }},
    {"inclusive_scan", "up shuffles whose lower lanes keep their own",
     WARP("inclusive_scan",
          "for (int d = 1; d < 32; d *= 2) { unsigned v = __shfl_up_sync(all, a, d); if (lane >= d) a += v; "
          "} out[i] = a;"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32 lane) {
         u32 sum = 0;
         for (u32 k = 0; k <= lane; ++k) sum += warp[k];
         return sum;
       });
     }},
    {"narrow_shuffles", "shuffles within groups of eight, down and by index",
     WARP("narrow_shuffles",
          "unsigned d = __shfl_down_sync(all, a, 3, 8), x = __shfl_sync(all, a, a & 15, 8); out[i] = d * 3 + "
          "x;"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32 lane) {
         const u32 group = lane / 8 * 8, down = lane % 8 + 3 < 8 ? lane + 3 : lane;
         return warp[down] * 3 + warp[group + (warp[lane] & 7)];
       });
     }},
    {"ballot_compaction", "ballot, any, all, lane masks and population count",
     WARP("ballot_compaction",
          "bool keep = (a & 3) == 1; unsigned votes = __ballot_sync(all, keep); unsigned below; "
          "asm(\"mov.u32 %0, %%lanemask_lt;\" : \"=r\"(below));"
          "out[i] = (keep ? __popc(votes & below) : 100u) + (__any_sync(all, (a & 1023) == 0) ? 1000u : 0u) "
          "+ (__all_sync(all, a > 5) ? 2000u : 0u);"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32 lane) {
         u32 rank = 0;
         bool any = false, every = true;
         for (u32 k = 0; k < 32; ++k) {
           if (k < lane && warp[k] % 4 == 1) ++rank;
           any = any || warp[k] % 1024 == 0;
           every = every && warp[k] > 5;
         }
         return (warp[lane] % 4 == 1 ? rank : 100u) + (any ? 1000u : 0u) + (every ? 2000u : 0u);
       });
     }},
    {"match_lanes", "lanes with equal values",
     WARP("match_lanes",
          "int same; unsigned any = __match_any_sync(all, a & 7); unsigned agreed = __match_all_sync(all, a "
          "& 0, &same); out[i] = any ^ (agreed + (unsigned)same);"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32 lane) {
         u32 mask = 0;
         for (u32 k = 0; k < 32; ++k) mask |= (warp[k] & 7) == (warp[lane] & 7) ? 1u << k : 0u;
         return mask ^ (0xffffffffu + 1u);
       });
     }},
    {"warp_reductions", "redux.sync: add, minimum, maximum, logic",
     WARP("warp_reductions",
          "out[i] = __reduce_add_sync(all, a) ^ __reduce_min_sync(all, a) ^ (unsigned)__reduce_max_sync(all, "
          "(int)a) ^ __reduce_and_sync(all, a | 0xff) ^ __reduce_or_sync(all, a & 0xf0f0) ^ "
          "__reduce_xor_sync(all, a);"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32) {
         u32 sum = 0, low = ~0u, both = ~0u, either = 0, odd = 0;
         auto high = static_cast<std::int32_t>(warp[0]);
         for (u32 word : warp) {
           sum += word;
           low = std::min(low, word);
           high = std::max(high, static_cast<std::int32_t>(word));
           both &= word | 0xff;
           either |= word & 0xf0f0;
           odd ^= word;
         }
         return sum ^ low ^ static_cast<u32>(high) ^ both ^ either ^ odd;
       });
     }},
    {"divergent_groups", "half of the warp shuffles among itself while the other half does otherwise",
     WARP("divergent_groups",
          "unsigned mask = (lane & 1) ? 0xaaaaaaaau : 0x55555555u; if (lane & 1) { for (int d = 2; d < 32; d "
          "*= 2) a = max(a, __shfl_xor_sync(mask, a, d)); }"
          "else { for (int k = 0; k < 3; ++k) a = a * 5 + __shfl_sync(mask, a, (lane + 2) & 31); } "
          "__syncwarp(); out[i] = a;"),
     [](std::span<const u32> in) {
       Words out;
       for (std::size_t base = 0; base < in.size(); base += 32) {
         Words warp(in.begin() + static_cast<std::ptrdiff_t>(base),
                    in.begin() + static_cast<std::ptrdiff_t>(base) + 32);
         u32 highest = 0;
         for (std::size_t lane = 1; lane < 32; lane += 2) highest = std::max(highest, warp[lane]);
         for (int k = 0; k < 3; ++k) {
           const Words before = warp;
           for (std::size_t lane = 0; lane < 32; lane += 2)
             warp[lane] = before[lane] * 5 + before[(lane + 2) % 32];
         }
         for (std::size_t lane = 1; lane < 32; lane += 2) warp[lane] = highest;
         out.insert(out.end(), warp.begin(), warp.end());
       }
       return out;
     }},
    {"active_lanes", "the lanes that took a branch, found by themselves",
     WARP("active_lanes",
          "out[i] = 0; if (a & 1) { unsigned m = __match_any_sync(__ballot_sync(__activemask(), 1), 1); "
          "__syncwarp(m); out[i] = __popc(m) > 0 ? a : 0; }"),
     [](std::span<const u32> in) { return each(in, [](u32 a) { return a % 2 == 1 ? a : 0u; }); }},
    {"double_shuffle", "a 64-bit shuffle of doubles",
     WARP("double_shuffle",
          "double v = (double)a * 0.5; for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(all, v, d); "
          "out[i] = lane == 0 ? (unsigned)(long long)(v * 2.0) : 7u;"),
     [](std::span<const u32> in) {
       return per_warp(in, [](std::span<const u32> warp, u32 lane) {
         u32 sum = 0;  // sums of 32 halves of words are exact in double
         for (u32 word : warp) sum += word;
         return lane == 0 ? sum : 7u;
       });
     }},
};

}  // namespace

std::span<const Kernel> warp_kernels() { return kKernels; }

}  // namespace attest::corpus
