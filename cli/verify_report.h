// What `attest verify` found, for a reader.
#pragma once

#include "cli/console.h"
#include "properties/verify.h"

namespace attest::cli {

// A matrix of laws and variants: the worst error over bound of each pair ("0": the same bits, or exactly
// right), FAIL, doubt (mistrusted) or skip; a dot where the law says nothing of the variant.
void print_matrix(const Console& console, const VerifyReport& report);
// Every failed and every mistrusted row: what was seen, and the command that repeats it. Whole for the first
// `whole`, one line after.
void print_violations(const Console& console, const VerifyReport& report, int whole = 8);
// Why rows were skipped, one line a reason.
void print_skips(const Console& console, const VerifyReport& report);

// "0", "0.31", "0.004", "12", "inf".
std::string ratio_text(double ratio);

}  // namespace attest::cli
