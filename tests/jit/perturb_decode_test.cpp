// The bounds' self-test: whatever approximate instructions and tensor cores may answer, within their
// documented error, the kernels' results stay within their bounds.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "jit/decode.h"
#include "jit/vm_executor.h"
#include "reference/attend.h"
#include "reference/error_bounds.h"
#include "reference/random_inputs.h"

namespace attest {
namespace {

constexpr std::uint64_t kSeeds = 20;

struct Case {
  const char* heads;
  const char* problem;
  DecodePlan plan;
};
const Case kCases[] = {
    {"grouped-h4-g2-k16-v16-bf16",
     "cached=70,0,33 pad=3,0,20 query=2 seed=3",
     {.page_tokens = 16, .page_seed = 9, .splits = 3}},
    {"grouped-h4-g4-k16-v16-f32", "cached=150 pad=0 seed=4 data=rising", {.splits = 2}},
    {"latent-h4-l4-b2-c24-r8-f16", "cached=90 pad=0 seed=5 data=peaked", {.splits = 2}},
    {"grouped-h4-g2-k32-v32-bf16",
     "cached=120,33 pad=3,20 query=2 seed=6",
     {.kernel = "fast", .page_tokens = 16, .splits = 2}},
    {"latent-h8-l2-b1-c64-r32-f16", "cached=100 pad=0 seed=7 data=rising", {.kernel = "fast", .splits = 2}},
};

// Largest error relative to its bound; NaN counts as infinite.
double worst(const Tensor<float>& got, const Tensor<double>& want, const Tensor<double>& bounds) {
  double most = 0;
  for (Index i = 0; i < got.count(); ++i) {
    const double have = static_cast<double>(got.data()[i]), truth = want.data()[i];
    if (have == truth) continue;
    const double ratio = std::fabs(have - truth) / bounds.data()[i];
    most = std::isnan(ratio) ? HUGE_VAL : std::max(most, ratio);
  }
  return most;
}

TEST(PerturbedDecode, ResultsOfTwentySeedsDifferAndStayWithinTheBounds) {
  KernelCache cache(KernelCache::default_folder());
  for (const Case& test : kCases) {
    const DecodeInputs inputs =
        random_decode_inputs(parse_head_config(test.heads), parse_problem(test.problem));
    const DecodeOutputs truth = attend(inputs);
    std::set<std::vector<float>> different;
    double output = 0, lse = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      VmExecutor executor({.seed = seed, .arithmetic = vm::Arithmetic::perturb, .observers = {}});
      const DecodeResult got = decode(executor, cache, KernelSource::embedded(), inputs, test.plan);
      const DecodeBounds bounds = error_bounds(inputs, truth, got.arithmetic);
      ASSERT_EQ(bounds.inconclusive, "") << test.heads;
      output = std::max(output, worst(got.output, truth.output, bounds.output));
      lse = std::max(lse, worst(got.lse, truth.lse, bounds.lse));
      different.insert({got.output.elements().begin(), got.output.elements().end()});
    }
    EXPECT_LE(output, 1.0) << test.heads;
    EXPECT_LE(lse, 1.0) << test.heads;
    EXPECT_EQ(different.size(), kSeeds) << test.heads;
    std::printf("%s %s: worst error of %llu seeds / bound: output %.3f, lse %.3f\n", test.heads,
                test.plan.kernel.c_str(), static_cast<unsigned long long>(kSeeds), output, lse);
  }
}

}  // namespace
}  // namespace attest
