// A sequence gives the same bits alone and in any batch.
#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs truth = attend(inputs);
  KernelRun batched;
  if (context.kernel != nullptr) batched = context.kernel->decode(inputs, layout_of(problem));
  for (Index b = 0; b < problem.batch(); ++b) {
    const std::string what = "sequence " + std::to_string(b) + " alone";
    const DecodeInputs alone = only_sequence(inputs, b);
    const DecodeOutputs own = attend(alone);
    judge.same_bits(what + ": reference output", own.output, batch_entry(truth.output, b));
    judge.same_bits(what + ": reference log-sum-exp", own.lse, batch_entry(truth.lse, b));
    if (context.kernel == nullptr) continue;
    const KernelRun run = context.kernel->decode(alone, layout_of(problem));
    judge.same_bits(what + ": output", run.output, batch_entry(batched.output, b));
    judge.same_bits(what + ": log-sum-exp", run.lse, batch_entry(batched.lse, b));
  }
  return judge.take();
}

// A batch of one says nothing: it gets a companion of another length.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  if (problem.batch() == 1) {
    problem.cached_tokens.push_back(problem.cached_tokens[0] == problem.query_tokens
                                        ? 2 * problem.query_tokens + 1
                                        : problem.query_tokens);
    problem.left_padding.push_back(0);
  }
  return problem;
}

}  // namespace

Law batch_invariance() {
  return {.name = "batch-invariance",
          .sentence = "a sequence gives the same bits alone as in a batch, at the same number of splits",
          .formula = "f(batch)[b] = f(batch = {b}), bit for bit",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
