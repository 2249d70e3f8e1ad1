// Cache entries and their size, whole and per rank.
#include "reference/cache.h"

#include "reference/shard.h"
#include "reference/variants/variant_maths.h"

namespace attest {

std::vector<CachePart> cache_parts(const AttentionConfig& config) {
  return reference::maths(config.variant).cache(config);
}

double cached_elements_per_token(const AttentionConfig& config) {
  Index elements = 0;
  for (const CachePart& part : cache_parts(config)) elements += element_count(part.shape);
  return static_cast<double>(elements) / config.stride;
}

double cached_elements_per_token(const AttentionConfig& config, int ranks) {
  return cached_elements_per_token(shard_config(config, 0, ranks));
}

namespace {

// At 64 query heads; 0 where a variant has no such width.
struct Published {
  Variant variant;
  int kv_heads, nope_dim, rope_dim, value_dim, latent_heads, latent_dim, query_rank, key_rank, value_rank,
      stride;
};
constexpr Published kPublished[] = {
    {Variant::mha, 64, 0, 128, 128, 0, 0, 0, 0, 0, 1},
    {Variant::mqa, 1, 0, 128, 128, 0, 0, 0, 0, 0, 1},
    {Variant::gqa, 8, 0, 128, 128, 0, 0, 0, 0, 0, 1},
    {Variant::mla, 1, 128, 64, 128, 1, 512, 1536, 0, 0, 1},
    {Variant::gla_2, 1, 128, 64, 128, 2, 256, 1024, 0, 0, 1},
    {Variant::gla_4, 1, 128, 64, 128, 4, 128, 1024, 0, 0, 1},
    {Variant::gta, 8, 64, 64, 128, 0, 0, 0, 0, 0, 1},
    {Variant::mfa, 1, 0, 256, 256, 0, 0, 2048, 0, 0, 1},
    {Variant::mfa_kr, 1, 0, 256, 256, 0, 0, 2048, 0, 0, 1},
    {Variant::tpa, 64, 0, 128, 128, 0, 0, 6, 2, 2, 1},
    {Variant::tpla, 1, 128, 64, 128, 2, 256, 1536, 0, 0, 1},
    {Variant::mtla, 1, 128, 64, 128, 1, 512, 0, 0, 0, 2},
    {Variant::lrkv, 1, 0, 128, 128, 0, 0, 0, 54, 54, 1},  // rank of the paper's largest model
    {Variant::mlra_2, 1, 128, 64, 128, 4, 128, 1024, 0, 0, 1},
    {Variant::mlra_4, 1, 128, 64, 128, 4, 128, 1024, 0, 0, 1},
};

}  // namespace

AttentionConfig published_config(std::string_view variant_name) {
  AttentionConfig config;
  set_variant(config, variant_name);
  for (const Published& row : kPublished) {
    if (row.variant != config.variant) continue;
    config.hidden = 8192;
    config.query_heads = 64;
    config.kv_heads = row.kv_heads;
    config.nope_dim = row.nope_dim;
    config.rope_dim = row.rope_dim;
    config.value_dim = row.value_dim;
    config.latent_heads = row.latent_heads;
    config.latent_dim = row.latent_dim;
    config.query_rank = row.query_rank;
    config.key_rank = row.key_rank;
    config.value_rank = row.value_rank;
    config.stride = row.stride;
  }
  return config;
}

}  // namespace attest
