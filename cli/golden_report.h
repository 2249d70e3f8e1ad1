// What `golden check` found, for a reader.
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"
#include "golden/golden_check.h"

namespace attest::cli {

// One line a golden directory: tensors, worst float64 error relative to the tensor's largest magnitude, worst
// float32 error over its bound. Then every tensor that did not pass.
void print_golden_summary(const Console& console, const std::vector<golden::GoldenReport>& reports);
// One line a tensor of one directory.
void print_golden_tensors(const Console& console, const golden::GoldenReport& report);

}  // namespace attest::cli
