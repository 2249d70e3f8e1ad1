// The bound against a simulated kernel: published worst cases, adversarial data, and each precondition.
#include "reference/error_bounds.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>
#include <string>

#include "reference/attend.h"
#include "reference/random.h"
#include "reference/random_inputs.h"
#include "tests/reference/refusal.h"
#include "tests/reference/simulated_kernel.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kFloatLn2 = static_cast<double>(std::numbers::ln2_v<float>);

ArithmeticPlan tensor_plan() {
  ArithmeticPlan plan;
  plan.dot = ArithmeticPlan::Dot::tensor_core;
  plan.tile_tokens = 64;
  plan.probability = Format::bf16;
  plan.output = Format::bf16;
  return plan;
}

// One head; keys [tokens][width], values [tokens]; queries [width].
DecodeInputs one_head(const std::vector<double>& query, const std::vector<std::vector<double>>& keys,
                      const std::vector<double>& values, double scale = kFloatLn2,
                      Format storage = Format::bf16) {
  const auto width = static_cast<Index>(query.size()), tokens = static_cast<Index>(keys.size());
  DecodeInputs inputs;
  inputs.heads = {.key_dim = static_cast<int>(width), .value_dim = 1, .storage = storage};
  inputs.scale = scale;
  inputs.queries = Tensor<double>{1, 1, 1, width};
  SequenceCache cache;
  cache.keys = Tensor<double>{tokens, 1, width};
  cache.values = Tensor<double>{tokens, 1, 1};
  for (Index i = 0; i < width; ++i) inputs.queries(0, 0, 0, i) = query[static_cast<std::size_t>(i)];
  for (Index s = 0; s < tokens; ++s) {
    const auto& key = keys[static_cast<std::size_t>(s)];
    for (std::size_t i = 0; i < key.size(); ++i) cache.keys(s, 0, static_cast<Index>(i)) = key[i];
    cache.values(s, 0, 0) = values[static_cast<std::size_t>(s)];
  }
  inputs.sequences = {cache};
  return inputs;
}

// Largest error over bound of a simulated run.
struct Ratio {
  double output = 0, lse = 0;
  std::string inconclusive;
};
Ratio ratio_of(const SimulatedKernel& kernel, const DecodeInputs& inputs) {
  const DecodeOutputs truth = attend(inputs);
  const DecodeBounds bounds = error_bounds(inputs, truth, kernel.plan);
  Ratio ratio{.inconclusive = bounds.inconclusive};
  if (!bounds.inconclusive.empty()) return ratio;
  const SimulatedResult result = run(kernel, inputs);
  const auto worst = [](const std::vector<double>& got, const Tensor<double>& want,
                        const Tensor<double>& bound) {
    double most = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (got[i] == want.data()[i]) continue;  // infinities and exact zeros
      const double share = std::fabs(got[i] - want.data()[i]) / bound.data()[i];
      most = std::max(most, std::isnan(share) ? kInfinity : share);
    }
    return most;
  };
  ratio.output = worst(result.output, truth.output, bounds.output);
  ratio.lse = worst(result.lse, truth.lse, bounds.lse);
  return ratio;
}
void expect_within(const SimulatedKernel& kernel, const DecodeInputs& inputs, const std::string& what) {
  const Ratio ratio = ratio_of(kernel, inputs);
  EXPECT_EQ(ratio.inconclusive, "") << what;
  EXPECT_LE(ratio.output, 1.0) << what;
  EXPECT_LE(ratio.lse, 1.0) << what;
}

// --- The explicit near-worst case -------------------------------------------------------------------------

DecodeInputs four_keys() {
  std::vector<double> query(16, 0.0);
  query[0] = 1;
  query[1] = 0x1p-8;
  query[2] = 0x1p-16;
  query[3] = 0x1p-24;
  const std::vector<double> near{-0x1.fep-1, 0x1.c2p-2, 0x1.ecp-4, -0x1.fep-5};
  const std::vector<double> far{-0x1p+3, -0x1.76p+1, -0x1.acp+0, 0x1.c6p-2};
  return one_head(query, {{0, 0, 0, 0}, near, near, far}, {0, 2, 2, 0});
}

