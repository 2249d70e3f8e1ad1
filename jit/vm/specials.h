// Special registers: their names and their values.
#pragma once

#include <string_view>

#include "jit/vm/code.h"

namespace attest::vm {

struct Warp;

struct SpecialName {
  std::string_view name;
  Special special;
  bool wide = false;   // 64 bits
  bool clock = false;  // changes while the block runs: only mov reads it
};
// Null for an unknown name. Names begin with %.
const SpecialName* find_special(std::string_view name);

// Writes the rows of all special registers that a block's warp uses.
void fill_specials(Warp& warp);

// A clock's value: instructions executed so far, so that it is the same in every run.
uint64_t clock_value(const Warp& warp, Special special);

}  // namespace attest::vm
