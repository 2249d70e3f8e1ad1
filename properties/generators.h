// Draws problems of one variant: valid by construction, leaning to the values where kernels break.
#pragma once

#include <rapidcheck/Gen.h>

#include <string>
#include <string_view>
#include <vector>

#include "reference/problem.h"

namespace attest {

// How large the drawn problems may become at RapidCheck's size 100.
struct GeneratorLimits {
  Index max_tokens = 104;
  Index max_batch = 3;
  Index max_query_tokens = 3;
};

// Problems whose attention.variant_name() is `variant_name`. Lengths lean to 0, 1, the query length and to
// page, tile and split boundaries +-1; padding runs from 0 to the whole sequence; splits may outnumber
// tokens. Shrinks by smaller(), which keeps the data of what remains (values depend on seed and index alone).
rc::Gen<Problem> problems_of(std::string_view variant_name, const GeneratorLimits& limits = {});

// Names of the hard cases that a problem is: "empty sequence", "one token", "page boundary", "tile boundary",
// "more splits than tokens", "all padding", "ragged", ... For RC_CLASSIFY and for coverage reports.
std::vector<std::string> classes(const Problem& problem);

}  // namespace attest
