// Factored calls: the terms of a key's score and of a value are summed one by one.
#include "reference/naive/definitions.h"
#include "reference/naive/naive_attend.h"

namespace attest::naive {

DecodeOutputs attend(const FactoredInputs& inputs) {
  const auto batch = static_cast<Index>(inputs.sequences.size());
  const Index heads = inputs.queries.size(2), key_dim = inputs.queries.size(3);
  Index width = 0;
  for (const FactoredCache& cache : inputs.sequences) {
    const bool has_basis = cache.value_basis.shape().size() == 3;
    const Index shared = cache.shared_values.shape().size() == 2 ? cache.shared_values.size(1) : 0;
    width = has_basis ? cache.value_basis.size(2) : shared + cache.value_factors.size(2);
  }
  DecodeOutputs outputs = empty_outputs(batch, inputs.query_tokens, heads, width);
  for (Index b = 0; b < batch; ++b) {
    const FactoredCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Index tokens = cache.key_factors.size(0), key_rank = cache.key_factors.size(2);
    const Index value_rank = cache.value_factors.size(2);
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      for (Index h = 0; h < heads; ++h) {
        const Vector query = slice(inputs.queries, key_dim, b, t, h);
        Vector scores;
        std::vector<Vector> values;
        for (Index s = 0; s < tokens; ++s) {
          if (!is_seen(inputs.mask, tokens - inputs.query_tokens + t - s, s - cache.left_padding)) {
            continue;
          }
          Real score = cache.shared_keys.count() > 0 ? inner(query, slice(cache.shared_keys, key_dim, s)) : 0;
          for (Index term = 0; term < key_rank; ++term) {
            const Index basis_term = cache.key_basis.size(1) == 1 ? 0 : term;
            const Vector basis = slice(cache.key_basis, cache.key_basis.size(2), s, basis_term);
            const Vector factor_query =
                inputs.factor_queries.count() > 0
                    ? slice(inputs.factor_queries, inputs.factor_queries.size(4), b, t, h, term)
                    : query;
            score += cache.key_factors(s, h, term) * inner(factor_query, basis);
          }
          if (cache.key_scales.count() > 0) score *= cache.key_scales(s, h);
          scores.push_back(score * inputs.scale);
          Vector value(static_cast<std::size_t>(width), 0);
          if (cache.shared_values.count() > 0) {
            for (Index i = 0; i < cache.shared_values.size(1); ++i) {
              value[static_cast<std::size_t>(i)] += cache.shared_values(s, i);
            }
          }
          for (Index term = 0; term < value_rank; ++term) {
            const Real factor = cache.value_factors(s, h, term);
            if (cache.value_basis.shape().size() == 3) {
              for (Index i = 0; i < width; ++i) {
                value[static_cast<std::size_t>(i)] += factor * cache.value_basis(s, term, i);
              }
            } else {
              value[static_cast<std::size_t>(width - value_rank + term)] = factor;
            }
          }
          values.push_back(value);
        }
        store(softmax_sum(inputs.mask, scores, values, width), outputs, b, t, h);
      }
    }
  }
  return outputs;
}

}  // namespace attest::naive
