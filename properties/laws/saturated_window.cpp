// A window as long as the cache, and sinks that cover it, are no mask.
#include <algorithm>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  DecodeInputs inputs = inputs_of(problem);
  inputs.mask.window = inputs.mask.sink_tokens = 0;
  DecodeInputs windowed = inputs, sinks = inputs;
  Index longest = 1;
  for (Index cached : problem.cached_tokens) longest = std::max(longest, cached);
  windowed.mask.window = longest;
  sinks.mask.window = 1;
  sinks.mask.sink_tokens = longest;
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs truth = attend(inputs);
  const auto both = [&](const std::string& what, const DecodeInputs& masked) {
    const DecodeOutputs own = attend(masked);
    judge.same_bits(what + ": reference output", own.output, truth.output);
    judge.same_bits(what + ": reference log-sum-exp", own.lse, truth.lse);
    if (context.kernel == nullptr) return;
    same_run(judge, what, context.kernel->decode(masked, layout_of(problem)),
             context.kernel->decode(inputs, layout_of(problem)));
  };
  both("window as long as the cache", windowed);
  both("sinks as many as the cache", sinks);
  return judge.take();
}

Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.mask.window = problem.mask.sink_tokens = 0;
  return problem;
}

}  // namespace

Law saturated_window() {
  return {.name = "saturated-window",
          .sentence = "a window as long as the cache, and sinks that cover it, change no bit",
          .formula = "f(window >= S) = f(window = 1, sinks >= S) = f(no window), bit for bit",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
