// Mask names: the kind, then the fields that are set.
#include "reference/mask_spec.h"

#include <cmath>
#include <stdexcept>

#include "reference/words.h"

namespace attest {

std::vector<std::string> MaskSpec::problems() const {
  std::vector<std::string> found;
  if (window < 0) found.push_back("mask window " + std::to_string(window) + ": expected 0 (all) or more");
  if (sink_tokens < 0) found.push_back("mask sinks " + std::to_string(sink_tokens) + ": expected 0 or more");
  if (!(softcap >= 0) || std::isinf(softcap)) {
    found.push_back("mask softcap " + words::print(softcap) +
                    ": expected 0 (none) or a positive finite number");
  }
  return found;
}

std::string MaskSpec::name() const {
  std::string text = causal ? "causal" : "full";
  if (window != 0) text += "/window=" + words::print(window);
  if (sink_tokens != 0) text += "/sinks=" + words::print(sink_tokens);
  if (softcap != 0) text += "/softcap=" + words::print(softcap);
  return text;
}

MaskSpec parse_mask_spec(std::string_view text) {
  const std::string what = "mask '" + std::string(text) + "'";
  const std::vector<std::string_view> parts = words::split(text, '/');
  MaskSpec mask;
  if (parts[0] != "causal" && parts[0] != "full") {
    throw std::invalid_argument(what + ": '" + std::string(parts[0]) + "': expected causal or full");
  }
  mask.causal = parts[0] == "causal";
  std::vector<std::string_view> seen;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto [key, value] = words::key_value(what + ": part", parts[i]);
    for (std::string_view other : seen) {
      if (other == key) throw std::invalid_argument(what + ": '" + std::string(key) + "' is given twice");
    }
    seen.push_back(key);
    const std::string field = what + ": " + std::string(key);
    if (key == "window") {
      words::parse(field, value, mask.window);
    } else if (key == "sinks") {
      words::parse(field, value, mask.sink_tokens);
    } else if (key == "softcap") {
      words::parse(field, value, mask.softcap);
    } else {
      throw std::invalid_argument(what + ": '" + std::string(key) + "': expected window, sinks or softcap");
    }
  }
  const std::vector<std::string> found = mask.problems();
  if (!found.empty()) throw std::invalid_argument(what + ": " + words::join(found, "; "));
  return mask;
}

}  // namespace attest
