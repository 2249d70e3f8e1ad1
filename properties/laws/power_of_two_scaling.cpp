// Powers of two move between query, key, scale and value without a rounding.
#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

void multiply(Tensor<double>& tensor, double factor) {
  for (double& value : tensor.elements()) value *= factor;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  // Twice the keys, against twice the queries: both only grow, so nothing becomes subnormal.
  DecodeInputs large_keys = inputs, large_queries = inputs, half_scale = inputs;
  multiply(large_queries.queries, 2);
  half_scale.scale = inputs.scale / 2;
  multiply(half_scale.queries, 2);
  multiply(half_scale.rope_queries, 2);
  for (SequenceCache& cache : large_keys.sequences) {
    multiply(cache.keys, 2);
    multiply(cache.values, 2);
  }
  const auto twice = [](Tensor<double> tensor) {
    multiply(tensor, 2);
    return tensor;
  };
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const std::string keys = "keys and values * 2 against queries * 2", scale = "queries * 2 at half the scale";
  const DecodeOutputs truth = attend(large_queries);
  judge.same_bits(keys + ": reference output", attend(large_keys).output, twice(truth.output));
  judge.same_bits(scale + ": reference output", attend(half_scale).output, attend(inputs).output);
  if (context.kernel == nullptr) return judge.take();

  const CallLayout layout = layout_of(problem);
  const KernelRun small = context.kernel->decode(large_queries, layout);
  const KernelRun large = context.kernel->decode(large_keys, layout);
  judge.same_bits(keys + ": output", large.output, twice(small.output));
  judge.same_bits(keys + ": log-sum-exp", large.lse, small.lse);
  same_run(judge, scale, context.kernel->decode(half_scale, layout), context.kernel->decode(inputs, layout));
  return judge.take();
}

}  // namespace

Law power_of_two_scaling() {
  return {.name = "power-of-two-scaling",
          .sentence = "powers of two move between query, key, scale and value without changing a bit",
          .formula = "f(2q, K, V) = f(q, 2K, V); f(2q, s/2) = f(q, s); f(2V) = 2 f(V), bit for bit",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = decode_level,
          .check = check};
}

}  // namespace attest::law_rows
