// The compiled kernels against the double-precision truth, within the bound that their declared arithmetic
// earns.
#include "jit/decode.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jit/errors.h"
#include "jit/vm/race_observer.h"
#include "jit/vm_executor.h"
#include "reference/attend.h"
#include "reference/compare.h"
#include "reference/error_bounds.h"
#include "reference/random_inputs.h"

namespace attest {
namespace {

KernelCache& kernel_cache() {
  static KernelCache cache(KernelCache::default_folder());
  return cache;
}

// One call in words: heads, then a problem line, then how it is laid out and cut.
struct Case {
  const char* heads;
  const char* problem;
  DecodePlan plan;
};

DecodeInputs inputs_of(const char* heads, const char* problem) {
  return random_decode_inputs(parse_head_config(heads), parse_problem(problem));
}

std::vector<double> doubles(const Tensor<float>& tensor) {
  return {tensor.elements().begin(), tensor.elements().end()};
}

// Worst error over bound of output and log-sum-exp; a failure is reported.
void expect_within_bounds(const DecodeInputs& inputs, const DecodeResult& got, const std::string& what) {
  const DecodeOutputs truth = attend(inputs);
  const DecodeBounds bounds = error_bounds(inputs, truth, got.arithmetic);
  ASSERT_EQ(bounds.inconclusive, "") << what;
  const Comparison output = compare("output", doubles(got.output), truth.output.elements(),
                                    truth.output.shape(), {"batch", "query", "row", "element"},
                                    {.bounds = bounds.output.elements(), .source = "derived"});
  EXPECT_NE(output.verdict, Verdict::failed) << what << "\n" << output.text;
  const Comparison lse =
      compare("lse", doubles(got.lse), truth.lse.elements(), truth.lse.shape(), {"batch", "query", "row"},
              {.bounds = bounds.lse.elements(), .source = "derived"});
  EXPECT_NE(lse.verdict, Verdict::failed) << what << "\n" << lse.text;
}

// Tests run on the virtual machine, and on a GPU where there is one.
class DecodeTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    try {
      executor_ = make_executor(GetParam());
    } catch (const NotAvailable& error) {
      GTEST_SKIP() << error.what();
    }
  }
  DecodeResult run(const DecodeInputs& inputs, const DecodePlan& plan,
                   const KernelSource& source = KernelSource::embedded()) {
    return decode(*executor_, kernel_cache(), source, inputs, plan);
  }
  std::unique_ptr<Executor> executor_;
};

const Case kCases[] = {
    {"grouped-h4-g4-k16-v16-f32", "cached=64 pad=0 seed=1", {}},
    {"grouped-h4-g2-k16-v24-bf16",
     "cached=17,64,1 pad=0,3,0 seed=2",
     {.page_tokens = 16, .page_seed = 5, .splits = 2}},
    {"grouped-h6-g2-k40-v8-f16",
     "cached=33,0,95 pad=1,0,40 query=3 seed=3",
     {.page_tokens = 5, .page_seed = 6, .splits = 3}},
    {"grouped-h8-g1-k128-v128-bf16", "cached=70 pad=2 seed=4 data=peaked", {.page_tokens = 64, .splits = 4}},
    {"grouped-h5-g5-k8-v40-f32",
     "cached=100,100 pad=0,64 seed=5 mask=causal/window=20/sinks=4",
     {.page_tokens = 7, .page_seed = 1, .splits = 5}},
    {"grouped-h17-g1-k16-v16-bf16", "cached=40 pad=0 seed=6 data=rising", {.split_tokens = 7}},
    {"grouped-h4-g2-k16-v16-bf16", "cached=50 pad=5 query=2 seed=7 mask=full", {.splits = 2}},
    {"grouped-h4-g2-k16-v16-f16",
     "cached=50,9 pad=5,0 seed=8 mask=causal/softcap=20 data=peaked",
     {.page_tokens = 16, .splits = 2}},
    {"latent-h4-l1-b1-c32-r16-bf16",
     "cached=64,31 pad=0,30 seed=9",
     {.page_tokens = 16, .page_seed = 2, .splits = 2}},
    {"latent-h4-l2-b1-c24-r8-f16",
     "cached=33 pad=0 query=2 seed=10",
     {.page_tokens = 3, .page_seed = 3, .splits = 3}},
    {"latent-h4-l4-b2-c16-r8-bf16",
     "cached=65,0,12 pad=1,0,12 seed=11",
     {.page_tokens = 32, .page_seed = 4, .splits = 2}},
    {"latent-h6-l4-b4-c40-r16-f32",
     "cached=40,80 pad=0,7 seed=12 data=falling",
     {.page_tokens = 16, .splits = 3}},
    {"latent-h20-l1-b1-c64-r16-bf16", "cached=90 pad=0 seed=13 mask=causal/softcap=30", {.splits = 0}},
};