TEST(ErrorBounds, TheExplicitFourKeyCaseNearlyReachesTheBound) {
  const DecodeInputs inputs = four_keys();
  const DecodeOutputs truth = attend(inputs);
  SimulatedKernel kernel;
  kernel.plan = tensor_plan();
  const SimulatedResult result = run(kernel, inputs);
  EXPECT_EQ(result.output[0], 1.0078125);
  EXPECT_NEAR(truth.output(0, 0, 0, 0), 1.0000154, 1e-7);

  // The older bound of the derivation, in its linear form, written out for this case: one tile, one split, F
  // = 25.
  const double u = 0x1p-24, eps = 0x1p-22, g = 17 * 0x1p-25 + 0x1p-23, u_p = 0x1p-8, u_o = 0x1p-8;
  const double o = truth.output(0, 0, 0, 0), lse = truth.lse(0, 0, 0);
  double largest = 0, centred = 0, absolute = 0, weights = 0;
  std::vector<double> scores, sizes;
  for (Index s = 0; s < 4; ++s) {
    double dot = 0, size = 0;
    for (Index i = 0; i < 16; ++i) {
      const double product = inputs.queries(0, 0, 0, i) * inputs.sequences[0].keys(s, 0, i);
      dot += product;
      size += std::fabs(product);
    }
    scores.push_back(inputs.scale * dot);
    sizes.push_back(inputs.scale * size);
    largest = std::max(largest, std::fabs(scores.back()));
  }
  for (std::size_t s = 0; s < 4; ++s) {
    const double p = std::exp(scores[s] - lse), v = inputs.sequences[0].values.data()[s];
    const double theta = g * sizes[s] + 3 * u * (std::fabs(scores[s]) + largest) + eps;
    centred += p * theta * std::fabs(v - o);
    absolute += p * std::fabs(v);
    weights += p;
  }
  ASSERT_NEAR(weights, 1, 1e-12);
  const double sum = centred + (u_p + g) * absolute + 4 * u * std::fabs(o) + 6 * u * absolute;
  const double older = u_o * std::fabs(o) + (1 + u_o) * 1.01 * sum;
  const double error = std::fabs(result.output[0] - o);
  EXPECT_NEAR(error / older, 0.990, 0.001);

  const DecodeBounds bounds = error_bounds(inputs, truth, kernel.plan);
  ASSERT_EQ(bounds.inconclusive, "");
  EXPECT_GE(bounds.output(0, 0, 0, 0), error);
  EXPECT_NEAR(error / bounds.output(0, 0, 0, 0), 0.9956, 0.0005);  // the published ratio of this bound
}

// --- Cases that violated the older formulas ---------------------------------------------------------------

// Both ways of summing, with and without flushing, one tile and several, some splits, extreme function
// errors.
void expect_within_everywhere(const DecodeInputs& inputs, const std::string& what) {
  for (const bool tensor : {true, false}) {
    for (const bool flush : {true, false}) {
      for (const Index splits : {1, 2, 8}) {
        for (const Index tile : {1, 16, 64}) {
          for (const double error : {-1.0, 0.0, 1.0}) {
            SimulatedKernel kernel;
            if (tensor) kernel.plan = tensor_plan();
            kernel.plan.flush_to_zero = flush;
            kernel.plan.splits = splits;
            kernel.plan.tile_tokens = tile;
            kernel.function_error = error;
            kernel.natural_partials = error > 0;
            kernel.reversed = error < 0;
            expect_within(kernel, inputs,
                          what + (tensor ? ", tensor" : ", scalar") + (flush ? ", ftz" : "") + ", splits " +
                              std::to_string(splits) + ", tile " + std::to_string(tile));
          }
        }
      }
    }
  }
}

TEST(ErrorBounds, AnUnderflowingWeightOfAHugeValueIsCovered) {
  expect_within_everywhere(one_head({1}, {{0}, {-126.5}}, {0, 0x1p100}), "log2 scores 0 and -126.5");
  expect_within_everywhere(one_head({1}, {{-127}, {0}}, {0x1p100, 0}), "alpha underflows");
  expect_within_everywhere(one_head({1, 1}, {{0}, {-131, -0.296875}}, {0, 0x1p100}), "a subnormal weight");
  expect_within_everywhere(one_head({1, 1}, {{0}, {-133, -0.5}}, {1, 0x1p110}),
                           "a weight below the subnormals");
}

