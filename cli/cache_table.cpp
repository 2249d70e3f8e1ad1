// Runs each rank's kernel on a counting virtual machine.
#include "cli/cache_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "jit/decode.h"
#include "jit/kernel_cache.h"
#include "jit/vm_executor.h"
#include "reference/cache.h"
#include "reference/random_inputs.h"
#include "reference/shard.h"

namespace attest::cli {
namespace {

constexpr Index kEntries = 64;  // cache entries of the counted call; two tiles of the naive kernels

CountedLoads count_loads(const AttentionConfig& config, KernelCache& cache) {
  const HeadConfig heads = head_config(config, Format::bf16);
  Problem problem;
  problem.attention = config;
  problem.cached_tokens = {kEntries};
  problem.left_padding = {0};
  VmOptions options;
  options.count = true;
  VmExecutor executor(options);
  const DecodeResult result = decode(executor, cache, KernelSource::embedded(),
                                     random_decode_inputs(heads, problem), {.page_tokens = 16});
  // An entry stands for `stride` tokens.
  const double per_token = info(Format::bf16).bytes * static_cast<double>(kEntries * config.stride);
  return {heads.name(), static_cast<double>(result.cache_bytes.distinct) / per_token,
          static_cast<double>(result.cache_bytes.total) / per_token};
}

std::vector<std::string> plain_names() {
  std::vector<std::string> names;
  for (const VariantInfo& row : variants()) names.emplace_back(row.name);
  return names;
}

}  // namespace

std::vector<CacheRow> cache_table(std::span<const std::string> variant_names, std::span<const int> degrees,
                                  bool count) {
  std::vector<std::string> names(variant_names.begin(), variant_names.end());
  if (names.empty()) names = plain_names();
  KernelCache cache(KernelCache::default_folder());
  std::vector<CacheRow> rows;
  for (const std::string& variant : names) {
    const AttentionConfig config = published_config(variant);
    for (const int ranks : degrees) {
      CacheRow& row = rows.emplace_back();
      row.variant = variant;
      row.ranks = ranks;
      row.refusal = shard_refusal(config, ranks);
      if (!row.refusal.empty()) continue;
      row.elements = cached_elements_per_token(config, ranks);
      if (!count) continue;
      const AttentionConfig rank = shard_config(config, 0, ranks);
      if (info(config.variant).family == Family::factored) {
        row.not_counted = "no kernel decodes the factored family";
      } else {
        row.counted = count_loads(rank, cache);
        if (config.variant == Variant::mfa_kr) {
          row.excuse = "its kernel is given the values that the formula derives from the cached keys";
        }
      }
    }
  }
  return rows;
}

std::vector<std::string> cache_notes(std::span<const CacheRow> rows) {
  std::vector<std::string> notes;
  for (const CacheRow& row : rows) {
    std::string note;
    if (!row.refusal.empty()) note = fmt::format("{} on {} devices: {}", row.variant, row.ranks, row.refusal);
    if (!row.not_counted.empty()) note = fmt::format("{}: not counted: {}", row.variant, row.not_counted);
    if (!row.excuse.empty()) note = fmt::format("{}: {}", row.variant, row.excuse);
    if (!note.empty() && std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  }
  return notes;
}

}  // namespace attest::cli
