// One pass for weights and score moves, one for the sums, a row at a time.
#include "properties/rounding.h"

#include <algorithm>
#include <cmath>

#include "properties/decode_setting.h"
#include "reference/number_formats.h"

namespace attest {
namespace {

struct Rounding {
  double unit, subnormal, largest;
  double error(double x) const { return unit * std::abs(x) + subnormal; }
  // How far the product can move.
  double product(double a, double b) const {
    return (std::abs(a) + error(a)) * (std::abs(b) + error(b)) - std::abs(a * b);
  }
};

}  // namespace

RoundingBounds rounding_bounds(const DecodeInputs& inputs, Format storage, double rotation_error) {
  const HeadConfig& heads = inputs.heads;
  const bool latent = heads.family == Family::latent;
  const Index batch = std::ssize(inputs.sequences), queries = inputs.query_tokens, rows = heads.rows();
  RoundingBounds bounds{Tensor<double>{batch, queries, rows, heads.value_dim},
                        Tensor<double>{batch, queries, rows}, ""};
  const bool stored = storage != Format::f64;
  if (!stored && rotation_error == 0) return bounds;
  if (!(rotation_error <= 0.02)) {
    bounds.inconclusive = "rotation error " + std::to_string(rotation_error) + ", expected at most 0.02";
    return bounds;
  }
  const FormatInfo& format = info(storage);
  const Rounding rounding{stored ? format.unit_roundoff() : 0, stored ? format.smallest_subnormal() : 0,
                          format.largest};
  const double scale_error = stored ? 0x1p-24 : 0;
  const auto too_large = [&](double x) { return !(std::abs(x) < rounding.largest); };

  for (Index b = 0; b < batch; ++b) {
    const SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Tensor<double>& values = latent ? cache.keys : cache.values;
    const Index cached = cache.keys.size(0);
    for (Index t = 0; t < queries; ++t) {
      std::vector<Index> seen;
      for (Index s = 0; s < cached; ++s) {
        if (query_sees(inputs.mask, cached, queries, cache.left_padding, t, s)) seen.push_back(s);
      }
      for (Index row = 0; row < rows && !seen.empty(); ++row) {
        const Index place = (b * queries + t) * rows + row;
        const Index head = heads.kv_head_of_row(static_cast<int>(row));
        const double* query = inputs.queries.data() + place * heads.key_dim;
        std::vector<double> weights, moves;
        double largest_score = -INFINITY;
        const auto add = [&](const double* q, const double* k, Index width, bool rotated, double& score,
                             double& move) {
          double query_square = 0, key_square = 0;
          for (Index i = 0; i < width; ++i) {
            if (too_large(q[i]) || too_large(k[i]))
              bounds.inconclusive = "a value leaves the range of " + std::string(name(storage));
            score += q[i] * k[i];
            move += rounding.product(q[i], k[i]) * (1 + scale_error) + scale_error * std::abs(q[i] * k[i]);
            query_square += q[i] * q[i];
            key_square += k[i] * k[i];
          }
          if (rotated) move += 5 * rotation_error * std::sqrt(query_square * key_square);
        };
        for (Index s : seen) {
          double score = 0, move = 0;
          add(query, cache.keys.data() + (s * heads.kv_heads + head) * heads.key_dim, heads.key_dim, !latent,
              score, move);
          if (latent) {
            const Index query_head = heads.query_head_of_row(static_cast<int>(row));
            add(inputs.rope_queries.data() +
                    ((b * queries + t) * heads.query_heads + query_head) * heads.rope_dim,
                cache.rope_keys.data() + s * heads.rope_dim, heads.rope_dim, true, score, move);
          }
          score *= inputs.scale;
          if (inputs.mask.softcap > 0) score = inputs.mask.softcap * std::tanh(score / inputs.mask.softcap);
          weights.push_back(score);
          moves.push_back(std::expm1(inputs.scale * move));
          largest_score = std::max(largest_score, score);
        }
        double sum = 0, moved = 0;
        for (double& weight : weights) sum += weight = std::exp(weight - largest_score);
        for (std::size_t j = 0; j < seen.size(); ++j) moved += (weights[j] /= sum) * moves[j];
        if (!(moved < 0.5)) {
          bounds.inconclusive =
              "storage rounding moves the weights by " + std::to_string(moved) + ", expected below 0.5";
          return bounds;
        }
        bounds.lse.data()[place] = -std::log1p(-moved);
        for (Index i = 0; i < heads.value_dim; ++i) {
          const auto value = [&](std::size_t j) {
            return values.data()[(seen[j] * heads.kv_heads + head) * heads.value_dim + i];
          };
          double mean = 0, error = 0;
          for (std::size_t j = 0; j < seen.size(); ++j) mean += weights[j] * value(j);
          for (std::size_t j = 0; j < seen.size(); ++j) {
            error += weights[j] *
                     (moves[j] * std::abs(value(j) - mean) + (1 + moves[j]) * rounding.error(value(j)));
            if (too_large(value(j)))
              bounds.inconclusive = "a value leaves the range of " + std::string(name(storage));
          }
          bounds.output.data()[place * heads.value_dim + i] = error / (1 - moved);
        }
      }
    }
  }
  return bounds;
}

double rotation_error(const RopeSpec& rope, Index last_position) {
  if (rope.table == Format::f64) return 0;
  const double angle = static_cast<double>(last_position + 1) * 0x1p-24;  // the largest frequency is 1
  const double table = 0x1p-24 + (rope.table == Format::bf16 ? info(Format::bf16).unit_roundoff() : 0);
  return 2 * (angle + table);
}

}  // namespace attest
