// Inputs whose result is known in closed form: q = 0 gives the mean of V and ln n; one key far above all
// others gives its value; constant V gives that value; dyadic scores and small integers give exact powers of
// two.
#include <cmath>
#include <numbers>

#include "properties/decode_setting.h"
#include "properties/laws/table.h"

namespace attest::law_rows {
namespace {

void fill(Tensor<double>& tensor, double value) { std::fill_n(tensor.data(), tensor.count(), value); }

// Scores come from element 0 of the part that is not a value: the rotated part, or the keys of the grouped
// family.
void lift_key(DecodeInputs& inputs, Index sequence, Index key) {
  // 2^n * 2^n * scale >= 40, so that all other keys together weigh less than 2^-50.
  const double height = std::exp2(std::ceil(0.5 * std::log2(40 / inputs.scale)));
  const bool latent = inputs.heads.family == Family::latent;
  Tensor<double>& queries = latent ? inputs.rope_queries : inputs.queries;
  const Index query_width = queries.shape().back();
  for (Index i = 0; i < queries.count(); i += query_width) queries.data()[i] = height;
  SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(sequence)];
  Tensor<double>& keys = latent ? cache.rope_keys : cache.keys;
  fill(keys, 0);
  const Index token_width = keys.count() / keys.size(0);
  const Index head_width = keys.shape().back();
  for (Index i = 0; i < token_width; i += head_width) keys.data()[key * token_width + i] = height;
}

// Mean of the values that each row sees, and the logarithm of their number, straight from the definition.
DecodeOutputs uniform_truth(const DecodeInputs& inputs) {
  const HeadConfig& heads = inputs.heads;
  const Index batch = std::ssize(inputs.sequences), rows = heads.rows(), width = heads.value_dim;
  DecodeOutputs truth{.output = Tensor<double>{batch, inputs.query_tokens, rows, width},
                      .lse = Tensor<double>{batch, inputs.query_tokens, rows},
                      .absolute = Tensor<double>{batch, inputs.query_tokens, rows, width},
                      .max_score = {}};
  for (Index b = 0; b < batch; ++b) {
    const SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Tensor<double>& values = heads.family == Family::latent ? cache.keys : cache.values;
    const Index cached = cache.keys.size(0);
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      for (Index row = 0; row < rows; ++row) {
        const Index head = row / (rows / heads.kv_heads);
        double seen = 0;
        for (Index s = 0; s < cached; ++s) {
          if (!query_sees(inputs.mask, cached, inputs.query_tokens, cache.left_padding, t, s)) continue;
          ++seen;
          for (Index i = 0; i < width; ++i) {
            truth.output(b, t, row, i) += values(s, head, i);
            truth.absolute(b, t, row, i) += std::abs(values(s, head, i));
          }
        }
        truth.lse(b, t, row) = std::log(seen);
        for (Index i = 0; i < width && seen > 0; ++i) {
          truth.output(b, t, row, i) /= seen;
          truth.absolute(b, t, row, i) /= seen;
        }
      }
    }
  }
  return truth;
}

// Expected outputs when one key of each sequence outweighs all others: its value for rows that see it.
DecodeOutputs lifted_truth(const DecodeInputs& inputs, const std::vector<Index>& lifted) {
  DecodeOutputs truth = uniform_truth(inputs);
  const HeadConfig& heads = inputs.heads;
  for (Index b = 0; b < std::ssize(inputs.sequences); ++b) {
    const SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
    const Index key = lifted[static_cast<std::size_t>(b)];
    if (key < 0) continue;
    const Tensor<double>& values = heads.family == Family::latent ? cache.keys : cache.values;
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      if (!query_sees(inputs.mask, cache.keys.size(0), inputs.query_tokens, cache.left_padding, t, key))
        continue;
      for (Index row = 0; row < heads.rows(); ++row) {
        const Index head = row / (heads.rows() / heads.kv_heads);
        for (Index i = 0; i < heads.value_dim; ++i) {
          truth.output(b, t, row, i) = values(key, head, i);
          truth.absolute(b, t, row, i) = std::abs(values(key, head, i));
        }
        const Tensor<double>& queries = heads.family == Family::latent ? inputs.rope_queries : inputs.queries;
        truth.lse(b, t, row) = inputs.scale * queries.data()[0] * queries.data()[0];
      }
    }
  }
  return truth;
}

