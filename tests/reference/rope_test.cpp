// Rotary embedding against published numbers, and the laws of rotations.
#include "reference/rope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "tests/reference/layer_case.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

// |got - want| <= 1e-12 |want| plus half a unit of the last digit that `want` was printed with.
void expect_number(double got, double want, double last_digit) {
  EXPECT_LE(std::abs(got - want), 1e-12 * std::abs(want) + last_digit / 2) << got << " against " << want;
}

RopeSpec yarn_v3() {
  RopeSpec spec;
  spec.scaling = RopeScaling::yarn;
  spec.factor = 40;
  spec.original_tokens = 4096;
  return spec;
}

// The vectors of DeepSeek-V3: width 64, base 10000, factor 40, trained on 4096 tokens; the ramp runs from
// pair 10 to 23.
TEST(Rope, YarnFrequenciesOfDeepSeekV3) {
  const std::vector<double> f = rope_frequencies(yarn_v3(), 64, 1).inverse;
  expect_number(f[10], 5.623413251903e-02, 1e-14);
  expect_number(f[11], 3.900692656714e-02, 1e-14);
  expect_number(f[16], 5.5e-03, 0);
  expect_number(f[22], 1.778279410039e-04, 1e-16);
  expect_number(f[23], 3.333803580408e-05, 1e-17);
  expect_number(f[31], 3.333803580408e-06, 1e-18);
}

TEST(Rope, YarnMagnitudes) {
  expect_number(yarn_magnitude(4, 1), 1.1386294361, 1e-10);
  expect_number(yarn_magnitude(8, 1), 1.2079441542, 1e-10);
  expect_number(yarn_magnitude(32, 1), 1.3465735903, 1e-10);
  expect_number(yarn_magnitude(40, 1), 1.3688879454, 1e-10);
  EXPECT_EQ(yarn_magnitude(1, 1), 1);
  EXPECT_EQ(yarn_magnitude(0.5, 1), 1);
}

// DeepSeek-V3's softmax scale: 192^(-1/2) m^2 with m = 0.1 ln 40 + 1; V2's with mscale_all_dim 0.707.
TEST(Rope, YarnSoftmaxScalesOfDeepSeek) {
  AttentionConfig config = small_config("mla");
  config.nope_dim = 128;
  config.rope_dim = 64;
  config.rope = yarn_v3();
  config.rope.yarn_mscale = config.rope.yarn_mscale_all_dim = 1;
  expect_number(config.scale(), 0.1352337789, 1e-10);
  config.rope.yarn_mscale = config.rope.yarn_mscale_all_dim = 0.707;
  expect_number(config.scale(), 0.1147213868, 1e-10);
}

TEST(Rope, EqualMscalesLeaveCosinesUnscaled) {
  RopeSpec spec = yarn_v3();
  EXPECT_EQ(rope_frequencies(spec, 64, 1).magnitude, yarn_magnitude(40, 1));  // mscale_all_dim is 0
  spec.yarn_mscale = spec.yarn_mscale_all_dim = 0.707;
  EXPECT_EQ(rope_frequencies(spec, 64, 1).magnitude, 1);
  spec.attention_factor = 1.25;
  EXPECT_EQ(rope_frequencies(spec, 64, 1).magnitude, 1.25);
}

// Llama 3.1: width 128, base 500000, factor 8, 8192 tokens: pairs to 28 unchanged, 29 to 34 blended, from 35
// divided by 8.
TEST(Rope, Llama31Frequencies) {
  RopeSpec spec;
  spec.scaling = RopeScaling::llama3;
  spec.base = 500000;
  spec.factor = 8;
  spec.original_tokens = 8192;
  const std::vector<double> f = rope_frequencies(spec, 128, 1).inverse;
  spec.scaling = RopeScaling::none;
  const std::vector<double> plain = rope_frequencies(spec, 128, 1).inverse;
  for (std::size_t i = 0; i <= 28; ++i) EXPECT_EQ(f[i], plain[i]) << i;
  for (std::size_t i = 29; i <= 34; ++i) {
    EXPECT_LT(f[i], plain[i]) << i;
    EXPECT_GT(f[i], plain[i] / 8) << i;
  }
  for (std::size_t i = 35; i < 64; ++i) EXPECT_EQ(f[i], plain[i] / 8) << i;
  expect_number(f[28], 3.211445994753e-03, 1e-15);
  expect_number(f[29], 2.166570763503e-03, 1e-15);
  expect_number(f[31], 8.567514129196e-04, 1e-16);
  expect_number(f[34], 1.785078127680e-04, 1e-16);
  expect_number(f[35], 9.556212353965e-05, 1e-17);
  expect_number(f[63], 3.068925988915e-07, 1e-19);
}

