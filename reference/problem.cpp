// A problem's line: the words of its attention configuration, then its own, each parsed by one table row.
#include "reference/problem.h"

#include <stdexcept>

#include "reference/words.h"

namespace attest {
namespace {

constexpr std::string_view kDataNames[] = {"normal",          "peaked",  "rising", "falling",
                                           "constant-values", "one-hot", "dyadic", "large-offset"};

struct Word {
  std::string_view key;
  std::string (*print)(const Problem&);
  void (*parse)(Problem&, std::string_view what, std::string_view text);
};
template <auto kMember>
constexpr Word word(std::string_view key) {
  return {key, [](const Problem& problem) { return words::print(problem.*kMember); },
          [](Problem& problem, std::string_view what, std::string_view text) {
            words::parse(what, text, problem.*kMember);
          }};
}
constexpr Word kWords[] = {
    {"format", [](const Problem& problem) { return std::string(name(problem.storage)); },
     [](Problem& problem, std::string_view, std::string_view text) { problem.storage = parse_format(text); }},
    word<&Problem::cached_tokens>("cached"),
    word<&Problem::left_padding>("pad"),
    word<&Problem::query_tokens>("query"),
    word<&Problem::page_tokens>("page"),
    word<&Problem::splits>("splits"),
    word<&Problem::ranks>("ranks"),
    {"mask", [](const Problem& problem) { return problem.mask.name(); },
     [](Problem& problem, std::string_view, std::string_view text) { problem.mask = parse_mask_spec(text); }},
    {"data", [](const Problem& problem) { return std::string(name(problem.data)); },
     [](Problem& problem, std::string_view, std::string_view text) {
       problem.data = parse_data_family(text);
     }},
    word<&Problem::seed>("seed"),
};

}  // namespace

std::vector<std::string> Problem::problems() const {
  std::vector<std::string> found = attention.problems();
  const auto say = [&](const std::string& what, const std::string& value, const std::string& expected) {
    found.push_back(what + " " + value + ": expected " + expected);
  };
  if (cached_tokens.empty()) say("cached", "''", "the length of at least one sequence");
  if (left_padding.size() != cached_tokens.size()) {
    say("pad", words::print(left_padding),
        "one number for each of " + std::to_string(cached_tokens.size()) + " sequences");
  }
  if (query_tokens < 1) say("query", words::print(query_tokens), "1 or more");
  for (std::size_t i = 0; i < cached_tokens.size(); ++i) {
    const std::string who = " of sequence " + std::to_string(i);
    const Index cached = cached_tokens[i];
    if (cached < 0) say("cached" + who, words::print(cached), "0 or more tokens");
    if (cached > 0 && cached < query_tokens) {
      say("cached" + who, words::print(cached),
          "0, or at least its query tokens, " + words::print(query_tokens));
    }
    if (i < left_padding.size() && (left_padding[i] < 0 || left_padding[i] > cached)) {
      say("pad" + who, words::print(left_padding[i]), "0 to its cached tokens, " + words::print(cached));
    }
  }
  if (page_tokens < 0) say("page", words::print(page_tokens), "0 (one page a sequence) or more");
  if (splits < 1) say("splits", words::print(splits), "1 or more");
  if (ranks < 1) say("ranks", words::print(ranks), "1 or more");
  for (const std::string& problem : mask.problems()) found.push_back(problem);
  return found;
}

std::string Problem::repro() const {
  std::string text = to_words(attention);
  for (const Word& row : kWords) text += " " + std::string(row.key) + "=" + row.print(*this);
  return text;
}

Problem parse_problem(std::string_view line) {
  Problem problem;
  std::string attention_words;
  std::vector<std::string_view> seen;
  for (std::string_view part : words::split_blanks(line)) {
    const auto [key, value] = words::key_value("problem: word", part);
    const Word* known = nullptr;
    for (const Word& row : kWords) {
      if (row.key == key) known = &row;
    }
    if (known == nullptr) {
      attention_words += std::string(part) + " ";
      continue;
    }
    for (std::string_view other : seen) {
      if (other == key) throw std::invalid_argument("problem: '" + std::string(key) + "' is given twice");
    }
    seen.push_back(key);
    known->parse(problem, "problem: " + std::string(key), value);
    if (key == "cached") {
      bool padded = false;
      for (std::string_view other : seen) padded = padded || other == "pad";
      if (!padded) problem.left_padding.assign(problem.cached_tokens.size(), 0);
    }
  }
  try {
    problem.attention = parse_attention_config(attention_words);
  } catch (const std::invalid_argument& error) {
    std::string own;
    for (const Word& row : kWords) words::append(own, row.key);
    throw std::invalid_argument("problem: " + std::string(error.what()) + " (a problem's own words: " + own +
                                ")");
  }
  return problem;
}

std::string_view name(DataFamily family) { return kDataNames[static_cast<std::size_t>(family)]; }

DataFamily parse_data_family(std::string_view text) {
  std::string known;
  for (std::size_t i = 0; i < std::size(kDataNames); ++i) {
    if (kDataNames[i] == text) return static_cast<DataFamily>(i);
    words::append(known, kDataNames[i]);
  }
  throw std::invalid_argument("data family '" + std::string(text) + "': expected one of " + known);
}

}  // namespace attest
