// Tensor parallelism: what one rank holds of a layer, so that the ranks' outputs sum to the whole layer's.
//
// Every rank runs the same functions as the whole layer on its own configuration and weights: its query
// heads, its KV heads or latents, its branches. Columns of the output projection go with the heads, so
// partial outputs [T, D] are summed by one all-reduce; no scores, maxima or softmax sums are exchanged.
#pragma once

#include <string>
#include <vector>

#include "reference/attention_config.h"
#include "reference/layer.h"
#include "reference/tensor.h"

namespace attest {

struct Range {
  Index first = 0;
  Index count = 0;
  bool operator==(const Range&) const = default;
};

// A rank's part of the whole layer.
struct Holding {
  Range query_heads;  // consecutive
  Range
      kv_heads;  // grouped variants; several ranks hold the same one when there are more ranks than KV heads
  std::vector<Index> latents;  // latent variants, branch by branch
};

// Empty when `ranks` ranks can share the layer, else the reason in one sentence.
std::string shard_refusal(const AttentionConfig& config, int ranks);

// All of these throw std::invalid_argument with the refusal, or when rank is not in [0, ranks).
Holding holding(const AttentionConfig& config, int rank, int ranks);
AttentionConfig shard_config(const AttentionConfig& config, int rank, int ranks);
Weights shard_weights(const AttentionConfig& config, const Weights& weights, int rank, int ranks);

// What a rank holds, loads and sends.
struct ShardTraffic {
  double cached_elements = 0;  // per token: held, and loaded once per decode step
  double whole_elements = 0;   // per token on a single device
  Index sent_elements = 0;     // per query token, in the collective
  std::string collective;      // "all-reduce of the outputs [T, D] after the output projection"
  std::string replicated;      // cache parts that every rank holds, "rope_keys"; "none" when there are none
};
ShardTraffic shard_traffic(const AttentionConfig& config, int ranks);

// How one weight of a rank is cut from the whole layer's weight `source`: ranges along axes, in order.
struct Cut {
  std::size_t axis = 0;
  std::vector<Range> ranges;  // joined
};
struct WeightSlice {
  std::string name;    // in the rank's weights
  std::string source;  // in the whole layer's weights
  std::vector<Cut> cuts;
};

}  // namespace attest
