// What lies in padding, in page tails and in pages of nobody never reaches a result.
#include <algorithm>
#include <limits>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// The problem's inputs with every padding token's entries set to `value`.
DecodeInputs with_padding_content(DecodeInputs inputs, double value) {
  for (SequenceCache& cache : inputs.sequences) {
    for (Tensor<double>* part : {&cache.keys, &cache.values, &cache.rope_keys}) {
      if (part->count() == 0) continue;
      std::fill_n(part->data(), part->count() / part->size(0) * cache.left_padding, value);
    }
  }
  return inputs;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  const DecodeInputs clean = with_padding_content(inputs, 0);
  const DecodeInputs poisoned = with_padding_content(inputs, std::numeric_limits<double>::quiet_NaN());
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs truth = attend(clean), poisoned_truth = attend(poisoned);
  judge.same_bits("NaN in padding: reference output", poisoned_truth.output, truth.output);
  judge.same_bits("NaN in padding: reference log-sum-exp", poisoned_truth.lse, truth.lse);
  if (context.kernel == nullptr) return judge.take();

  CallLayout layout = layout_of(problem);
  layout.poison = false;
  const KernelRun plain = context.kernel->decode(clean, layout);
  layout.poison = true;
  same_run(judge, "NaN in everything unused", context.kernel->decode(poisoned, layout), plain);
  same_run(judge, "large numbers in padding",
           context.kernel->decode(with_padding_content(inputs, 30000), layout), plain);
  return judge.take();
}

}  // namespace

Law padding_poison() {
  return {.name = "padding-poison",
          .sentence = "NaN in padding, page tails and unused pages changes no bit",
          .formula = "f(K, V with K_j, V_j = NaN for j < p) = f(K, V), bit for bit",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = decode_level,
          .check = check};
}

}  // namespace attest::law_rows
