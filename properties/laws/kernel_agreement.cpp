// |kernel - attend| <= E, the bound that the kernel's declared formats and plan earn, element by element.
#include <cmath>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// Agreement counts when, for at least half of the rows that see a key, losing a single key would be noticed.
void certify(Judge& judge, const BoundedRun& run) {
  Index live = 0, sensitive = 0;
  for (Index i = 0; i < run.truth.lse.count(); ++i) {
    if (std::isinf(run.truth.lse.data()[i])) continue;
    ++live;
    if (run.bounds.single_key.data()[i] > 1) ++sensitive;
  }
  if (2 * sensitive < live) {
    judge.mistrust(
        "only " + std::to_string(sensitive) + " of " + std::to_string(live) +
        " rows would notice a single key that is missing; dominant term: " + run.bounds.dominant_term);
  }
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const BoundedRun run = run_bounded(*context.kernel, inputs, layout_of(problem));
  if (!run.bounds.inconclusive.empty()) {
    judge.inconclusive(run.bounds.inconclusive);
    return judge.take();
  }
  const std::string source = "rounding bound of the declared plan, mostly " + run.bounds.dominant_term;
  judge.within("output", run.run.output, run.truth.output, run.bounds.output, source);
  judge.within("log-sum-exp", run.run.lse, run.truth.lse, run.bounds.lse, source);
  certify(judge, run);
  return judge.take();
}

// Equal values are a probe of their own (exact-probes): here no missing key would show.
Problem narrow(Problem problem) {
  problem = decode_level(std::move(problem));
  if (problem.data == DataFamily::constant_values) problem.data = DataFamily::normal;
  return problem;
}

}  // namespace

Law kernel_agreement() {
  return {.name = "kernel-agreement",
          .sentence = "the compiled kernel equals double-precision attention within a derived rounding bound",
          .formula = "|kernel(q, K, V) - softmax(s q K^T) V| <= E(plan) per element, log-sum-exp too",
          .subjects = {.kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
