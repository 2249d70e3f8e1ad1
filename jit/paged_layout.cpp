// Encodes caches into pages.
#include "jit/paged_layout.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "reference/random.h"

namespace attest {
namespace {

constexpr int kNoPage = 2147480000;  // FlashMLA's choice: far outside every pool
constexpr Index kMostTokens = std::numeric_limits<int>::max() - 64;  // kernels step over tokens in 32 bits

// Writes numbers as elements of one storage format.
class Encoder {
 public:
  explicit Encoder(Format format) : format_(format), bytes_(static_cast<Index>(info(format).bytes)) {}
  Index bytes() const { return bytes_; }

  void put(std::vector<std::byte>& to, Index element, double value) const {
    const std::uint64_t bits = encode(format_, value);
    std::memcpy(to.data() + element * bytes_, &bits, static_cast<std::size_t>(bytes_));  // little endian
  }
  std::vector<std::byte> all(std::span<const double> values) const {
    std::vector<std::byte> to(values.size() * static_cast<std::size_t>(bytes_));
    for (std::size_t i = 0; i < values.size(); ++i) put(to, static_cast<Index>(i), values[i]);
    return to;
  }
  std::vector<std::byte> filled(Index elements, UnusedContent content) const {
    std::vector<std::byte> to(static_cast<std::size_t>(elements * bytes_));
    if (content == UnusedContent::nan) {
      for (Index i = 0; i < elements; ++i) put(to, i, std::nan(""));
    }
    return to;
  }

 private:
  Format format_;
  Index bytes_;
};

Index checked_product(std::initializer_list<Index> factors) {
  const std::vector<Index> shape(factors);
  return element_count(shape);
}

// Page numbers of the pool in the order in which they are handed out. With a seed the pool also has unused
// pages.
std::vector<int> page_order(Index needed, std::uint64_t seed) {
  const Index pages = needed + (seed == 0 ? 0 : 2 + needed / 4);
  if (pages > kNoPage) throw std::invalid_argument("a cache of " + std::to_string(pages) + " pages");
  std::vector<int> order(static_cast<std::size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); seed != 0 && i > 1; --i) {
    const std::uint64_t other = random_bits(seed, static_cast<std::uint64_t>(Stream::pages), i) % i;
    std::swap(order[i - 1], order[static_cast<std::size_t>(other)]);
  }
  return order;
}

}  // namespace

PagedLayout lay_out(const DecodeInputs& inputs, const DecodePlan& plan) {
  if (const auto problems = inputs.problems(); !problems.empty())
    throw std::invalid_argument(problems.front());
  if (plan.page_tokens < 0 || plan.value_row_padding < 0) {
    throw std::invalid_argument("decode plan: a negative page size or row padding");
  }
  const HeadConfig& heads = inputs.heads;
  const Encoder encoder(heads.storage);
  PagedLayout layout;
  layout.queries = encoder.all(inputs.queries.elements());
  layout.rope_queries = encoder.all(inputs.rope_queries.elements());

  Index longest = 0;
  for (const SequenceCache& sequence : inputs.sequences) longest = std::max(longest, sequence.keys.size(0));
  if (longest > kMostTokens) {
    throw std::invalid_argument("a sequence of " + std::to_string(longest) +
                                " tokens; kernels take at most " + std::to_string(kMostTokens));
  }
  layout.page_tokens = plan.page_tokens > 0 ? plan.page_tokens : std::max<Index>(longest, 1);
  if (layout.page_tokens > kMostTokens) throw std::invalid_argument("decode plan: page size beyond 31 bits");
  const auto pages_of = [&](Index tokens) { return (tokens + layout.page_tokens - 1) / layout.page_tokens; };
  layout.pages_per_sequence = pages_of(longest);
  Index needed = 0;
  for (const SequenceCache& sequence : inputs.sequences) needed += pages_of(sequence.keys.size(0));
  const std::vector<int> order = page_order(needed, plan.page_seed);
  layout.pages = static_cast<Index>(order.size());

  const Index value_row = heads.value_dim + plan.value_row_padding;
  const bool grouped = heads.family == Family::grouped;
  const auto pool = [&](Index page, Index token, Index head) {
    PagedPool made;
    made.strides = {nullptr, page, token, head};
    made.bytes = encoder.filled(checked_product({layout.pages, page}), plan.unused);
    return made;
  };
  layout.keys = pool(layout.page_tokens * heads.kv_heads * heads.key_dim,
                     Index{heads.kv_heads} * heads.key_dim, heads.key_dim);
  if (grouped) {
    layout.values =
        pool(heads.kv_heads * layout.page_tokens * value_row, value_row, layout.page_tokens * value_row);
  } else {
    layout.rope_keys = pool(layout.page_tokens * heads.rope_dim, heads.rope_dim, 0);
  }

  layout.page_table.assign(static_cast<std::size_t>(checked_product(
                               {static_cast<Index>(inputs.sequences.size()), layout.pages_per_sequence})),
                           kNoPage);
  std::size_t next_page = 0;
  for (std::size_t b = 0; b < inputs.sequences.size(); ++b) {
    const SequenceCache& sequence = inputs.sequences[b];
    const Index tokens = sequence.keys.size(0);
    layout.cached_tokens.push_back(static_cast<int>(tokens));
    layout.left_padding.push_back(static_cast<int>(sequence.left_padding));
    int* const table = layout.page_table.data() + static_cast<Index>(b) * layout.pages_per_sequence;
    for (Index page = 0; page < pages_of(tokens); ++page) table[page] = order[next_page++];

    // Rows of `width` elements for every head of a token; padding keeps the pool's fill.
    const auto place = [&](const Tensor<double>& rows, PagedPool& to, Index row_heads, Index width) {
      for (Index token = sequence.left_padding; token < tokens; ++token) {
        for (Index head = 0; head < row_heads; ++head) {
          const Index at = table[token / layout.page_tokens] * to.strides.page_stride +
                           token % layout.page_tokens * to.strides.token_stride +
                           head * to.strides.head_stride;
          const double* const row = rows.data() + (token * row_heads + head) * width;
          for (Index element = 0; element < width; ++element)
            encoder.put(to.bytes, at + element, row[element]);
        }
      }
    };
    place(sequence.keys, layout.keys, heads.kv_heads, heads.key_dim);
    if (grouped) {
      place(sequence.values, layout.values, heads.kv_heads, heads.value_dim);
    } else {
      place(sequence.rope_keys, layout.rope_keys, 1, heads.rope_dim);
    }
  }
  return layout;
}

}  // namespace attest
