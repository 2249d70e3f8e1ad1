// Every law holds for the reference and for a faultless kernel, and refutes the fault that it is there for.
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <limits>
#include <set>

#include "properties/law.h"
#include "properties/verify.h"
#include "tests/properties/simulated_kernel.h"

namespace attest {
namespace {

TEST(Laws, HaveKebabCaseNamesOfTheirOwnAndSayWhatTheyMean) {
  std::set<std::string_view> names;
  for (const Law& law : laws()) {
    EXPECT_TRUE(names.insert(law.name).second) << law.name;
    for (char letter : law.name)
      EXPECT_TRUE(std::islower(static_cast<unsigned char>(letter)) || letter == '-') << law.name;
    EXPECT_GT(law.sentence.size(), 20U) << law.name;
    EXPECT_GT(law.formula.size(), 5U) << law.name;
    EXPECT_TRUE(law.subjects.reference || law.subjects.kernel) << law.name;
  }
  for (const char* name : {"translation-equivariance", "absorption-equivalence",
                           "tensor-parallel-equivalence", "kernel-agreement"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Laws, AreFoundByNameAndListedOtherwise) {
  EXPECT_EQ(find_law("lse-shift").name, "lse-shift");
  try {
    find_law("gravity");
    FAIL() << "found";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("law 'gravity': expected one of kernel-agreement, "),
              std::string::npos)
        << error.what();
  }
}

TEST(Laws, NarrowOnce) {
  for (const char* line :
       {"variant=gqa cached=9,0 pad=9,0 query=3 page=4 splits=5 ranks=4 mask=full/window=3/sinks=2/softcap=2 "
        "data=one-hot",
        "variant=mla cached=70 pad=0 query=1 mask=causal", "variant=mtla cached=8 mask=full query=2"}) {
    Problem problem = parse_problem(line);
    problem.attention = small_config(problem.attention.variant_name());
    for (const Law& law : laws()) {
      const Problem once = law.narrow(problem);
      EXPECT_EQ(law.narrow(once), once) << law.name;
      EXPECT_EQ(once.problems(), std::vector<std::string>{}) << law.name << ": " << once.repro();
    }
  }
}

// The reference alone, every variant in every layout: there the laws are identities in double precision.
class ReferenceLaws : public testing::TestWithParam<std::string> {};

TEST_P(ReferenceLaws, HoldForTheReference) {
  const VerifyReport report = verify({.variants = {GetParam()}, .cases = 20, .seed = 11, .jobs = 1});
  EXPECT_EQ(report.device, "reference");
  EXPECT_GE(report.rows.size(), 3U);
  for (const VerifyRow& row : report.rows) {
    EXPECT_EQ(row.status, RowStatus::passed) << row.repro << "\n" << row.text;
    EXPECT_GE(row.cases, 5) << row.law;
  }
}

std::string test_name(std::string text) {
  for (char& letter : text) {
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(Variant, ReferenceLaws, testing::ValuesIn(variant_names()),
                         [](const auto& variant) { return test_name(variant.param); });

TEST(Laws, HoldForAFaultlessKernel) {
  for (const char* variant : {"mha", "gqa", "mla", "mlra-2", "mlra-4", "tpa"}) {
    const VerifyReport report =
        verify({.variants = {variant}, .cases = 8, .seed = 3, .jobs = 1, .kernel = simulated()});
    for (const VerifyRow& row : report.rows) {
      EXPECT_EQ(row.status, RowStatus::passed) << row.repro << "\n" << row.text;
      EXPECT_LE(row.worst_error_over_bound, 1) << row.law;
    }
  }
}

// A fault and the law that is there to see it.
struct Planted {
  std::string law;
  std::string fault_name;
  Fault fault;
};

// Attention over the inputs after `change`, as a fault.
template <class Change>
Fault attend_after(Change change) {
  return [=](const DecodeInputs& inputs, const CallLayout&, KernelRun& run) {
    DecodeInputs changed = inputs;
    change(changed);
    run = SimulatedKernel().decode(changed, {});
  };
}

std::vector<Planted> planted() {
  const auto when = [](auto holds) {
    return [=](const DecodeInputs& inputs, const CallLayout& layout, KernelRun& run) {
      if (holds(inputs, layout)) scale_output(run, 1 + 1e-3);
    };
  };
  std::vector<Planted> faults;
  const auto add = [&](std::string law, std::string what, Fault fault) {
    faults.push_back({std::move(law), std::move(what), std::move(fault)});
  };
  add("kernel-agreement", "a gain of 5 %",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) { scale_output(run, 1.05); });
  add("kernel-agreement", "a sign",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) { scale_output(run, -1); });
  add("kernel-agreement", "zeros",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) { scale_output(run, 0); });
  add("kernel-agreement", "one NaN", [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
    if (run.output.count() > 0)
      run.output.data()[run.output.count() - 1] = std::numeric_limits<double>::quiet_NaN();
  });
  add("kernel-agreement", "log-sum-exp in base 2",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
        for (double& lse : run.lse.elements()) lse *= 1.4426950408889634;
      });
  add("kernel-agreement", "the last key missing", attend_after([](DecodeInputs& inputs) {
        for (SequenceCache& cache : inputs.sequences) {
          Tensor<double>& part = cache.values.count() > 0 ? cache.values : cache.keys;
          if (part.count() > 0)
            std::fill_n(part.data() + part.count() - part.count() / part.size(0), part.count() / part.size(0),
                        0.0);
        }
      }));
  add("exact-probes", "a denominator one part in a thousand off",
      when([](const DecodeInputs&, const CallLayout&) { return true; }));
  add("exact-probes", "padding seen", attend_after([](DecodeInputs& inputs) {
        for (SequenceCache& cache : inputs.sequences) cache.left_padding = 0;
      }));
  add("translation-equivariance", "scores that feel the padding's length",
      attend_after([](DecodeInputs& inputs) {
        inputs.scale *= 1 + 0.2 * static_cast<double>(inputs.sequences[0].left_padding);
      }));
  add("absorption-equivalence", "a result 30 % too large",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) { scale_output(run, 1.3); });
  add("tensor-parallel-equivalence", "a rank's result 50 % too large",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) { scale_output(run, 1.5); });
  add("split-invariance", "splits that change the result",
      when([](const DecodeInputs&, const CallLayout& layout) { return layout.splits > 1; }));
  add("page-invariance", "a last bit that follows the page size",
      [](const DecodeInputs&, const CallLayout& layout, KernelRun& run) {
        if (layout.page_tokens == 0) return;
        for (double& value : run.output.elements())
          value = static_cast<double>(std::nextafterf(static_cast<float>(value), 2.0f));
      });
  add("page-invariance", "a result that follows the order of pages",
      when([](const DecodeInputs&, const CallLayout& layout) { return layout.page_seed % 2 == 1; }));
  add("padding-poison", "unused memory read",
      when([](const DecodeInputs&, const CallLayout& layout) { return layout.poison; }));
  add("padding-poison", "padding content read",
      [](const DecodeInputs& inputs, const CallLayout&, KernelRun& run) {
        for (const SequenceCache& cache : inputs.sequences) {
          if (cache.left_padding > 0) scale_output(run, 1 + cache.keys.data()[0]);
        }
      });
  add("determinism", "a race",
      when([](const DecodeInputs&, const CallLayout& layout) { return layout.schedule > 1; }));
  add("determinism", "state kept between calls",
      [calls = std::make_shared<int>(0)](const DecodeInputs&, const CallLayout&, KernelRun& run) {
        if (++*calls % 2 == 0) scale_output(run, 1.001);
      });
  add("batch-invariance", "a result that follows the batch",
      when([](const DecodeInputs& inputs, const CallLayout&) { return inputs.sequences.size() > 1; }));
  add("empty-sequence", "NaN for a row that sees nothing",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
        const Index width = run.output.shape().back();
        for (Index i = 0; i < run.output.count(); ++i) {
          if (std::isinf(run.lse.data()[i / width]))
            run.output.data()[i] = std::numeric_limits<double>::quiet_NaN();
        }
      });
  add("empty-sequence", "a finite log-sum-exp for a row that sees nothing",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
        for (double& lse : run.lse.elements()) lse = std::max(lse, -5e4);
      });
  add("merge-associativity", "a log-sum-exp without its maximum",
      [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
        for (double& lse : run.lse.elements()) lse = std::isinf(lse) ? lse : 0;
      });
  add("lse-shift", "exponents without a maximum", [](const DecodeInputs&, const CallLayout&, KernelRun& run) {
    const Index width = run.output.shape().back();
    for (Index i = 0; i < run.output.count(); ++i) {
      if (std::abs(run.lse.data()[i / width]) > 88)
        run.output.data()[i] = std::numeric_limits<double>::infinity();
    }
  });
  add("key-permutation", "the first visible key weighed double", attend_after([](DecodeInputs& inputs) {
        for (SequenceCache& cache : inputs.sequences) {
          Tensor<double>& part = cache.values.count() > 0 ? cache.values : cache.keys;
          if (cache.keys.size(0) <= cache.left_padding) continue;
          const Index width = part.count() / part.size(0);
          for (Index i = 0; i < width; ++i) part.data()[cache.left_padding * width + i] *= 2;
        }
      }));
  add("key-duplication", "keys beyond the 48th unseen", attend_after([](DecodeInputs& inputs) {
        for (SequenceCache& cache : inputs.sequences) {
          Tensor<double>& part = cache.values.count() > 0 ? cache.values : cache.keys;
          const Index width = part.size(0) > 0 ? part.count() / part.size(0) : 0;
          for (Index s = 48; s < part.size(0); ++s) std::fill_n(part.data() + s * width, width, 0.0);
        }
      }));
  add("gqa-expansion", "rows that feel their group", when([](const DecodeInputs& inputs, const CallLayout&) {
        return inputs.heads.rows() > inputs.heads.kv_heads;
      }));
  add("power-of-two-scaling", "a scale kept from the first call",
      [first = std::make_shared<double>(0)](const DecodeInputs& inputs, const CallLayout& layout,
                                            KernelRun& run) {
        if (*first == 0) *first = inputs.scale;
        DecodeInputs changed = inputs;
        changed.scale = *first;
        run = SimulatedKernel().decode(changed, layout);
      });
  add("query-token-independence", "the mask of the last query token for all",
      attend_after([](DecodeInputs& inputs) { inputs.mask.causal = false; }));
  add("saturated-window", "a window one token short", attend_after([](DecodeInputs& inputs) {
        if (inputs.mask.window > 1) --inputs.mask.window;
      }));
  return faults;
}

