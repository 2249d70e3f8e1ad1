// The laws that decode attention obeys: one table row each, and what checking one needs and says.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "properties/kernel_under_test.h"
#include "reference/attention_config.h"
#include "reference/compare.h"
#include "reference/problem.h"

namespace attest {

// Everything that a law may use besides the problem. No globals: two contexts can be checked at once.
struct LawContext {
  KernelUnderTest* kernel = nullptr;  // null: only the reference is a subject
};

struct LawOutcome {
  Verdict verdict = Verdict::passed;
  double worst_error_over_bound = 0;
  std::string head_config;  // what the kernel was specialised on; empty when none ran
  std::string skipped;      // not empty: the law says nothing of this problem, for this reason
  std::string text;         // what was violated or not trusted: coordinate, got, want, bound
};

// Which part of the program a law asks; a law may have both.
struct Subjects {
  bool reference = false;
  bool kernel = false;
};

struct Law {
  std::string_view name;      // "translation-equivariance"
  std::string_view sentence;  // what it says, to a reader who knows attention
  std::string_view formula;   // the same in symbols
  Subjects subjects;
  bool layer_level;  // speaks of a layer with weights (also of its gated and no-scale forms), not of a decode
                     // call alone
  bool (*applies)(const VariantInfo& variant);
  // The problem with everything at its default that the law does not look at, moved into the law's domain.
  // Idempotent.
  Problem (*narrow)(Problem problem);
  LawOutcome (*check)(const LawContext& context, const Problem& problem);
};

// In the order in which reports show them.
std::span<const Law> laws();
// Throws std::invalid_argument listing the names.
const Law& find_law(std::string_view name);

// check() of a narrowed problem, with faults of the kernel turned into failures.
LawOutcome check_law(const Law& law, const LawContext& context, const Problem& problem);

}  // namespace attest
