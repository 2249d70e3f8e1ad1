// How a family of released checkpoints spells its config.json and names its tensors.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "golden/config_fields.h"
#include "reference/attention_config.h"

namespace attest::golden {

// One row a family. Model names are those of reference/model.h (the released MLRA repository's).
struct ReleasedLayout {
  std::string_view name;
  // A checkpoint is of this family when it has tensors whose names begin so and none of `without` (below the
  // layer prefix).
  std::string_view layer_zero;
  std::vector<std::string_view> with, without;
  std::vector<std::string_view> model_types;  // config.json's "model_type"s of this family
  std::vector<std::pair<std::string_view, std::string_view>>
      renames;  // model name's beginning -> stored name's, first match
  std::vector<std::pair<std::string_view, std::string_view>>
      layer_renames;              // the same below "transformer.h.{i}."
  std::string_view layer_prefix;  // "model.layers."
  // The attention of a variant ("mlra-4", "gqa") with the sizes of config.json. Throws CheckpointError when a
  // field is missing or sizes do not divide.
  AttentionConfig (*attention)(std::string_view variant, const ConfigFields& fields);
  std::vector<std::string_view> variants;  // that such checkpoints can hold
  // Those of them whose fields config.json has.
  std::vector<std::string> (*candidates)(const ConfigFields& fields);

  std::string stored_name(const std::string& model_name) const;
};

std::span<const ReleasedLayout> released_layouts();

// RopeSpec of transformers' rope_theta, rope_scaling (or rope_parameters) fields. Unknown scaling types are
// refused.
RopeSpec transformers_rope(const ConfigFields& fields);

}  // namespace attest::golden
