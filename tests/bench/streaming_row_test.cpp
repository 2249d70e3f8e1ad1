// The streamed truth about one row against the whole truth.
#include "bench/streaming_row.h"

#include <gtest/gtest.h>

#include "bench/kernels/hashed_element.cuh"
#include "reference/attend.h"

namespace attest::bench {
namespace {

Index plain_slot(const DecodeShape& shape, Index sequence, Index token) {
  return sequence * shape.cached_tokens + token;
}

void fill(Tensor<double>& tensor, HashedStream stream, Index first) {
  for (Index i = 0; i < tensor.count(); ++i) {
    tensor.elements()[static_cast<std::size_t>(i)] =
        hashed_element(stream, static_cast<unsigned long long>(first + i));
  }
}

DecodeInputs whole_inputs(const DecodeShape& shape, double scale) {
  const HeadConfig& heads = shape.heads;
  const bool latent = heads.family == Family::latent;
  DecodeInputs inputs;
  inputs.heads = heads;
  inputs.scale = scale;
  inputs.queries = Tensor<double>({shape.batch, 1, heads.rows(), heads.key_dim});
  fill(inputs.queries, kHashedQueries, 0);
  if (latent) {
    inputs.rope_queries = Tensor<double>({shape.batch, 1, heads.query_heads, heads.rope_dim});
    fill(inputs.rope_queries, kHashedRopeQueries, 0);
  }
  for (Index b = 0; b < shape.batch; ++b) {
    const Index first = plain_slot(shape, b, 0);
    SequenceCache& cache = inputs.sequences.emplace_back();
    cache.keys = Tensor<double>({shape.cached_tokens, heads.kv_heads, heads.key_dim});
    fill(cache.keys, kHashedKeys, first * heads.kv_heads * heads.key_dim);
    if (latent) {
      cache.rope_keys = Tensor<double>({shape.cached_tokens, heads.rope_dim});
      fill(cache.rope_keys, kHashedRopeKeys, first * heads.rope_dim);
    } else {
      cache.values = Tensor<double>({shape.cached_tokens, heads.kv_heads, heads.value_dim});
      fill(cache.values, kHashedValues, first * heads.kv_heads * heads.value_dim);
    }
  }
  return inputs;
}

TEST(StreamingRow, EqualsTheWholeTruthForEveryRow) {
  for (const char* config :
       {"grouped-h6-g2-k16-v24-bf16", "latent-h4-l2-b1-c16-r8-bf16", "latent-h4-l4-b4-c16-r8-bf16"}) {
    const DecodeShape shape{parse_head_config(config), 37, 2};
    const DecodeOutputs truth = attend(whole_inputs(shape, 0.3));
    for (Index b = 0; b < shape.batch; ++b) {
      for (int row = 0; row < shape.heads.rows(); ++row) {
        const StreamedRow streamed = stream_row(shape, 0.3, plain_slot, b, row);
        EXPECT_NEAR(streamed.lse, truth.lse(b, 0, row), 1e-12);
        for (int i = 0; i < shape.heads.value_dim; ++i) {
          EXPECT_NEAR(streamed.output[static_cast<std::size_t>(i)], truth.output(b, 0, row, i), 1e-12)
              << config;
          EXPECT_NEAR(streamed.absolute[static_cast<std::size_t>(i)], truth.absolute(b, 0, row, i), 1e-12)
              << config;
        }
      }
    }
  }
}

TEST(HashedElement, IsUniformOverMultiplesOfOneOver128) {
  double sum = 0, squares = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double x = hashed_element(kHashedKeys, static_cast<unsigned long long>(i));
    EXPECT_TRUE(x >= -1 && x < 1 && x * 128 == static_cast<int>(x * 128)) << x;
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, -1.0 / 256, 0.01);  // the mean of -128..127 over 128
  EXPECT_NEAR(squares / kCount, 1.0 / 3, 0.01);
  EXPECT_NE(hashed_element(kHashedKeys, 1), hashed_element(kHashedValues, 1));
}

}  // namespace
}  // namespace attest::bench
