// Rows that share a cached head give the same bits as rows that each have a copy of it.
#include <algorithm>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

// One cached head and one query head a row.
DecodeInputs expanded(const DecodeInputs& inputs) {
  const HeadConfig& heads = inputs.heads;
  const Index rows = heads.rows();
  DecodeInputs wide = inputs;
  wide.heads.query_heads = wide.heads.kv_heads = heads.rows();
  wide.heads.branches = 1;
  const auto copied = [&](const Tensor<double>& part) {
    if (part.count() == 0 && part.shape().size() != 3) return part;
    Tensor<double> copies{part.size(0), rows, part.size(2)};
    for (Index s = 0; s < part.size(0); ++s) {
      for (Index row = 0; row < rows; ++row) {
        for (Index i = 0; i < part.size(2); ++i) copies(s, row, i) = part(s, row * heads.kv_heads / rows, i);
      }
    }
    return copies;
  };
  for (SequenceCache& cache : wide.sequences) {
    cache.keys = copied(cache.keys);
    if (heads.family == Family::grouped) cache.values = copied(cache.values);
  }
  if (heads.family == Family::latent) {
    const Tensor<double>& rope = inputs.rope_queries;
    wide.rope_queries = Tensor<double>{rope.size(0), rope.size(1), rows, rope.size(3)};
    for (Index at = 0; at < rope.size(0) * rope.size(1); ++at) {
      for (Index row = 0; row < rows; ++row) {
        const double* source =
            rope.data() + (at * heads.query_heads + row % heads.query_heads) * rope.size(3);
        std::copy_n(source, rope.size(3), wide.rope_queries.data() + (at * rows + row) * rope.size(3));
      }
    }
  }
  return wide;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const DecodeInputs inputs = inputs_of(problem), wide = expanded(inputs);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  const DecodeOutputs truth = attend(inputs), wide_truth = attend(wide);
  judge.same_bits("one head a row: reference output", truth.output, wide_truth.output);
  judge.same_bits("one head a row: reference log-sum-exp", truth.lse, wide_truth.lse);
  if (context.kernel == nullptr) return judge.take();
  same_run(judge, "one head a row", context.kernel->decode(inputs, layout_of(problem)),
           context.kernel->decode(wide, layout_of(problem)));
  return judge.take();
}

// Variants whose rows share cached heads; the factored ones are written out per row already.
bool shares_heads(const VariantInfo& variant) {
  return variant.family != Family::factored && variant.variant != Variant::mha;
}

}  // namespace

Law gqa_expansion() {
  return {.name = "gqa-expansion",
          .sentence = "rows that share a cached head give the same bits as rows with a copy each",
          .formula = "attend(q_r, K_{g(r)}) = attend(q_r, copy_r of K_{g(r)}), bit for bit",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = shares_heads,
          .narrow = decode_level,
          .check = check};
}

}  // namespace attest::law_rows
