// Plain softmax attention over every key that a row sees, in double, two passes: maximum, then sums.
#include "reference/attend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "reference/words.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double dot(const double* a, const double* b, Index count) {
  double sum = 0;
  for (Index i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

// scores[row, key] = scale * (<q[row], k[key, kv head of row]> + <q_rope[head of row], k_rope[key]>), capped;
// output[row] = sum_key softmax(scores)[row, key] * v[key, kv head of row]. Latent: v is k, the latent.
DecodeOutputs attend(const DecodeInputs& inputs) {
  const std::vector<std::string> found = inputs.problems();
  if (!found.empty()) throw std::invalid_argument("attend: " + words::join(found, "; "));
  const HeadConfig& heads = inputs.heads;
  const bool latent = heads.family == Family::latent;
  const auto batch = static_cast<Index>(inputs.sequences.size());
  const Index rows = heads.rows(), width = heads.value_dim, key_width = heads.key_dim;
  DecodeOutputs outputs{Tensor<double>{batch, inputs.query_tokens, rows, width},
                        Tensor<double>{batch, inputs.query_tokens, rows},
                        Tensor<double>{batch, inputs.query_tokens, rows, width},
                        Tensor<double>{batch, inputs.query_tokens, rows}};
  std::vector<Index> seen;
  std::vector<double> scores;
  for (Index b = 0; b < batch; ++b) {
    const SequenceCache& sequence = inputs.sequences[static_cast<std::size_t>(b)];
    const Index tokens = sequence.keys.size(0);
    const Tensor<double>& values = latent ? sequence.keys : sequence.values;
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      const Index position = tokens - inputs.query_tokens + t;
      const MaskSpec& mask = inputs.mask;
      seen.clear();
      for (Index s = sequence.left_padding; s < tokens; ++s) {
        if (mask.causal && s > position) break;
        const bool in_window = mask.window == 0 || s > position - mask.window;
        if (in_window || s < sequence.left_padding + mask.sink_tokens) seen.push_back(s);
      }
      for (Index row = 0; row < rows; ++row) {
        const Index place = (b * inputs.query_tokens + t) * rows + row;
        const int kv_head = heads.kv_head_of_row(static_cast<int>(row));
        const int head = heads.query_head_of_row(static_cast<int>(row));
        const double* query = inputs.queries.data() + place * key_width;
        const double* rope_query =
            latent ? inputs.rope_queries.data() +
                         ((b * inputs.query_tokens + t) * heads.query_heads + head) * heads.rope_dim
                   : nullptr;
        scores.clear();
        double maximum = -kInfinity;
        for (Index s : seen) {
          double score =
              dot(query, sequence.keys.data() + (s * heads.kv_heads + kv_head) * key_width, key_width);
          if (latent)
            score += dot(rope_query, sequence.rope_keys.data() + s * heads.rope_dim, heads.rope_dim);
          score *= inputs.scale;
          if (mask.softcap > 0) score = mask.softcap * std::tanh(score / mask.softcap);
          scores.push_back(score);
          maximum = std::max(maximum, score);
        }
        outputs.max_score.data()[place] = maximum;
        outputs.lse.data()[place] = -kInfinity;
        if (seen.empty()) continue;
        double* output = outputs.output.data() + place * width;
        double* absolute = outputs.absolute.data() + place * width;
        double sum = 0;
        for (std::size_t j = 0; j < seen.size(); ++j) {
          const double weight = std::exp(scores[j] - maximum);
          sum += weight;
          const double* value = values.data() + (seen[j] * heads.kv_heads + kv_head) * width;
          for (Index i = 0; i < width; ++i) {
            output[i] += weight * value[i];
            absolute[i] += weight * std::fabs(value[i]);
          }
        }
        for (Index i = 0; i < width; ++i) {
          output[i] /= sum;
          absolute[i] /= sum;
        }
        outputs.lse.data()[place] = maximum + std::log(sum);
      }
    }
  }
  return outputs;
}

PartialResult merge(const std::vector<PartialResult>& parts) {
  PartialResult merged{{}, -kInfinity};
  double maximum = -kInfinity;
  for (const PartialResult& part : parts) {
    if (&part != &parts.front() && part.output.size() != parts.front().output.size()) {
      throw std::invalid_argument("merge: a part of " + std::to_string(part.output.size()) +
                                  " elements among parts of " + std::to_string(parts.front().output.size()));
    }
    // NaN must not vanish in a maximum.
    if (std::isnan(part.lse) || part.lse == kInfinity) {
      throw std::invalid_argument("merge: log-sum-exp " + words::print(part.lse) +
                                  ": expected a finite number or -infinity");
    }
    maximum = std::max(maximum, part.lse);
  }
  if (!parts.empty()) merged.output.assign(parts.front().output.size(), 0.0);
  if (maximum == -kInfinity) return merged;
  double sum = 0;
  for (const PartialResult& part : parts) {
    if (part.lse == -kInfinity) continue;  // no weight, whatever its output holds
    const double weight = std::exp(part.lse - maximum);
    sum += weight;
    for (std::size_t i = 0; i < merged.output.size(); ++i) merged.output[i] += weight * part.output[i];
  }
  for (double& value : merged.output) value /= sum;
  merged.lse = maximum + std::log(sum);
  return merged;
}

}  // namespace attest