TEST(ErrorBounds, AnAttentionSinkFarAboveTheRestIsCovered) {
  // One key 88 nats (127 bits) above, with value zero.
  for (const double elsewhere : {1000.0, 1.0, 0x1p-120}) {
    std::vector<std::vector<double>> keys(20, {0, 0});
    keys[3] = {127, 0};
    std::vector<double> values(20, elsewhere);
    values[3] = 0;
    expect_within_everywhere(one_head({1, 1}, keys, values), "sink");
  }
}

TEST(ErrorBounds, SubnormalValuesAndResultsAreCovered) {
  std::vector<std::vector<double>> keys;
  std::vector<double> values;
  for (int s = 0; s < 40; ++s) {
    keys.push_back({static_cast<double>(s % 7), 0});
    values.push_back((s % 3 == 0 ? -1 : 1) * (s % 5 + 1) * 0x1p-130);
  }
  expect_within_everywhere(one_head({1, 1}, keys, values), "subnormal values");
  for (double& value : values) value = 0x1p-126;
  expect_within_everywhere(one_head({1, 1}, keys, values), "values at the edge of the subnormals");
  // Subnormal queries and keys.
  DecodeInputs tiny = one_head({0x1p-130, 1}, {{0x1p127, 0.5}, {0x1p126, 0.25}, {0, 1}}, {1, 2, 3});
  expect_within_everywhere(tiny, "subnormal query");
}

TEST(ErrorBounds, ManySplitsOfOneKeyAreCoveredInTheLogSumExp) {
  for (const double step : {0.0, 0x1p-12, 0.0625}) {
    std::vector<std::vector<double>> keys;
    for (int s = 0; s < 128; ++s) keys.push_back({-(s % 2) * step * 5 - (s > 0 ? 23 * (s % 3 == 0) : 0)});
    const DecodeInputs inputs = one_head({1}, keys, std::vector<double>(128, 1.0), kFloatLn2, Format::f32);
    for (const double error : {-1.0, 0.0, 1.0}) {
      for (const bool natural : {false, true}) {
        SimulatedKernel kernel;
        kernel.plan.splits = 128;
        kernel.function_error = error;
        kernel.natural_partials = natural;
        expect_within(kernel, inputs, "128 splits, step " + std::to_string(step));
      }
    }
  }
}

TEST(ErrorBounds, TiesWhoseComputedMaximumClimbsAreCovered) {
  // All exact scores are 1; rounding makes the computed ones differ, so the kernel's maximum may move where
  // the exact one does not. d = 576, products of both signs.
  std::vector<double> query(576);
  for (std::size_t i = 0; i < query.size(); ++i) query[i] = i % 2 == 0 ? 1 : -1;
  std::vector<std::vector<double>> keys;
  for (std::uint64_t s = 0; s < 96; ++s) {
    std::vector<double> key(576, 0.0);
    key[0] = 1;
    for (std::size_t pair = 1; pair < 288; ++pair) {
      // Pairs cancel: q = (1, -1), k = (x, x); large ones cost bits of the small sum.
      const double x = round_to(Format::bf16, 8 * random_uniform(s, 7, pair));
      key[2 * pair] = key[2 * pair + 1] = x;
    }
    keys.push_back(key);
  }
  const DecodeInputs inputs = one_head(query, keys, std::vector<double>(96, 1.0), 1.0);
  for (const double error : {-1.0, 0.0, 1.0}) {
    SimulatedKernel kernel;
    kernel.plan = tensor_plan();
    kernel.plan.tile_tokens = 16;
    kernel.function_error = error;
    expect_within(kernel, inputs, "tensor");
    kernel.plan = {};
    kernel.dot_lanes = 1;
    expect_within(kernel, inputs, "scalar");
  }
}

