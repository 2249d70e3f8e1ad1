// What storage rounding and short rotation tables do to a result never leaves the derived bound, and the
// bound is not idle.
#include "properties/rounding.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "properties/generators.h"
#include "properties/layer_setting.h"

namespace attest {
namespace {

double worst_ratio(const Tensor<double>& got, const Tensor<double>& want, const Tensor<double>& bounds) {
  double worst = 0;
  for (Index i = 0; i < got.count(); ++i) {
    if (std::isinf(want.data()[i]) && got.data()[i] == want.data()[i]) continue;
    const double error = std::abs(got.data()[i] - want.data()[i]) - 1e-13 * std::abs(want.data()[i]);
    if (!(error <= bounds.data()[i])) return INFINITY;
    if (error > 0) worst = std::max(worst, error / bounds.data()[i]);
  }
  return worst;
}

DecodeInputs rounded(DecodeInputs inputs, Format storage) {
  const auto round_all = [&](Tensor<double>& tensor) {
    for (double& value : tensor.elements()) value = round_to(storage, value);
  };
  round_all(inputs.queries);
  round_all(inputs.rope_queries);
  for (SequenceCache& cache : inputs.sequences) {
    round_all(cache.keys);
    round_all(cache.values);
    round_all(cache.rope_keys);
  }
  inputs.scale = round_to(Format::f32, inputs.scale);
  return inputs;
}

// |attend(round(x)) - attend(x)| <= R(x)
RC_GTEST_PROP(RoundingBounds, HoldForEveryStorageFormat, ()) {
  const std::vector<std::string> variants = {"mha", "gqa", "mla", "gta", "mlra-2", "mlra-4"};
  Problem problem = *problems_of(variants[*rc::gen::inRange<std::size_t>(0, variants.size())]);
  const Format storage = problem.storage;
  problem.storage = Format::f64;  // draws unrounded numbers
  if (problem.data == DataFamily::large_offset) problem.data = DataFamily::peaked;
  DecodeInputs exact = inputs_of(problem);
  exact.scale *= 1 + 1e-9;  // not a float
  const RoundingBounds bounds = rounding_bounds(exact, storage);
  RC_CLASSIFY(!bounds.inconclusive.empty(), "inconclusive");
  if (!bounds.inconclusive.empty()) return;
  const DecodeOutputs want = attend(exact), got = attend(rounded(exact, storage));
  const double output = worst_ratio(got.output, want.output, bounds.output),
               lse = worst_ratio(got.lse, want.lse, bounds.lse);
  RC_ASSERT(output <= 1);
  RC_ASSERT(lse <= 1);
}

TEST(RoundingBounds, AreWithinTwentyTimesOfWhatHappens) {
  for (Format storage : {Format::bf16, Format::f16, Format::f32}) {
    double worst = 0;
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      Problem problem = parse_problem("variant=mha cached=3 seed=" + std::to_string(seed));
      problem.storage = Format::f64;
      const DecodeInputs exact = inputs_of(problem);
      const RoundingBounds bounds = rounding_bounds(exact, storage);
      ASSERT_EQ(bounds.inconclusive, "");
      worst = std::max(
          worst, worst_ratio(attend(rounded(exact, storage)).output, attend(exact).output, bounds.output));
    }
    EXPECT_GT(worst, 0.05) << name(storage);
    EXPECT_LE(worst, 1) << name(storage);
  }
}

TEST(RoundingBounds, AreZeroForDoubles) {
  const DecodeInputs inputs = inputs_of(parse_problem("variant=mha cached=9 format=f32"));
  const RoundingBounds bounds = rounding_bounds(inputs, Format::f64);
  EXPECT_GT(bounds.output.count(), 0);
  for (double bound : bounds.output.elements()) EXPECT_EQ(bound, 0);
}

TEST(RoundingBounds, AreInconclusiveWhenAValueLeavesTheFormat) {
  DecodeInputs inputs = inputs_of(parse_problem("variant=mha cached=3 format=f32"));
  inputs.sequences[0].values.data()[0] = 70000;
  EXPECT_EQ(rounding_bounds(inputs, Format::bf16).inconclusive, "");
  EXPECT_EQ(rounding_bounds(inputs, Format::f16).inconclusive, "a value leaves the range of f16");
  inputs.sequences[0].values.data()[0] = std::nan("");
  EXPECT_NE(rounding_bounds(inputs, Format::bf16).inconclusive, "");
}

TEST(RoundingBounds, AreInconclusiveWhenWeightsMoveTooFar) {
  DecodeInputs inputs = inputs_of(parse_problem("variant=mha cached=5 format=f32"));
  for (double& value : inputs.queries.elements()) value *= 1000;
  EXPECT_NE(rounding_bounds(inputs, Format::bf16).inconclusive.find("expected below 0.5"), std::string::npos);
  EXPECT_NE(rounding_bounds(inputs, Format::f32, 0.1).inconclusive.find("expected at most 0.02"),
            std::string::npos);
}

// A layer with a short table stays within its bound of the layer with exact sines and cosines.
TEST(RotationError, CoversTheTablesOfTheReleasedCode) {
  for (const char* variant : {"mha", "mla", "gta", "mlra-4"}) {
    for (Format table : {Format::f32, Format::bf16}) {
      double worst = 0;
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Problem problem = parse_problem("variant=mha cached=30 seed=" + std::to_string(seed));
        problem.attention = small_config(variant);
        const LayerCase layer = layer_of(problem);
        AttentionConfig approximate = layer.config;
        approximate.rope.table = table;
        const auto call = [&](const AttentionConfig& config) {
          return call_of(config, layer.weights, project_all(config, layer.weights, layer.sequences), problem,
                         Format::f64);
        };
        const DecodeInputs exact = call(layer.config), tabled = call(approximate);
        const RoundingBounds bounds =
            rounding_bounds(exact, Format::f64, rotation_error(approximate.rope, 30));
        ASSERT_EQ(bounds.inconclusive, "");
        worst = std::max(worst, worst_ratio(attend(tabled).output, attend(exact).output, bounds.output));
      }
      EXPECT_LE(worst, 1) << variant << " " << name(table);
      EXPECT_GT(worst, 0.001) << variant << " " << name(table) << ": the table makes no difference";
    }
  }
}

TEST(RotationError, IsZeroForExactTablesAndGrowsWithThePosition) {
  RopeSpec rope;
  EXPECT_EQ(rotation_error(rope, 1000000), 0);
  rope.table = Format::f32;
  EXPECT_LT(rotation_error(rope, 100), rotation_error(rope, 100000));
  const double at_zero = rotation_error(rope, 0);
  rope.table = Format::bf16;
  EXPECT_GT(rotation_error(rope, 0), 1000 * at_zero);
}

}  // namespace
}  // namespace attest
