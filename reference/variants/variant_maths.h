// What a variant's file provides: its weights, projections, materialised and decode form, as one row of
// functions.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "reference/cache.h"
#include "reference/factored_call.h"
#include "reference/layer.h"
#include "reference/mask.h"
#include "reference/matrix.h"
#include "reference/rope.h"
#include "reference/shard.h"

namespace attest::reference {

// One layer: its configuration and weights, read by name.
struct Layer {
  const AttentionConfig& config;
  const Weights& weights;

  const Tensor<double>& tensor(const std::string& name) const;  // throws std::invalid_argument when absent
  ConstMatrixMap matrix(const std::string& name) const { return attest::matrix(tensor(name)); }
  bool has(const std::string& name) const { return weights.contains(name); }

  Index heads() const { return config.query_heads; }
  Index rows() const { return Index{config.query_heads} * config.branches(); }
  Index key_dim() const { return config.nope_dim + config.rope_dim; }
};

// Keys and values written out, one per row. Query t sees key j if the mask says so and, where tokens are
// merged (stride > 1), if j is t itself or the last token of its chunk; chunks are counted from the first
// token that is not padding.
struct Expanded {
  Tensor<double> keys;    // [S, rows, dn + dr], position-free part first
  Tensor<double> values;  // [S, rows, dv]
  Index stride = 1;
};

// One sequence's part of a decode call.
struct Absorbed {
  Tensor<double> queries;       // [T, heads or rows, key_dim]
  Tensor<double> rope_queries;  // [T, H, dr], latent family only
  SequenceCache cache;
  bool drops_padding = false;  // cache has no entries for padding tokens
};
struct AbsorbedFactors {
  Tensor<double> factor_queries;  // [T, H, key_rank, basis_dim]; empty: the query itself
  FactoredCache cache;
};

// The row of a variant. Functions that a family has no use for are null.
struct VariantMaths {
  Variant variant{};
  // All but the output projection and the gate, which every variant has alike.
  std::vector<WeightShape> (*weights)(const AttentionConfig&) = nullptr;
  // Fills queries and cache from projected.hidden, .positions and .left_padding.
  void (*project)(const Layer&, Projected&) = nullptr;
  // The parts that project fills in.
  std::vector<CachePart> (*cache)(const AttentionConfig&) = nullptr;
  Expanded (*expand)(const Layer&, const Projected&) = nullptr;
  Absorbed (*absorb)(const Layer&, const Projected&,
                     Index query_tokens) = nullptr;  // grouped and latent family
  AbsorbedFactors (*absorb_factors)(const Layer&, const Projected&,
                                    Index query_tokens) = nullptr;  // factored
  // A kernel's rows [T, rows, width] to values [T, rows, dv]; null when they are values already.
  Tensor<double> (*up_project)(const Layer&, const Tensor<double>& rows) = nullptr;
  // Which weights a rank holds.
  std::vector<WeightSlice> (*slices)(const AttentionConfig&, const Holding&) = nullptr;
  const char* output_projection = "c_proj.weight";
  const char* gate = "gated_proj.weight";
};

// Every variant's row, in the order of Variant.
const VariantMaths& maths(Variant variant);

// One function a variant, each in the file of its name; variants.cpp is their only list.
VariantMaths multi_head();              // gqa.cpp
VariantMaths multi_query();             // gqa.cpp
VariantMaths grouped_query();           // gqa.cpp
VariantMaths latent_attention();        // mla.cpp
VariantMaths grouped_latent_2();        // gla.cpp
VariantMaths grouped_latent_4();        // gla.cpp
VariantMaths grouped_tied();            // gta.cpp
VariantMaths multi_matrix();            // mfa.cpp
VariantMaths multi_matrix_key_reuse();  // mfa.cpp
VariantMaths tensor_product();          // tpa.cpp
VariantMaths tensor_parallel_latent();  // tpla.cpp
VariantMaths temporal_latent();         // mtla.cpp
VariantMaths low_rank_key_value();      // lrkv.cpp
VariantMaths low_rank_2();              // mlra.cpp
VariantMaths low_rank_4();              // mlra.cpp

}  // namespace attest::reference