TEST(ErrorBounds, ADenominatorOfRoundedWeightsIsCoveredInTheLogSumExp) {
  // 64 weights just below the midpoint 1/2 (1 + 2^-8) of two bf16 numbers all round the same way.
  const double score = std::log2(0.5 * (1 + 0x1p-8 - 0x1p-12));
  const double high = round_to(Format::bf16, score), low = round_to(Format::bf16, score - high);
  std::vector<std::vector<double>> keys(65, {high, low});
  keys[0] = {0, 0};
  const DecodeInputs inputs = one_head({1, 1}, keys, std::vector<double>(65, 1.0));
  SimulatedKernel kernel;
  kernel.plan = tensor_plan();
  kernel.plan.sum_of_rounded_probability = true;
  const Ratio ratio = ratio_of(kernel, inputs);
  EXPECT_EQ(ratio.inconclusive, "");
  EXPECT_LE(ratio.output, 1.0);
  EXPECT_LE(ratio.lse, 1.0);
  EXPECT_GE(ratio.lse, 0.5);  // the case is as bad as it was meant to be
}

TEST(ErrorBounds, MaskedRowsOfHugeValuesAreCoveredEvenIfZeroProductsAlign) {
  DecodeInputs inputs =
      one_head({1}, std::vector<std::vector<double>>(16, {0.0}), std::vector<double>(16, 0x1.feep-23));
  for (Index s = 0; s < 8; ++s) inputs.sequences[0].values(s, 0, 0) = round_to(Format::bf16, 3e38);
  for (Index s = 8; s < 16; ++s)
    inputs.sequences[0].values(s, 0, 0) = (1 + 0x1p-7 * static_cast<double>(s)) * 0x1p-22;
  inputs.sequences[0].left_padding = 8;
  SimulatedKernel kernel;
  kernel.plan = tensor_plan();
  kernel.plan.output = Format::f32;
  for (const bool align : {false, true}) {
    kernel.zeros_align = align;
    expect_within(kernel, inputs, align ? "zeros align" : "zeros do not align");
  }
  EXPECT_GT(ratio_of(kernel, inputs).output, 0.01);  // and the alignment does cost something
}

// --- Adversarial search over ordinary and extreme data ----------------------------------------------------

// A plan and a kernel of it, drawn from a seed.
SimulatedKernel any_kernel(std::uint64_t seed, bool tensor, Format storage) {
  const auto pick = [&](std::uint64_t what, std::uint64_t count) {
    return random_bits(seed, what, 0) % count;
  };
  SimulatedKernel kernel;
  if (tensor) kernel.plan = tensor_plan();
  const Index splits[] = {1, 1, 2, 3, 8, 33}, tiles[] = {1, 16, 24, 64, 128};
  kernel.plan.splits = splits[pick(1, 6)];
  kernel.plan.tile_tokens = tiles[pick(2, 5)];
  kernel.plan.flush_to_zero = pick(3, 2) == 0;
  kernel.plan.fused_exponent = pick(4, 3) != 0;
  const Format probabilities[] = {Format::f32, Format::bf16, Format::f16};
  kernel.plan.probability =
      tensor ? (storage == Format::f16 ? Format::f16 : Format::bf16) : probabilities[pick(5, 3)];
  kernel.plan.sum_of_rounded_probability = pick(6, 3) == 0;
  const Format partials[] = {Format::f32, Format::f32, Format::bf16, Format::f16};
  kernel.plan.partial = partials[pick(7, 4)];
  const Format outputs[] = {Format::f32, Format::bf16, Format::f16};
  kernel.plan.output = outputs[pick(8, 3)];
  const int lanes[] = {1, 4, 32};
  kernel.dot_lanes = lanes[pick(9, 3)];
  kernel.reversed = pick(10, 2) == 0;
  kernel.natural_partials = pick(11, 2) == 0;
  kernel.zeros_align = pick(12, 2) == 0;
  if (pick(15, 3) == 0) {
    kernel.plan.step_products = 8;
    kernel.plan.fraction_bits = 24;
  }
  const double errors[] = {-1, 0, 1};
  kernel.function_error = errors[pick(13, 3)];
  kernel.random_errors = pick(14, 2) == 0;
  kernel.seed = seed;
  return kernel;
}

