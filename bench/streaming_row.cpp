// Online softmax in double precision over hashed elements.
#include "bench/streaming_row.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bench/kernels/hashed_element.cuh"

namespace attest::bench {
namespace {

void read(std::vector<double>& to, unsigned long long stream, Index first) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = hashed_element(stream, static_cast<unsigned long long>(first) + i);
  }
}

struct Score {
  double value = 0;
  double magnitude = 0;  // the same sum over absolute products
};

void add_products(Score& score, const std::vector<double>& a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    score.value += a[i] * b[i];
    score.magnitude += std::fabs(a[i] * b[i]);
  }
}

}  // namespace

StreamedRow stream_row(const DecodeShape& shape, double scale, SlotOfToken slot_of_token, Index sequence,
                       int row) {
  const HeadConfig& heads = shape.heads;
  const bool latent = heads.family == Family::latent;
  const int head = heads.kv_head_of_row(row);
  std::vector<double> query(static_cast<std::size_t>(heads.key_dim)),
      rope_query(static_cast<std::size_t>(heads.rope_dim));
  read(query, kHashedQueries, (sequence * heads.rows() + row) * heads.key_dim);
  read(rope_query, kHashedRopeQueries,
       (sequence * heads.query_heads + heads.query_head_of_row(row)) * heads.rope_dim);

  std::vector<double> key(query.size()), rope_key(rope_query.size()),
      value(static_cast<std::size_t>(heads.value_dim));
  StreamedRow result{std::vector<double>(value.size()), std::vector<double>(value.size())};
  double maximum = -std::numeric_limits<double>::infinity(), sum = 0;
  for (Index token = 0; token < shape.cached_tokens; ++token) {
    const Index slot = slot_of_token(shape, sequence, token);
    read(key, kHashedKeys, (slot * heads.kv_heads + head) * heads.key_dim);
    read(rope_key, kHashedRopeKeys, slot * heads.rope_dim);
    if (!latent) read(value, kHashedValues, (slot * heads.kv_heads + head) * heads.value_dim);
    const std::vector<double>& seen = latent ? key : value;

    Score score;
    add_products(score, query, key);
    add_products(score, rope_query, rope_key);
    const double scaled = scale * score.value;
    result.widest_score = std::max(result.widest_score, scale * score.magnitude);
    if (scaled > maximum) {
      const double shrink = std::exp(maximum - scaled);
      sum *= shrink;
      for (std::size_t i = 0; i < value.size(); ++i) {
        result.output[i] *= shrink;
        result.absolute[i] *= shrink;
      }
      maximum = scaled;
    }
    const double weight = std::exp(scaled - maximum);
    sum += weight;
    for (std::size_t i = 0; i < value.size(); ++i) {
      result.output[i] += weight * seen[i];
      result.absolute[i] += weight * std::fabs(seen[i]);
    }
  }
  for (std::size_t i = 0; i < value.size(); ++i) {
    result.output[i] /= sum;
    result.absolute[i] /= sum;
  }
  result.lse = maximum + std::log(sum);
  return result;
}

std::vector<double> row_bound(const DecodeShape& shape, const StreamedRow& row,
                              const RowArithmetic& arithmetic) {
  const double exponential = 0x1p-21;
  const Index tiles = (arithmetic.part_tokens + arithmetic.tile_tokens - 1) / arithmetic.tile_tokens;
  const double relative =
      (shape.heads.key_dim + shape.heads.rope_dim + 4) * arithmetic.term_error * row.widest_score +
      exponential * static_cast<double>(2 + tiles) +
      static_cast<double>(arithmetic.part_tokens + arithmetic.parts) * arithmetic.term_error +
      arithmetic.probability_error;
  std::vector<double> bound;
  for (const double magnitude : row.absolute) bound.push_back(2 * magnitude * relative);
  return bound;
}

}  // namespace attest::bench
