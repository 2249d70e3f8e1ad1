// The two references agree on every mask, family and shape, so a mistake in one of them shows.
#include "reference/naive/naive_attend.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "reference/attend.h"
#include "reference/random.h"
#include "reference/random_inputs.h"
#include "tests/reference/refusal.h"

namespace attest {
namespace {

MaskSpec any_mask() {
  return {.causal = *rc::gen::arbitrary<bool>(),
          .window = *rc::gen::elementOf(std::vector<std::int64_t>{0, 0, 1, 2, 5, 100}),
          .sink_tokens = *rc::gen::elementOf(std::vector<std::int64_t>{0, 0, 1, 3}),
          .softcap = *rc::gen::elementOf(std::vector<double>{0, 0, 0.5, 30})};
}

HeadConfig any_heads() {
  HeadConfig heads;
  heads.storage = *rc::gen::element(Format::bf16, Format::f16, Format::f32, Format::f64);
  heads.key_dim = *rc::gen::inRange(1, 20);
  if (*rc::gen::arbitrary<bool>()) {
    heads.kv_heads = *rc::gen::inRange(1, 4);
    heads.query_heads = heads.kv_heads * *rc::gen::inRange(1, 4);
    heads.value_dim = *rc::gen::inRange(1, 20);
    return heads;
  }
  // branches branches of `groups` latents each, every latent read by `members` heads.
  const int groups = *rc::gen::inRange(1, 4), members = *rc::gen::inRange(1, 4);
  heads.family = Family::latent;
  heads.branches = *rc::gen::inRange(1, 4);
  heads.kv_heads = groups * heads.branches;
  heads.query_heads = groups * members;
  heads.rope_dim = *rc::gen::inRange(1, 9);
  heads.value_dim = heads.key_dim;
  return heads;
}

Problem any_call() {
  Problem problem;
  problem.mask = any_mask();
  problem.query_tokens = *rc::gen::inRange<Index>(1, 4);
  problem.cached_tokens.clear();
  problem.left_padding.clear();
  for (int left = *rc::gen::inRange(1, 4); left > 0; --left) {
    const Index cached = *rc::gen::inRange<Index>(0, 25);
    problem.cached_tokens.push_back(cached < problem.query_tokens ? 0 : cached);
    problem.left_padding.push_back(*rc::gen::inRange<Index>(0, problem.cached_tokens.back() + 1));
  }
  problem.data = static_cast<DataFamily>(*rc::gen::inRange(0, 8));
  problem.seed = *rc::gen::arbitrary<std::uint64_t>();
  return problem;
}

// Largest difference over 1e-13 of the absolute magnitude. A score of size s carries an absolute error that
// grows with it, so large scores widen the tolerance in proportion.
// `magnitudes` are those of the results, where sum_j p_j |v_j| is not: a value that is itself a sum carries
// the error of its terms.
double disagreement(const DecodeOutputs& first, const DecodeOutputs& second,
                    const Tensor<double>& magnitudes) {
  if (first.output.shape() != second.output.shape() || first.lse.shape() != second.lse.shape()) return 1e300;
  double worst = 0;
  const auto note = [&](double a, double b, double magnitude) {
    if (std::isinf(b) ? a != b : !(std::fabs(a - b) <= 1e-13 * magnitude)) worst = std::max(worst, 1e300);
    if (magnitude > 0 && !std::isinf(b)) worst = std::max(worst, std::fabs(a - b) / (1e-13 * magnitude));
  };
  const Index width = first.output.size(3);
  for (Index row = 0; row < first.lse.count(); ++row) {
    const double score = second.max_score.data()[row];
    const double growth = std::isinf(score) ? 1 : std::max(1.0, std::fabs(score) / 8);
    note(first.lse.data()[row], second.lse.data()[row],
         growth * std::max(1.0, std::fabs(second.lse.data()[row])));
    note(first.max_score.data()[row], score, growth);
    for (Index i = row * width; i < (row + 1) * width; ++i) {
      const double magnitude = growth * magnitudes.data()[i];
      note(first.output.data()[i], second.output.data()[i], magnitude);
      note(first.absolute.data()[i], second.absolute.data()[i], magnitude);
    }
  }
  return worst;
}

// attend(x) = naive::attend(x) to 1e-13 of sum_j p_j |v_j|
RC_GTEST_PROP(NaiveAttend, AgreesWithTheFirstReference, ()) {
  const HeadConfig heads = any_heads();
  const Problem problem = any_call();
  RC_LOG() << heads.name() << " " << problem.repro() << "\n";
  const DecodeInputs inputs = random_decode_inputs(heads, problem);
  const Index empty = std::count(problem.cached_tokens.begin(), problem.cached_tokens.end(), 0);
  RC_CLASSIFY(empty > 0, "an empty sequence");
  RC_CLASSIFY(heads.family == Family::latent, "latent");
  RC_CLASSIFY(problem.mask.window > 0, "window");
  RC_CLASSIFY(problem.mask.softcap > 0, "soft-cap");
  const DecodeOutputs second = naive::attend(inputs);
  RC_ASSERT(disagreement(attend(inputs), second, second.absolute) <= 1.0);
}

Tensor<double> normal_tensor(std::vector<Index> shape, std::uint64_t seed, std::uint64_t stream) {
  Tensor<double> tensor(std::move(shape));
  for (Index i = 0; i < tensor.count(); ++i) {
    tensor.data()[i] = random_normal(seed, stream, static_cast<std::uint64_t>(i));
  }
  return tensor;
}

// The same in factor space: TPA's form (bases of the token, no shared part) and LRKV's (shared part, factors
// of the head, bases of the head applied afterwards).
RC_GTEST_PROP(NaiveAttend, AgreesWithTheFirstReferenceInFactorSpace, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const Problem problem = any_call();
  const bool tpa = *rc::gen::arbitrary<bool>();
  const Index heads = *rc::gen::inRange<Index>(1, 4), key_dim = *rc::gen::inRange<Index>(1, 9);
  const Index value_dim = *rc::gen::inRange<Index>(1, 9),
              basis_dim = tpa ? key_dim : *rc::gen::inRange<Index>(1, 9);
  const Index key_rank = *rc::gen::inRange<Index>(1, 4), value_rank = *rc::gen::inRange<Index>(1, 4);
  const Index batch = problem.batch(), queries = problem.query_tokens;
  FactoredInputs inputs;
  inputs.scale = 0.3;
  inputs.mask = problem.mask;
  inputs.query_tokens = queries;
  inputs.queries = normal_tensor({batch, queries, heads, key_dim}, seed, 1);
  if (!tpa) inputs.factor_queries = normal_tensor({batch, queries, heads, key_rank, basis_dim}, seed, 2);
  for (Index b = 0; b < batch; ++b) {
    const Index tokens = problem.cached_tokens[static_cast<std::size_t>(b)];
    const auto stream = static_cast<std::uint64_t>(10 * (b + 1));
    FactoredCache cache;
    cache.left_padding = problem.left_padding[static_cast<std::size_t>(b)];
    cache.key_factors = normal_tensor({tokens, heads, key_rank}, seed, stream);
    cache.key_basis = normal_tensor({tokens, tpa ? key_rank : 1, basis_dim}, seed, stream + 1);
    cache.value_factors = normal_tensor({tokens, heads, value_rank}, seed, stream + 2);
    if (tpa) {
      cache.value_basis = normal_tensor({tokens, value_rank, value_dim}, seed, stream + 3);
    } else {
      cache.shared_keys = normal_tensor({tokens, key_dim}, seed, stream + 4);
      cache.shared_values = normal_tensor({tokens, value_dim}, seed, stream + 5);
      cache.key_scales = normal_tensor({tokens, heads}, seed, stream + 6);
    }
    inputs.sequences.push_back(std::move(cache));
  }
  // Values are sums over ranks that may cancel: sum_j p_j sum_u |factor| |basis| is what their rounding is
  // relative to.
  FactoredInputs without_signs = inputs;
  for (FactoredCache& cache : without_signs.sequences) {
    for (Tensor<double>* part : {&cache.value_factors, &cache.value_basis, &cache.shared_values}) {
      for (double& element : part->elements()) element = std::fabs(element);
    }
  }
  RC_ASSERT(disagreement(attend(inputs), naive::attend(inputs), naive::attend(without_signs).output) <= 1.0);
}

TEST(NaiveAttend, AFactoredHeadConfigurationAndHugeScoresAreRefused) {
  DecodeInputs inputs;
  inputs.heads.family = Family::factored;
  EXPECT_EQ(refusal([&] { naive::attend(inputs); }), "naive attend: a factored call");
  Problem problem;
  problem.cached_tokens = {1};
  inputs = random_decode_inputs({.key_dim = 1, .value_dim = 1, .storage = Format::f32}, problem);
  inputs.queries(0, 0, 0, 0) = 12000;
  inputs.sequences[0].keys(0, 0, 0) = 1;
  inputs.scale = 1;
  EXPECT_EQ(refusal([&] { naive::attend(inputs); }), "naive attend: a score of 11000 or more");
}

}  // namespace
}  // namespace attest
