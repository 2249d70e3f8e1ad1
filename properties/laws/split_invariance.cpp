// Splitting a cache into any number of parts and merging them gives the unsplit result.
#include <algorithm>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  CallLayout layout = layout_of(problem);
  const BoundedRun split = run_bounded(*context.kernel, inputs, layout);
  layout.splits = 1;
  within_both(judge, std::to_string(problem.splits) + " splits against 1", split,
              run_bounded(*context.kernel, inputs, layout));
  return judge.take();
}

Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.splits = std::max(problem.splits, 2);
  return problem;
}

}  // namespace

Law split_invariance() {
  return {.name = "split-invariance",
          .sentence = "any number of splits, more splits than tokens included, gives the unsplit result",
          .formula = "kernel(splits = n) = kernel(splits = 1), within the sum of both bounds",
          .subjects = {.kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
