// Results of disjoint key sets merge to the result of their union, in any order and grouping.
#include <algorithm>
#include <cmath>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// The keys of every sequence dealt to `parts` sets, key s to set s mod parts, as calls of their own.
std::vector<DecodeInputs> dealt(const DecodeInputs& inputs, Index parts) {
  std::vector<DecodeInputs> calls(static_cast<std::size_t>(parts), inputs);
  for (Index part = 0; part < parts; ++part) {
    for (SequenceCache& cache : calls[static_cast<std::size_t>(part)].sequences) {
      std::vector<Index> mine;
      for (Index s = cache.left_padding; s < cache.keys.size(0); ++s) {
        if (s % parts == part) mine.push_back(s);
      }
      cache = gathered(cache, mine);
    }
  }
  return calls;
}

PartialResult partial(const Tensor<double>& output, const Tensor<double>& lse, Index row) {
  const Index width = output.shape().back();
  const double* first = output.data() + row * width;
  return {.output = {first, first + width}, .lse = lse.data()[row]};
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs whole = attend(inputs);
  const std::vector<DecodeInputs> calls = dealt(inputs, 3);
  DecodeOutputs left_first = whole, right_first = whole;
  std::vector<DecodeOutputs> parts;
  for (const DecodeInputs& call : calls) parts.push_back(attend(call));
  for (Index row = 0; row < whole.lse.count(); ++row) {
    const auto part = [&](std::size_t i) { return partial(parts[i].output, parts[i].lse, row); };
    const PartialResult left = merge({merge({part(0), part(1)}), part(2)});
    const PartialResult right = merge({part(0), merge({part(2), part(1)})});
    std::copy(left.output.begin(), left.output.end(),
              left_first.output.data() + row * whole.output.shape().back());
    std::copy(right.output.begin(), right.output.end(),
              right_first.output.data() + row * whole.output.shape().back());
    left_first.lse.data()[row] = left.lse;
    right_first.lse.data()[row] = right.lse;
  }
  same_truth(judge, "(a + b) + c", left_first, whole);
  same_truth(judge, "a + (c + b)", right_first, whole);
  if (context.kernel == nullptr) return judge.take();

  // Kernel parts, merged in double: weights w = softmax(lse) move by at most expm1(2 max d) when every lse
  // moves by d.
  std::vector<BoundedRun> runs;
  for (const DecodeInputs& call : calls) {
    runs.push_back(run_bounded(*context.kernel, call, layout_of(problem)));
    if (!runs.back().bounds.inconclusive.empty()) {
      judge.inconclusive(runs.back().bounds.inconclusive);
      return judge.take();
    }
  }
  DecodeOutputs merged = whole;
  Tensor<double> output_bounds(whole.output.shape()), lse_bounds(whole.lse.shape());
  const Index width = whole.output.shape().back();
  for (Index row = 0; row < whole.lse.count(); ++row) {
    std::vector<PartialResult> results;
    double moved = 0, moved_lse = 0;
    std::vector<double> magnitude(static_cast<std::size_t>(width)), error(magnitude);
    for (const BoundedRun& run : runs) {
      results.push_back(partial(run.run.output, run.run.lse, row));
      const double weight = std::exp(run.truth.lse.data()[row] - whole.lse.data()[row]);
      if (!(weight > 0)) continue;
      moved = std::max(moved, std::expm1(2 * run.bounds.lse.data()[row]));
      moved_lse = std::max(moved_lse, run.bounds.lse.data()[row]);
      for (Index i = 0; i < width; ++i) {
        magnitude[static_cast<std::size_t>(i)] += weight * std::abs(run.truth.output.data()[row * width + i]);
        error[static_cast<std::size_t>(i)] += weight * run.bounds.output.data()[row * width + i];
      }
    }
    const PartialResult result = merge(results);
    merged.lse.data()[row] = result.lse;
    lse_bounds.data()[row] = moved_lse * (1 + 1e-9) + kIdentity * std::max(1.0, std::abs(result.lse));
    for (Index i = 0; i < width; ++i) {
      const auto at = static_cast<std::size_t>(i);
      merged.output.data()[row * width + i] = result.output[at];
      output_bounds.data()[row * width + i] = (1 + moved) * error[at] + (moved + kIdentity) * magnitude[at];
    }
  }
  judge.within("merged kernel parts: output", merged.output, whole.output, output_bounds,
               "the parts' bounds, weighted");
  judge.within("merged kernel parts: log-sum-exp", merged.lse, whole.lse, lse_bounds, "the parts' bounds");
  return judge.take();
}

// Every query sees every key, so that a key set is a call of its own.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.mask.causal = false;
  problem.mask.window = problem.mask.sink_tokens = 0;
  return problem;
}

}  // namespace

Law merge_associativity() {
  return {.name = "merge-associativity",
          .sentence =
              "results of disjoint key sets merge to the result of their union, in any order and grouping",
          .formula = "(a + b) + c = a + (c + b) = attend(all keys); parts with lse = -inf have no weight",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