TEST_P(DecodeTest, KernelsMeetTheTruthWithinTheirBound) {
  for (const Case& test : kCases) {
    const DecodeInputs inputs = inputs_of(test.heads, test.problem);
    expect_within_bounds(inputs, run(inputs, test.plan), std::string(test.heads) + " " + test.problem);
  }
}

class FastDecodeTest : public DecodeTest {};

// The fast kernel's shapes: one, two and four row warps, with padding rows; two row tiles; two column warps;
// short tiles.
const Case kFastCases[] = {
    {"grouped-h4-g2-k16-v32-bf16",
     "cached=17,64,1 pad=0,3,0 seed=2",
     {.kernel = "fast", .page_tokens = 16, .page_seed = 5, .splits = 2}},
    {"grouped-h8-g1-k128-v128-f16",
     "cached=333,0,95 pad=1,0,40 query=3 seed=3",
     {.kernel = "fast", .page_tokens = 5, .page_seed = 6, .splits = 3}},
    {"grouped-h20-g1-k64-v64-bf16",
     "cached=300 pad=2 seed=4 data=rising",
     {.kernel = "fast", .page_tokens = 64}},
    {"grouped-h80-g1-k32-v48-bf16",
     "cached=150 pad=0 seed=5 mask=causal/window=100/sinks=4",
     {.kernel = "fast", .splits = 2}},
    {"latent-h16-l4-b4-c128-r64-bf16",
     "cached=200,31 pad=0,30 seed=9",
     {.kernel = "fast", .page_tokens = 16, .page_seed = 2, .splits = 2}},
    {"latent-h64-l4-b2-c128-r64-bf16",
     "cached=140 pad=7 query=2 seed=10",
     {.kernel = "fast", .page_tokens = 3, .page_seed = 3}},
    {"latent-h64-l2-b1-c256-r64-f16",
     "cached=130 pad=0 seed=11",
     {.kernel = "fast", .page_tokens = 32, .splits = 2}},
    {"latent-h64-l1-b1-c512-r64-bf16",
     "cached=100 pad=1 seed=12",
     {.kernel = "fast", .page_tokens = 16, .splits = 2}},
    {"latent-h8-l1-b1-c512-r64-bf16",
     "cached=200 pad=1 seed=13 mask=causal/softcap=30",
     {.kernel = "fast", .splits = 0}},
};

TEST_P(FastDecodeTest, KernelsMeetTheTruthWithinTheirBound) {
  for (const Case& test : kFastCases) {
    const DecodeInputs inputs = inputs_of(test.heads, test.problem);
    expect_within_bounds(inputs, run(inputs, test.plan), std::string(test.heads) + " " + test.problem);
  }
}

