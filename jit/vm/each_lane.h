// A set of lanes is the bits of a word.
#pragma once

#include <bit>
#include <cstdint>

namespace attest::vm {

// f(lane), from the lowest lane of the set to the highest.
template <class F>
void each_lane(uint32_t lanes, F f) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) f(static_cast<uint32_t>(std::countr_zero(rest)));
}

}  // namespace attest::vm
