// Mistakes that were made in real kernels, planted one by one in ours: the measure of what the laws can see.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jit/kernel_mutants.h"
#include "properties/verify.h"

namespace attest {

// An edit of the device code, the defects in other projects that it stands for, and the law that must refute
// it.
struct Mutant {
  KernelMutant edit;
  std::string_view models;   // "flashinfer #942, #945; ..."
  std::string_view law;      // name of the law that refutes it
  std::string_view variant;  // on which it is tried
};

// Those of kernel_mutants(), in their order, and further ones. Throws std::logic_error when one of
// kernel_mutants() has no row here: a mutant without a law is a hole.
std::vector<Mutant> mutants();
// Throws std::invalid_argument listing the names.
Mutant find_mutant(std::string_view name);

struct MutantOptions {
  std::vector<std::string> names = {};  // empty: all
  int cases = 40;                       // tried at most for each mutant and law
  std::uint64_t seed = 1;
  int jobs = 0;
  ShrinkLimits shrink = {.evaluations = 60, .seconds = 3};
  // A kernel factory for edited sources; throws CompileError from the kernel's first call when they do not
  // compile.
  std::function<KernelFactory(const KernelSource&)> kernel;
  KernelSource source;  // to be edited
};

struct MutantRow {
  std::string mutant;
  std::string description = {};
  std::string models = {};
  std::string killed_by = {};  // the law that refuted it; empty: it survived
  bool repeats = false;        // the repro line alone fails again
  int cases = 0;               // until it was refuted
  std::string repro = {};
  std::string text = {};
  double seconds = 0;
};

// Called after every mutant, one call at a time.
using MutantCallback = std::function<void(int done, int total, const MutantRow&)>;

// The law of the mutant's row is tried first; when it sees nothing, all others, so that a survivor is one
// that no law sees.
std::vector<MutantRow> run_mutants(const MutantOptions& options, const MutantCallback& progress = {});

}  // namespace attest
