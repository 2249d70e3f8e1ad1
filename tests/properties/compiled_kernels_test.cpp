// The compiled kernels obey every law on the virtual machine, and a fault of theirs is reported as one.
#include <gtest/gtest.h>

#include <cctype>

#include "properties/jit_kernel.h"
#include "properties/verify.h"
#include "reference/attention_config.h"

namespace attest {
namespace {

KernelFactory embedded_on_the_machine() {
  return jit_kernels("vm", std::make_shared<KernelCache>(KernelCache::default_folder()),
                     KernelSource::embedded());
}

class CompiledKernels : public testing::TestWithParam<std::string> {};

TEST_P(CompiledKernels, ObeyEveryLaw) {
  const VerifyReport report =
      verify({.variants = {GetParam()}, .cases = 4, .seed = 2, .kernel = embedded_on_the_machine()});
  EXPECT_EQ(report.device, "vm");
  for (const VerifyRow& row : report.rows) {
    EXPECT_TRUE(row.status == RowStatus::passed || row.status == RowStatus::mistrusted) << row.repro << "\n"
                                                                                        << row.text;
    EXPECT_FALSE(row.head_config.empty()) << row.law;
  }
}

INSTANTIATE_TEST_SUITE_P(Variant, CompiledKernels,
                         testing::Values("mha", "mqa", "gqa", "mla", "gla-2", "gla-4", "gta", "mfa", "tpa",
                                         "mlra-2", "mlra-4"),
                         [](const auto& variant) {
                           std::string name = variant.param;
                           for (char& letter : name) {
                             if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
                           }
                           return name;
                         });

TEST(JitKernel, ReportsATrapAsAFaultOfTheKernel) {
  const KernelSource broken = KernelSource::embedded().with_edit(
      "merge_splits.cuh", "args.lse[at] =", "args.lse[at + (1ll << 40)] =");
  const auto cache = std::make_shared<KernelCache>(KernelCache::default_folder());
  const VerifyReport report = verify({.kernel = jit_kernels("vm", cache, broken),
                                      .repro = "law=kernel-agreement device=vm variant=mha cached=5"});
  EXPECT_EQ(report.rows[0].status, RowStatus::failed);
  EXPECT_NE(report.rows[0].text.find("the kernel trapped: "), std::string::npos) << report.rows[0].text;
}

}  // namespace
}  // namespace attest
