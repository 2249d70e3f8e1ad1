// Layouts are small_config() with other head counts and widths; which counts a variant allows, problems()
// says.
#include "properties/layouts.h"

#include <algorithm>

namespace attest {
namespace {

struct Widths {
  int hidden, nope, rope, value, latent, rank;
};

AttentionConfig with_widths(AttentionConfig config, const Widths& widths) {
  const bool tied = config.value_dim == config.nope_dim + config.rope_dim;
  config.hidden = widths.hidden;
  if (config.nope_dim > 0) config.nope_dim = widths.nope;
  config.rope_dim = widths.rope;
  config.value_dim = tied ? config.nope_dim + config.rope_dim : widths.value;
  if (config.latent_dim > 0) config.latent_dim = widths.latent;
  if (config.query_rank > 0) config.query_rank = widths.rank;
  return config;
}

// As many heads as asked for, at `group` heads a KV head where the variant leaves that open.
AttentionConfig with_heads(AttentionConfig config, int heads, int group) {
  config.query_heads = heads;
  if (config.variant == Variant::gqa || config.variant == Variant::gta) config.kv_heads = heads / group;
  if (config.variant == Variant::mha || config.variant == Variant::tpa) config.kv_heads = heads;
  return config;
}

AttentionConfig fewest_heads(const AttentionConfig& config) {
  AttentionConfig fewest = config;
  for (int heads = 1; heads <= config.query_heads; ++heads) {
    fewest = with_heads(config, heads, heads);
    if (fewest.problems().empty()) break;
  }
  return fewest;
}

}  // namespace

std::vector<AttentionConfig> layouts(std::string_view variant_name) {
  const AttentionConfig small = small_config(variant_name);
  AttentionConfig fewest = with_widths(
      fewest_heads(small), {.hidden = 6, .nope = 4, .rope = 4, .value = 4, .latent = 4, .rank = 2});
  if (fewest.key_rank > 0) fewest.key_rank = fewest.value_rank = 1;
  const AttentionConfig eight = with_widths(
      with_heads(small, 8, 2), {.hidden = 32, .nope = 32, .rope = 16, .value = 32, .latent = 64, .rank = 16});
  // Three heads a group and widths that no power of two divides; 17 heads on one KV head cross a tile of 16
  // rows.
  const int groups = fewest.query_heads;
  const bool one_group = small.kv_heads == 1 && small.latent_heads <= 1;
  const AttentionConfig odd =
      with_widths(with_heads(small, one_group ? 17 : 3 * std::max(groups, 2), 3),
                  {.hidden = 20, .nope = 10, .rope = 6, .value = 22, .latent = 34, .rank = 12});
  std::vector<AttentionConfig> found = {fewest, small, eight, odd};
  std::stable_sort(found.begin(), found.end(), [](const AttentionConfig& a, const AttentionConfig& b) {
    return layout_size(a) < layout_size(b);
  });
  return found;
}

double layout_size(const AttentionConfig& config) {
  const int latent = config.latent_heads * config.latent_dim;
  return config.query_heads * (config.nope_dim + config.rope_dim + config.value_dim) + latent +
         config.hidden + config.query_rank + config.key_rank + config.value_rank;
}

}  // namespace attest
