// How much memory the code between two points has allocated at its highest point.
#pragma once

#include <cstddef>

namespace attest::golden {

// Counts operator new and delete of the whole test program. Under a sanitizer, which has its own, nothing is
// counted.
bool allocation_is_counted();
void reset_allocation_peak();   // the peak starts again at what is allocated now
std::size_t allocation_peak();  // bytes above the level at the last reset

}  // namespace attest::golden