// The base that NTK scaling uses is read off pair 1: f_1 = base^(-2/d).
double base_of(const RopeSpec& spec, int dim, Index tokens) {
  return std::pow(rope_frequencies(spec, dim, tokens).inverse[1], -dim / 2.0);
}

TEST(Rope, NtkBases) {
  RopeSpec spec;
  spec.scaling = RopeScaling::ntk;
  spec.factor = 8;
  EXPECT_NEAR(base_of(spec, 128, 1) / 82684.622640562, 1, 1e-12);
  spec.scaling = RopeScaling::dynamic_ntk;
  spec.factor = 2;
  spec.original_tokens = 2048;
  EXPECT_NEAR(base_of(spec, 128, 8192) / 72195.860086509, 1, 1e-12);
  EXPECT_NEAR(base_of(spec, 128, 100) / 10000, 1, 1e-12);  // shorter than trained: as trained
}

TEST(Rope, LongRopeMagnitudeAndFactorsByLength) {
  RopeSpec spec;
  spec.scaling = RopeScaling::longrope;
  spec.factor = 32;
  spec.original_tokens = 4096;
  spec.short_factors = {1, 2};
  spec.long_factors = {4, 8};
  expect_number(rope_frequencies(spec, 4, 1).magnitude, 1.1902380714, 1e-10);
  EXPECT_EQ(rope_frequencies(spec, 4, 4096).inverse, (std::vector<double>{1, 0.01 / 2}));
  EXPECT_EQ(rope_frequencies(spec, 4, 4097).inverse, (std::vector<double>{1.0 / 4, 0.01 / 8}));
}

TEST(Rope, ProportionalTurnsOnlyTheFastestPairs) {
  RopeSpec spec;
  spec.scaling = RopeScaling::proportional;
  spec.rotated_fraction = 0.5;
  const std::vector<double> f = rope_frequencies(spec, 8, 1).inverse;  // int(0.5 * 8 / 2) = 2 pairs
  EXPECT_EQ(f, (std::vector<double>{1, std::pow(10000, -2.0 / 8), 0, 0}));
}

TEST(Rope, LinearDividesEveryFrequency) {
  RopeSpec spec;
  const std::vector<double> plain = rope_frequencies(spec, 16, 1).inverse;
  spec.scaling = RopeScaling::linear;
  spec.factor = 4;
  const std::vector<double> slow = rope_frequencies(spec, 16, 1).inverse;
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(slow[i], plain[i] / 4);
}

// Qwen2-VL lays sections in blocks; Qwen3-VL's [24, 20, 20] over 64 pairs: T at 0, 3, .., 57 and 60..63, H at
// 1, 4, .., 58, W at 2, 5, .., 59.
TEST(Rope, MultimodalAxes) {
  RopeSpec spec;
  spec.sections = {16, 24, 24};
  for (int pair = 0; pair < 64; ++pair) EXPECT_EQ(rope_axis(spec, pair), pair < 16 ? 0 : pair < 40 ? 1 : 2);
  spec.sections = {24, 20, 20};
  spec.sections_interleaved = true;
  for (int pair = 0; pair < 64; ++pair) EXPECT_EQ(rope_axis(spec, pair), pair < 60 ? pair % 3 : 0) << pair;
  spec.sections.clear();
  EXPECT_EQ(rope_axis(spec, 63), 0);
}

TEST(Rope, MultimodalTextEqualsPlainRope) {
  // equal positions on all axes = one position
  RopeSpec plain, sections;
  sections.sections = {2, 1, 1};
  const std::vector<Position> text = {{5, 5, 5}, {1000, 1000, 1000}};
  const RopeTable a = rope_table(plain, 8, text), b = rope_table(sections, 8, text);
  EXPECT_EQ(distance(a.cosine, b.cosine), 0);
  EXPECT_EQ(distance(a.sine, b.sine), 0);
  const std::vector<Position> image = {{5, 6, 7}};
  const RopeTable turned = rope_table(sections, 8, image);
  EXPECT_EQ(turned.cosine(0, 0), std::cos(5.0));
  EXPECT_EQ(turned.cosine(0, 2), std::cos(6 * std::pow(10000, -0.5)));
  EXPECT_EQ(turned.cosine(0, 3), std::cos(7 * std::pow(10000, -0.75)));
}

