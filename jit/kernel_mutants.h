// Mistakes that people make in these kernels, each as one edit of the embedded sources: whatever verifies
// kernels must notice every one.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "jit/kernel_source.h"
#include "reference/head_config.h"

namespace attest {

struct KernelMutant {
  std::string_view name;         // "tail-off-by-one"
  std::string_view description;  // one sentence: what a reader would see
  std::string_view file;
  std::string_view before;  // occurs once in `file`
  std::string_view after;
  std::optional<Family> family;  // that it shows in; none: every family

  // The sources with this edit. Throws std::invalid_argument when they have been edited where the mutant
  // edits.
  KernelSource apply(const KernelSource& source) const { return source.with_edit(file, before, after); }
};

std::span<const KernelMutant> kernel_mutants();

}  // namespace attest