// 1e-6 of the absolute magnitude; a merge of splits adds the rounding of their log-sum-exp. lse: natural.
double relative_tolerance(const DecodeOutputs& truth, Index longest, Index splits) {
  if (splits <= 1) return 1e-6;
  double score = 0;
  for (double lse : truth.lse.elements()) {
    if (std::isfinite(lse)) score = std::max(score, std::abs(lse));
  }
  const double bits =
      score * std::numbers::log2e + std::log2(std::max<double>(2, static_cast<double>(longest)));
  return 1e-6 + 2 * std::numbers::ln2 * 7 * 0x1p-24 * bits;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const bool drawn = problem.data == DataFamily::dyadic || problem.data == DataFamily::constant_values;
  Problem filled = problem;
  if (!drawn) filled.data = DataFamily::normal;  // the values; queries and keys are set below
  DecodeInputs inputs = inputs_of(filled);
  Judge judge;
  judge.set_head_config(inputs.heads.name());
  DecodeOutputs truth;
  std::string probe;
  Index longest = 1;
  for (Index cached : problem.cached_tokens) longest = std::max(longest, cached);
  if (drawn) {
    probe = problem.data == DataFamily::dyadic ? "dyadic scores" : "constant values";
    truth = attend(inputs);
    for (Index b = 0; problem.data == DataFamily::constant_values && b < problem.batch(); ++b) {
      // Whatever the weights, a mean of equal values is that value.
      const SequenceCache& cache = inputs.sequences[static_cast<std::size_t>(b)];
      const Tensor<double>& values = inputs.heads.family == Family::latent ? cache.keys : cache.values;
      const Index per_batch = truth.output.count() / problem.batch();
      for (Index i = 0; i < per_batch; ++i) {
        const Index row = i / inputs.heads.value_dim;
        if (std::isinf(truth.lse.data()[b * per_batch / inputs.heads.value_dim + row])) continue;
        const Index head = row % inputs.heads.rows() / (inputs.heads.rows() / inputs.heads.kv_heads);
        truth.output.data()[b * per_batch + i] = values(0, head, i % inputs.heads.value_dim);
      }
    }
  } else {
    fill(inputs.queries, 0);
    fill(inputs.rope_queries, 0);
    std::vector<Index> lifted(static_cast<std::size_t>(problem.batch()), -1);
    probe = "zero queries";
    if (problem.data != DataFamily::normal && problem.mask.softcap == 0) {
      probe = "one key above all others";
      for (Index b = 0; b < problem.batch(); ++b) {
        const Index cached = problem.cached_tokens[static_cast<std::size_t>(b)];
        if (cached == 0) continue;
        lifted[static_cast<std::size_t>(b)] = static_cast<Index>(
            (problem.seed + static_cast<std::uint64_t>(b)) % static_cast<std::uint64_t>(cached));
        lift_key(inputs, b, lifted[static_cast<std::size_t>(b)]);
      }
    }
    truth = lifted_truth(inputs, lifted);
  }
  same_truth(judge, probe, attend(inputs), truth);
  if (context.kernel == nullptr) return judge.take();

  const KernelRun run = context.kernel->decode(inputs, layout_of(problem));
  const double relative = relative_tolerance(truth, longest, run.plan.splits);
  Tensor<double> output_bounds = truth.absolute, lse_bounds(truth.lse.shape());
  for (double& bound : output_bounds.elements()) bound = relative * bound + 0x1p-140;
  for (Index i = 0; i < lse_bounds.count(); ++i) {
    const double lse = truth.lse.data()[i];
    lse_bounds.data()[i] = std::isinf(lse) ? 0 : relative * std::max(1.0, std::abs(lse));
  }
  judge.within(probe + ": output", run.output, truth.output, output_bounds, "1e-6 of the absolute magnitude");
  judge.within(probe + ": log-sum-exp", run.lse, truth.lse, lse_bounds, "1e-6 of its magnitude");
  return judge.take();
}

}  // namespace

Law exact_probes() {
  return {.name = "exact-probes",
          .sentence =
              "where the result is known in closed form, reference and kernel give it almost to the last bit",
          .formula = "q = 0: mean(V), ln n; s_j >> s_k: v_j; V = c: c; s in ln2 Z: exact powers of two",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = false,
          .applies = every_variant,
          .narrow = decode_level,
          .check = check};
}

}  // namespace attest::law_rows
