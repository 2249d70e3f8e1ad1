// The table of laws, in the order in which reports show them.
#include <stdexcept>
#include <vector>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest {

std::span<const Law> laws() {
  static const std::vector<Law> kLaws = {
      law_rows::kernel_agreement(),
      law_rows::exact_probes(),
      law_rows::translation_equivariance(),
      law_rows::absorption_equivalence(),
      law_rows::tensor_parallel_equivalence(),
      law_rows::split_invariance(),
      law_rows::page_invariance(),
      law_rows::padding_poison(),
      law_rows::determinism(),
      law_rows::batch_invariance(),
      law_rows::empty_sequence(),
      law_rows::merge_associativity(),
      law_rows::lse_shift(),
      law_rows::key_permutation(),
      law_rows::key_duplication(),
      law_rows::gqa_expansion(),
      law_rows::power_of_two_scaling(),
      law_rows::query_token_independence(),
      law_rows::saturated_window(),
  };
  return kLaws;
}

const Law& find_law(std::string_view name) {
  std::string known;
  for (const Law& law : laws()) {
    if (law.name == name) return law;
    known += (known.empty() ? "" : ", ") + std::string(law.name);
  }
  throw std::invalid_argument("law '" + std::string(name) + "': expected one of " + known);
}

LawOutcome check_law(const Law& law, const LawContext& context, const Problem& problem) {
  try {
    return law.check(context, law.narrow(problem));
  } catch (const KernelFault& fault) {
    Judge judge;
    judge.set_head_config(kernel_heads(problem.attention, problem.storage).name());
    judge.require(false, fault.what());
    return judge.take();
  }
}

}  // namespace attest
