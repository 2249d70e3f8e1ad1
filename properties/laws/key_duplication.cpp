// Every key twice: the same output, and ln 2 more log-sum-exp.
#include <numbers>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

DecodeInputs doubled(DecodeInputs inputs) {
  for (SequenceCache& cache : inputs.sequences) {
    std::vector<Index> order;
    for (Index s = 0; s < cache.keys.size(0); ++s) order.insert(order.end(), {s, s});
    const Index padding = 2 * cache.left_padding;
    cache = gathered(cache, order);
    cache.left_padding = padding;
  }
  return inputs;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem), twice = doubled(inputs);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  DecodeOutputs truth = attend(inputs);
  for (double& lse : truth.lse.elements()) lse += std::numbers::ln2;
  same_truth(judge, "keys doubled", attend(twice), truth);
  if (context.kernel == nullptr) return judge.take();
  BoundedRun once = run_bounded(*context.kernel, inputs, layout_of(problem));
  for (double& lse : once.run.lse.elements()) lse += std::numbers::ln2;
  within_both(judge, "keys doubled", run_bounded(*context.kernel, twice, layout_of(problem)), once);
  return judge.take();
}

// Every query sees every key, so that the order of keys means nothing.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.mask.causal = false;
  problem.mask.window = problem.mask.sink_tokens = 0;
  return problem;
}

}  // namespace

Law key_duplication() {
  return {.name = "key-duplication",
          .sentence = "every key twice gives the same output and ln 2 more log-sum-exp",
          .formula = "f([K; K], [V; V]) = (o, lse + ln 2)",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
