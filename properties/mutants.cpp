// Two tables: what each edit of jit/kernel_mutants stands for, and further edits with the same columns.
#include "properties/mutants.h"

#include <stdexcept>

namespace attest {
namespace {

struct Meaning {
  std::string_view name, models, law, variant;
};

constexpr Meaning kMeanings[] = {
    {"tail-off-by-one", "flashinfer #942, #1206; vllm #53856", "page-invariance", "gqa"},
    {"result-rescale-dropped", "online softmax without the output's rescale", "kernel-agreement", "gqa"},
    {"sum-rescale-dropped", "online softmax without the denominator's rescale", "kernel-agreement", "mlra-4"},
    {"grouped-load-barrier-removed", "llama.cpp #13438; flashinfer #1661", "determinism", "gqa"},
    {"grouped-reuse-barrier-removed", "flash-attention #359; flashinfer #1826", "determinism", "gqa"},
    {"latent-load-barrier-removed", "llama.cpp #28358", "determinism", "mlra-4"},
    {"latent-reuse-barrier-removed", "tilelang #2613", "determinism", "mlra-4"},
    {"key-value-strides-swapped", "flashinfer #527, #1865; flash-attention #2388", "kernel-agreement", "gqa"},
    {"empty-split-guard-removed", "flash-attention 31920dda, 26d7d92f; vllm #27491, #47188",
     "split-invariance", "gqa"},
    {"one-latent-head", "vllm-ascend #3366; a branch map lost", "kernel-agreement", "mlra-4"},
    {"one-kv-head", "CUTLASS #3558: only head 0 was ever compared", "kernel-agreement", "gqa"},
    {"padding-attended", "MLRA's generation path; unsloth #3699", "padding-poison", "mla"},
    {"causal-one-late", "flash-attention 9e5e8bc9", "query-token-independence", "gqa"},
    {"window-one-wide", "ik_llama.cpp #2186", "kernel-agreement", "mha"},
    {"page-not-looked-up", "flashinfer #3022; KernelBench: an identity table hid it", "page-invariance",
     "mla"},
    {"scale-doubled", "vllm #48016: scale applied twice", "kernel-agreement", "mlra-2"},
    {"lse-left-in-base-2", "vllm #43919; sglang #33064", "exact-probes", "gqa"},
    {"splits-averaged", "sglang #2465; verification's plain mean of splits", "split-invariance", "mlra-2"},
    {"last-split-dropped", "flashinfer #728, #803", "exact-probes", "gqa"},
    {"rope-query-of-row", "flashinfer #793", "kernel-agreement", "mlra-4"},
};

constexpr std::optional<Family> kAll = std::nullopt;
constexpr Mutant kFurther[] = {
    {{"page-size-power-of-two", "the slot in a page is found by masking bits", "paged_cache.cuh",
      "slot = token % page_tokens", "slot = token & (page_tokens - 1)", kAll},
     "flashinfer #810",
     "page-invariance",
     "gqa"},
    {{"sinks-before-padding", "sink tokens are counted from the cache's start, not from the padding's end",
      "paged_cache.cuh", "token < padding + mask.sink_tokens", "token < mask.sink_tokens", kAll},
     "transformers #45491",
     "translation-equivariance",
     "gqa"},
    {{"sinks-forgotten", "the window hides the sink tokens", "paged_cache.cuh",
      " || token < padding + mask.sink_tokens", "", kAll},
     "flashinfer #4525",
     "saturated-window",
     "mqa"},
    {{"causal-top-left", "the causal mask is aligned at the first query token", "block_work.cuh",
      "static_cast<long long>(args.cached_tokens[work.unit.sequence]) - args.query_tokens + work.query_token",
      "static_cast<long long>(work.query_token)", kAll},
     "flash-attention 9e5e8bc9",
     "query-token-independence",
     "gqa"},
    {{"grouped-first-query-token", "every query token reads the first one's query", "decode_grouped.cuh",
      "row_index(args, work.unit.sequence, work.query_token, rows, head_row + row)",
      "row_index(args, work.unit.sequence, 0, rows, head_row + row)", Family::grouped},
     "aiter #2720",
     "query-token-independence",
     "gqa"},
    {{"latent-first-rope-query-token", "every query token reads the first one's rotated query",
      "decode_latent.cuh",
      "row_index(args, work.unit.sequence, work.query_token, args.query_heads, query_head)",
      "row_index(args, work.unit.sequence, 0, args.query_heads, query_head)", Family::latent},
     "aiter #2720",
     "kernel-agreement",
     "mla"},
    {{"heads-interleaved", "query heads are dealt to KV heads one by one instead of in groups",
      "decode_grouped.cuh", "work.query_token, rows, head_row + row)",
      "work.query_token, rows, (static_cast<long long>(work.first_row) + row) * args.kv_heads + "
      "work.kv_head)",
      Family::grouped},
     "NeMo Automodel #1519",
     "gqa-expansion",
     "gqa"},
    {{"softcap-without-tanh", "the soft cap scales but does not cap", "decode_grouped.cuh",
      "tanhf(__fmul_rn(scores[row], args.cap_scale))", "__fmul_rn(scores[row], args.cap_scale)",
      Family::grouped},
     "flash-attention #2402",
     "kernel-agreement",
     "mha"},
    {{"latent-softcap-forgotten", "the soft cap is not applied", "decode_latent.cuh",
      "scores[row] = tanhf(__fmul_rn(scores[row], args.cap_scale))",
      "scores[row] = __fmul_rn(scores[row], 1.0f)", Family::latent},
     "flash-attention #2402",
     "kernel-agreement",
     "mla"},
    {{"empty-row-divided", "a row that sees nothing is divided by its zero sum", "merge_splits.cuh",
      "sum > 0.0f ? __fdiv_rn(result[slot], sum) : 0.0f", "__fdiv_rn(result[slot], sum)", kAll},
     "flash-attention 31920dda; transformers #45491",
     "empty-sequence",
     "gqa"},
    {{"finite-sentinel", "minus infinity is written as -50000", "element.cuh",
      "kNegativeInfinity = __builtin_bit_cast(float, 0xff800000u)", "kNegativeInfinity = -50000.0f", kAll},
     "flashinfer #4401; TensorRT-LLM #17477",
     "empty-sequence",
     "mla"},
    {{"merge-maximum-of-first", "the merge takes the first split's maximum for all", "merge_splits.cuh",
      "for (int part = begin; part < end; ++part) {\n    maximum",
      "for (int part = begin; part < begin + 1; ++part) {\n    maximum", kAll},
     "CUTLASS #2274",
     "empty-sequence",
     "gqa"},
    {{"merge-from-first-sequence", "every sequence's merge begins at the first sequence's parts",
      "merge_splits.cuh", "begin = args.first_part[sequence];", "begin = args.first_part[0];", kAll},
     "flashinfer #4382",
     "batch-invariance",
     "gqa"},
    {{"grouped-values-swapped", "neighbouring tokens exchange their weights", "decode_grouped.cuh",
      "__shfl_sync(kAllLanes, probabilities[row], slot)",
      "__shfl_sync(kAllLanes, probabilities[row], slot ^ 1)", Family::grouped},
     "two rows of V swapped",
     "exact-probes",
     "gqa"},
    {{"latent-values-swapped", "neighbouring tokens exchange their weights", "decode_latent.cuh",
      "__shfl_sync(kAllLanes, probabilities[row], slot)",
      "__shfl_sync(kAllLanes, probabilities[row], slot ^ 1)", Family::latent},
     "two rows of V swapped",
     "exact-probes",
     "mlra-4"},
    {{"sum-over-half-a-warp", "the denominator adds 16 of 32 lanes", "element.cuh",
      "int step = 16; step > 0; step /= 2) x = __fadd_rn", "int step = 8; step > 0; step /= 2) x = __fadd_rn",
      kAll},
     "a shuffle tree one level short",
     "exact-probes",
     "gqa"},
    {{"lse-of-mixed-base", "the maximum is in base 2, the logarithm of the sum in base e",
      "online_softmax.cuh", "__fadd_rn(maximum, log2_approx(total))",
      "__fadd_rn(maximum, __fmul_rn(0.6931472f, log2_approx(total)))", kAll},
     "flashinfer #787",
     "exact-probes",
     "mla"},
    {{"rescale-inverted", "sums are rescaled by 2^(new - old)", "online_softmax.cuh",
      "__fsub_rn(maximum, new_maximum)", "__fsub_rn(new_maximum, maximum)", kAll},
     "FlashMLA-ETAP #2: NaN from long caches",
     "kernel-agreement",
     "mha"},
    {{"grouped-partial-tile-skipped", "the last tile is skipped when it is not full", "decode_grouped.cuh",
      "tile < work.unit.end; tile", "tile + Shape::kTileTokens <= work.unit.end; tile", Family::grouped},
     "flashinfer #3716",
     "kernel-agreement",
     "gqa"},
    {{"latent-partial-tile-skipped", "the last tile is skipped when it is not full", "decode_latent.cuh",
      "tile < work.unit.end; tile", "tile + Shape::kTileTokens <= work.unit.end; tile", Family::latent},
     "flashinfer #3716",
     "absorption-equivalence",
     "mlra-4"},
    {{"value-width-from-key", "values are loaded as wide as keys", "decode_grouped.cuh",
      "element < kValueDim; element += 32", "element < kKeyDim; element += 32", Family::grouped},
     "flash-attention e3b2400a, 6d199aa2",
     "kernel-agreement",
     "gqa"},
    {{"rope-part-dropped", "the rotated part is left out of the score", "decode_latent.cuh",
      "element < Shape::kWidth; ++element", "element < kLatentDim; ++element", Family::latent},
     "sglang #27367",
     "kernel-agreement",
     "mlra-4"},
    {{"output-second-slot", "elements behind the 32nd repeat the first 32", "merge_splits.cuh",
      "args.partial_outputs[at * kValueDim + element], result[slot]",
      "args.partial_outputs[at * kValueDim + lane], result[slot]", kAll},
     "D1: a width of 32 hid it",
     "kernel-agreement",
     "mla"},
    {{"query-head-of-branch-zero", "every branch reads the first branch's absorbed query",
      "decode_latent.cuh", "row_index(args, work.unit.sequence, work.query_token, rows, head_row + row)",
      "row_index(args, work.unit.sequence, work.query_token, rows, (head_row + row) % args.query_heads)",
      Family::latent},
     "MLRA's branch to latent map",
     "tensor-parallel-equivalence",
     "mlra-4"},
};

}  // namespace

std::vector<Mutant> mutants() {
  std::vector<Mutant> all;
  for (const KernelMutant& edit : kernel_mutants()) {
    const Meaning* meaning = nullptr;
    for (const Meaning& row : kMeanings) {
      if (row.name == edit.name) meaning = &row;
    }
    if (meaning == nullptr)
      throw std::logic_error("mutant '" + std::string(edit.name) + "' has no law that must refute it");
    all.push_back({edit, meaning->models, meaning->law, meaning->variant});
  }
  all.insert(all.end(), std::begin(kFurther), std::end(kFurther));
  return all;
}

Mutant find_mutant(std::string_view name) {
  std::string known;
  for (const Mutant& mutant : mutants()) {
    if (mutant.edit.name == name) return mutant;
    known += (known.empty() ? "" : ", ") + std::string(mutant.edit.name);
  }
  throw std::invalid_argument("mutant '" + std::string(name) + "': expected one of " + known);
}

}  // namespace attest
