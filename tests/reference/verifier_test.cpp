// The verifier verified: a fault put into a kernel's results just before the comparison is seen, and clean
// runs pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "reference/attend.h"
#include "reference/compare.h"
#include "reference/error_bounds.h"
#include "reference/random_inputs.h"
#include "tests/reference/simulated_kernel.h"

namespace attest {
namespace {

struct Case {
  std::string what;
  DecodeInputs inputs;
  SimulatedKernel kernel;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (std::string_view variant : {"mha", "gqa", "mla", "mlra-2", "mlra-4"}) {
    for (const bool tensor : {false, true}) {
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        Problem problem;
        problem.attention = small_config(variant);
        problem.cached_tokens = {11, 24};
        problem.left_padding = {0, 5};
        problem.query_tokens = 2;
        problem.seed = seed;
        Case one{problem.repro() + (tensor ? " tensor" : " scalar"),
                 random_decode_inputs(head_config(problem.attention, Format::bf16), problem),
                 {}};
        one.kernel.plan.splits = static_cast<Index>(seed);
        one.kernel.random_errors = true;
        one.kernel.function_error = 1;
        one.kernel.seed = seed;
        if (tensor) {
          one.kernel.plan.dot = ArithmeticPlan::Dot::tensor_core;
          one.kernel.plan.tile_tokens = 16;
          one.kernel.plan.probability = Format::bf16;
        }
        all.push_back(std::move(one));
      }
    }
  }
  return all;
}

struct Verdicts {
  Verdict output, lse;
  bool rejected() const { return output == Verdict::failed || lse == Verdict::failed; }
};
Verdicts judge(const Case& one, const SimulatedResult& result) {
  const DecodeOutputs truth = attend(one.inputs);
  const DecodeBounds bounds = error_bounds(one.inputs, truth, one.kernel.plan);
  EXPECT_EQ(bounds.inconclusive, "") << one.what;
  const Comparison output =
      compare("output", result.output, truth.output.elements(), truth.output.shape(),
              {"batch", "query", "row", "element"}, {.bounds = bounds.output.elements()});
  const Comparison lse = compare("lse", result.lse, truth.lse.elements(), truth.lse.shape(),
                                 {"batch", "query", "row"}, {.bounds = bounds.lse.elements()});
  return {output.verdict, lse.verdict};
}

TEST(Verifier, CleanRunsPass) {
  for (const Case& one : cases()) {
    const Verdicts verdicts = judge(one, run(one.kernel, one.inputs));
    EXPECT_EQ(verdicts.output, Verdict::passed) << one.what;
    EXPECT_EQ(verdicts.lse, Verdict::passed) << one.what;
  }
}

struct Fault {
  std::string name;
  std::function<void(SimulatedResult&, Index width)> inject;
};
const Fault kFaults[] = {
    {"gain 1.05",
     [](SimulatedResult& r, Index) {
       for (double& x : r.output) x *= 1.05;
     }},
    {"sign flipped",
     [](SimulatedResult& r, Index) {
       for (double& x : r.output) x = -x;
     }},
    {"all zeros", [](SimulatedResult& r, Index) { std::fill(r.output.begin(), r.output.end(), 0.0); }},
    {"one NaN", [](SimulatedResult& r, Index) { r.output.back() = std::nan(""); }},
    {"one infinity",
     [](SimulatedResult& r, Index) { r.output[1] = std::numeric_limits<double>::infinity(); }},
    {"all NaN", [](SimulatedResult& r, Index) { std::fill(r.output.begin(), r.output.end(), std::nan("")); }},
    {"two rows swapped",
     [](SimulatedResult& r, Index width) {
       std::swap_ranges(r.output.begin(), r.output.begin() + width, r.output.begin() + width);
     }},
    {"rows shifted by one",
     [](SimulatedResult& r, Index width) {
       std::rotate(r.output.begin(), r.output.begin() + width, r.output.end());
     }},
    {"one row stale",
     [](SimulatedResult& r, Index width) { std::fill_n(r.output.begin() + 2 * width, width, 1e30); }},
    {"elements shifted by one",
     [](SimulatedResult& r, Index) { std::rotate(r.output.begin(), r.output.begin() + 1, r.output.end()); }},
    {"log-sum-exp in base 2",
     [](SimulatedResult& r, Index) {
       for (double& x : r.lse) x *= 1.4426950408889634;
     }},
    {"one log-sum-exp NaN", [](SimulatedResult& r, Index) { r.lse[0] = std::nan(""); }},
    {"log-sum-exp without the maximum",
     [](SimulatedResult& r, Index) {
       for (double& x : r.lse) x -= 0.5;
     }},
};

TEST(Verifier, EveryInjectedFaultIsSeenInEveryCase) {
  for (const Case& one : cases()) {
    const SimulatedResult clean = run(one.kernel, one.inputs);
    for (const Fault& fault : kFaults) {
      SimulatedResult faulty = clean;
      fault.inject(faulty, one.inputs.heads.value_dim);
      EXPECT_TRUE(judge(one, faulty).rejected()) << fault.name << ": " << one.what;
    }
  }
}

TEST(Verifier, OneDroppedKeyOfAShortCacheIsSeen) {
  for (Case one : cases()) {
    for (const Index key : {Index{0}, Index{5}, Index{9}}) {
      one.kernel.dropped_key = key;
      EXPECT_TRUE(judge(one, run(one.kernel, one.inputs)).rejected()) << "key " << key << ": " << one.what;
    }
  }
}

TEST(Verifier, ZerosWhereAnEmptySequenceIsAreMistrustedAndNotPassed) {
  Problem problem;
  problem.attention = small_config("mqa");
  problem.cached_tokens = {0};
  const DecodeInputs inputs = random_decode_inputs(head_config(problem.attention, Format::bf16), problem);
  const Case one{"empty", inputs, {}};
  EXPECT_EQ(judge(one, run(one.kernel, inputs)).output, Verdict::mistrusted);
  SimulatedResult wrong = run(one.kernel, inputs);
  wrong.output[3] = 1e-300;  // exactly zero is asked for
  EXPECT_EQ(judge(one, wrong).output, Verdict::failed);
  wrong = run(one.kernel, inputs);
  wrong.lse[0] = -1e300;  // and exactly minus infinity
  EXPECT_EQ(judge(one, wrong).lse, Verdict::failed);
}

}  // namespace
}  // namespace attest
