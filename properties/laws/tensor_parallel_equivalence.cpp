// The ranks' partial layer outputs, each from the rank's own heads, latents and cache, sum to the whole
// layer's output.
#include "properties/laws/table.h"
#include "properties/layer_setting.h"
#include "reference/shard.h"

namespace attest::law_rows {
namespace {

LawOutcome check(const LawContext& context, const Problem& problem) {
  const std::string refusal = shard_refusal(problem.attention, problem.ranks);
  if (!refusal.empty()) return skipped(refusal);
  const LayerCase layer = layer_of(problem);
  const Tensor<double> want = materialised_output(layer.config, layer.weights, layer.sequences, problem);
  Judge judge;
  Tensor<double> reference(want.shape()), output(want.shape()), bounds(want.shape());
  for (int rank = 0; rank < problem.ranks; ++rank) {
    const AttentionConfig config = shard_config(layer.config, rank, problem.ranks);
    const Weights weights = shard_weights(layer.config, layer.weights, rank, problem.ranks);
    const std::vector<Projected> projected = project_all(config, weights, layer.sequences);
    const DecodeInputs call = call_of(config, weights, projected, problem, Format::f64);
    reference = sum(reference, finish_call(config, weights, projected, attend(call).output));
    if (context.kernel == nullptr) continue;
    const LayerRun run = run_layer(*context.kernel, config, weights, projected, problem);
    judge.set_head_config(run.head_config);
    if (!run.inconclusive.empty()) {
      judge.inconclusive("rank " + std::to_string(rank) + ": " + run.inconclusive);
      return judge.take();
    }
    output = sum(output, run.output);
    bounds = sum(bounds, run.bounds);
  }
  const std::string what = "sum over " + std::to_string(problem.ranks) + " ranks";
  judge.identical_to(kIdentity, what + ": reference layer output", reference, want);
  if (context.kernel != nullptr) {
    judge.within(what + ": layer output", output, want, bounds,
                 "storage and kernel rounding of every rank, propagated");
  }
  return judge.take();
}

// One rank is the absorption law.
Problem narrow(Problem problem) {
  problem = layer_level(std::move(problem));
  if (problem.ranks == 1) problem.ranks = 2;
  return problem;
}

}  // namespace

Law tensor_parallel_equivalence() {
  return {
      .name = "tensor-parallel-equivalence",
      .sentence =
          "the ranks' partial outputs, each from its own heads, latents and cache, sum to the whole layer's",
      .formula = "sum_r layer_r(x) = layer(x) for 2, 4, 8 ranks",
      .subjects = {.reference = true, .kernel = true},
      .layer_level = true,
      .applies = every_variant,
      .narrow = narrow,
      .check = check};
}

}  // namespace attest::law_rows
