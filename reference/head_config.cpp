// Names of head configurations are lists of letter-and-number parts, printed and parsed by one table.
#include "reference/head_config.h"

#include <cctype>
#include <stdexcept>

#include "reference/words.h"

namespace attest {
namespace {

constexpr std::string_view kFamilyNames[] = {"grouped", "latent", "factored"};

// One part of a name, "k128": its letters and the width that it stands for.
struct Part {
  std::string_view letters;
  int HeadConfig::*width;
};
constexpr Part kGroupedParts[] = {{"h", &HeadConfig::query_heads},
                                  {"g", &HeadConfig::kv_heads},
                                  {"k", &HeadConfig::key_dim},
                                  {"v", &HeadConfig::value_dim}};
constexpr Part kLatentParts[] = {{"h", &HeadConfig::query_heads},
                                 {"l", &HeadConfig::kv_heads},
                                 {"b", &HeadConfig::branches},
                                 {"c", &HeadConfig::key_dim},
                                 {"r", &HeadConfig::rope_dim}};
constexpr Part kFactoredParts[] = {{"h", &HeadConfig::query_heads}, {"g", &HeadConfig::kv_heads},
                                   {"k", &HeadConfig::key_dim},     {"v", &HeadConfig::value_dim},
                                   {"kr", &HeadConfig::key_rank},   {"vr", &HeadConfig::value_rank}};

std::vector<Part> parts_of(Family family) {
  if (family == Family::grouped) return {std::begin(kGroupedParts), std::end(kGroupedParts)};
  if (family == Family::latent) return {std::begin(kLatentParts), std::end(kLatentParts)};
  return {std::begin(kFactoredParts), std::end(kFactoredParts)};
}

std::string number(std::string_view what, std::int64_t value) {
  return std::string(what) + " " + std::to_string(value);
}

}  // namespace

std::string_view name(Family family) { return kFamilyNames[static_cast<std::size_t>(family)]; }

std::vector<std::string> HeadConfig::problems() const {
  std::vector<std::string> found;
  const auto at_least = [&](std::string_view what, int value, int least) {
    if (value < least)
      found.push_back(number(what, value) + ": expected " + std::to_string(least) + " or more");
  };
  const auto unused = [&](std::string_view what, int value, int expected) {
    if (value != expected) {
      found.push_back(number(what, value) + ": the " + std::string(attest::name(family)) + " family has " +
                      std::to_string(expected));
    }
  };
  at_least("query_heads", query_heads, 1);
  at_least("kv_heads", kv_heads, 1);
  at_least("branches", branches, 1);
  at_least("key_dim", key_dim, 1);
  at_least("value_dim", value_dim, 1);
  if (std::int64_t{query_heads} * branches > (1 << 20)) {
    found.push_back(number("query_heads", query_heads) + " times " + number("branches", branches) +
                    ": more than 2^20 rows a token");
  } else if (found.empty() && rows() % kv_heads != 0) {
    found.push_back(number(branches > 1 ? "query_heads * branches" : "query_heads", rows()) +
                    " is not a multiple of " + number("kv_heads", kv_heads));
  }
  if (family == Family::latent) {
    at_least("rope_dim", rope_dim, 1);
    if (value_dim != key_dim) {
      found.push_back(number("value_dim", value_dim) + " differs from " + number("key_dim", key_dim) +
                      ": a latent is both key and value");
    }
    // Branches of one head must read different latents, and a latent serves whole heads of one branch.
    if (found.empty() && kv_heads % branches != 0) {
      found.push_back(number("kv_heads", kv_heads) + " is not a multiple of " + number("branches", branches));
    }
  } else {
    unused("rope_dim", rope_dim, 0);
    unused("branches", branches, 1);
  }
  if (family == Family::factored) {
    at_least("key_rank", key_rank, 0);
    at_least("value_rank", value_rank, 0);
  } else {
    unused("key_rank", key_rank, 0);
    unused("value_rank", value_rank, 0);
  }
  return found;
}

std::string HeadConfig::name() const {
  std::string text(attest::name(family));
  for (const Part& part : parts_of(family)) {
    text += "-" + std::string(part.letters) + std::to_string(this->*part.width);
  }
  return text + "-" + std::string(attest::name(storage));
}

HeadConfig parse_head_config(std::string_view text) {
  const std::string what = "head configuration '" + std::string(text) + "': ";
  const std::vector<std::string_view> words = words::split(text, '-');
  HeadConfig config;
  bool known = false;
  for (Family family : {Family::grouped, Family::latent, Family::factored}) {
    if (words[0] != name(family)) continue;
    config.family = family;
    known = true;
  }
  if (!known) {
    throw std::invalid_argument(what + "family '" + std::string(words[0]) +
                                "': expected grouped, latent or factored");
  }
  const std::vector<Part> parts = parts_of(config.family);
  if (words.size() != parts.size() + 2) {
    throw std::invalid_argument(what + "expected the form of " + config.name());
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view word = words[i + 1];
    std::size_t letters = 0;
    while (letters < word.size() && std::isalpha(static_cast<unsigned char>(word[letters])) != 0) ++letters;
    const std::string_view digits = word.substr(letters);
    const bool canonical = !digits.empty() && digits[0] != '-' && (digits[0] != '0' || digits.size() == 1);
    if (word.substr(0, letters) != parts[i].letters || !canonical) {
      throw std::invalid_argument(what + "part '" + std::string(word) + "': expected '" +
                                  std::string(parts[i].letters) + "' and a number");
    }
    words::parse(what + "part '" + std::string(word) + "':", digits, config.*parts[i].width);
  }
  if (config.family == Family::latent) config.value_dim = config.key_dim;
  config.storage = parse_format(words.back());
  const std::vector<std::string> found = config.problems();
  if (!found.empty()) throw std::invalid_argument(what + words::join(found, "; "));
  return config;
}

}  // namespace attest
