// XXH3 (128 bits) over texts, as 32 hexadecimal digits.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace attest {

// Each text is hashed with its length, so that no two lists of texts make the same stream.
std::string hash_texts(const std::vector<std::string_view>& texts);

}  // namespace attest
