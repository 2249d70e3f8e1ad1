// Compares a golden directory, tensor by tensor, with what the reference computes from its weights.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "reference/compare.h"

namespace attest::golden {

// One tensor of golden.safetensors.
struct GoldenRow {
  std::string golden;   // the directory as given
  std::string variant;  // "mlra-4"
  std::string tensor;   // "layers.0.attn.output"
  Verdict status = Verdict::failed;
  double max_abs_error = 0;
  double max_rel_error = 0;  // max_abs_error over the tensor's largest magnitude
  double bound =
      0;  // float64: 1e-12 of that magnitude; float32: at the element that came closest to its bound
  double worst_error_over_bound = 0;
  std::string text;  // that element, or the first that fails, with its coordinates
};

struct GoldenReport {
  std::vector<GoldenRow> rows;  // in the order in which the model computes them
  bool passed() const;          // no row but passed ones, and at least one
};

struct GoldenOptions {
  std::string variant;                           // settles an ambiguous checkpoint, see released_model.h
  bool attention_only = false;                   // each layer's attention on the golden input, nothing else
  std::function<void(const GoldenRow&)> on_row;  // called as each row is known
};

// `directory` holds config.json, weights and golden.safetensors (reference/model.h's hook names; README.md of
// golden/data). float64 tensors must agree within 1e-12 of the tensor's largest magnitude; shipped_fp32.*
// within the bound of float32_bounds.h. Throws CheckpointError for anything that cannot be read, an unknown
// tensor, a missing one, a shape or type that is not the model's, and identifiers outside the vocabulary.
GoldenReport check(const std::string& directory, const GoldenOptions& options = {});

}  // namespace attest::golden
