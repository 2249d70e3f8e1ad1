// Small pieces that keep each law's file down to the law.
#include "properties/decode_setting.h"

#include <algorithm>
#include <numeric>

#include "reference/random_inputs.h"

namespace attest {

HeadConfig kernel_heads(const AttentionConfig& config, Format storage) {
  HeadConfig heads = head_config(config, storage);
  if (heads.family != Family::factored) return heads;
  return {.family = Family::grouped,
          .query_heads = heads.rows(),
          .kv_heads = heads.rows(),
          .key_dim = heads.key_dim,
          .value_dim = heads.value_dim,
          .storage = storage};
}

DecodeInputs inputs_of(const Problem& problem) {
  return random_decode_inputs(kernel_heads(problem.attention, problem.storage), problem);
}

CallLayout layout_of(const Problem& problem) {
  return {.page_tokens = problem.page_tokens, .page_seed = problem.seed, .splits = problem.splits};
}

bool query_sees(const MaskSpec& mask, Index cached, Index query_tokens, Index padding, Index query,
                Index key) {
  const Index position = cached - query_tokens + query;
  const bool early_enough = !mask.causal || key <= position;
  const bool near_enough =
      mask.window == 0 || position - key < mask.window || key - padding < mask.sink_tokens;
  return key >= padding && early_enough && near_enough;
}

Problem decode_level(Problem problem) {
  problem.ranks = 1;
  problem.attention.rope = {};
  return problem;
}

BoundedRun run_bounded(KernelUnderTest& kernel, const DecodeInputs& inputs, const CallLayout& layout) {
  KernelRun run = kernel.decode(inputs, layout);
  DecodeOutputs truth = attend(inputs);
  DecodeBounds bounds = error_bounds(inputs, truth, run.plan);
  return {std::move(run), std::move(truth), std::move(bounds)};
}

Tensor<double> sum(const Tensor<double>& a, const Tensor<double>& b) {
  if (a.shape() != b.shape()) {
    throw std::invalid_argument("sum: shape " + shape_text(a.shape()) + " and shape " +
                                shape_text(b.shape()));
  }
  Tensor<double> total = a;
  std::transform(total.data(), total.data() + total.count(), b.data(), total.data(), std::plus<>());
  return total;
}

void within_both(Judge& judge, const std::string& what, const BoundedRun& a, const BoundedRun& b) {
  for (const BoundedRun* run : {&a, &b}) {
    if (!run->bounds.inconclusive.empty()) return judge.inconclusive(what + ": " + run->bounds.inconclusive);
  }
  judge.within(what + ": output", a.run.output, b.run.output, sum(a.bounds.output, b.bounds.output),
               "sum of both runs' rounding bounds");
  judge.within(what + ": log-sum-exp", a.run.lse, b.run.lse, sum(a.bounds.lse, b.bounds.lse),
               "sum of both runs' rounding bounds");
}

void same_run(Judge& judge, const std::string& what, const KernelRun& got, const KernelRun& want) {
  judge.same_bits(what + ": output", got.output, want.output);
  judge.same_bits(what + ": log-sum-exp", got.lse, want.lse);
}

void same_truth(Judge& judge, const std::string& what, const DecodeOutputs& got, const DecodeOutputs& want) {
  judge.identical_to(kIdentity, what + ": reference output", got.output, want.output);
  judge.identical_to(kIdentity, what + ": reference log-sum-exp", got.lse, want.lse);
}

Tensor<double> batch_entry(const Tensor<double>& tensor, Index sequence) {
  std::vector<Index> shape = tensor.shape();
  if (shape.empty()) return tensor;
  shape[0] = 1;
  Tensor<double> entry(shape);
  std::copy_n(tensor.data() + sequence * entry.count(), entry.count(), entry.data());
  return entry;
}

DecodeInputs only_sequence(const DecodeInputs& inputs, Index sequence) {
  DecodeInputs alone = inputs;
  alone.queries = batch_entry(inputs.queries, sequence);
  alone.rope_queries = batch_entry(inputs.rope_queries, sequence);
  alone.sequences = {inputs.sequences[static_cast<std::size_t>(sequence)]};
  return alone;
}

SequenceCache gathered(const SequenceCache& cache, const std::vector<Index>& order) {
  const auto gather = [&](const Tensor<double>& part) {
    std::vector<Index> shape = part.shape();
    if (shape.empty()) return part;
    const Index width = std::accumulate(shape.begin() + 1, shape.end(), Index{1}, std::multiplies<>());
    shape[0] = std::ssize(order);
    Tensor<double> picked(shape);
    for (std::size_t i = 0; i < order.size(); ++i) {
      std::copy_n(part.data() + order[i] * width, width, picked.data() + static_cast<Index>(i) * width);
    }
    return picked;
  };
  return {.keys = gather(cache.keys), .values = gather(cache.values), .rope_keys = gather(cache.rope_keys)};
}

}  // namespace attest
