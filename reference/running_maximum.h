// How often a kernel's running maximum may change while it walks over keys whose scores it knows up to an
// error.
#pragma once

#include <span>

#include "reference/tensor.h"

namespace attest {

// Key j counts in a walk that starts at key i < j if its score may exceed all before it: high[j] > low[k] for
// every k in [i, j). The result is the largest count over walks upwards and downwards that start at the first
// key, or, with any_start (a split may start anywhere), at any key. It bounds the count of a walk in tiles as
// well: a tile that may raise the maximum holds a key that may, and different tiles hold different keys. O(n
// log n).
Index maximum_changes(std::span<const double> low, std::span<const double> high, bool any_start);

}  // namespace attest
