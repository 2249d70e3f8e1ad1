// Which cached tokens a query sees.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attest {

// Sequence with S cached tokens (its T query tokens are the last of them), left padding p: query t (0 <= t <
// T) stands at position S - T + t and sees key s when  s >= p  and, if causal, s <= S - T + t  and, if window
// > 0, s > S - T + t - window  or s < p + sinks.
struct MaskSpec {
  bool causal = true;            // bottom-right aligned
  std::int64_t window = 0;       // tokens seen, the query's own counted; 0: all
  std::int64_t sink_tokens = 0;  // first tokens after the padding, seen in spite of the window
  double softcap = 0;            // scores become softcap * tanh(score / softcap); 0: none
  bool operator==(const MaskSpec&) const = default;
  std::vector<std::string> problems() const;
  std::string name() const;  // "causal", "full", "causal/window=128/sinks=4/softcap=50"
};

MaskSpec parse_mask_spec(std::string_view name);  // inverse of name(); throws std::invalid_argument

}  // namespace attest