TEST(Rope, QuarterTurnByHand) {
  // One pair, frequency 1, position 1: (x1, x2) -> (x1 cos 1 - x2 sin 1, x2 cos 1 + x1 sin 1).
  for (const RopePairing pairing : {RopePairing::half_split, RopePairing::interleaved}) {
    RopeSpec spec;
    spec.pairing = pairing;
    Tensor<double> x{1, 1, 2};
    x(0, 0, 0) = 2;
    x(0, 0, 1) = 3;
    const std::vector<Position> at = {{1, 1, 1}};
    rotate(rope_table(spec, 2, at), x);
    EXPECT_DOUBLE_EQ(x(0, 0, 0), 2 * std::cos(1.0) - 3 * std::sin(1.0));
    EXPECT_DOUBLE_EQ(x(0, 0, 1), 3 * std::cos(1.0) + 2 * std::sin(1.0));
  }
}

Tensor<double> turned(const RopeSpec& spec, Tensor<double> x, Index first) {
  std::vector<Position> at;
  for (Index i = 0; i < x.size(0); ++i) at.push_back({first + i, first + i, first + i});
  rotate(rope_table(spec, static_cast<int>(x.size(2)), at), x);
  return x;
}

TEST(Rope, interleavedIsHalfSplitAfterSortingEvensBeforeOdds) {
  // P(rope_interleaved(x)) = rope_half(P(x)), P = evens then odds
  EXPECT_TRUE(rc::check([] {
    const Index dim = 2 * *rc::gen::inRange<Index>(1, 9), first = *rc::gen::inRange<Index>(0, 1 << 20);
    const Tensor<double> x = random_tensor({3, 2, dim}, *rc::gen::arbitrary<std::uint64_t>());
    const auto sorted = [&](const Tensor<double>& y) {
      Tensor<double> out(y.shape());
      for (Index t = 0; t < 3; ++t) {
        for (Index h = 0; h < 2; ++h) {
          for (Index e = 0; e < dim; ++e) out(t, h, e % 2 * (dim / 2) + e / 2) = y(t, h, e);
        }
      }
      return out;
    };
    RopeSpec half, interleaved;
    interleaved.pairing = RopePairing::interleaved;
    RC_ASSERT(distance(sorted(turned(interleaved, x, first)), turned(half, sorted(x), first)) == 0);
  }));
}

RopeSpec any_spec(int dim) {
  RopeSpec spec;
  spec.pairing = *rc::gen::element(RopePairing::half_split, RopePairing::interleaved);
  spec.scaling =
      *rc::gen::element(RopeScaling::none, RopeScaling::linear, RopeScaling::ntk, RopeScaling::yarn,
                        RopeScaling::llama3, RopeScaling::longrope, RopeScaling::proportional);
  spec.factor = *rc::gen::element(1.0, 4.0, 40.0);
  spec.original_tokens = 4096;
  spec.rotated_fraction = *rc::gen::element(0.0, 0.25, 1.0);
  spec.long_factors.assign(static_cast<std::size_t>(dim / 2), 3.0);
  spec.short_factors.assign(static_cast<std::size_t>(dim / 2), 1.5);
  return spec;
}

TEST(Rope, jointShiftLeavesScoresUnchanged) {
  // <R_{m+s} q, R_{n+s} k> = <R_m q, R_n k> for every law that does not depend on the sequence's length
  EXPECT_TRUE(rc::check([] {
    const int dim = 2 * *rc::gen::inRange(2, 9);
    RopeSpec spec = any_spec(dim);
    if (spec.scaling == RopeScaling::longrope) spec.original_tokens = 1e9;  // always the short factors
    const Index shift = *rc::gen::inRange<Index>(0, 1 << 20), gap = *rc::gen::inRange<Index>(0, 1000);
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const Tensor<double> q = random_tensor({1, 1, dim}, seed), k = random_tensor({1, 1, dim}, seed + 1);
    const auto score = [&](Index at) {
      const Tensor<double> a = turned(spec, q, at + gap), b = turned(spec, k, at);
      double sum = 0, size = 0;
      for (Index e = 0; e < dim; ++e) {
        sum += a(0, 0, e) * b(0, 0, e);
        size += std::abs(a(0, 0, e) * b(0, 0, e));
      }
      return std::pair{sum, size};
    };
    const auto [near, size] = score(0);
    const auto [far, unused] = score(shift);
    // An angle of 2^20 radians has an absolute rounding of 2^-33; 1e-9 holds for it with room.
    const double angle_rounding = 4 * static_cast<double>(shift + gap) * 0x1p-53 + 1e-15;
    RC_ASSERT(std::abs(near - far) <= angle_rounding * size * dim);
  }));
}

