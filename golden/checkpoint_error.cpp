// Makes text from files safe to print on one line.
#include "golden/checkpoint_error.h"

namespace attest::golden {

std::string in_quotes(std::string_view text) {
  constexpr size_t kLongest = 100;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7F) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out + (text.size() > kLongest ? "...'" : "'");
}

}  // namespace attest::golden