DecodeInputs any_inputs(std::uint64_t seed, DataFamily data, Format storage) {
  const auto pick = [&](std::uint64_t what, std::uint64_t count) {
    return random_bits(seed, what, 1) % count;
  };
  Problem problem;
  problem.attention = small_config(pick(1, 2) == 0 ? "gqa" : "mlra-4");
  const Index lengths[] = {1, 2, 5, 17, 64, 100, 300};
  problem.cached_tokens = {lengths[pick(2, 7)], 3};
  problem.left_padding = {problem.cached_tokens[0] / 3 * static_cast<Index>(pick(3, 2)), 1};
  problem.mask.window = pick(4, 4) == 0 ? 9 : 0;
  problem.mask.sink_tokens = pick(5, 2) == 0 ? 2 : 0;
  problem.mask.softcap = pick(6, 4) == 0 ? 5 : 0;
  problem.data = data;
  problem.seed = seed;
  HeadConfig heads = head_config(problem.attention, storage);
  if (pick(7, 4) == 0) {  // one released width
    heads = pick(8, 2) == 0
                ? HeadConfig{.key_dim = 128, .value_dim = 16}
                : HeadConfig{.family = Family::latent, .key_dim = 512, .rope_dim = 64, .value_dim = 512};
    heads.storage = storage;
    problem.cached_tokens = {20};
    problem.left_padding = {0};
  }
  return random_decode_inputs(heads, problem);
}

// No case of any family violates; how close they come is printed for whoever tightens the bound. Coarse
// formats come close by design, since a rounding of half a unit is attained; kernels that are f32 throughout
// show the other terms.
TEST(ErrorBounds, NoSimulatedKernelViolatesTheBoundOnAnyDataFamily) {
  int conclusive = 0, cases = 0;
  for (int family = 0; family < 8; ++family) {
    const auto data = static_cast<DataFamily>(family);
    Ratio worst, single;
    for (std::uint64_t seed = 0; seed < 70; ++seed) {
      for (const bool tensor : {false, true}) {
        const Format storages[] = {Format::bf16, Format::f16, Format::f32};
        const Format storage = storages[random_bits(seed, 20, 0) % (tensor ? 2 : 3)];
        const SimulatedKernel kernel =
            any_kernel(seed * 16 + static_cast<std::uint64_t>(family), tensor, storage);
        const Ratio ratio = ratio_of(kernel, any_inputs(seed, data, storage));
        ++cases;
        if (!ratio.inconclusive.empty()) continue;
        ++conclusive;
        ASSERT_LE(ratio.output, 1.0) << name(data) << " seed " << seed << (tensor ? " tensor" : " scalar");
        ASSERT_LE(ratio.lse, 1.0) << name(data) << " seed " << seed << (tensor ? " tensor" : " scalar");
        const ArithmeticPlan& plan = kernel.plan;
        const bool f32 =
            plan.output == Format::f32 && plan.partial == Format::f32 && plan.probability == Format::f32;
        for (Ratio* most : {&worst, f32 ? &single : &worst}) {
          most->output = std::max(most->output, ratio.output);
          most->lse = std::max(most->lse, ratio.lse);
        }
      }
    }
    std::printf("  %-15s worst error / bound: result %.3f (f32 %.3f), log-sum-exp %.3f (f32 %.3f)\n",
                std::string(name(data)).c_str(), worst.output, single.output, worst.lse, single.lse);
  }
  EXPECT_GT(conclusive, cases * 9 / 10);  // a bound that never concludes proves nothing
}

