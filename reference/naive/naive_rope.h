// Rotary embedding of one row at one position, from the formulas of each scaling law.
#pragma once

#include <array>

#include "reference/naive/number.h"
#include "reference/rope_spec.h"

namespace attest::naive {

using Place = std::array<Index, 3>;  // time, height, width; three times the same for text

// The angle by which pair `pair` of a row of `width` elements turns at `place`, in radians, and what cosines
// and sines are multiplied by. `length`: tokens of the whole sequence, which dynamic NTK and LongRoPE ask
// for. Throws std::invalid_argument for tables that are rounded to less than double.
Real rope_angle(const RopeSpec& spec, Index width, Index pair, const Place& place, Index length);
Real rope_amplitude(const RopeSpec& spec);

// Every pair (a, b) of the row becomes (a cos - b sin, b cos + a sin), times the amplitude.
Row rotated(const RopeSpec& spec, const Row& x, const Place& place, Index length);

}  // namespace attest::naive
