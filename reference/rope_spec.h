// Which rotary position embedding: pairing, base, scaling law and the precision of its angle table.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reference/number_formats.h"

namespace attest {

// Which two elements of a head rotate together.
enum class RopePairing {
  half_split,   // (i, i + dim/2): Llama's rotate_half, the released MLRA code
  interleaved,  // (2i, 2i + 1): GPT-J, DeepSeek checkpoints
};

// How inverse frequencies and magnitudes follow from base and position.
enum class RopeScaling { none, linear, ntk, dynamic_ntk, yarn, longrope, llama3, proportional };

// A value; fields that a scaling law does not name are ignored by it. All angles are radians, positions are
// tokens.
struct RopeSpec {
  RopePairing pairing = RopePairing::half_split;
  RopeScaling scaling = RopeScaling::none;
  double base = 10000.0;
  double factor =
      1.0;  // linear, ntk, dynamic_ntk, yarn, llama3, longrope (ratio of extended to original length)
  double original_tokens = 0;  // trained context: dynamic_ntk, yarn, longrope, llama3
  double yarn_beta_fast = 32.0;
  double yarn_beta_slow = 1.0;
  double yarn_mscale = 1.0;  // 0: attention factor 0.1 ln(factor) + 1 applied plainly
  double yarn_mscale_all_dim = 0.0;
  double attention_factor = 0;  // magnitude on cos and sin; 0: as the scaling law says
  double llama3_low_freq_factor = 1.0;
  double llama3_high_freq_factor = 4.0;
  double rotated_fraction = 1.0;  // proportional (p-RoPE): the share of frequencies that rotate at all
  std::vector<double> long_factors = {};  // longrope: one a pair
  std::vector<double> short_factors = {};
  std::vector<int> sections =
      {};  // M-RoPE: pairs a position axis (time, height, width); empty: one position a token
  bool sections_interleaved = false;  // M-RoPE: axes alternate over pairs instead of lying in blocks
  Format table = Format::f64;  // f64: exact angles; f32: the released code's float32 angle, sine and cosine;
                               // bf16: those rounded to bf16

  bool operator==(const RopeSpec&) const = default;
  std::vector<std::string> problems(int rope_dim) const;
  // "half-split/base=10000", "interleaved/yarn/base=10000/factor=40/..." ; fields at their default are left
  // out.
  std::string name() const;
};

RopeSpec parse_rope_spec(std::string_view name);  // inverse of name(); throws std::invalid_argument

}  // namespace attest