// Random walk uphill: keep a change of one input if it brings error / bound closer to 1.
TEST(ErrorBounds, ClimbingTowardsTheBoundDoesNotCrossIt) {
  for (const bool tensor : {false, true}) {
    double best = 0;
    for (std::uint64_t start = 0; start < 6; ++start) {
      SimulatedKernel kernel;
      if (tensor) kernel.plan = tensor_plan();
      if (start % 2 == 1) kernel.plan.splits = 2;
      kernel.function_error = start % 3 == 0 ? 1 : start % 3 == 1 ? -1 : 0;
      std::vector<double> query(4);
      std::vector<std::vector<double>> keys(6, std::vector<double>(4));
      std::vector<double> values(6);
      std::uint64_t draws = 0;
      const auto draw = [&] { return round_to(Format::bf16, random_normal(start, 40, draws++)); };
      for (double& x : query) x = draw();
      for (auto& key : keys) {
        for (double& x : key) x = draw();
      }
      for (double& x : values) x = draw();
      double here = 0;
      for (int trial = 0; trial < 1500; ++trial) {
        const auto which = random_bits(start, 41, static_cast<std::uint64_t>(trial)) % 34;
        double& x = which < 4    ? query[which]
                    : which < 28 ? keys[(which - 4) / 4][which % 4]
                                 : values[which - 28];
        const double before = x;
        x = trial % 2 == 0 ? draw() : round_to(Format::bf16, x * (1 + 0.03 * draw()));
        const Ratio ratio = ratio_of(kernel, one_head(query, keys, values));
        const double now = std::max(ratio.output, ratio.lse);
        ASSERT_LE(now, 1.0) << "start " << start << ", trial " << trial;
        if (ratio.inconclusive.empty() && now >= here) {
          here = now;
        } else {
          x = before;
        }
      }
      best = std::max(best, here);
    }
    std::printf("  %s: climbed to %.3f of the bound\n", tensor ? "tensor core" : "scalar", best);
    EXPECT_GT(best, tensor ? 0.7 : 0.1);  // else the bound, or the climb, is lame
  }
}

// --- Preconditions ----------------------------------------------------------------------------------------

std::string why_not(const DecodeInputs& inputs, const ArithmeticPlan& plan) {
  const DecodeBounds bounds = error_bounds(inputs, attend(inputs), plan);
  if (!bounds.inconclusive.empty()) {
    EXPECT_EQ(bounds.output(0, 0, 0, 0), kInfinity);
    EXPECT_EQ(bounds.lse(0, 0, 0), kInfinity);
  }
  return bounds.inconclusive;
}

