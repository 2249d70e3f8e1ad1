// Where tokens lie in memory does not matter: the same bits for every page size and order of pages.
#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  CallLayout layout = layout_of(problem);
  const KernelRun paged = context.kernel->decode(inputs, layout);
  layout.page_seed = problem.seed + 1;
  same_run(judge, "another order of pages", context.kernel->decode(inputs, layout), paged);
  layout.page_tokens = 0;
  same_run(judge, "one page", context.kernel->decode(inputs, layout), paged);
  return judge.take();
}

Problem narrow(Problem problem) {
  problem = decode_level(problem);
  if (problem.page_tokens == 0) problem.page_tokens = 2;
  return problem;
}

}  // namespace

Law page_invariance() {
  return {.name = "page-invariance",
          .sentence = "page size and order of pages in memory change no bit",
          .formula = "kernel(pages) = kernel(one page), bit for bit",
          .subjects = {.kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
