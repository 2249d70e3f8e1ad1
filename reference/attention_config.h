// What one attention layer computes: the variant and every width of it, at model level (a HeadConfig is what
// remains for the kernel).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reference/head_config.h"
#include "reference/rope_spec.h"

namespace attest {

enum class Variant {
  mha,
  mqa,
  gqa,
  mla,
  gla_2,
  gla_4,
  gta,
  mfa,
  mfa_kr,
  tpa,
  tpla,
  mtla,
  lrkv,
  mlra_2,
  mlra_4
};

// How scores react when all positions of a sequence shift by the same amount (see the law
// translation-equivariance).
enum class Equivariance {
  full,  // every element of a key rotates last
  semi,  // a position-free part plus a part that rotates last: joint shifts leave the score unchanged
  none,  // something follows the rotation that does not commute with it
};

// One row a variant.
struct VariantInfo {
  Variant variant;
  std::string_view name;  // "mlra-4": command lines, JSON, test names
  Family family;          // the kernel family that decodes it
  Equivariance equivariance;
  bool can_be_gated;        // "-gated" exists in released code
  bool can_be_unscaled;     // "-no-scale" exists in released code
  std::string_view source;  // paper and the released code that it is checked against
};

std::span<const VariantInfo> variants();
const VariantInfo& info(Variant variant);

// A value. Fields that a variant does not use stay at their default; problems() says which must be set.
struct AttentionConfig {
  Variant variant = Variant::mha;
  bool gated = false;     // result * sigmoid(W_g x), after the branch sum, before the output projection
  bool unscaled = false;  // released "no_scale" ablation: no q_scale, kv_scale (and, MLRA-2, no branch scale)
  int hidden = 64;        // width of the layer's input and output
  int query_heads = 4;
  int kv_heads =
      4;  // heads of the grouped variants' cache (GQA, GTA: groups; MQA, MFA: 1); latent variants: 1
  int nope_dim = 0;       // width of a head's position-free query and key part
  int rope_dim = 16;      // width of its rotated part
  int value_dim = 16;     // width of a head's result
  int latent_heads = 0;   // MLA 1, GLA-2 2, GLA-4, MLRA-2, MLRA-4 4; TPLA: its g
  int latent_dim = 0;     // width of one latent (of all latents together: latent_heads * latent_dim)
  int query_rank = 0;     // low-rank query width (MLA family, MFA), TPA: R_q
  int key_rank = 0;       // TPA: R_k; LRKV: rank of the residual
  int value_rank = 0;     // TPA: R_v; LRKV: rank of the residual
  int stride = 1;         // MTLA: tokens merged into one cache entry
  bool qk_norm = false;   // RMSNorm on queries and keys per head (LRKV, Qwen3)
  bool qkv_bias = false;  // Qwen2
  double norm_epsilon = 1e-6;
  double softmax_scale = 0;  // explicit; 0: the released one, (nope_dim + rope_dim)^-1/2
  RopeSpec rope = {};

  bool operator==(const AttentionConfig&) const = default;
  std::vector<std::string> problems() const;
  int branches() const;  // results summed per head: MLRA-2 2, MLRA-4 4, TPLA one a latent, else 1; on a rank,
                         // those of its latents
  int rank_latent_width() const { return latent_heads * latent_dim; }
  double scale() const;              // the softmax scale that applies
  std::string variant_name() const;  // "mlra-2-no-scale", "gqa-gated"
};

// Sets variant, gated and unscaled from "mlra-4", "mla-gated", "mla-no-scale"; throws std::invalid_argument
// listing the names.
void set_variant(AttentionConfig& config, std::string_view variant_name);
// All names that set_variant takes, in table order.
std::vector<std::string> variant_names();
// The released layout of a variant at small widths: valid, cheap, every axis a different size. For tests and
// generators.
AttentionConfig small_config(std::string_view variant_name);

// The kernel that decodes this layer on one rank that holds everything. The scale is not part of it: kernels
// take it as an argument.
HeadConfig head_config(const AttentionConfig& config, Format storage);

// "variant=mlra-4 hidden=48 heads=4 ..." key=value words separated by blanks; fields at their default are
// left out. parse is its inverse.
std::string to_words(const AttentionConfig& config);
AttentionConfig parse_attention_config(std::string_view words);

}  // namespace attest