TEST(ErrorBounds, EachPreconditionThatFailsIsInconclusive) {
  const ArithmeticPlan scalar;
  EXPECT_EQ(why_not(one_head({1}, {{1}, {2}}, {3, 4}), scalar), "");
  // T <= 1/4: cancelling products of size 2^24 leave the score unknown.
  EXPECT_NE(why_not(one_head({1, -1}, {{0x1p24, 0x1p24}, {1, 0}}, {3, 4}, 1.0), scalar).find("T = "),
            std::string::npos);
  // g_l <= 0.01
  ArithmeticPlan plan;
  plan.sum_chain = 200000;
  EXPECT_NE(why_not(one_head({1}, {{1}}, {3}), plan).find("g_l = 0.0119 (additions in the denominator)"),
            std::string::npos);
  // T_L <= 1/4 alone: sig = scale * 2 u * 2^21 = 0.22 leaves T = e^0.22 - 1 = 0.246, to which a long chain
  // adds.
  plan.sum_chain = 160000;
  EXPECT_EQ(why_not(one_head({1, -1}, {{0x1p20, 0x1p20}}, {3}, 0.88), scalar), "");
  EXPECT_NE(why_not(one_head({1, -1}, {{0x1p20, 0x1p20}}, {3}, 0.88), plan).find("T_L = "),
            std::string::npos);
  // Range of products, scores, sums of values, results.
  EXPECT_NE(why_not(one_head({0x1p64, -0x1p64}, {{0x1p64, 0x1p64}}, {3}), scalar).find("sum |q k| = "),
            std::string::npos);
  EXPECT_NE(why_not(one_head({0x1p63}, {{0x1p60}}, {3}, 0x1p20), scalar).find("score "), std::string::npos);
  EXPECT_NE(why_not(one_head({1}, std::vector<std::vector<double>>(8, {1}),
                             std::vector<double>(8, round_to(Format::bf16, 1e38))),
                    scalar)
                .find("8 keys with values up to "),
            std::string::npos);
  plan = {};
  plan.output = Format::f16;
  EXPECT_NE(why_not(one_head({1}, {{1}}, {65536}), plan).find("may leave f16"), std::string::npos);
  plan = {};
  plan.splits = 2;
  plan.partial = Format::f16;
  EXPECT_NE(why_not(one_head({1}, {{1}}, {65536}), plan).find("partial results may leave f16"),
            std::string::npos);
  // Inputs that are not stored numbers, NaN, formats without a derivation.
  EXPECT_EQ(why_not(one_head({1}, {{1}}, {0.1}), scalar),
            "input 0.1 is not a number of the storage format bf16");
  EXPECT_EQ(why_not(one_head({1}, {{1}}, {1 + 0x1p-11}, 1.0, Format::f16), scalar),
            "input 1.00048828125 is not a number of the storage format f16");
  EXPECT_EQ(why_not(one_head({1}, {{1}}, {0x1p-25}, 1.0, Format::f16), scalar),
            "input 2.9802322387695312e-08 is not a number of the storage format f16");
  EXPECT_EQ(why_not(one_head({1}, {{1 + 0x1p-10}}, {0x1p-24}, 1.0, Format::f16), scalar), "");
  EXPECT_NE(why_not(one_head({1}, {{std::nan("")}}, {1}), scalar).find("the truth itself is not finite"),
            std::string::npos);
  EXPECT_NE(why_not(one_head({1}, {{1}}, {1}, 1.0, Format::f64), scalar).find("storage f64"),
            std::string::npos);
  EXPECT_NE(why_not(one_head({1}, {{1}}, {1}, 1.0, Format::f32), tensor_plan()).find("tf32"),
            std::string::npos);
  plan = {};
  plan.probability = Format::e4m3;
  EXPECT_NE(why_not(one_head({1}, {{1}}, {1}), plan).find("probability e4m3"), std::string::npos);
  plan = {};
  plan.output = Format::e4m3;
  EXPECT_NE(why_not(one_head({1}, {{1}}, {1}), plan).find("e4m3"), std::string::npos);
}

TEST(ErrorBounds, TheReasonNamesTheRow) {
  DecodeInputs inputs = one_head({1}, {{1}, {2}}, {3, 4});
  inputs.sequences[0].values(1, 0, 0) = kInfinity;
  EXPECT_EQ(why_not(inputs, {}).rfind("batch 0, query 0, row 0: ", 0), 0u);
}

TEST(ErrorBounds, ArgumentsThatMakeNoSenseAreRefused) {
  const DecodeInputs inputs = one_head({1}, {{1}}, {1});
  const DecodeOutputs truth = attend(inputs);
  const auto why = [&](auto spoil) {
    ArithmeticPlan plan;
    spoil(plan);
    return refusal([&] { error_bounds(inputs, truth, plan); });
  };
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.splits = 0; }), "error_bounds: plan: splits 0: expected 1 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.tile_tokens = 0; }),
            "error_bounds: plan: tile_tokens 0: expected 1 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.sum_chain = -1; }),
            "error_bounds: plan: sum_chain -1: expected 0 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.dot_chain = -1; }),
            "error_bounds: plan: dot_chain -1: expected 0 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.value_chain = -1; }),
            "error_bounds: plan: value_chain -1: expected 0 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.fraction_bits = 0; }),
            "error_bounds: plan: fraction_bits 0: expected 1 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.step_products = 0; }),
            "error_bounds: plan: step_products 0: expected 1 or more");
  EXPECT_EQ(why([](ArithmeticPlan& p) { p.tanh_error = std::nan(""); }),
            "error_bounds: plan: tanh_error nan: expected 0 or more");
  EXPECT_EQ(refusal([&] { error_bounds(inputs, {}, {}); }),
            "error_bounds: truth: shape [], expected [1, 1, 1, 1]");
  DecodeInputs wrong = inputs;
  wrong.scale = -1;
  EXPECT_EQ(refusal([&] { error_bounds(wrong, truth, {}); }),
            "error_bounds: scale -1: expected a positive finite number");
}

// --- What the bound says of itself ------------------------------------------------------------------------

