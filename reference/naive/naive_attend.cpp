// Grouped and latent calls: rows are counted off, keys and values are copied out.
#include "reference/naive/naive_attend.h"

#include "reference/naive/definitions.h"

namespace attest::naive {

DecodeOutputs attend(const DecodeInputs& inputs) {
  const HeadConfig& heads = inputs.heads;
  if (heads.family == Family::factored) throw std::invalid_argument("naive attend: a factored call");
  const bool latent = heads.family == Family::latent;
  const auto batch = static_cast<Index>(inputs.sequences.size());
  const Index results = Index{heads.query_heads} * heads.branches;
  DecodeOutputs outputs = empty_outputs(batch, inputs.query_tokens, results, heads.value_dim);
  for (Index b = 0; b < batch; ++b) {
    const SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Index tokens = cache.keys.size(0);
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      // Rows are dealt to KV heads (latents) in equal runs; within them query heads are counted round and
      // round.
      Index row = 0, head = 0;
      for (Index kv_head = 0; kv_head < heads.kv_heads; ++kv_head) {
        for (Index member = 0; member < results / heads.kv_heads; ++member) {
          const Vector query = slice(inputs.queries, heads.key_dim, b, t, row);
          const Vector rope_query =
              latent ? slice(inputs.rope_queries, heads.rope_dim, b, t, head) : Vector{};
          Vector scores;
          std::vector<Vector> values;
          for (Index s = 0; s < tokens; ++s) {
            const Index after_query = inputs.query_tokens - 1 - t;  // tokens that follow the query
            const Index age = (tokens - 1 - s) - after_query;
            if (!is_seen(inputs.mask, age, s - cache.left_padding)) continue;
            const Vector key = slice(cache.keys, heads.key_dim, s, kv_head);
            Real score = inner(query, key);
            if (latent) score += inner(rope_query, slice(cache.rope_keys, heads.rope_dim, s));
            scores.push_back(score * inputs.scale);
            values.push_back(latent ? key : slice(cache.values, heads.value_dim, s, kv_head));
          }
          store(softmax_sum(inputs.mask, scores, values, heads.value_dim), outputs, b, t, row);
          ++row;
          if (++head == heads.query_heads) head = 0;
        }
      }
    }
  }
  return outputs;
}

}  // namespace attest::naive
