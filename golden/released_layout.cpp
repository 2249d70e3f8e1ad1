// The families: the MLRA repository's own, and transformers' Llama, Qwen2, Qwen3 and DeepSeek.
#include "golden/released_layout.h"

#include <algorithm>

namespace attest::golden {
namespace {

int as_int(Index value) { return static_cast<int>(value); }  // counts fit: ConfigFields::count

Index divided(const ConfigFields& fields, const std::string& what, Index value, const std::string& by_what,
              Index by) {
  if (value % by != 0) {
    fields.fail(what + " " + std::to_string(value) + " is not a multiple of " + by_what + " " +
                std::to_string(by));
  }
  return value / by;
}

AttentionConfig base_config(std::string_view variant, const ConfigFields& fields) {
  AttentionConfig config;
  set_variant(config, variant);
  config.hidden = as_int(fields.count({"n_embd", "hidden_size"}));
  config.query_heads = as_int(fields.count({"n_head", "num_attention_heads"}));
  return config;
}

Index head_dim(const ConfigFields& fields, const AttentionConfig& config) {
  if (fields.has({"head_dim"})) return fields.count({"head_dim"});
  return divided(fields, "the hidden width", config.hidden, "the number of heads", config.query_heads);
}

// How many latents a variant has, and 0 for one that has none.
Index latents_of(Variant variant) {
  switch (variant) {
    case Variant::mla:
      return 1;
    case Variant::gla_2:
      return 2;
    case Variant::gla_4:
    case Variant::mlra_2:
    case Variant::mlra_4:
      return 4;
    default:
      return 0;
  }
}

// The released MLRA repository, config/*.py and the model files' constructors (spec: released code at
// 7e0eb5c).
AttentionConfig mlra_attention(std::string_view variant, const ConfigFields& fields) {
  AttentionConfig config = base_config(variant, fields);
  const Index heads = config.query_heads;
  if (const Index latents = latents_of(config.variant); latents > 0) {
    config.kv_heads = 1;
    config.nope_dim = as_int(fields.count({"qk_nope_head_dim"}));
    config.rope_dim = as_int(fields.count({"qk_rope_head_dim"}));
    config.value_dim = as_int(fields.count_or({"v_head_dim"}, config.nope_dim));
    config.query_rank = as_int(fields.count({"q_lora_rank"}));
    config.latent_heads = as_int(latents);
    config.latent_dim = as_int(
        divided(fields, "kv_lora_rank", fields.count({"kv_lora_rank"}), "the number of latents", latents));
    return config;
  }
  const Index width = head_dim(fields, config);
  config.rope_dim = config.value_dim = as_int(width);
  switch (config.variant) {
    case Variant::gta:
      config.nope_dim = config.rope_dim = as_int(divided(fields, "head_dim", width, "GTA's halves", 2));
      [[fallthrough]];
    case Variant::gqa:
    case Variant::mqa:
      config.kv_heads = as_int(divided(fields, "n_head", heads, "group_size", fields.count({"group_size"})));
      break;
    case Variant::mfa:
      config.kv_heads = 1;
      config.query_rank = as_int(fields.count({"share_q_dim"}));
      break;
    case Variant::tpa:
      config.query_rank = as_int(fields.count({"q_rank"}));
      config.key_rank = config.value_rank = as_int(fields.count({"rank"}));
      [[fallthrough]];
    default:
      config.kv_heads = as_int(heads);
  }
  return config;
}

std::vector<std::string> mlra_candidates(const ConfigFields& fields) {
  const Index heads = fields.count({"n_head", "num_attention_heads"});
  const Index group = fields.count_or({"group_size"}, 1);
  std::vector<std::string> names;
  const auto offer = [&](bool fits, std::initializer_list<std::string_view> variants) {
    if (fits) names.insert(names.end(), variants.begin(), variants.end());
  };
  offer(fields.has({"kv_lora_rank"}),
        {"mla", "mla-gated", "mla-no-scale", "gla-2", "gla-2-gated", "gla-2-no-scale", "gla-4", "mlra-2",
         "mlra-2-gated", "mlra-2-no-scale", "mlra-4", "mlra-4-gated"});
  offer(group == 1, {"mha"});
  offer(group == heads && group > 1, {"mqa"});
  offer(group < heads && group > 1, {"gqa"});
  offer(group > 1, {"gqa-gated", "gta"});
  offer(fields.has({"share_q_dim"}), {"mfa"});
  offer(fields.has({"q_rank"}) && fields.has({"rank"}), {"tpa"});
  return names;
}

// transformers, modeling_llama.py, modeling_qwen2.py, modeling_qwen3.py
AttentionConfig grouped_attention(std::string_view variant, const ConfigFields& fields) {
  AttentionConfig config = base_config(variant, fields);
  const Index width = head_dim(fields, config);
  config.kv_heads = as_int(fields.count_or({"num_key_value_heads"}, config.query_heads));
  divided(fields, "num_attention_heads", config.query_heads, "num_key_value_heads", config.kv_heads);
  const double rotated = fields.number_or({"partial_rotary_factor"}, 1.0) * static_cast<double>(width);
  if (!(rotated >= 0 && rotated <= static_cast<double>(width)))
    fields.fail("\"partial_rotary_factor\" must be from 0 to 1");
  config.rope_dim = static_cast<int>(rotated);
  config.nope_dim = as_int(width) - config.rope_dim;
  config.value_dim = as_int(width);
  config.rope = transformers_rope(fields);
  config.norm_epsilon = fields.number_or({"rms_norm_eps"}, 1e-6);
  if (fields.flag_or({"use_sliding_window"}, false))
    fields.fail("\"use_sliding_window\" is set; sliding windows are not read");
  return config;
}
AttentionConfig qwen2_attention(std::string_view variant, const ConfigFields& fields) {
  AttentionConfig config = grouped_attention(variant, fields);
  config.qkv_bias = true;
  return config;
}
AttentionConfig qwen3_attention(std::string_view variant, const ConfigFields& fields) {
  AttentionConfig config = grouped_attention(variant, fields);
  config.qk_norm = true;
  return config;
}
std::vector<std::string> grouped_candidates(const ConfigFields& fields) {
  const Index heads = fields.count({"num_attention_heads"});
  const Index kv_heads = fields.count_or({"num_key_value_heads"}, heads);
  return {kv_heads == heads ? "mha" : kv_heads == 1 ? "mqa" : "gqa"};
}

// transformers, modeling_deepseek_v2.py and modeling_deepseek_v3.py. The bottleneck norms keep their default
// epsilon.
// They are not scaled, which the MLRA repository calls "no-scale"; plain "mla" means the same here.
AttentionConfig deepseek_attention(std::string_view, const ConfigFields& fields) {
  AttentionConfig config = base_config("mla-no-scale", fields);
  config.kv_heads = 1;
  config.nope_dim = as_int(fields.count({"qk_nope_head_dim"}));
  config.rope_dim = as_int(fields.count({"qk_rope_head_dim"}));
  config.value_dim = as_int(fields.count({"v_head_dim"}));
  config.query_rank = as_int(fields.count_or({"q_lora_rank"}, 0));
  config.latent_heads = 1;
  config.latent_dim = as_int(fields.count({"kv_lora_rank"}));
  config.rope = transformers_rope(fields);
  config.rope.pairing =
      fields.flag_or({"rope_interleave"}, true) ? RopePairing::interleaved : RopePairing::half_split;
  config.norm_epsilon = 1e-6;
  return config;
}
std::vector<std::string> deepseek_candidates(const ConfigFields&) { return {"mla-no-scale"}; }

const std::vector<std::pair<std::string_view, std::string_view>> kTransformersNames{
    {"transformer.wte.", "model.embed_tokens."}, {"layernorm.", "model.norm."}};
const std::vector<std::pair<std::string_view, std::string_view>> kTransformersLayerNames{
    {"attn.c_q.", "self_attn.q_proj."},
    {"attn.c_k.", "self_attn.k_proj."},
    {"attn.c_v.", "self_attn.v_proj."},
    {"attn.c_proj.", "self_attn.o_proj."},
    {"attn.", "self_attn."},
    {"mlp.c_fc1.", "mlp.gate_proj."},
    {"mlp.c_fc2.", "mlp.up_proj."},
    {"mlp.c_proj.", "mlp.down_proj."}};

const std::vector<ReleasedLayout> kLayouts{
    {.name = "mlra",
     .layer_zero = "transformer.h.0.attn.",
     .with = {},
     .without = {},
     .model_types = {},
     .renames = {},
     .layer_renames = {},
     .layer_prefix = "transformer.h.",
     .attention = mlra_attention,
     .variants = {"mha", "mqa", "gqa", "gqa-gated", "gta", "mfa", "tpa", "mla", "mla-gated", "mla-no-scale",
                  "gla-2", "gla-2-gated", "gla-2-no-scale", "gla-4", "mlra-2", "mlra-2-gated",
                  "mlra-2-no-scale", "mlra-4", "mlra-4-gated"},
     .candidates = mlra_candidates},
    {.name = "llama",
     .layer_zero = "model.layers.0.self_attn.",
     .with = {"q_proj.weight", "k_proj.weight"},
     .without = {"q_proj.bias", "q_norm.weight"},
     .model_types = {"llama"},
     .renames = kTransformersNames,
     .layer_renames = kTransformersLayerNames,
     .layer_prefix = "model.layers.",
     .attention = grouped_attention,
     .variants = {"mha", "mqa", "gqa"},
     .candidates = grouped_candidates},
    {.name = "qwen2",
     .layer_zero = "model.layers.0.self_attn.",
     .with = {"q_proj.bias", "k_proj.weight"},
     .without = {"q_norm.weight"},
     .model_types = {"qwen2"},
     .renames = kTransformersNames,
     .layer_renames = kTransformersLayerNames,
     .layer_prefix = "model.layers.",
     .attention = qwen2_attention,
     .variants = {"mha", "mqa", "gqa"},
     .candidates = grouped_candidates},
    {.name = "qwen3",
     .layer_zero = "model.layers.0.self_attn.",
     .with = {"q_norm.weight", "k_proj.weight"},
     .without = {"q_proj.bias"},
     .model_types = {"qwen3"},
     .renames = kTransformersNames,
     .layer_renames = kTransformersLayerNames,
     .layer_prefix = "model.layers.",
     .attention = qwen3_attention,
     .variants = {"mha", "mqa", "gqa"},
     .candidates = grouped_candidates},
    {.name = "deepseek",
     .layer_zero = "model.layers.0.self_attn.",
     .with = {"kv_a_proj_with_mqa.weight"},
     .without = {},
     .model_types = {"deepseek_v2", "deepseek_v3"},
     .renames = kTransformersNames,
     .layer_renames = kTransformersLayerNames,
     .layer_prefix = "model.layers.",
     .attention = deepseek_attention,
     .variants = {"mla-no-scale", "mla"},
     .candidates = deepseek_candidates},
};

std::string renamed(const std::string& name,
                    const std::vector<std::pair<std::string_view, std::string_view>>& renames) {
  for (const auto& [from, to] : renames) {
    if (name.starts_with(from)) return std::string(to) + name.substr(from.size());
  }
  return name;
}

struct ScalingRow {
  std::string_view name;
  RopeScaling scaling;
};
constexpr ScalingRow kScalings[] = {{"default", RopeScaling::none},        {"linear", RopeScaling::linear},
                                    {"dynamic", RopeScaling::dynamic_ntk}, {"yarn", RopeScaling::yarn},
                                    {"longrope", RopeScaling::longrope},   {"llama3", RopeScaling::llama3}};

}  // namespace

std::span<const ReleasedLayout> released_layouts() { return kLayouts; }

std::string ReleasedLayout::stored_name(const std::string& model_name) const {
  constexpr std::string_view kLayer = "transformer.h.";
  if (!model_name.starts_with(kLayer)) return renamed(model_name, renames);
  const size_t dot = model_name.find('.', kLayer.size());
  return std::string(layer_prefix) + model_name.substr(kLayer.size(), dot + 1 - kLayer.size()) +
         renamed(model_name.substr(dot + 1), layer_renames);
}

RopeSpec transformers_rope(const ConfigFields& fields) {
  const ConfigFields scaling =
      fields.section(fields.has({"rope_parameters"}) ? "rope_parameters" : "rope_scaling");
  RopeSpec rope;
  rope.base = scaling.number_or({"rope_theta"}, fields.number_or({"rope_theta"}, 10000.0));
  const std::string type = scaling.text_or({"rope_type", "type"}, "default");
  const auto row =
      std::find_if(std::begin(kScalings), std::end(kScalings), [&](const auto& r) { return r.name == type; });
  if (row == std::end(kScalings)) {
    std::string known;
    for (const ScalingRow& r : kScalings) known += (known.empty() ? "" : ", ") + std::string(r.name);
    fields.fail("rope type " + in_quotes(type) + ": expected one of " + known);
  }
  rope.scaling = row->scaling;
  if (rope.scaling == RopeScaling::none) return rope;
  const double trained = fields.number_or({"max_position_embeddings"}, 0);
  rope.original_tokens = scaling.number_or({"original_max_position_embeddings"},
                                           fields.number_or({"original_max_position_embeddings"}, trained));
  const bool has_ratio = trained > 0 && rope.original_tokens > 0;
  rope.factor =
      scaling.has({"factor"}) || !has_ratio ? scaling.number({"factor"}) : trained / rope.original_tokens;
  rope.attention_factor = scaling.number_or({"attention_factor"}, 0);
  if (rope.scaling == RopeScaling::dynamic_ntk) rope.original_tokens = trained;
  if (rope.scaling == RopeScaling::yarn) {
    rope.yarn_beta_fast = scaling.number_or({"beta_fast"}, 32);
    rope.yarn_beta_slow = scaling.number_or({"beta_slow"}, 1);
    rope.yarn_mscale = scaling.number_or({"mscale"}, 0);
    rope.yarn_mscale_all_dim = scaling.number_or({"mscale_all_dim"}, 0);
    if (!scaling.flag_or({"truncate"}, true)) fields.fail("yarn with \"truncate\": false is not computed");
  }
  if (rope.scaling == RopeScaling::llama3) {
    rope.llama3_low_freq_factor = scaling.number({"low_freq_factor"});
    rope.llama3_high_freq_factor = scaling.number({"high_freq_factor"});
  }
  if (rope.scaling == RopeScaling::longrope) {
    rope.long_factors = scaling.numbers({"long_factor"});
    rope.short_factors = scaling.numbers({"short_factor"});
  }
  return rope;
}

}  // namespace attest::golden