TEST(ErrorBounds, ARowThatSeesNothingHasBoundsOfZero) {
  DecodeInputs inputs = one_head({1}, {{1}}, {1});
  inputs.sequences[0].left_padding = 1;
  const DecodeBounds bounds = error_bounds(inputs, attend(inputs), {});
  EXPECT_EQ(bounds.inconclusive, "");
  EXPECT_EQ(bounds.output(0, 0, 0, 0), 0);
  EXPECT_EQ(bounds.lse(0, 0, 0), 0);
}

TEST(ErrorBounds, TheDominantTermIsTheRoundingThatWasMadeCoarse) {
  const DecodeInputs inputs = one_head({1, 1}, {{1, 0.5}, {0.25, -1}, {-1, 1}}, {3, 4, 5});
  const DecodeOutputs truth = attend(inputs);
  const auto dominant = [&](auto change) {
    ArithmeticPlan plan;
    change(plan);
    const std::string terms = error_bounds(inputs, truth, plan).dominant_term;
    return terms.substr(0, terms.find_first_of("0123456789"));
  };
  EXPECT_EQ(dominant([](ArithmeticPlan& p) { p.probability = Format::bf16; }), "probability rounding ");
  EXPECT_EQ(dominant([](ArithmeticPlan& p) { p.output = Format::bf16; }), "output rounding ");
  EXPECT_EQ(dominant([](ArithmeticPlan& p) { p.splits = 2, p.partial = Format::bf16; }), "split merge ");
  EXPECT_EQ(dominant([](ArithmeticPlan& p) { p.sum_chain = 10000; }), "denominator ");
  EXPECT_EQ(dominant([](ArithmeticPlan& p) { p.value_chain = 10000; }), "value sum ");
  EXPECT_EQ(dominant([](ArithmeticPlan& p) { p.dot_chain = 10000; }), "score dot product ");
}

TEST(ErrorBounds, TheCertificateTellsShortCachesFromLongOnes) {
  Problem problem;
  problem.attention = small_config("gqa");
  const HeadConfig heads = head_config(problem.attention, Format::bf16);
  ArithmeticPlan coarse;
  coarse.probability = coarse.output = Format::bf16;
  const auto certificate = [&](Index tokens, const ArithmeticPlan& plan) {
    problem.cached_tokens = {tokens};
    const DecodeInputs inputs = random_decode_inputs(heads, problem);
    return error_bounds(inputs, attend(inputs), plan).single_key(0, 0, 0);
  };
  EXPECT_EQ(certificate(1, coarse), kInfinity);
  EXPECT_GT(certificate(8, coarse), 1);
  EXPECT_LT(certificate(6000, coarse), 1);  // one key of 6000 is lost in bf16 rounding ...
  EXPECT_GT(certificate(6000, {}), 1);      // ... but not in f32
}

TEST(ErrorBounds, TheCertificateIsTheChangeThatDroppingAKeyMakes) {
  const DecodeInputs inputs = one_head({1}, {{1}, {0.5}, {0}, {-1}}, {1, 8, -3, 2});
  const DecodeOutputs truth = attend(inputs);
  const DecodeBounds bounds = error_bounds(inputs, truth, {});
  double largest = 0;
  for (Index dropped = 0; dropped < 4; ++dropped) {
    DecodeInputs rest = inputs;
    SequenceCache& cache = rest.sequences[0];
    cache.keys = cache.values = Tensor<double>{3, 1, 1};
    for (Index s = 0, to = 0; s < 4; ++s) {
      if (s == dropped) continue;
      cache.keys(to, 0, 0) = inputs.sequences[0].keys(s, 0, 0);
      cache.values(to++, 0, 0) = inputs.sequences[0].values(s, 0, 0);
    }
    const double change = attend(rest).output(0, 0, 0, 0) - truth.output(0, 0, 0, 0);
    largest = std::max(largest, std::fabs(change) / (2 * bounds.output(0, 0, 0, 0)));
  }
  EXPECT_NEAR(bounds.single_key(0, 0, 0), largest, 1e-6 * largest);
}

}  // namespace
}  // namespace attest
