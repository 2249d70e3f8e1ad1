// Absorbing the up-projections into queries and outputs changes nothing: the decode form equals the
// materialised layer.
#include "properties/laws/table.h"
#include "properties/layer_setting.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  const LayerCase layer = layer_of(problem);
  const Tensor<double> want = materialised_output(layer.config, layer.weights, layer.sequences, problem);
  const std::vector<Projected> projected = project_all(layer.config, layer.weights, layer.sequences);
  Judge judge;
  Tensor<double> decoded;
  if (info(layer.config.variant).family == Family::factored) {
    decoded = finish(layer.config, layer.weights, projected,
                     attend(factored_inputs(layer.config, layer.weights, projected, problem.query_tokens,
                                            problem.mask, Format::f64))
                         .output);
  } else {
    decoded = finish(layer.config, layer.weights, projected,
                     attend(call_of(layer.config, layer.weights, projected, problem, Format::f64)).output);
  }
  judge.identical_to(kIdentity, "decode form against materialised: reference layer output", decoded, want);
  if (context.kernel == nullptr) return judge.take();

  const LayerRun run = run_layer(*context.kernel, layer.config, layer.weights, projected, problem);
  judge.set_head_config(run.head_config);
  if (!run.inconclusive.empty()) {
    judge.inconclusive(run.inconclusive);
    return judge.take();
  }
  judge.within("decode form through the kernel against materialised: layer output", run.output, want,
               run.bounds, "storage rounding and kernel rounding, through |W_UV| and |W_O|");
  return judge.take();
}

Problem narrow(Problem problem) {
  problem = layer_level(std::move(problem));
  problem.ranks = 1;
  return problem;
}

}  // namespace

Law absorption_equivalence() {
  return {
      .name = "absorption-equivalence",
      .sentence =
          "the decode form, with up-projections absorbed, equals the layer with keys and values written out",
      .formula = "W_O W_UV attend(W_UK^T q, c) = W_O attend(q, W_UK c, W_UV c)",
      .subjects = {.reference = true, .kernel = true},
      .layer_level = true,
      .applies = every_variant,
      .narrow = narrow,
      .check = check};
}

}  // namespace attest::law_rows
