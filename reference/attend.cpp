// Plain softmax attention over every key that a row sees, in double, two passes: maximum, then sums.
#include "reference/attend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "reference/row_scores.h"
#include "reference/words.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

// scores[row, key] = scale * (<q[row], k[key, kv head of row]> + <q_rope[head of row], k_rope[key]>), capped;
// output[row] = sum_key softmax(scores)[row, key] * v[key, kv head of row]. Latent: v is k, the latent.
DecodeOutputs attend(const DecodeInputs& inputs) {
  const std::vector<std::string> found = inputs.problems();
  if (!found.empty()) throw std::invalid_argument("attend: " + words::join(found, "; "));
  const auto batch = static_cast<Index>(inputs.sequences.size());
  const Index queries = inputs.query_tokens, rows = inputs.heads.rows(), width = inputs.heads.value_dim;
  DecodeOutputs outputs{Tensor<double>{batch, queries, rows, width}, Tensor<double>{batch, queries, rows},
                        Tensor<double>{batch, queries, rows, width}, Tensor<double>{batch, queries, rows}};
  RowScores row_scores(inputs);
  for (Index b = 0; b < batch; ++b) {
    for (Index t = 0; t < queries; ++t) {
      for (Index row = 0; row < rows; ++row) {
        row_scores.read(b, t, row);
        const Index place = (b * queries + t) * rows + row;
        outputs.max_score.data()[place] = row_scores.maximum;
        outputs.lse.data()[place] = -kInfinity;
        if (row_scores.keys.empty()) continue;
        double* output = outputs.output.data() + place * width;
        double* absolute = outputs.absolute.data() + place * width;
        double sum = 0;
        for (std::size_t j = 0; j < row_scores.keys.size(); ++j) {
          const double weight = std::exp(row_scores.scores[j] - row_scores.maximum);
          sum += weight;
          const double* value = row_scores.value_row(row_scores.keys[j]);
          for (Index i = 0; i < width; ++i) {
            output[i] += weight * value[i];
            absolute[i] += weight * std::fabs(value[i]);
          }
        }
        for (Index i = 0; i < width; ++i) {
          output[i] /= sum;
          absolute[i] /= sum;
        }
        outputs.lse.data()[place] = row_scores.maximum + std::log(sum);
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
