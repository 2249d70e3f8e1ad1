// Cache elements that a device holds and loads per token: by formula, and as the virtual machine counts the
// kernels loading them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace attest::cli {

// Width of a head in the published tables.
inline constexpr double kPublishedHeadWidth = 128;

struct CountedLoads {
  std::string head_config;       // of the kernel of rank 0
  double distinct_elements = 0;  // per token: every element that was loaded, once
  double total_elements = 0;     // per token: all loads
};

struct CacheRow {
  std::string variant;
  int ranks = 1;
  double elements = 0;  // per token and device
  std::string refusal;  // why so many ranks cannot share the layer; then nothing else is set
  std::optional<CountedLoads> counted;
  std::string not_counted;  // why a kernel was not counted, when it should have been

  std::string excuse;  // why a kernel may load another number of elements

  // What was counted is what the formula says, or there is a reason; true as well where nothing was counted.
  bool agrees() const { return !counted || !excuse.empty() || counted->distinct_elements == elements; }
};

// Rows of published_config(variant), degree by degree. `variant_names`: empty for all without their gated and
// no-scale forms. Throws std::invalid_argument for unknown names; with `count`, what compiling and running
// kernels throws.
std::vector<CacheRow> cache_table(std::span<const std::string> variant_names, std::span<const int> degrees,
                                  bool count);

// Refusals, reasons for not counting and excuses, one sentence each.
std::vector<std::string> cache_notes(std::span<const CacheRow> rows);

}  // namespace attest::cli
