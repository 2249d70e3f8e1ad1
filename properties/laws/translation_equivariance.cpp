// s(m + p, n + p) = s(m, n): padding a sequence on the left shifts every position by p and changes no score
// and no output. Padding tokens are NaN in hidden states and cache, so anything that reads them shows.
#include <algorithm>

#include "properties/laws/table.h"
#include "properties/layer_setting.h"
#include "properties/rounding.h"
#include "reference/cache.h"

namespace attest::law_rows {
namespace {

// Along the first axis, the entries from `first` on.
Tensor<double> from_token(const Tensor<double>& tensor, Index first) {
  std::vector<Index> shape = tensor.shape();
  const Index width = shape[0] > 0 ? tensor.count() / shape[0] : 0;
  shape[0] -= first;
  Tensor<double> rest(shape);
  std::copy_n(tensor.data() + first * width, rest.count(), rest.data());
  return rest;
}

// scores [T, rows, S] without the first `padding` keys.
Tensor<double> without_keys(const Tensor<double>& scores, Index padding) {
  const Index queries = scores.size(0), rows = scores.size(1), keys = scores.size(2);
  Tensor<double> rest{queries, rows, keys - padding};
  for (Index at = 0; at < queries * rows; ++at) {
    std::copy_n(scores.data() + at * keys + padding, keys - padding, rest.data() + at * (keys - padding));
  }
  return rest;
}

// Queries' position-free part [S, heads, nope] of the tokens after the padding.
Tensor<double> position_free(const AttentionConfig& config, const Projected& projected) {
  const Index skip = projected.left_padding;
  Tensor<double> part{projected.tokens() - skip, config.query_heads, config.nope_dim};
  for (Index s = 0; s < part.size(0); ++s) {
    for (Index head = 0; head < config.query_heads; ++head) {
      for (Index i = 0; i < config.nope_dim; ++i) part(s, head, i) = projected.queries(s + skip, head, i);
    }
  }
  return part;
}

// What does not rotate is unchanged: the position-free part of the queries and every cache part but the keys.
// `exact`: to the bit, for equally many tokens; a projection of more tokens may sum in another order.
void judge_position_free(Judge& judge, const std::string& what, const AttentionConfig& config,
                         const Projected& got, const Projected& want, bool exact) {
  const auto unchanged = [&](const std::string& part, const Tensor<double>& a, const Tensor<double>& b) {
    const std::string name = what + ": position-free " + part;
    exact ? judge.same_bits(name, a, b) : judge.identical_to(kIdentity, name, a, b);
  };
  unchanged("queries", position_free(config, got), position_free(config, want));
  if (info(config.variant).equivariance != Equivariance::semi || config.stride != 1) return;
  for (const CachePart& part : cache_parts(config)) {
    if (part.name == "rope_keys") continue;
    unchanged("cache part " + part.name, from_token(got.cache.at(part.name), got.left_padding),
              want.cache.at(part.name));
  }
}

// Scores and results of the same tokens, projected at other positions.
void judge_scores(Judge& judge, const std::string& what, const AttentionConfig& config,
                  const Weights& weights, const Projected& got, const Projected& want, const MaskSpec& mask) {
  const RowResults a = materialised(config, weights, got, mask),
                   b = materialised(config, weights, want, mask);
  const Index skip = got.left_padding;
  judge.identical_to(kIdentity, what + ": reference scores", without_keys(from_token(a.scores, skip), skip),
                     b.scores);
  judge.identical_to(kIdentity, what + ": reference results", from_token(a.output, skip), b.output);
  judge.identical_to(kIdentity, what + ": reference log-sum-exp", from_token(a.lse, skip), b.lse);
}

struct Side {
  DecodeInputs exact;   // as projected
  DecodeInputs stored;  // rounded to the storage format
  RoundingBounds bounds;
};
Side side_of(const LayerCase& layer, const std::vector<Projected>& projected, const Problem& problem,
             Format storage, double rotation) {
  Side side;
  side.exact = call_of(layer.config, layer.weights, projected, problem, Format::f64);
  side.stored =
      storage == Format::f64 ? side.exact : call_of(layer.config, layer.weights, projected, problem, storage);
  side.bounds = rounding_bounds(side.exact, storage, rotation);
  return side;
}

LawOutcome check(const LawContext& context, const Problem& problem) {
  const LayerCase layer = layer_of(problem);
  std::vector<Tokens> bare, elsewhere;
  for (const Tokens& tokens : layer.sequences) {
    bare.push_back(without_padding(tokens, 0));
    elsewhere.push_back(without_padding(tokens, static_cast<Index>(problem.seed % 900) + 1));
  }
  const std::vector<Projected> padded = project_all(layer.config, layer.weights, layer.sequences);
  const std::vector<Projected> plain = project_all(layer.config, layer.weights, bare);
  Judge judge;
  const bool exact_table = layer.config.rope.table == Format::f64;
  for (std::size_t b = 0; b < padded.size(); ++b) {
    const std::string who = "sequence " + std::to_string(b) + " behind " +
                            std::to_string(padded[b].left_padding) + " padding tokens";
    const std::string there =
        "sequence " + std::to_string(b) + " at position " + std::to_string(elsewhere[b].first_position);
    const Projected shifted = project(layer.config, layer.weights, elsewhere[b]);
    judge_position_free(judge, who, layer.config, padded[b], plain[b], false);
    judge_position_free(judge, there, layer.config, shifted, plain[b], true);
    if (!exact_table) continue;
    judge_scores(judge, who, layer.config, layer.weights, padded[b], plain[b], problem.mask);
    judge_scores(judge, there, layer.config, layer.weights, shifted, plain[b], problem.mask);
  }
  if (judge.failed()) return judge.take();

  // A table of short sines and cosines rotates approximately: both runs stay within its bound of the ideal
  // rotation.
  const Index last = *std::max_element(problem.cached_tokens.begin(), problem.cached_tokens.end());
  const double rotation = rotation_error(layer.config.rope, last);
  const auto within = [&](const std::string& what, const Tensor<double>& got, const Tensor<double>& want,
                          const Tensor<double>& bounds) {
    judge.within(what, got, want, bounds, "bounds of both runs: rotation table, storage and kernel rounding");
  };
  if (!exact_table) {
    const Side a = side_of(layer, padded, problem, Format::f64, rotation);
    const Side b = side_of(layer, plain, problem, Format::f64, rotation);
    if (!a.bounds.inconclusive.empty() || !b.bounds.inconclusive.empty()) {
      judge.inconclusive(a.bounds.inconclusive + b.bounds.inconclusive);
      return judge.take();
    }
    const DecodeOutputs got = attend(a.exact), want = attend(b.exact);
    const auto slack = [](const Tensor<double>& bounds, const Tensor<double>& magnitude) {
      Tensor<double> total = bounds;
      for (Index i = 0; i < total.count(); ++i)
        total.data()[i] += kIdentity * std::max(1.0, std::abs(magnitude.data()[i]));
      return total;
    };
    within("padded: reference results", got.output, want.output,
           slack(sum(a.bounds.output, b.bounds.output), want.absolute));
    within("padded: reference log-sum-exp", got.lse, want.lse,
           slack(sum(a.bounds.lse, b.bounds.lse), b.bounds.lse));
  }
  if (context.kernel == nullptr) return judge.take();

  const Side a = side_of(layer, padded, problem, problem.storage, rotation);
  const Side b = side_of(layer, plain, problem, problem.storage, rotation);
  judge.set_head_config(a.stored.heads.name());
  const BoundedRun got = run_bounded(*context.kernel, a.stored, layout_of(problem));
  const BoundedRun want = run_bounded(*context.kernel, b.stored, layout_of(problem));
  for (const std::string& reason :
       {a.bounds.inconclusive, b.bounds.inconclusive, got.bounds.inconclusive, want.bounds.inconclusive}) {
    if (reason.empty()) continue;
    judge.inconclusive(reason);
    return judge.take();
  }
  const auto allowed = [](const Tensor<double>& rounding_a, const Tensor<double>& rounding_b,
                          const Tensor<double>& kernel_a, const Tensor<double>& kernel_b) {
    Tensor<double> total = sum(sum(rounding_a, rounding_b), sum(kernel_a, kernel_b));
    for (double& bound : total.elements()) bound += kIdentity * bound;
    return total;
  };
  within("padded: kernel results", got.run.output, want.run.output,
         allowed(a.bounds.output, b.bounds.output, got.bounds.output, want.bounds.output));
  within("padded: kernel log-sum-exp", got.run.lse, want.run.lse,
         allowed(a.bounds.lse, b.bounds.lse, got.bounds.lse, want.bounds.lse));
  return judge.take();
}

// Every sequence gets some padding: none says nothing.
Problem narrow(Problem problem) {
  problem = layer_level(std::move(problem));
  problem.ranks = 1;
  for (std::size_t b = 0; b < problem.cached_tokens.size(); ++b) {
    if (problem.left_padding[b] > 0) continue;
    problem.left_padding[b] = 1;
    problem.cached_tokens[b] = std::max(problem.cached_tokens[b], problem.query_tokens + 1);
  }
  return problem;
}

bool is_equivariant(const VariantInfo& variant) { return variant.equivariance != Equivariance::none; }

}  // namespace

Law translation_equivariance() {
  return {.name = "translation-equivariance",
          .sentence =
              "left padding shifts all positions and changes no score and no output; what padding holds "
              "never matters",
          .formula =
              "s(m + p, n + p) = s(m, n) and attend(pad_p(x)) = attend(x); semi: the position-free part is "
              "unchanged",
          .subjects = {.reference = true, .kernel = true},
          .layer_level = true,
          .applies = is_equivariant,
          .narrow = narrow,
          .check = check};
}

}  // namespace attest::law_rows