TEST_P(DecodeTest, EmptySequencesAndRowsThatSeeNothingGiveZerosAndMinusInfinity) {
  const DecodeInputs inputs =
      inputs_of("grouped-h2-g1-k8-v8-f32", "cached=0,12,12 pad=0,12,11 query=2 seed=1");
  for (const Index splits : {1, 3}) {
    const DecodeResult got = run(inputs, {.splits = splits});
    for (Index b = 0; b < 3; ++b) {
      for (Index t = 0; t < 2; ++t) {
        const bool sees = b == 2 && t == 1;  // only the last query sees the one token that is not padding
        for (Index row = 0; row < 2; ++row) {
          EXPECT_EQ(std::isinf(got.lse(b, t, row)), !sees);
          for (Index e = 0; e < 8; ++e) {
            EXPECT_EQ(got.output(b, t, row, e) == 0.0f, !sees);
          }
        }
      }
    }
  }
}

TEST_P(DecodeTest, BitsDoNotDependOnPagesPoisonOrRowPadding) {
  for (const char* heads : {"grouped-h4-g2-k16-v24-bf16", "latent-h4-l2-b2-c24-r8-bf16"}) {
    const DecodeInputs inputs = inputs_of(heads, "cached=70,33 pad=3,0 query=2 seed=3");
    const DecodeResult plain =
        run(inputs, {.unused = UnusedContent::zeros, .value_row_padding = 0, .splits = 2});
    for (const Index page_tokens : {1, 7, 32, 64}) {
      const DecodeResult paged = run(inputs, {.page_tokens = page_tokens, .page_seed = 9, .splits = 2});
      EXPECT_TRUE(std::equal(plain.output.elements().begin(), plain.output.elements().end(),
                             paged.output.elements().begin()));
      EXPECT_TRUE(
          std::equal(plain.lse.elements().begin(), plain.lse.elements().end(), paged.lse.elements().begin()));
    }
  }
}

TEST_P(DecodeTest, FixedSplitsGiveASequenceTheSameBitsInEveryBatch) {
  const char* heads = "grouped-h4-g2-k16-v16-bf16";
  const DecodePlan plan = {.page_tokens = 16, .split_tokens = 24};
  const DecodeInputs together = inputs_of(heads, "cached=70,33,5 pad=3,0,0 seed=3");
  const DecodeResult all = run(together, plan);
  for (std::size_t b = 0; b < together.sequences.size(); ++b) {
    DecodeInputs alone = together;
    alone.sequences = {together.sequences[b]};
    alone.queries = Tensor<double>({1, 1, 4, 16});
    const Index count = alone.queries.count();
    std::copy_n(together.queries.data() + static_cast<Index>(b) * count, count, alone.queries.data());
    const DecodeResult one = run(alone, plan);
    EXPECT_TRUE(std::equal(one.output.elements().begin(), one.output.elements().end(),
                           all.output.data() + static_cast<Index>(b) * one.output.count()));
  }
}

TEST_P(DecodeTest, ASessionRunsAgainWithTheSameBits) {
  const DecodeInputs inputs = inputs_of("latent-h4-l1-b1-c32-r16-bf16", "cached=64,31 pad=0,30 seed=9");
  DecodeSession session(*executor_, kernel_cache(), KernelSource::embedded(), inputs, {.splits = 2});
  session.run();
  const DecodeResult first = session.result();
  EXPECT_GT(executor_->elapsed_seconds([&] { session.run(); }, true), 0.0);
  const DecodeResult second = session.result();
  EXPECT_TRUE(std::equal(first.output.elements().begin(), first.output.elements().end(),
                         second.output.elements().begin()));
  // 64 + 1 visible tokens of 32 latent and 16 rotated elements, 2 bytes each
  EXPECT_EQ(session.least_cache_bytes(), 65u * 48 * 2);
}

