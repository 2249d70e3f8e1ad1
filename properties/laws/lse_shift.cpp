// A constant added to all scores of a sequence leaves the output and moves the log-sum-exp by it.
#include <cmath>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// Scores gain scale * height: element 0 of every query becomes 1, of every key `height`. The latent family
// uses the rotated part, since its other keys are values.
DecodeInputs shifted(DecodeInputs inputs, double height) {
  const bool latent = inputs.heads.family == Family::latent;
  Tensor<double>& queries = latent ? inputs.rope_queries : inputs.queries;
  const Index query_width = latent ? inputs.heads.rope_dim : inputs.heads.key_dim;
  for (Index i = 0; i < queries.count(); i += query_width) queries.data()[i] = 1;
  for (SequenceCache& cache : inputs.sequences) {
    Tensor<double>& keys = latent ? cache.rope_keys : cache.keys;
    for (Index i = 0; i < keys.count(); i += query_width) keys.data()[i] = height;
  }
  return inputs;
}

Tensor<double> plus(Tensor<double> tensor, double addend) {
  for (double& value : tensor.elements()) value += addend;
  return tensor;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  // Small, and beyond what exp alone could take; exact in every storage format.
  const double height = problem.seed % 3 == 0 ? 3 : problem.seed % 3 == 1 ? -4096 : 16384;
  const DecodeInputs plain = shifted(inputs, 0), lifted = shifted(inputs, height);
  const double shift = inputs.scale * height;
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const std::string what = "scores + " + std::to_string(shift);
  const DecodeOutputs plain_truth = attend(plain), lifted_truth = attend(lifted);
  // A score of size |shift| has an error of |shift| 2^-53 a product; the softmax passes it on.
  const double tolerance = kIdentity + 64 * 0x1p-53 * std::abs(shift);
  judge.identical_to(tolerance, what + ": reference output", lifted_truth.output, plain_truth.output);
  judge.identical_to(tolerance, what + ": reference log-sum-exp", lifted_truth.lse,
                     plus(plain_truth.lse, shift));
  if (context.kernel == nullptr) return judge.take();

  BoundedRun a = run_bounded(*context.kernel, lifted, layout_of(problem));
  BoundedRun b = run_bounded(*context.kernel, plain, layout_of(problem));
  b.run.lse = plus(b.run.lse, shift);
  within_both(judge, what, a, b);
  return judge.take();
}

// A soft cap is no longer a shift.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.mask.softcap = 0;
  return problem;
}

}  // namespace

Law lse_shift() {
  return {.name = "lse-shift",
          .sentence = "a constant added to all scores leaves the output and is added to the log-sum-exp",
          .formula = "f(s + c) = (o, lse + c)",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
