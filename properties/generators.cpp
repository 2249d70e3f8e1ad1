// Draws are made from RapidCheck's splittable generator directly: one case is one value, and our own
// shrinking follows.
#include "properties/generators.h"

#include <rapidcheck/Random.h>
#include <rapidcheck/seq/Create.h>
#include <rapidcheck/seq/Transform.h>
#include <rapidcheck/shrinkable/Create.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "properties/layouts.h"
#include "properties/shrink.h"

namespace attest {
namespace {

// Numbers in order from one RapidCheck generator.
class Draw {
 public:
  explicit Draw(rc::Random random) : random_(random) {}
  // Uniform in [least, most]; the modulus' bias is far below what a test could notice.
  Index between(Index least, Index most) {
    if (most <= least) return least;
    return least + static_cast<Index>(random_.next() % static_cast<std::uint64_t>(most - least + 1));
  }
  bool chance(int percent) { return between(0, 99) < percent; }
  template <class T, std::size_t kCount>
  const T& one_of(const std::array<T, kCount>& choices) {
    return choices[static_cast<std::size_t>(between(0, kCount - 1))];
  }
  template <class T>
  const T& one_of(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(between(0, std::ssize(choices) - 1))];
  }

 private:
  rc::Random random_;
};

// 0, 1, a boundary of page, tile, split count or query tokens +-1, or anything up to `most`.
Index draw_length(Draw& draw, const Problem& problem, Index most) {
  const Index least = problem.query_tokens;
  Index length = 0;
  switch (draw.between(0, 9)) {
    case 0:
      return 0;
    case 1:
      length = 1;
      break;
    case 2:
      length = least + draw.between(0, 1);
      break;
    case 3:
    case 4:
    case 5:
    case 6: {
      const std::array<Index, 5> units = {std::max<Index>(problem.page_tokens, 1), 16, 32, 64,
                                          problem.splits};
      const Index unit = draw.one_of(units);
      length = unit * draw.between(1, std::max<Index>(1, most / unit)) + draw.between(-1, 1);
      break;
    }
    default:
      length = draw.between(1, most);
  }
  return std::clamp(length, least, std::max(most, least));
}

Index draw_padding(Draw& draw, const Problem& problem, Index length) {
  switch (draw.between(0, 7)) {
    case 0:
      return draw.between(0, length);
    case 1:
      return std::max<Index>(0, length - draw.between(0, problem.query_tokens));
    case 2:
      return std::min<Index>(length, std::max<Index>(0, problem.page_tokens + draw.between(-1, 1)));
    case 3:
      return std::min<Index>(length, draw.between(1, 5));
    case 4:
      return std::min<Index>(length, 32 + draw.between(-1, 1));
    default:
      return 0;
  }
}

MaskSpec draw_mask(Draw& draw, Index longest) {
  MaskSpec mask;
  if (draw.chance(25)) mask.causal = false;
  if (draw.chance(25)) {
    mask.window = draw.between(1, longest + 1);
    if (draw.chance(60)) mask.sink_tokens = draw.between(1, 5);
  }
  if (draw.chance(15)) mask.softcap = draw.one_of(std::array<double, 3>{2.0, 30.0, 50.0});
  return mask;
}

RopeSpec draw_rope(Draw& draw, int rope_dim) {
  RopeSpec rope;
  if (draw.chance(30)) rope.pairing = RopePairing::interleaved;
  if (draw.chance(20)) rope.base = 500000.0;
  switch (draw.between(0, 9)) {
    case 0:
      rope.scaling = RopeScaling::linear;
      rope.factor = 4;
      break;
    case 1:
      rope.scaling = RopeScaling::yarn;
      rope.factor = 40;
      rope.original_tokens = 4096;
      break;
    case 2:
      rope.scaling = RopeScaling::llama3;
      rope.factor = 8;
      rope.original_tokens = 8192;
      break;
    case 3:
      rope.scaling = RopeScaling::proportional;
      rope.rotated_fraction = 0.5;
      break;
    case 4:
      rope.table = Format::f32;
      break;
    case 5:
      rope.table = Format::bf16;
      break;
    default:
      break;
  }
  return rope.problems(rope_dim).empty() ? rope : RopeSpec{};
}

Problem draw_problem(Draw draw, const std::vector<AttentionConfig>& choices, const GeneratorLimits& limits,
                     int size) {
  const auto scaled = [size](Index most) {
    return std::max<Index>(1, most * std::clamp(size, 0, 100) / 100);
  };
  Problem problem;
  problem.attention = draw.one_of(choices);
  problem.attention.rope = draw_rope(draw, problem.attention.rope_dim);
  problem.storage = draw.one_of(std::array{Format::bf16, Format::bf16, Format::f16, Format::f32});
  problem.query_tokens = draw.chance(70) ? 1 : draw.between(1, limits.max_query_tokens);
  problem.page_tokens = draw.one_of(std::array<Index, 9>{0, 0, 1, 3, 4, 8, 16, 16, 32});
  problem.splits =
      static_cast<int>(draw.chance(45) ? 1 : draw.one_of(std::array<Index, 6>{2, 2, 3, 4, 5, 9}));
  const Index batch = draw.between(1, std::min<Index>(limits.max_batch, 1 + size / 20));
  problem.cached_tokens.clear();
  problem.left_padding.clear();
  Index live = 0;
  for (Index b = 0; b < batch; ++b) {
    const Index length = draw_length(draw, problem, scaled(limits.max_tokens));
    problem.cached_tokens.push_back(length);
    problem.left_padding.push_back(draw_padding(draw, problem, length));
    live += length - problem.left_padding.back();
  }
  // A batch that sees nothing at all is drawn, but seldom: it shows one thing only.
  if (live == 0 && draw.chance(75)) {
    problem.cached_tokens[0] =
        draw.between(problem.query_tokens, std::max(problem.query_tokens, scaled(limits.max_tokens)));
    problem.left_padding[0] = 0;
  }
  if (draw.chance(10)) problem.splits = static_cast<int>(problem.cached_tokens[0]) + 2;
  problem.ranks = static_cast<int>(draw.one_of(std::array<Index, 5>{1, 2, 2, 4, 8}));
  problem.mask =
      draw_mask(draw, *std::max_element(problem.cached_tokens.begin(), problem.cached_tokens.end()));
  problem.data = draw.one_of(std::array{DataFamily::normal, DataFamily::normal, DataFamily::peaked,
                                        DataFamily::rising, DataFamily::falling, DataFamily::constant_values,
                                        DataFamily::one_hot, DataFamily::dyadic, DataFamily::large_offset});
  problem.seed = static_cast<std::uint64_t>(draw.between(0, 999'999));
  return problem;
}

}  // namespace

rc::Gen<Problem> problems_of(std::string_view variant_name, const GeneratorLimits& limits) {
  return [choices = layouts(variant_name), limits](const rc::Random& random, int size) {
    return rc::shrinkable::shrinkRecur(
        draw_problem(Draw(random), choices, limits, size),
        [](const Problem& problem) { return rc::seq::fromContainer(smaller(problem)); });
  };
}

std::vector<std::string> classes(const Problem& problem) {
  std::vector<std::string> found;
  const auto note = [&](bool holds, std::string name) {
    if (holds) found.push_back(std::move(name));
  };
  const auto any = [&](auto holds) {
    for (std::size_t b = 0; b < problem.cached_tokens.size(); ++b) {
      if (holds(problem.cached_tokens[b], problem.left_padding[b])) return true;
    }
    return false;
  };
  const auto near = [](Index length, Index unit, Index offset) {
    return length > 0 && (length - offset) % unit == 0 && length - offset > 0;
  };
  note(any([](Index cached, Index) { return cached == 0; }), "empty sequence");
  note(any([](Index cached, Index) { return cached == 1; }), "one token");
  note(any([](Index cached, Index padding) { return cached > 0 && padding == cached; }), "all padding");
  note(any([](Index cached, Index padding) { return padding > 0 && padding < cached; }), "some padding");
  for (Index offset : {-1, 0, 1}) {
    const std::string suffix = offset < 0 ? " - 1" : offset > 0 ? " + 1" : "";
    const Index page = problem.page_tokens;
    note(page > 1 && any([&](Index cached, Index) { return near(cached, page, offset); }),
         "page boundary" + suffix);
    note(any([&](Index cached, Index) { return near(cached, 32, offset); }), "tile boundary" + suffix);
  }
  note(any([&](Index cached, Index padding) { return (cached - padding) / problem.splits > 32; }),
       "several tiles in a split");
  note(problem.splits > 1, "several splits");
  note(any([&](Index cached, Index) { return cached > 0 && problem.splits > cached; }),
       "more splits than tokens");
  note(problem.query_tokens > 1, "several query tokens");
  note(problem.batch() > 1, "batch");
  note(problem.batch() > 1 && any([&](Index cached, Index) { return cached != problem.cached_tokens[0]; }),
       "ragged");
  note(problem.page_tokens == 0, "one page");
  note(!problem.mask.causal, "not causal");
  note(problem.mask.window > 0, "window");
  note(problem.mask.sink_tokens > 0, "sinks");
  note(problem.mask.softcap > 0, "softcap");
  note(problem.attention.query_heads == 1, "one head");
  found.push_back("format " + std::string(name(problem.storage)));
  found.push_back("data " + std::string(name(problem.data)));
  found.push_back("rotary table " + std::string(name(problem.attention.rope.table)));
  return found;
}

}  // namespace attest
