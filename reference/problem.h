// One run: an attention layer, the sequences it decodes, how they lie in memory, how the work is split, and
// the seed of its data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reference/attention_config.h"
#include "reference/mask_spec.h"
#include "reference/tensor.h"

namespace attest {

// How random data look; complementary, because each hides other bugs (rising scores hide early keys, normal
// data hide late ones).
enum class DataFamily { normal, peaked, rising, falling, constant_values, one_hot, dyadic, large_offset };

struct Problem {
  AttentionConfig attention;
  Format storage = Format::bf16;
  std::vector<Index> cached_tokens = {
      17};  // [B] tokens in the cache of each sequence, its query tokens included; 0 is allowed
  std::vector<Index> left_padding = {0};  // [B] of these, how many at the front are padding
  Index query_tokens =
      1;  // the last tokens of every sequence are queries (all of an empty sequence's are masked)
  Index page_tokens = 0;  // tokens a page; 0: one page holds a sequence
  int splits = 1;         // parts into which each sequence's cache is split
  int ranks = 1;          // tensor-parallel degree
  MaskSpec mask;
  DataFamily data = DataFamily::normal;
  std::uint64_t seed = 0;

  bool operator==(const Problem&) const = default;
  Index batch() const { return static_cast<Index>(cached_tokens.size()); }
  // What is wrong, in sentences; empty when the problem can be run.
  std::vector<std::string> problems() const;
  // One line that parse_problem reads back: "variant=mlra-4 hidden=48 ... format=bf16 cached=17,64 pad=0,3
  // query=1 page=16 splits=2 ranks=1 mask=causal data=normal seed=7".
  std::string repro() const;
};

// Throws std::invalid_argument naming the word that is wrong and what was expected. Words may stand in any
// order; a word given twice is refused.
Problem parse_problem(std::string_view line);

std::string_view name(DataFamily family);
DataFamily parse_data_family(std::string_view name);

}  // namespace attest
