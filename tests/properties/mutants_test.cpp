// Every planted mistake is refuted by the law that is there for it, with a repro line that fails again by
// itself.
#include "properties/mutants.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "jit/errors.h"
#include "properties/jit_kernel.h"
#include "properties/law.h"

namespace attest {
namespace {

MutantOptions on_the_machine() {
  const auto cache = std::make_shared<KernelCache>(KernelCache::default_folder());
  return {.jobs = 1,
          .kernel = [cache](const KernelSource& source) { return jit_kernels("vm", cache, source); },
          .source = KernelSource::embedded()};
}

class Mutants : public testing::TestWithParam<std::string> {};

TEST_P(Mutants, AreRefutedByTheirLaw) {
  MutantOptions options = on_the_machine();
  options.names = {GetParam()};
  const std::vector<MutantRow> rows = run_mutants(options);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].killed_by, find_mutant(GetParam()).law) << rows[0].description << "\n"
                                                            << rows[0].repro << "\n"
                                                            << rows[0].text;
  EXPECT_TRUE(rows[0].repeats) << rows[0].repro;
  // The sources as they are pass the very case that refutes the mutant.
  VerifyOptions clean;
  clean.repro = rows[0].repro;
  clean.kernel = options.kernel(options.source);
  EXPECT_NE(verify(clean).rows[0].status, RowStatus::failed) << rows[0].repro;
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const Mutant& mutant : mutants()) found.emplace_back(mutant.edit.name);
  return found;
}

std::string test_name(const testing::TestParamInfo<std::string>& mutant) {
  std::string name = mutant.param;
  for (char& letter : name) {
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Edit, Mutants, testing::ValuesIn(names()), test_name);

// What a user sees who edits the kernels and runs verify as it is: a failed row, and a line that fails again.
// One test for each edit, because sanitizers make minutes of them.
class MutantsUnderVerify : public testing::TestWithParam<std::string> {};

TEST_P(MutantsUnderVerify, AreRefutedAtItsDefaults) {
  const MutantOptions machine = on_the_machine();
  VerifyOptions options;
  options.variants = {"gqa", "mlra-4"};
  options.laws = {"kernel-agreement", "split-invariance", "page-invariance", "determinism"};
  options.shrink = machine.shrink;
  options.kernel = machine.kernel(find_mutant(GetParam()).edit.apply(machine.source));
  const VerifyReport report = verify(options);
  EXPECT_GT(report.count(RowStatus::failed), 0);
  for (const VerifyRow& row : report.rows) {
    if (row.status != RowStatus::failed) continue;
    options.repro = row.repro;
    EXPECT_EQ(verify(options).rows[0].status, RowStatus::failed) << row.repro;
  }
}

INSTANTIATE_TEST_SUITE_P(Edit, MutantsUnderVerify,
                         testing::Values("tail-off-by-one", "result-rescale-dropped",
                                         "grouped-load-barrier-removed", "latent-reuse-barrier-removed",
                                         "key-value-strides-swapped", "empty-split-guard-removed",
                                         "one-latent-head"),
                         test_name);

TEST(MutantTable, NamesKnownLawsAndVariantsAndEditsWhatIsThere) {
  std::set<std::string_view> seen;
  for (const Mutant& mutant : mutants()) {
    EXPECT_TRUE(seen.insert(mutant.edit.name).second) << mutant.edit.name;
    EXPECT_NO_THROW(find_law(mutant.law)) << mutant.edit.name;
    EXPECT_NO_THROW(small_config(mutant.variant)) << mutant.edit.name;
    EXPECT_FALSE(mutant.models.empty()) << mutant.edit.name;
    EXPECT_NO_THROW(mutant.edit.apply(KernelSource::embedded())) << mutant.edit.name;
  }
  EXPECT_GE(seen.size(), 26U);
}

TEST(MutantTable, ListsTheNamesWhenOneIsUnknown) {
  try {
    find_mutant("cosmic-ray");
    FAIL() << "found";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("expected one of tail-off-by-one"), std::string::npos)
        << error.what();
  }
}

TEST(RunMutants, CallsAMutantThatNoLawSeesASurvivor) {
  // Kernels that ignore the edit: nothing is wrong with them.
  MutantOptions options = on_the_machine();
  const auto kernel = options.kernel;
  options.kernel = [=](const KernelSource&) { return kernel(KernelSource::embedded()); };
  options.names = {"splits-averaged"};
  options.cases = 1;
  const std::vector<MutantRow> rows = run_mutants(options);
  EXPECT_EQ(rows[0].killed_by, "");
  EXPECT_FALSE(rows[0].repeats);
  EXPECT_EQ(rows[0].repro, "");
}

TEST(RunMutants, PassesOnThatAnEditDoesNotCompile) {
  MutantOptions options = on_the_machine();
  const auto kernel = options.kernel;
  options.kernel = [=](const KernelSource& source) {
    return kernel(source.with_edit("merge_splits.cuh", "__global__", "__glowball__"));
  };
  options.names = {"tail-off-by-one"};
  options.cases = 1;
  EXPECT_THROW(run_mutants(options), CompileError);
}

}  // namespace
}  // namespace attest
