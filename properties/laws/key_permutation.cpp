// Without a mask, keys and values permuted together give the same result.
#include <numeric>
#include <utility>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"
#include "reference/random.h"

namespace attest::law_rows {
namespace {

DecodeInputs permuted(DecodeInputs inputs, std::uint64_t seed) {
  for (std::size_t b = 0; b < inputs.sequences.size(); ++b) {
    SequenceCache& cache = inputs.sequences[b];
    std::vector<Index> order(static_cast<std::size_t>(cache.keys.size(0)));
    std::iota(order.begin(), order.end(), 0);
    // Fisher-Yates over the tokens after the padding.
    for (Index i = cache.keys.size(0) - 1; i > cache.left_padding; --i) {
      const auto choices = static_cast<std::uint64_t>(i - cache.left_padding + 1);
      const Index j = cache.left_padding +
                      static_cast<Index>(random_bits(seed, static_cast<std::uint64_t>(Stream::extra) + b,
                                                     static_cast<std::uint64_t>(i)) %
                                         choices);
      std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
    }
    const Index padding = cache.left_padding;
    cache = gathered(cache, order);
    cache.left_padding = padding;
  }
  return inputs;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem), other = permuted(inputs, problem.seed);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  same_truth(judge, "keys permuted", attend(other), attend(inputs));
  if (context.kernel == nullptr) return judge.take();
  within_both(judge, "keys permuted", run_bounded(*context.kernel, other, layout_of(problem)),
              run_bounded(*context.kernel, inputs, layout_of(problem)));
  return judge.take();
}

// Every query sees every key, so that the order of keys means nothing.
Problem narrow(Problem problem) {
  problem = decode_level(problem);
  problem.mask.causal = false;
  problem.mask.window = problem.mask.sink_tokens = 0;
  return problem;
}

}  // namespace

Law key_permutation() {
  return {.name = "key-permutation",
          .sentence = "without a mask, keys and values permuted together give the same result",
          .formula = "f(P K, P V) = f(K, V)",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
