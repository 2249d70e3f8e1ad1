// Softmax attention in factor space: nothing of a head's keys or values is written out.
#include "reference/factored_call.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "reference/mask.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double dot(const double* a, const double* b, Index count) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

bool has(const Tensor<double>& x) { return !x.shape().empty(); }

}  // namespace

std::vector<std::string> FactoredInputs::problems() const {
  std::vector<std::string> found = mask.problems();
  if (!(scale > 0))
    found.push_back("factored call: scale " + std::to_string(scale) + ": expected a positive number");
  if (queries.shape().size() != 4 || queries.size(0) != static_cast<Index>(sequences.size()) ||
      queries.size(1) != query_tokens) {
    found.push_back("factored call: queries " + shape_text(queries.shape()) + ": expected [" +
                    std::to_string(sequences.size()) + ", " + std::to_string(query_tokens) +
                    ", heads, key_dim]");
    return found;
  }
  const Index heads = queries.size(2), key_dim = queries.size(3);
  const auto expect = [&](const std::string& what, const Tensor<double>& part,
                          const std::vector<Index>& shape) {
    if (has(part) && part.shape() != shape) {
      found.push_back("factored call: " + what + " " + shape_text(part.shape()) + ": expected " +
                      shape_text(shape));
    }
  };
  for (std::size_t b = 0; b < sequences.size(); ++b) {
    const FactoredCache& cache = sequences[b];
    const std::string who = "sequence " + std::to_string(b) + " ";
    if (cache.key_factors.shape().size() != 3 || cache.value_factors.shape().size() != 3 ||
        cache.key_basis.shape().size() != 3) {
      found.push_back("factored call: " + who +
                      "key_factors, key_basis or value_factors: expected three axes");
      continue;
    }
    const Index tokens = cache.key_factors.size(0), rank = cache.key_factors.size(2);
    const Index value_rank = cache.value_factors.size(2), basis = cache.key_basis.size(2);
    const Index terms = cache.key_basis.size(1) == 1 ? 1 : rank;
    expect(who + "key_factors", cache.key_factors, {tokens, heads, rank});
    expect(who + "key_basis", cache.key_basis, {tokens, terms, has(factor_queries) ? basis : key_dim});
    expect("factor_queries", factor_queries, {queries.size(0), query_tokens, heads, rank, basis});
    expect(who + "key_scales", cache.key_scales, {tokens, heads});
    expect(who + "shared_keys", cache.shared_keys, {tokens, key_dim});
    expect(who + "value_factors", cache.value_factors, {tokens, heads, value_rank});
    if (has(cache.value_basis) == has(cache.shared_values)) {
      found.push_back("factored call: " + who + "expected either value_basis or shared_values");
    }
    const Index width = has(cache.shared_values) && cache.shared_values.shape().size() == 2
                            ? cache.shared_values.size(1)
                            : -1;
    if (width >= 0) expect(who + "shared_values", cache.shared_values, {tokens, width});
    if (has(cache.value_basis) && cache.value_basis.shape().size() == 3) {
      expect(who + "value_basis", cache.value_basis, {tokens, value_rank, cache.value_basis.size(2)});
    }
    if (cache.left_padding < 0 || cache.left_padding > tokens) {
      found.push_back("factored call: " + who + "left padding " + std::to_string(cache.left_padding) +
                      " of " + std::to_string(tokens) + " tokens");
    }
  }
  return found;
}

DecodeOutputs attend(const FactoredInputs& inputs) {
  const std::vector<std::string> found = inputs.problems();
  if (!found.empty()) throw std::invalid_argument(found.front());
  const Index batch = inputs.queries.size(0), T = inputs.query_tokens, H = inputs.queries.size(2),
              key_dim = inputs.queries.size(3);
  Index width = 0;
  for (const FactoredCache& cache : inputs.sequences) {
    width = has(cache.value_basis) ? cache.value_basis.size(2)
                                   : cache.shared_values.size(1) + cache.value_factors.size(2);
  }
  DecodeOutputs outputs{Tensor<double>{batch, T, H, width}, Tensor<double>{batch, T, H},
                        Tensor<double>{batch, T, H, width}, Tensor<double>{batch, T, H}};
  for (Index b = 0; b < batch; ++b) {
    const FactoredCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Index tokens = cache.key_factors.size(0), rank = cache.key_factors.size(2);
    const Index basis = cache.key_basis.size(2), terms = cache.key_basis.size(1);
    const Index value_rank = cache.value_factors.size(2);
    std::vector<double> scores(static_cast<std::size_t>(tokens)), value(static_cast<std::size_t>(width));
    for (Index t = 0; t < T; ++t) {
      const Index position = tokens - T + t;
      for (Index h = 0; h < H; ++h) {
        const Index row = (b * T + t) * H + h;
        const double* query = inputs.queries.data() + row * key_dim;
        double maximum = -kInfinity;
        for (Index j = 0; j < tokens; ++j) {
          double& score = scores[static_cast<std::size_t>(j)];
          score = -kInfinity;
          if (!sees(inputs.mask, position, j, cache.left_padding)) continue;
          double sum =
              has(cache.shared_keys) ? dot(query, cache.shared_keys.data() + j * key_dim, key_dim) : 0;
          for (Index u = 0; u < rank; ++u) {
            const double* term = cache.key_basis.data() + (j * terms + (terms == 1 ? 0 : u)) * basis;
            const double* factor_query =
                has(inputs.factor_queries) ? inputs.factor_queries.data() + (row * rank + u) * basis : query;
            sum += cache.key_factors(j, h, u) * dot(factor_query, term, basis);
          }
          if (has(cache.key_scales)) sum *= cache.key_scales(j, h);
          score = capped(inputs.mask, inputs.scale * sum);
          maximum = std::max(maximum, score);
        }
        outputs.max_score(b, t, h) = maximum;
        outputs.lse(b, t, h) = -kInfinity;
        if (maximum == -kInfinity) continue;
        double total = 0;
        double* output = outputs.output.data() + row * width;
        double* absolute = outputs.absolute.data() + row * width;
        for (Index j = 0; j < tokens; ++j) {
          const double score = scores[static_cast<std::size_t>(j)];
          if (score == -kInfinity) continue;
          const double weight = std::exp(score - maximum);
          total += weight;
          std::fill(value.begin(), value.end(), 0.0);
          if (has(cache.value_basis)) {
            for (Index u = 0; u < value_rank; ++u) {
              const double factor = cache.value_factors(j, h, u);
              const double* term = cache.value_basis.data() + (j * value_rank + u) * width;
              for (Index e = 0; e < width; ++e) value[static_cast<std::size_t>(e)] += factor * term[e];
            }
          } else {
            const Index shared = width - value_rank;
            std::copy_n(cache.shared_values.data() + j * shared, shared, value.begin());
            std::copy_n(cache.value_factors.data() + (j * H + h) * value_rank, value_rank,
                        value.begin() + shared);
          }
          for (Index e = 0; e < width; ++e) {
            const double part = weight * value[static_cast<std::size_t>(e)];
            output[e] += part;
            absolute[e] += std::abs(part);
          }
        }
        outputs.lse(b, t, h) = maximum + std::log(total);
        for (Index e = 0; e < width; ++e) {
          output[e] /= total;
          absolute[e] /= total;
        }
      }
    }
  }
  return outputs;
}

}  // namespace attest