TEST_P(DecodeTest, RefusesAnUnknownKernelAndAFormatWithoutOne) {
  const DecodeInputs inputs = inputs_of("grouped-h2-g1-k8-v8-f32", "cached=12 pad=0 seed=1");
  EXPECT_THROW(run(inputs, {.kernel = "quick"}), std::invalid_argument);
  EXPECT_THROW(run(inputs, {.page_tokens = -1}), std::invalid_argument);
  EXPECT_THROW(run(inputs, {.splits = -1}), std::invalid_argument);
  EXPECT_THROW(run(inputs, {.kernel = "fast"}), std::invalid_argument);  // 32-bit storage
  EXPECT_THROW(run(inputs_of("grouped-h2-g1-k24-v16-bf16", "cached=12 pad=0 seed=1"), {.kernel = "fast"}),
               std::invalid_argument);
  EXPECT_THROW(run(inputs_of("grouped-h2-g1-k16-v16-bf16", "cached=12 pad=0 seed=1"),
                   {.kernel = "fast", .value_row_padding = 4}),
               std::invalid_argument);
  EXPECT_THROW(run(inputs_of("grouped-h2-g1-k8-v8-e4m3", "cached=12 pad=0 seed=1"), {}),
               std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Device, FastDecodeTest, testing::Values("vm", "cuda"),
                         [](const auto& device) { return std::string(device.param); });
INSTANTIATE_TEST_SUITE_P(Device, DecodeTest, testing::Values("vm", "cuda"),
                         [](const auto& device) { return std::string(device.param); });

TEST(VmExecutor, CountsTheBytesThatTheKernelLoadsFromTheCache) {
  VmExecutor executor({.count = true, .observers = {}});
  // 4 query heads read 2 KV heads through one block each: every visible byte once, nothing else.
  const DecodeInputs inputs = inputs_of("grouped-h4-g2-k16-v24-bf16", "cached=70,33 pad=3,0 seed=3");
  const DecodeResult got =
      decode(executor, kernel_cache(), KernelSource::embedded(), inputs, {.page_tokens = 16, .splits = 2});
  const std::uint64_t bytes = (67 + 33) * 2 * (16 + 24) * 2;
  EXPECT_EQ(got.cache_bytes.distinct, bytes);
  EXPECT_EQ(got.cache_bytes.total, bytes);
}

TEST(VmExecutor, FindsNoRaceInTheNaiveKernelsAndOneWithoutTheirBarrier) {
  for (const char* heads : {"grouped-h4-g2-k16-v24-bf16", "latent-h4-l2-b2-c24-r8-bf16"}) {
    const bool grouped = parse_head_config(heads).family == Family::grouped;
    const DecodeInputs inputs = inputs_of(heads, "cached=100,0,33 pad=3,0,0 query=2 seed=3");
    const KernelSource whole = KernelSource::embedded();
    const KernelSource broken = whole.with_edit(grouped ? "decode_grouped.cuh" : "decode_latent.cuh",
                                                "__syncthreads();  // every warp", "// every warp");
    for (const KernelSource& source : {whole, broken}) {
      vm::RaceObserver races;
      VmExecutor executor({.observers = {&races}});
      decode(executor, kernel_cache(), source, inputs, {.page_tokens = 16, .splits = 1});
      EXPECT_EQ(races.races().empty(), source.origin() == whole.origin())
          << heads << ", " << source.origin()
          << (races.races().empty() ? "" : ": " + races.races().front().text());
    }
  }
}

TEST(VmExecutor, SchedulesGiveTheSameBits) {
  const DecodeInputs inputs = inputs_of("grouped-h4-g2-k16-v24-bf16", "cached=40,33 pad=3,0 query=2 seed=3");
  const DecodePlan plan = {.page_tokens = 16, .splits = 2};
  VmExecutor lockstep;
  const DecodeResult want = decode(lockstep, kernel_cache(), KernelSource::embedded(), inputs, plan);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    VmExecutor other({.schedule = seed == 0 ? vm::Schedule::serial : vm::Schedule::shuffled,
                      .seed = seed,
                      .observers = {}});
    const DecodeResult got = decode(other, kernel_cache(), KernelSource::embedded(), inputs, plan);
    EXPECT_TRUE(std::equal(want.output.elements().begin(), want.output.elements().end(),
                           got.output.elements().begin()));
  }
}

}  // namespace
}  // namespace attest
