// Tensor parallelism. Latents first go to ranks by the heads they serve, then by branch; when there are more
// ranks than latents, several ranks hold the same latent and share its heads.
#include "reference/shard.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "reference/cache.h"
#include "reference/variants/steps.h"
#include "reference/variants/variant_maths.h"

namespace attest {
namespace {

using reference::maths;

// How `ranks` are dealt: groups of heads that share latents (or KV heads), branches of a head, heads inside a
// group.
struct Deal {
  int groups = 1;    // ranks along groups
  int branches = 1;  // ranks along branches
  int heads = 1;     // ranks along the heads of one group
};

// Groups of query heads that read the same cache.
int cache_groups(const AttentionConfig& c) {
  return c.latent_heads > 0 ? c.latent_heads / c.branches() : c.kv_heads;
}

Deal deal(const AttentionConfig& c, int ranks) {
  Deal split;
  split.groups = std::gcd(ranks, cache_groups(c));
  split.branches = std::gcd(ranks / split.groups, c.branches());
  split.heads = ranks / (split.groups * split.branches);
  return split;
}

Tensor<double> cut(const Tensor<double>& x, const Cut& along, const std::string& name) {
  std::vector<Index> shape = x.shape();
  Index inner = 1, outer = 1, kept = 0;
  for (std::size_t axis = 0; axis < along.axis; ++axis) outer *= shape[axis];
  for (std::size_t axis = along.axis + 1; axis < shape.size(); ++axis) inner *= shape[axis];
  for (const Range& range : along.ranges) {
    if (range.first < 0 || range.count < 0 || range.first + range.count > shape[along.axis]) {
      throw std::invalid_argument("shard: rows [" + std::to_string(range.first) + ", " +
                                  std::to_string(range.first + range.count) + ") of '" + name + "' " +
                                  shape_text(x.shape()));
    }
    kept += range.count;
  }
  const Index length = shape[along.axis];
  shape[along.axis] = kept;
  Tensor<double> part(shape);
  double* to = part.data();
  for (Index o = 0; o < outer; ++o) {
    for (const Range& range : along.ranges) {
      to = std::copy_n(x.data() + (o * length + range.first) * inner, range.count * inner, to);
    }
  }
  return part;
}

}  // namespace

std::string shard_refusal(const AttentionConfig& config, int ranks) {
  const std::vector<std::string> problems = config.problems();
  if (!problems.empty()) return problems.front();
  const std::string who = config.variant_name() + " over " + std::to_string(ranks) + " ranks: ";
  if (ranks < 1) return who + "expected 1 rank or more";
  const int groups = cache_groups(config), branches = config.branches();
  const Deal split = deal(config, ranks);
  const int shared = groups * branches;
  const std::string what = config.latent_heads > 0 ? "latents" : "KV heads";
  if (split.heads > 1 && split.groups * split.branches != shared) {
    return who + std::to_string(shared) + " " + what +
           " can neither be dealt evenly to the ranks nor the ranks to them";
  }
  const int heads_of_group = config.query_heads / groups;
  if (heads_of_group % split.heads != 0) {
    return who + "each of the " + what + " is held by " + std::to_string(split.heads) +
           " ranks, which cannot share the " + std::to_string(heads_of_group) +
           " query heads that read it evenly";
  }
  return {};
}

Holding holding(const AttentionConfig& config, int rank, int ranks) {
  const std::string refusal = shard_refusal(config, ranks);
  if (!refusal.empty()) throw std::invalid_argument(refusal);
  if (rank < 0 || rank >= ranks) {
    throw std::invalid_argument("rank " + std::to_string(rank) + " of " + std::to_string(ranks) + " ranks");
  }
  // rank = (branch part * ranks along groups + group part) * ranks along heads + head part
  const Deal split = deal(config, ranks);
  const int head_part = rank % split.heads, group_part = rank / split.heads % split.groups,
            branch_part = rank / (split.heads * split.groups);
  const Index groups = cache_groups(config), branches = config.branches(),
              heads_of_group = config.query_heads / groups;
  const Range held_groups{group_part * (groups / split.groups), groups / split.groups};
  const Range held_branches{branch_part * (branches / split.branches), branches / split.branches};
  Holding held;
  held.query_heads = {held_groups.first * heads_of_group + head_part * (heads_of_group / split.heads),
                      held_groups.count * heads_of_group / split.heads};
  if (config.latent_heads == 0) {
    held.kv_heads = held_groups;
    return held;
  }
  held.kv_heads = {0, 1};
  for (Index b = held_branches.first; b < held_branches.first + held_branches.count; ++b) {
    for (Index g = held_groups.first; g < held_groups.first + held_groups.count; ++g) {
      held.latents.push_back(b * groups + g);
    }
  }
  return held;
}

AttentionConfig shard_config(const AttentionConfig& config, int rank, int ranks) {
  const Holding held = holding(config, rank, ranks);
  AttentionConfig part = config;
  part.query_heads = static_cast<int>(held.query_heads.count);
  if (config.latent_heads > 0) {
    part.latent_heads = static_cast<int>(held.latents.size());
  } else {
    part.kv_heads = static_cast<int>(held.kv_heads.count);
  }
  return part;
}

Weights shard_weights(const AttentionConfig& config, const Weights& weights, int rank, int ranks) {
  check_weights(config, weights);
  const Holding held = holding(config, rank, ranks);
  const reference::VariantMaths& variant = maths(config.variant);
  std::vector<WeightSlice> slices = variant.slices(config, held);
  slices.push_back(
      reference::columns_of_heads(variant.output_projection, held.query_heads, config.value_dim));
  if (config.gated)
    slices.push_back(reference::rows_of_heads(variant.gate, held.query_heads, config.value_dim));
  Weights part;
  for (const WeightSlice& slice : slices) {
    Tensor<double> values = weights.at(slice.source);
    for (const Cut& along : slice.cuts) values = cut(values, along, slice.source);
    part[slice.name] = std::move(values);
  }
  return part;
}

ShardTraffic shard_traffic(const AttentionConfig& config, int ranks) {
  const AttentionConfig part = shard_config(config, 0, ranks);
  ShardTraffic traffic;
  traffic.cached_elements = cached_elements_per_token(part);
  traffic.whole_elements = cached_elements_per_token(config);
  traffic.sent_elements = ranks > 1 ? config.hidden : 0;
  traffic.collective =
      ranks > 1 ? "all-reduce (sum) of the outputs [T, hidden] after the output projection" : "none";
  const std::vector<CachePart> whole = cache_parts(config), held = cache_parts(part);
  for (std::size_t i = 0; ranks > 1 && i < whole.size(); ++i) {
    if (whole[i].shape == held[i].shape)
      traffic.replicated += (traffic.replicated.empty() ? "" : ", ") + whole[i].name;
  }
  if (traffic.replicated.empty()) traffic.replicated = "none";
  return traffic;
}

}  // namespace attest
