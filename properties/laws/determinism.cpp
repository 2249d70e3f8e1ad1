// The same call gives the same bits, again and under every order of lanes and warps.
#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  CallLayout layout = layout_of(problem);
  const KernelRun first = context.kernel->decode(inputs, layout);
  same_run(judge, "the same call again", context.kernel->decode(inputs, layout), first);
  for (std::uint64_t schedule : {std::uint64_t{1}, problem.seed + 2, problem.seed + 3}) {
    layout.schedule = schedule;
    same_run(judge, "schedule " + std::to_string(schedule), context.kernel->decode(inputs, layout), first);
  }
  return judge.take();
}

}  // namespace

Law determinism() {
  return {.name = "determinism",
          .sentence = "a call repeated, and any legal order of lanes and warps, gives the same bits",
          .formula = "kernel(x, schedule a) = kernel(x, schedule b), bit for bit",
          .subjects = {.kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = decode_level,
          .check = check};
}

}  // namespace attest::law_rows
