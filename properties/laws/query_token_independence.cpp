// Query token t of several gives what it gives alone on the tokens that it may see.
#include <algorithm>
#include <numeric>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// Query token t as a call of one token: the cache ends at its position.
DecodeInputs single_query(const DecodeInputs& inputs, Index query) {
  DecodeInputs single = inputs;
  single.query_tokens = 1;
  const auto pick = [&](const Tensor<double>& part) {
    if (part.count() == 0) return part;
    Tensor<double> picked{part.size(0), 1, part.size(2), part.size(3)};
    const Index width = part.size(2) * part.size(3);
    for (Index b = 0; b < part.size(0); ++b) {
      std::copy_n(part.data() + (b * inputs.query_tokens + query) * width, width, picked.data() + b * width);
    }
    return picked;
  };
  single.queries = pick(inputs.queries);
  single.rope_queries = pick(inputs.rope_queries);
  for (SequenceCache& cache : single.sequences) {
    const Index length = std::max<Index>(0, cache.keys.size(0) - inputs.query_tokens + query + 1);
    std::vector<Index> order(static_cast<std::size_t>(length));
    std::iota(order.begin(), order.end(), 0);
    const Index padding = std::min(cache.left_padding, length);
    cache = gathered(cache, order);
    cache.left_padding = padding;
  }
  return single;
}

// [B, T, ...] -> [B, 1, ...], query token t.
Tensor<double> query_entry(const Tensor<double>& tensor, Index query) {
  std::vector<Index> shape = tensor.shape();
  const Index queries = shape[1];
  shape[1] = 1;
  Tensor<double> entry(shape);
  const Index width = shape[0] > 0 ? entry.count() / shape[0] : 0;
  for (Index b = 0; b < shape[0]; ++b) {
    std::copy_n(tensor.data() + (b * queries + query) * width, width, entry.data() + b * width);
  }
  return entry;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs truth = attend(inputs);
  BoundedRun together;
  if (context.kernel != nullptr) together = run_bounded(*context.kernel, inputs, layout_of(problem));
  for (Index t = 0; t < problem.query_tokens; ++t) {
    const std::string what = "query token " + std::to_string(t) + " alone";
    const DecodeInputs alone = single_query(inputs, t);
    const DecodeOutputs own = attend(alone);
    judge.same_bits(what + ": reference output", own.output, query_entry(truth.output, t));
    judge.same_bits(what + ": reference log-sum-exp", own.lse, query_entry(truth.lse, t));
    if (context.kernel == nullptr) continue;
    BoundedRun mine = together;
    for (Tensor<double>* part : {&mine.run.output, &mine.run.lse, &mine.bounds.output, &mine.bounds.lse}) {
      *part = query_entry(*part, t);
    }
    within_both(judge, what, run_bounded(*context.kernel, alone, layout_of(problem)), mine);
  }
  return judge.take();
}

// Causal, with at least two query tokens, and no sequence shorter than them.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.mask.causal = true;
  problem.query_tokens = std::max<Index>(problem.query_tokens, 2);
  for (Index& cached : problem.cached_tokens) {
    if (cached > 0) cached = std::max(cached, problem.query_tokens);
  }
  return problem;
}

}  // namespace

Law query_token_independence() {
  return {
      .name = "query-token-independence",
      .sentence = "each of several query tokens gives what it gives alone on the tokens up to its position",
      .formula = "f(q_1..q_T, K)[t] = f(q_t, K_{j <= S-T+t})",
      .subjects = {.reference = true, .kernel = true},
      .layer_level = false,
      .applies = every_variant,
      .narrow = narrow,
      .check = check};
}

}  // namespace attest::law_rows
