// The table of kernel mutants.
#include "jit/kernel_mutants.h"

namespace attest {
namespace {

constexpr std::optional<Family> kAll = std::nullopt;

constexpr KernelMutant kMutants[] = {
    {"tail-off-by-one", "the token behind the end of a unit is taken along", "block_work.cuh",
     "return token < unit.end &&", "return token <= unit.end &&", kAll},
    {"result-rescale-dropped", "the result is not rescaled when the running maximum rises",
     "online_softmax.cuh", "__fmul_rn(result[slot], rescale)", "result[slot]", kAll},
    {"sum-rescale-dropped", "the denominator is not rescaled when the running maximum rises",
     "online_softmax.cuh", "__fmaf_rn(sum, rescale, probability)", "__fadd_rn(sum, probability)", kAll},
    {"grouped-load-barrier-removed", "warps read a tile that others still load", "decode_grouped.cuh",
     "__syncthreads();  // the tile", "// the tile", Family::grouped},
    {"grouped-reuse-barrier-removed", "warps overwrite a tile that others still read", "decode_grouped.cuh",
     "__syncthreads();  // every warp", "// every warp", Family::grouped},
    {"latent-load-barrier-removed", "warps read a tile that others still load", "decode_latent.cuh",
     "__syncthreads();  // the tile", "// the tile", Family::latent},
    {"latent-reuse-barrier-removed", "warps overwrite a tile that others still read", "decode_latent.cuh",
     "__syncthreads();  // every warp", "// every warp", Family::latent},
    {"key-value-strides-swapped", "keys are read with the strides of values", "decode_grouped.cuh",
     "token_row<Element>(args.keys,",
     "token_row<Element>(PagedArgs{args.keys.base, args.values.page_stride, args.values.token_stride, "
     "args.values.head_stride},",
     Family::grouped},
    {"empty-split-guard-removed", "the merge reads the result of a part that saw nothing", "merge_splits.cuh",
     "if (lse == kNegativeInfinity) continue;", "", kAll},
    {"one-latent-head", "every branch reads the first latent head", "decode_latent.cuh",
     "latent_head = work.kv_head", "latent_head = 0", Family::latent},
    {"one-kv-head", "every group reads the first KV head's keys", "decode_grouped.cuh",
     "keys, work.pages, args.page_tokens, tile + slot, work.kv_head)",
     "keys, work.pages, args.page_tokens, tile + slot, 0)", Family::grouped},
    {"padding-attended", "tokens of the left padding are seen", "paged_cache.cuh",
     "if (token < padding) return false;", "", kAll},
    {"causal-one-late", "a query sees the token after its own", "paged_cache.cuh",
     "token > position) return false", "token > position + 1) return false", kAll},
    {"window-one-wide", "the window is one token too wide", "paged_cache.cuh",
     "token > position - mask.window", "token >= position - mask.window", kAll},
    {"page-not-looked-up", "pages are taken in order instead of through the table", "paged_cache.cuh",
     "page = pages[token / page_tokens]", "page = token / page_tokens", kAll},
    {"scale-doubled", "the softmax scale is applied twice as large to the exponent only",
     "online_softmax.cuh", "__fmaf_rn(score, exponent_scale, -new_maximum)",
     "__fmaf_rn(score, 2.0f * exponent_scale, -new_maximum)", kAll},
    {"lse-left-in-base-2", "the log-sum-exp is not converted to the natural logarithm", "merge_splits.cuh",
     "kNaturalLogOf2 = 0.693147180559945309f", "kNaturalLogOf2 = 1.0f", kAll},
    {"splits-averaged", "splits are merged with equal weights", "merge_splits.cuh",
     "weight = exp2_approx(__fsub_rn(lse, maximum))", "weight = 1.0f", kAll},
    {"last-split-dropped", "the merge leaves out the last split when there are several", "merge_splits.cuh",
     "const int end = args.first_part[sequence + 1];",
     "const int end = max(begin + 1, args.first_part[sequence + 1] - 1);", kAll},
    {"rope-query-of-row", "the rotated query of row r is taken from head r / branches", "decode_latent.cuh",
     "(head_row + row) % args.query_heads", "(head_row + row) * args.query_heads / rows", Family::latent},
};

}  // namespace

std::span<const KernelMutant> kernel_mutants() { return kMutants; }

}  // namespace attest
