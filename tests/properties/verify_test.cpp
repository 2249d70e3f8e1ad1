// verify() reports what happened: statuses, counts, repro lines that repeat, the same cases for the same
// seed.
#include "properties/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "reference/attention_config.h"
#include "tests/properties/simulated_kernel.h"

namespace attest {
namespace {

void plant_nan(const DecodeInputs&, const CallLayout& layout, KernelRun& run) {
  if (layout.splits > 1 && run.output.count() > 0)
    run.output.data()[0] = std::numeric_limits<double>::quiet_NaN();
}

TEST(Verify, PassesAFaultlessKernelAndSaysHowCloseItCame) {
  const VerifyReport report =
      verify({.variants = {"gqa"}, .laws = {"kernel-agreement"}, .cases = 9, .kernel = simulated()});
  ASSERT_EQ(report.rows.size(), 1U);
  const VerifyRow& row = report.rows[0];
  EXPECT_EQ(report.device, "simulated");
  EXPECT_EQ(row.law, "kernel-agreement");
  EXPECT_EQ(row.variant, "gqa");
  EXPECT_EQ(row.status, RowStatus::passed);
  EXPECT_EQ(row.cases, 9);
  EXPECT_EQ(report.cases(), 9);
  EXPECT_GT(row.worst_error_over_bound, 0);
  EXPECT_LE(row.worst_error_over_bound, 1);
  EXPECT_TRUE(row.head_config.starts_with("grouped-h")) << row.head_config;
  EXPECT_EQ(row.repro, "");
  EXPECT_EQ(row.text, "");
}

TEST(Verify, FailsAPlantedNanWithALineThatRepeatsIt) {
  const VerifyOptions options{
      .variants = {"mlra-4"}, .laws = {"kernel-agreement"}, .cases = 30, .kernel = simulated(plant_nan)};
  const VerifyReport report = verify(options);
  ASSERT_EQ(report.count(RowStatus::failed), 1);
  const VerifyRow& row = report.rows[0];
  EXPECT_TRUE(row.repro.starts_with("law=kernel-agreement device=simulated variant=mlra-4 ")) << row.repro;
  EXPECT_NE(row.text.find("got nan"), std::string::npos) << row.text;
  EXPECT_TRUE(std::isinf(row.worst_error_over_bound));
  // Shrunk to what the fault needs.
  const Problem least = parse_repro_line(row.repro).problem;
  EXPECT_EQ(least.splits, 2);
  EXPECT_EQ(least.batch(), 1);
  EXPECT_EQ(least.query_tokens, 1);
  EXPECT_EQ(least.storage, Format::f32);

  VerifyOptions again = options;
  again.repro = row.repro;
  const VerifyReport repeated = verify(again);
  ASSERT_EQ(repeated.rows.size(), 1U);
  EXPECT_EQ(repeated.rows[0].status, RowStatus::failed);
  EXPECT_EQ(repeated.rows[0].repro, row.repro);
  EXPECT_EQ(repeated.rows[0].text, row.text);
  again.kernel = simulated();
  EXPECT_NE(verify(again).rows[0].status, RowStatus::failed);
}

TEST(Verify, DrawsTheSameCasesWhateverTheNumberOfJobs) {
  const auto run = [](int jobs, std::uint64_t seed) {
    std::vector<std::string> lines;
    std::mutex mutex;
    const auto note = [&](const DecodeInputs& inputs, const CallLayout& layout, KernelRun&) {
      const std::lock_guard lock(mutex);
      lines.push_back(inputs.heads.name() + " " + std::to_string(layout.page_seed));
    };
    verify({.variants = {"gqa", "mla"},
            .laws = {"kernel-agreement", "page-invariance"},
            .cases = 5,
            .seed = seed,
            .jobs = jobs,
            .kernel = simulated(note)});
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  const std::vector<std::string> one = run(1, 4);
  EXPECT_GE(one.size(), 40U);
  EXPECT_EQ(run(2, 4), one);
  EXPECT_EQ(run(3, 4), one);
  EXPECT_NE(run(1, 5), one);
}

TEST(Verify, OrdersRowsByVariantThenByLaw) {
  const VerifyReport report = verify({.variants = {"mla", "gqa"},
                                      .laws = {"page-invariance", "kernel-agreement"},
                                      .cases = 1,
                                      .jobs = 2,
                                      .kernel = simulated()});
  std::vector<std::string> order;
  for (const VerifyRow& row : report.rows) order.push_back(row.variant + " " + row.law);
  EXPECT_EQ(order, (std::vector<std::string>{"mla page-invariance", "mla kernel-agreement",
                                             "gqa page-invariance", "gqa kernel-agreement"}));
}

TEST(Verify, CallsItMistrustedWhenNoCaseProvesAnything) {
  // A kernel that declares so coarse an output that its bound is wider than any value.
  const auto coarse = [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
    run.plan.probability = Format::bf16;
    run.plan.partial = Format::bf16;
    run.plan.output = Format::e4m3;
    run.plan.sum_chain = 1 << 16;
  };
  const VerifyReport report =
      verify({.variants = {"mha"}, .laws = {"kernel-agreement"}, .cases = 8, .kernel = simulated(coarse)});
  EXPECT_EQ(report.rows[0].status, RowStatus::mistrusted) << report.rows[0].worst_error_over_bound;
  EXPECT_EQ(report.rows[0].mistrusted_cases, 8);
  EXPECT_NE(report.rows[0].repro, "");
  EXPECT_NE(report.rows[0].text, "");
}

TEST(Verify, SkipsWithAReasonWhenTheLawSaysNothing) {
  const VerifyReport report =
      verify({.repro = "law=tensor-parallel-equivalence variant=mha cached=9 ranks=8"});
  EXPECT_EQ(report.rows[0].status, RowStatus::skipped);
  EXPECT_EQ(report.rows[0].cases, 0);
  EXPECT_NE(report.rows[0].text, "");
}

TEST(Verify, CountsProgressUpToTheEnd) {
  int rows = 0;
  Index cases = 0, last_total = 0;
  verify({.variants = {"gqa"},
          .laws = {"kernel-agreement", "determinism"},
          .cases = 4,
          .jobs = 2,
          .kernel = simulated()},
         [&](const VerifyProgress& progress) {
           EXPECT_GE(progress.cases_done, cases);
           EXPECT_EQ(progress.rows_total, 2);
           cases = progress.cases_done;
           last_total = progress.cases_total;
           if (progress.row != nullptr) ++rows;
           EXPECT_EQ(progress.rows_done, rows);
         });
  EXPECT_EQ(rows, 2);
  EXPECT_EQ(cases, 8);
  EXPECT_EQ(last_total, 8);
}

TEST(Verify, LeavesKernelLawsOutWithoutAKernel) {
  for (const VerifyRow& row : verify({.variants = {"gqa"}, .cases = 1}).rows) {
    EXPECT_NE(row.law, "kernel-agreement");
    EXPECT_NE(row.law, "determinism");
  }
}

TEST(Verify, AsksOnlyLayerLawsOfGatedAndUnscaledForms) {
  std::vector<std::string> found;
  for (const VerifyRow& row : verify({.variants = {"mla-gated"}, .cases = 1, .kernel = simulated()}).rows)
    found.push_back(row.law);
  EXPECT_EQ(found, (std::vector<std::string>{"translation-equivariance", "absorption-equivalence",
                                             "tensor-parallel-equivalence"}));
}

TEST(Verify, RefusesWhatItCannotDo) {
  const auto message = [](const VerifyOptions& options) -> std::string {
    try {
      verify(options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(message({.variants = {"mla-5"}}).find("expected one of mha, mqa, gqa"), std::string::npos);
  EXPECT_NE(message({.laws = {"gravity"}}).find("expected one of kernel-agreement"), std::string::npos);
  EXPECT_EQ(message({.cases = 0}), "cases 0: expected 1 or more");
  EXPECT_NE(message({.variants = {"mha"}, .laws = {"gqa-expansion"}, .kernel = simulated()})
                .find("says anything of mha"),
            std::string::npos);
  EXPECT_NE(message({.variants = {"gqa"}, .laws = {"determinism"}}).find("without a kernel"),
            std::string::npos);
  EXPECT_NE(message({.repro = "variant=gqa cached=4"}).find("expected law=NAME"), std::string::npos);
  EXPECT_NE(message({.repro = "law=gravity variant=gqa"}).find("law 'gravity'"), std::string::npos);
  EXPECT_NE(message({.repro = "law=lse-shift law=lse-shift variant=gqa"}).find("given twice"),
            std::string::npos);
  EXPECT_NE(message({.repro = "law=lse-shift variant=gqa kv_heads=3 cached=9"}).find("kv_heads"),
            std::string::npos);
  EXPECT_NE(message({.repro = "law=lse-shift variant=gqa colour=red"}).find("colour"), std::string::npos);
  EXPECT_NE(message({.repro = "law=determinism variant=mha cached=9"}).find("about kernels"),
            std::string::npos);
  EXPECT_NE(message({.repro = "law=gqa-expansion variant=mha cached=9"}).find("says nothing of mha"),
            std::string::npos);
}

TEST(Verify, PassesOnWhatTheKernelFactoryThrows) {
  const KernelFactory none = []() -> std::unique_ptr<KernelUnderTest> {
    throw std::runtime_error("no device");
  };
  try {
    verify({.variants = {"gqa"}, .jobs = 2, .kernel = none});
    FAIL() << "accepted";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "no device");
  }
}

TEST(Verify, PassesOnWhatAKernelThrowsThatIsNoFault) {
  const auto broken = [](const DecodeInputs&, const CallLayout&, KernelRun&) {
    throw std::runtime_error("does not compile");
  };
  EXPECT_THROW(verify({.variants = {"gqa"}, .laws = {"kernel-agreement"}, .kernel = simulated(broken)}),
               std::runtime_error);
}

TEST(ReproLine, IsTheInverseOfItsParser) {
  ReproLine repro{"split-invariance", "vm",
                  parse_problem("variant=mlra-4 latents=4 cached=3,40 pad=1,0 splits=3 seed=9")};
  const ReproLine back = parse_repro_line(repro_line(repro));
  EXPECT_EQ(back.law, repro.law);
  EXPECT_EQ(back.device, repro.device);
  EXPECT_EQ(back.problem, repro.problem);
  EXPECT_EQ(parse_repro_line("cached=5 law=lse-shift variant=mha").device, "");
}

}  // namespace
}  // namespace attest
