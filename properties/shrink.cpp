// Steps towards the simplest problem, in the order in which a reader would try them by hand.
#include "properties/shrink.h"

#include <algorithm>
#include <cmath>

#include "properties/layouts.h"

namespace attest {
namespace {

// Ranks of what has no natural size; 0 is the simplest.
int rank_of(DataFamily family) {
  switch (family) {
    case DataFamily::constant_values:
      return 0;
    case DataFamily::one_hot:
      return 1;
    case DataFamily::dyadic:
      return 2;
    case DataFamily::normal:
      return 3;
    default:
      return 4;
  }
}
int rank_of(Format format) { return format == Format::f32 ? 0 : 1; }
int rank_of(const MaskSpec& mask) {
  return (mask.causal ? 0 : 1) + (mask.window > 0 ? 1 : 0) + (mask.sink_tokens > 0 ? 1 : 0) +
         (mask.softcap > 0 ? 1 : 0);
}

// Collects the steps that are valid and simpler.
class Steps {
 public:
  explicit Steps(const Problem& from) : from_(from), complexity_(complexity(from)) {}

  template <class Change>
  void attempt(Change change) {
    Problem next = from_;
    change(next);
    for (std::size_t b = 0; b < next.cached_tokens.size(); ++b) {
      next.left_padding[b] = std::min(next.left_padding[b], next.cached_tokens[b]);
    }
    if (next == from_ || complexity(next) >= complexity_ || !next.problems().empty()) return;
    if (std::find(steps_.begin(), steps_.end(), next) == steps_.end()) steps_.push_back(std::move(next));
  }
  std::vector<Problem> take() { return std::move(steps_); }

 private:
  const Problem& from_;
  double complexity_;
  std::vector<Problem> steps_;
};

void keep_sequences(Problem& problem, std::size_t first, std::size_t count) {
  const auto keep = [&](std::vector<Index>& values) {
    values = std::vector<Index>(values.begin() + static_cast<std::ptrdiff_t>(first),
                                values.begin() + static_cast<std::ptrdiff_t>(first + count));
  };
  keep(problem.cached_tokens);
  keep(problem.left_padding);
}

void structure(const Problem& from, Steps& steps) {
  const std::size_t batch = from.cached_tokens.size();
  if (batch > 1) {
    for (std::size_t b = 0; b < batch; ++b) {
      steps.attempt([&](Problem& p) { keep_sequences(p, b, 1); });
    }
    steps.attempt([&](Problem& p) { keep_sequences(p, 0, batch - 1); });
    steps.attempt([&](Problem& p) { keep_sequences(p, 1, batch - 1); });
  }
  for (int ranks : {1, 2, 4}) {
    if (ranks < from.ranks) steps.attempt([&](Problem& p) { p.ranks = ranks; });
  }
  for (int splits : {1, 2, from.splits / 2, from.splits - 1}) {
    if (splits >= 1 && splits < from.splits) steps.attempt([&](Problem& p) { p.splits = splits; });
  }
  for (Index query : {Index{1}, from.query_tokens - 1}) {
    if (query >= 1 && query < from.query_tokens) steps.attempt([&](Problem& p) { p.query_tokens = query; });
  }
  steps.attempt([](Problem& p) { p.page_tokens = 0; });
  steps.attempt([](Problem& p) { p.mask = {}; });
  steps.attempt([](Problem& p) { p.mask.causal = true; });
  steps.attempt([](Problem& p) { p.mask.sink_tokens = 0; });
  steps.attempt([](Problem& p) { p.mask.window = p.mask.sink_tokens = 0; });
  steps.attempt([](Problem& p) { p.mask.softcap = 0; });
  steps.attempt([](Problem& p) { p.storage = Format::f32; });
  steps.attempt([](Problem& p) { p.attention.rope = {}; });
  for (const AttentionConfig& layout : layouts(from.attention.variant_name())) {
    steps.attempt([&](Problem& p) {
      const RopeSpec rope = p.attention.rope;
      p.attention = layout;
      p.attention.rope = rope;
    });
  }
}

void lengths(const Problem& from, Steps& steps) {
  steps.attempt([](Problem& p) { std::fill(p.left_padding.begin(), p.left_padding.end(), 0); });
  for (std::size_t b = 0; b < from.cached_tokens.size(); ++b) {
    const Index cached = from.cached_tokens[b], padding = from.left_padding[b];
    const Index below = cached > 1 ? (cached - 1) / 16 * 16 : 0;  // the next tile boundary below
    for (Index fewer : {Index{0}, Index{1}, from.query_tokens, cached / 2, below + 1, below, cached - 1}) {
      if (fewer >= 0 && fewer < cached) steps.attempt([&](Problem& p) { p.cached_tokens[b] = fewer; });
    }
    for (Index fewer : {Index{0}, Index{1}, padding / 2, padding - 1}) {
      if (fewer >= 0 && fewer < padding) steps.attempt([&](Problem& p) { p.left_padding[b] = fewer; });
    }
    // Padding off the front: the tokens that count stay.
    if (padding > 0) {
      steps.attempt([&](Problem& p) {
        p.cached_tokens[b] = cached - padding;
        p.left_padding[b] = 0;
      });
    }
  }
  for (Index window : {Index{1}, from.mask.window / 2, from.mask.window - 1}) {
    if (window >= 1 && window < from.mask.window) steps.attempt([&](Problem& p) { p.mask.window = window; });
  }
  for (Index sinks : {Index{1}, from.mask.sink_tokens - 1}) {
    if (sinks >= 1 && sinks < from.mask.sink_tokens)
      steps.attempt([&](Problem& p) { p.mask.sink_tokens = sinks; });
  }
  for (Index page : {Index{16}, Index{4}, Index{1}, from.page_tokens / 2}) {
    if (page >= 1 && page < from.page_tokens) steps.attempt([&](Problem& p) { p.page_tokens = page; });
  }
}

void data(const Problem& from, Steps& steps) {
  for (DataFamily family :
       {DataFamily::constant_values, DataFamily::one_hot, DataFamily::dyadic, DataFamily::normal}) {
    if (rank_of(family) < rank_of(from.data)) steps.attempt([&](Problem& p) { p.data = family; });
  }
  for (std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, from.seed % 10, from.seed / 10}) {
    if (seed < from.seed) steps.attempt([&](Problem& p) { p.seed = seed; });
  }
}

}  // namespace

double complexity(const Problem& problem) {
  double sum = 0;
  for (Index tokens : problem.cached_tokens) sum += 100 + 3 * static_cast<double>(tokens);
  for (Index tokens : problem.left_padding) sum += static_cast<double>(tokens);
  sum += 100 * (problem.ranks + problem.splits) + 100 * static_cast<double>(problem.query_tokens);
  sum += 50.0 * rank_of(problem.mask) + 50.0 * rank_of(problem.storage) + 5.0 * rank_of(problem.data);
  sum += static_cast<double>(problem.mask.window + problem.mask.sink_tokens) * 0.5;
  sum += problem.page_tokens > 0 ? 50 + 0.01 * static_cast<double>(problem.page_tokens) : 0;
  sum += problem.attention.rope == RopeSpec{} ? 0 : 50;
  sum += layout_size(problem.attention);
  return sum + 1e-3 * std::log2(1.0 + static_cast<double>(problem.seed));
}

std::vector<Problem> smaller(const Problem& problem) {
  Steps steps(problem);
  structure(problem, steps);
  lengths(problem, steps);
  data(problem, steps);
  return steps.take();
}

}  // namespace attest
