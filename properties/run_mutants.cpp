// One mutant after another, each verified in the way a user would: the law, the shrunk repro line, the line
// again.
#include <chrono>

#include "properties/law.h"
#include "properties/mutants.h"

namespace attest {
namespace {

VerifyOptions options_for(const MutantOptions& options, const KernelFactory& kernel) {
  VerifyOptions verify_options;
  verify_options.cases = options.cases;
  verify_options.seed = options.seed;
  verify_options.jobs = options.jobs;
  verify_options.shrink = options.shrink;
  verify_options.shrink_seconds = options.shrink.seconds;
  verify_options.kernel = kernel;
  return verify_options;
}

// The first failing row of the laws, if any.
std::optional<VerifyRow> first_failure(VerifyOptions options, const Mutant& mutant,
                                       std::vector<std::string> law_names, int& cases) {
  options.variants = {std::string(mutant.variant)};
  options.laws = std::move(law_names);
  const VerifyReport report = verify(options);
  cases += static_cast<int>(report.cases());
  for (const VerifyRow& row : report.rows) {
    if (row.status == RowStatus::failed) return row;
  }
  return std::nullopt;
}

MutantRow try_mutant(const MutantOptions& options, const Mutant& mutant) {
  const auto start = std::chrono::steady_clock::now();
  MutantRow row{.mutant = std::string(mutant.edit.name)};
  row.description = mutant.edit.description;
  row.models = mutant.models;
  const KernelFactory kernel = options.kernel(mutant.edit.apply(options.source));
  VerifyOptions verify_options = options_for(options, kernel);
  std::optional<VerifyRow> failure =
      first_failure(verify_options, mutant, {std::string(mutant.law)}, row.cases);
  if (!failure) {
    std::vector<std::string> others;
    for (const Law& law : laws()) {
      if (law.subjects.kernel && law.name != mutant.law) others.emplace_back(law.name);
    }
    failure = first_failure(verify_options, mutant, others, row.cases);
  }
  if (failure) {
    row.killed_by = failure->law;
    row.repro = failure->repro;
    row.text = failure->text;
    verify_options.repro = failure->repro;
    row.repeats = verify(verify_options).count(RowStatus::failed) == 1;
  }
  row.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return row;
}

}  // namespace

std::vector<MutantRow> run_mutants(const MutantOptions& options, const MutantCallback& progress) {
  std::vector<Mutant> chosen;
  for (const std::string& name : options.names) chosen.push_back(find_mutant(name));
  if (options.names.empty()) chosen = mutants();
  std::vector<MutantRow> rows;
  for (const Mutant& mutant : chosen) {
    rows.push_back(try_mutant(options, mutant));
    if (progress) progress(static_cast<int>(rows.size()), static_cast<int>(chosen.size()), rows.back());
  }
  return rows;
}

}  // namespace attest