TEST(Rope, rotationsKeepLengthTimesMagnitude) {
  // |R x| = A |x|
  EXPECT_TRUE(rc::check([] {
    const int dim = 2 * *rc::gen::inRange(2, 9);
    const RopeSpec spec = any_spec(dim);
    const Tensor<double> x = random_tensor({1, 1, dim}, *rc::gen::arbitrary<std::uint64_t>());
    const Index at = *rc::gen::inRange<Index>(0, 10000);
    const Tensor<double> y = turned(spec, x, at);
    const auto length = [](const Tensor<double>& v) {
      double sum = 0;
      for (double e : v.elements()) sum += e * e;
      return std::sqrt(sum);
    };
    const double magnitude = rope_frequencies(spec, dim, at + 1).magnitude;
    RC_ASSERT(std::abs(length(y) - magnitude * length(x)) <= 1e-13 * magnitude * length(x));
  }));
}

TEST(Rope, Float32TablesAreTheReleasedCodesNumbers) {
  // Float frequency times float position, rounded; the sine of that float, rounded: 1 ulp of 1 is 2^-24 at
  // most.
  RopeSpec spec;
  spec.table = Format::f32;
  const std::vector<Position> at = {{131071, 131071, 131071}};
  const RopeTable table = rope_table(spec, 64, at);
  for (Index i = 0; i < 32; ++i) {
    const float frequency = 1.0F / static_cast<float>(std::pow(10000.0, static_cast<double>(2 * i) / 64));
    const float angle = 131071.0F * frequency;
    EXPECT_EQ(table.cosine(0, i),
              static_cast<double>(static_cast<float>(std::cos(static_cast<double>(angle)))));
    EXPECT_EQ(table.sine(0, i),
              static_cast<double>(static_cast<float>(std::sin(static_cast<double>(angle)))));
  }
  spec.table = Format::bf16;
  EXPECT_EQ(rope_table(spec, 64, at).sine(0, 3), round_to(Format::bf16, table.sine(0, 3)));
}

TEST(Rope, Float32AnglesLoseBitsInProportionToThePosition) {
  // An angle t f has relative error 2^-23 (frequency and product rounded): t 2^-23 for the fastest pair at
  // most.
  RopeSpec spec;
  for (const Index position : {131072, 1 << 20, 1 << 21}) {
    spec.table = Format::f32;
    const RopePrecision cost = rope_precision(spec, 64, position);
    EXPECT_LE(cost.angle_error, static_cast<double>(position) * 0x1p-22);
    EXPECT_GE(cost.angle_error, static_cast<double>(position) * 0x1p-30);  // and it is really lost
    // two angles, each with a relative error of 2^-22 at most (power, reciprocal, product; base^x is exact to
    // 2^-24)
    EXPECT_LE(cost.score_error, static_cast<double>(position) * 0x1p-21 + 0x1p-20);
    EXPECT_GE(cost.score_error, cost.angle_error / 8);
    spec.table = Format::f64;
    const RopePrecision exact = rope_precision(spec, 64, position);
    EXPECT_LE(exact.score_error, static_cast<double>(position) * 0x1p-50);
    spec.table = Format::bf16;
    EXPECT_GE(rope_precision(spec, 64, position).table_error, 1e-3);
  }
  const std::vector<Index> positions = {131072, 1 << 20, 1 << 21};
  const std::string report = rope_precision_report({}, 64, positions);
  EXPECT_EQ(std::count(report.begin(), report.end(), '\n'), 10);
  EXPECT_THAT(report, testing::HasSubstr(" 2097152  f32 "));
}

TEST(Rope, MisfitsAreRefused) {
  EXPECT_THAT(refusal([] { rope_frequencies({}, 7, 1); }), testing::HasSubstr("width 7"));
  RopeSpec yarn = yarn_v3();
  yarn.original_tokens = 0;
  EXPECT_THAT(refusal([&] { rope_frequencies(yarn, 64, 1); }), testing::HasSubstr("original"));
  Tensor<double> x{2, 1, 8};
  const std::vector<Position> one = {{0, 0, 0}};
  EXPECT_THAT(refusal([&] { rotate(rope_table({}, 8, one), x); }), testing::HasSubstr("[2, 1, 8]"));
}

}  // namespace
}  // namespace attest