TEST(Laws, RefuteTheFaultThatTheyAreThereFor) {
  std::set<std::string> tried;
  for (const Planted& plant : planted()) {
    tried.insert(plant.law);
    const VerifyReport report = verify({.variants = {"gqa"},
                                        .laws = {plant.law},
                                        .cases = 60,
                                        .seed = 5,
                                        .jobs = 1,
                                        .kernel = simulated(plant.fault),
                                        .shrink = {20, 2}});
    ASSERT_EQ(report.rows.size(), 1U);
    EXPECT_EQ(report.rows[0].status, RowStatus::failed) << plant.law << " does not see " << plant.fault_name;
    EXPECT_GT(report.rows[0].worst_error_over_bound, 1) << plant.law << ", " << plant.fault_name;
  }
  for (const Law& law : laws())
    EXPECT_TRUE(tried.contains(std::string(law.name))) << "no fault is planted for " << law.name;
}

TEST(Laws, SkipAnImpossibleDegreeWithItsReason) {
  Problem problem = parse_problem("variant=mha cached=9 ranks=8");  // four heads
  const LawOutcome outcome = check_law(find_law("tensor-parallel-equivalence"), {}, problem);
  EXPECT_NE(outcome.skipped, "");
  EXPECT_NE(outcome.skipped.find('8'), std::string::npos) << outcome.skipped;
  problem.ranks = 4;
  EXPECT_EQ(check_law(find_law("tensor-parallel-equivalence"), {}, problem).skipped, "");
}

TEST(Laws, TurnAFaultOfTheKernelIntoAViolation) {
  SimulatedKernel trapping(
      [](const DecodeInputs&, const CallLayout&, KernelRun&) { throw KernelFault("trapped at line 7"); });
  const LawOutcome outcome =
      check_law(find_law("kernel-agreement"), {&trapping}, parse_problem("variant=gqa kv_heads=2 cached=9"));
  EXPECT_EQ(outcome.verdict, Verdict::failed);
  EXPECT_EQ(outcome.text, "trapped at line 7");
}

TEST(Laws, ArePlainlyMistrustedWhereNothingCanBeSeen) {
  SimulatedKernel kernel;
  EXPECT_EQ(check_law(find_law("kernel-agreement"), {&kernel}, parse_problem("variant=mha cached=0")).verdict,
            Verdict::mistrusted);
  EXPECT_EQ(
      check_law(find_law("kernel-agreement"), {&kernel}, parse_problem("variant=mha cached=20")).verdict,
      Verdict::passed);
}

}  // namespace
}  // namespace attest
