// Float32 rotary tables of every scaling law: without noise they are the reference's, with noise they cover
// what float32 arithmetic does, which is done here for comparison.
#include "golden/float32_rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "reference/rope.h"

namespace attest::golden {
namespace {

constexpr int kDim = 12;  // not a power of two, so that exponents round
const std::vector<std::string> kSpecs = {
    "half-split/base=10000",
    "interleaved/linear/base=10000/factor=3",
    "half-split/ntk/base=10000/factor=8",
    "half-split/dynamic-ntk/base=10000/factor=2/original=8",
    "half-split/dynamic-ntk/base=10000/factor=2/original=64",
    "interleaved/yarn/base=10000/factor=40/original=64/mscale=1/mscale-all-dim=0.707",
    "half-split/yarn/base=10000/factor=4/original=64/beta-fast=8/mscale=0",
    "half-split/longrope/base=10000/factor=16/original=16/long=1,1.3,2.1,4.7,9,15.5/short=1,1,1,1,1.2,1.3",
    "half-split/longrope/base=10000/factor=16/original=64/long=1,1.3,2.1,4.7,9,15.5/short=1,1,1,1,1.2,1.3",
    "half-split/llama3/base=500000/factor=8/original=64",
    "half-split/proportional/base=10000/rotated=0.5",
    "half-split/linear/base=10000/factor=2/attention-factor=1.25",
};

TEST(Float32Rope, WithoutNoiseTablesAreTheReferences) {
  constexpr Index kTokens = 24;
  for (const std::string& name : kSpecs) {
    const RopeSpec spec = parse_rope_spec(name);
    Float32Noise none;
    const Float32Rope rope = float32_rope(spec, kDim, kTokens, none);
    std::vector<Position> positions;
    for (Index t = 0; t < kTokens; ++t) positions.push_back({t, t, t});
    const RopeTable table = rope_table(spec, kDim, positions, kTokens);
    for (Index t = 0; t < kTokens; ++t) {
      for (Index i = 0; i < kDim / 2; ++i) {
        EXPECT_NEAR(rope.cosine(t, i), table.cosine(t, i), 1e-14) << name;
        EXPECT_NEAR(rope.sine(t, i), table.sine(t, i), 1e-14) << name;
        const auto [first, second] = rope_pair(spec.pairing, kDim, i);
        EXPECT_EQ(rope.pairs[static_cast<size_t>(i)], std::pair(first, second)) << name;
      }
    }
  }
}

// Inverse frequencies that transformers 5.23.0 and torch 2.15.0 computed in float32 on a CPU (d = 12; the
// configurations of golden/data/llama_*, llama and deepseek_v2's law at this width), as hexadecimal floats.
struct RecordedRow {
  std::string spec;
  std::vector<double> frequencies;
};
const std::vector<RecordedRow>& recorded() {
  static const std::vector<RecordedRow> rows = {
      {"interleaved/linear/base=10000/factor=3",
       {0x1.5555560000000p-2, 0x1.2626f20000000p-4, 0x1.fafc380000000p-7, 0x1.b4e81a0000000p-9,
        0x1.7883c20000000p-11, 0x1.44787a0000000p-13}},
      {"half-split/dynamic-ntk/base=10000/factor=2/original=8",
       {0x1.0000000000000p+0, 0x1.3fcb120000000p-3, 0x1.8f7bb60000000p-6, 0x1.f3080e0000000p-9,
        0x1.37b16e0000000p-11, 0x1.855d620000000p-14}},
      {"interleaved/yarn/base=10000/factor=40/original=64/mscale=1/mscale-all-dim=0.707",
       {0x1.0000000000000p+0, 0x1.c442460000000p-4, 0x1.3030ee0000000p-10, 0x1.0624de0000000p-12,
        0x1.c3d14e0000000p-15, 0x1.855d600000000p-17}},
      {"half-split/yarn/base=10000/factor=4/original=64/beta-fast=8/mscale=0",
       {0x1.0000000000000p+0, 0x1.13c4820000000p-3, 0x1.7c3d2a0000000p-7, 0x1.47ae140000000p-9,
        0x1.1a62d20000000p-11, 0x1.e6b4b80000000p-14}},
      {"half-split/longrope/base=10000/factor=16/original=16/long=1,1.3,2.1,4.7,9,15.5/short=1,1,1,1,1.2,1.3",
       {0x1.0000000000000p+0, 0x1.5368040000000p-3, 0x1.6a21de0000000p-6, 0x1.16e06a0000000p-9,
        0x1.f605040000000p-13, 0x1.f667fa0000000p-16}},
      {"half-split/llama3/base=500000/factor=8/original=64",
       {0x1.0000000000000p+0, 0x1.32c2c00000000p-6, 0x1.9cd9d20000000p-10, 0x1.72ba420000000p-13,
        0x1.4ce6ec0000000p-16, 0x1.2aefa40000000p-19}},
      {"half-split/proportional/base=10000/rotated=0.5",
       {0x1.0000000000000p+0, 0x1.b93a6a0000000p-3, 0x1.7c3d2a0000000p-5, 0x0.0p+0, 0x0.0p+0, 0x0.0p+0}},
  };
  return rows;
}

TEST(Float32Rope, NoiseCoversTheFrequenciesThatTransformersComputed) {
  for (const RecordedRow& row : recorded()) {
    const RopeSpec spec = parse_rope_spec(row.spec);
    constexpr Index kTokens = 24;
    Float32Noise none;
    const std::vector<double> exact = float32_frequencies(spec, kDim, kTokens, none);
    ASSERT_EQ(row.frequencies.size(), exact.size()) << row.spec;
    std::vector<double> square(exact.size());
    constexpr int kRuns = 64;
    for (int run = 0; run < kRuns; ++run) {
      Float32Noise noise(static_cast<std::uint64_t>(run));
      const std::vector<double> drawn = float32_frequencies(spec, kDim, kTokens, noise);
      for (size_t i = 0; i < exact.size(); ++i) square[i] += (drawn[i] - exact[i]) * (drawn[i] - exact[i]);
    }
    double worst = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double deviation = std::sqrt(square[i] / kRuns), error = std::abs(row.frequencies[i] - exact[i]);
      if (error > 0) worst = std::max(worst, error / deviation);
      EXPECT_LE(deviation, 2e-6 * exact[i]) << row.spec << " pair " << i << ": the noise is float32's";
    }
    EXPECT_LE(worst, 2.0) << row.spec;   // draws are sqrt(3) or more above what roundings really do
    EXPECT_GT(worst, 0.01) << row.spec;  // float32 is not exact
  }
}

TEST(Float32Rope, RoundingsOfASharedBaseMoveAllPairsTogether) {
  // dynamic NTK computes its base in float32: base (1 + e) moves frequency i by -2i/d e, for every pair alike
  const RopeSpec spec = parse_rope_spec("half-split/dynamic-ntk/base=10000/factor=2/original=8");
  double together = 0, slow = 0, fast = 0;
  Float32Noise none;
  const std::vector<double> exact = float32_frequencies(spec, kDim, 24, none);
  for (int run = 0; run < 400; ++run) {
    Float32Noise noise(static_cast<std::uint64_t>(run));
    const std::vector<double> drawn = float32_frequencies(spec, kDim, 24, noise);
    const double a = drawn[5] / exact[5] - 1, b = drawn[4] / exact[4] - 1;
    together += a * b;
    slow += a * a;
    fast += b * b;
  }
  EXPECT_GT(together / std::sqrt(slow * fast), 0.1);
  EXPECT_LT(together / std::sqrt(slow * fast), 0.9);
}

TEST(Float32Rope, SpecsOfAnotherWidthAreRefused) {
  Float32Noise none;
  const RopeSpec spec = parse_rope_spec("half-split/longrope/base=10000/factor=2/original=8/long=1/short=1");
  try {
    float32_frequencies(spec, kDim, 24, none);
    FAIL() << "took one factor for six pairs";
  } catch (const std::invalid_argument& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("one a pair, 6"));
  }
}

}  // namespace
}  // namespace attest::golden
