// A row that sees no key gives zeros and minus infinity, exactly.
#include <cmath>
#include <limits>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// Judges the rows that see nothing by the mask's own definition.
void judge_rows(Judge& judge, const std::string& who, const DecodeInputs& inputs,
                const Tensor<double>& output, const Tensor<double>& lse) {
  for (Index b = 0; b < std::ssize(inputs.sequences); ++b) {
    const SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Index cached = cache.keys.size(0);
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      bool sees_any = false;
      for (Index s = 0; s < cached; ++s) {
        sees_any = sees_any || query_sees(inputs.mask, cached, inputs.query_tokens, cache.left_padding, t, s);
      }
      for (Index row = 0; row < inputs.heads.rows(); ++row) {
        const std::string where =
            "[batch " + std::to_string(b) + ", query " + std::to_string(t) + ", row " + std::to_string(row);
        const double got = lse(b, t, row);
        if (sees_any) {
          judge.require(std::isfinite(got), who + " log-sum-exp" + where + "]: got " + std::to_string(got) +
                                                ", want a finite number");
          continue;
        }
        judge.require(got == -std::numeric_limits<double>::infinity(),
                      who + " log-sum-exp" + where + "]: got " + std::to_string(got) +
                          ", want -infinity: the row sees nothing");
        for (Index i = 0; i < inputs.heads.value_dim; ++i) {
          const double value = output(b, t, row, i);
          judge.require(value == 0, who + " output" + where + ", element " + std::to_string(i) + "]: got " +
                                        std::to_string(value) + ", want 0: the row sees nothing");
        }
      }
    }
  }
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs truth = attend(inputs);
  judge_rows(judge, "reference", inputs, truth.output, truth.lse);
  if (context.kernel == nullptr) return judge.take();
  const KernelRun run = context.kernel->decode(inputs, layout_of(problem));
  judge_rows(judge, "kernel", inputs, run.output, run.lse);
  return judge.take();
}

// The first sequence is empty, or nothing but padding.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  if (problem.left_padding[0] != problem.cached_tokens[0]) {
    if (problem.seed % 2 == 0) problem.cached_tokens[0] = 0;
    problem.left_padding[0] = problem.cached_tokens[0];
  }
  return problem;
}

}  // namespace

Law empty_sequence() {
  return {.name = "empty-sequence",
          .sentence = "a row that sees no key gives exactly zero, and minus infinity as log-sum-exp",
          .formula = "{j : visible} = {} => o = 0, lse = -inf",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
