// Every kernel mutant must be noticed on the virtual machine: the run traps, or a result leaves its bound.
#include "jit/kernel_mutants.h"

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <set>
#include <string>

#include "jit/decode.h"
#include "jit/vm_executor.h"
#include "reference/attend.h"
#include "reference/error_bounds.h"
#include "reference/random_inputs.h"

namespace attest {
namespace {

struct Call {
  DecodeInputs inputs;
  DecodePlan plan;
};

// "trap: ...", "output", "lse", or empty when the kernel passes.
std::string fault(const KernelSource& source, KernelCache& cache, const Call& call,
                  const VmOptions& options) {
  VmExecutor executor(options);
  const DecodeOutputs truth = attend(call.inputs);
  DecodeResult got;
  try {
    got = decode(executor, cache, source, call.inputs, call.plan);
  } catch (const vm::Trap& trap) {
    return std::string("trap: ") + trap.what();
  }
  const DecodeBounds bounds = error_bounds(call.inputs, truth, got.arithmetic);
  if (!bounds.inconclusive.empty()) throw std::runtime_error(bounds.inconclusive);
  for (Index i = 0; i < got.output.count(); ++i) {
    const double error = std::fabs(static_cast<double>(got.output.data()[i]) - truth.output.data()[i]);
    if (!(error <= bounds.output.data()[i])) return "output";
  }
  for (Index i = 0; i < got.lse.count(); ++i) {
    const double want = truth.lse.data()[i], have = static_cast<double>(got.lse.data()[i]);
    if (std::isinf(want) ? have != want : !(std::fabs(have - want) <= bounds.lse.data()[i])) return "lse";
  }
  return "";
}

// Ragged, padded and paged, with a sequence that is empty and parts that see nothing; with a window; and one
// part of several tiles whose scores rise, so that tiles are reused and sums rescaled.
std::vector<Call> calls(Family family) {
  const HeadConfig heads = parse_head_config(family == Family::grouped ? "grouped-h4-g2-k16-v16-bf16"
                                                                       : "latent-h4-l4-b2-c24-r8-bf16");
  const auto call = [&](const char* problem, DecodePlan plan) {
    return Call{random_decode_inputs(heads, parse_problem(problem)), plan};
  };
  return {call("cached=70,0,33 pad=3,0,20 query=2 seed=3", {.page_tokens = 16, .page_seed = 9, .splits = 3}),
          call("cached=70 pad=3 seed=4 mask=causal/window=20/sinks=2",
               {.page_tokens = 7, .page_seed = 8, .splits = 2}),
          call("cached=100 pad=1 seed=5 data=rising", {.page_tokens = 16, .page_seed = 7, .splits = 1})};
}

const VmOptions kSchedules[] = {
    {.schedule = vm::Schedule::lockstep, .observers = {}},
    {.schedule = vm::Schedule::serial, .observers = {}},
    {.schedule = vm::Schedule::shuffled, .seed = 1, .observers = {}},
    {.schedule = vm::Schedule::shuffled, .seed = 2, .observers = {}},
};

class KernelMutants : public testing::TestWithParam<KernelMutant> {};

TEST_P(KernelMutants, AreNoticed) {
  const KernelMutant& mutant = GetParam();
  const KernelSource source = mutant.apply(KernelSource::embedded());
  KernelCache cache({});
  std::set<std::string> faults;
  for (const Family family : {Family::grouped, Family::latent}) {
    if (mutant.family && *mutant.family != family) continue;
    faults.clear();
    for (const Call& call : calls(family)) {
      for (const VmOptions& options : kSchedules) {
        if (const std::string found = fault(source, cache, call, options); !found.empty())
          faults.insert(found);
        if (!faults.empty()) break;
      }
    }
    EXPECT_FALSE(faults.empty()) << mutant.name << " in the " << name(family)
                                 << " family: " << mutant.description;
  }
  for (const std::string& found : faults)
    std::printf("%s: %s\n", std::string(mutant.name).c_str(), found.c_str());
}

INSTANTIATE_TEST_SUITE_P(Edit, KernelMutants,
                         testing::ValuesIn(kernel_mutants().begin(), kernel_mutants().end()),
                         [](const auto& mutant) {
                           std::string name;
                           for (const char c : mutant.param.name)
                             name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(KernelMutant, NoneIsFoundInTheKernelsAsTheyAre) {
  KernelCache cache(KernelCache::default_folder());
  for (const Family family : {Family::grouped, Family::latent}) {
    for (const Call& call : calls(family)) {
      for (const VmOptions& options : kSchedules) {
        EXPECT_EQ(fault(KernelSource::embedded(), cache, call, options), "") << name(family);
      }
    }
  }
}

}  // namespace
}  // namespace attest
