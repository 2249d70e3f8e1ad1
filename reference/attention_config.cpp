// One table row a variant says which widths it needs, another which words spell a configuration.
#include "reference/attention_config.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "reference/words.h"

namespace attest {
namespace {

// In the order of Variant, so that info() is an index.
constexpr VariantInfo kVariants[] = {
    {Variant::mha, "mha", Family::grouped, Equivariance::full, false, false,
     "Vaswani et al. 2017; MLRA repository 7e0eb5c, mha.py"},
    {Variant::mqa, "mqa", Family::grouped, Equivariance::full, false, false,
     "Shazeer 2019, arXiv 1911.02150; MLRA repository 7e0eb5c, gqa.py"},
    {Variant::gqa, "gqa", Family::grouped, Equivariance::full, true, false,
     "Ainslie et al. 2023, arXiv 2305.13245; MLRA repository 7e0eb5c, gqa.py"},
    {Variant::mla, "mla", Family::latent, Equivariance::semi, true, true,
     "DeepSeek-V2, arXiv 2405.04434; MLRA repository 7e0eb5c, mla.py; transformers, deepseek_v3"},
    {Variant::gla_2, "gla-2", Family::latent, Equivariance::semi, true, true,
     "Zadouri et al. 2025, arXiv 2505.21487; MLRA repository 7e0eb5c, gla_2.py"},
    {Variant::gla_4, "gla-4", Family::latent, Equivariance::semi, false, false,
     "Zadouri et al. 2025, arXiv 2505.21487; MLRA repository 7e0eb5c, gla_4.py"},
    {Variant::gta, "gta", Family::latent, Equivariance::semi, false, false,
     "Zadouri et al. 2025, arXiv 2505.21487; MLRA repository 7e0eb5c, gta.py"},
    {Variant::mfa, "mfa", Family::grouped, Equivariance::full, false, false,
     "Hu et al. 2024, arXiv 2412.19255; MLRA repository 7e0eb5c, mfa.py"},
    {Variant::mfa_kr, "mfa-kr", Family::grouped, Equivariance::full, false, false,
     "Hu et al. 2024, arXiv 2412.19255; no released code"},
    {Variant::tpa, "tpa", Family::factored, Equivariance::full, false, false,
     "Zhang et al. 2025, arXiv 2501.06425; MLRA repository 7e0eb5c, tpa.py"},
    {Variant::tpla, "tpla", Family::latent, Equivariance::semi, false, false,
     "Tang et al. 2025, arXiv 2508.15881; no released code"},
    {Variant::mtla, "mtla", Family::latent, Equivariance::semi, false, false,
     "Deng and Woodland 2025, arXiv 2505.13544; MTLA repository 498b1d3, MTLA.py"},
    {Variant::lrkv, "lrkv", Family::factored, Equivariance::full, false, false,
     "arXiv 2601.11471; no released code"},
    {Variant::mlra_2, "mlra-2", Family::latent, Equivariance::semi, true, true,
     "arXiv 2603.02188; MLRA repository 7e0eb5c, mlra_2.py"},
    {Variant::mlra_4, "mlra-4", Family::latent, Equivariance::semi, true, false,
     "arXiv 2603.02188; MLRA repository 7e0eb5c, mlra_4.py"},
};

enum class Need { none, may, must };       // 0 only; 0 or more; 1 or more
enum class KvHeads { all, one, divisor };  // of query_heads

// Which widths a variant needs. latent_heads: the number it has, of which a tensor-parallel rank may hold a
// divisor; or -1 for any.
struct Needs {
  KvHeads kv_heads;
  int latent_heads;
  Need nope, query_rank, cache_rank;
  bool tied_value;  // the key's source is the value, so value_dim is a key's width
  bool qk_norm, qkv_bias, stride;
};
constexpr Needs kNeeds[] = {
    /* mha    */ {KvHeads::all, 0, Need::may, Need::none, Need::none, false, true, true, false},
    /* mqa    */ {KvHeads::one, 0, Need::may, Need::none, Need::none, false, true, true, false},
    /* gqa    */ {KvHeads::divisor, 0, Need::may, Need::none, Need::none, false, true, true, false},
    /* mla    */ {KvHeads::one, 1, Need::must, Need::may, Need::none, false, false, false, false},
    /* gla-2  */ {KvHeads::one, 2, Need::must, Need::may, Need::none, false, false, false, false},
    /* gla-4  */ {KvHeads::one, 4, Need::must, Need::may, Need::none, false, false, false, false},
    /* gta    */ {KvHeads::divisor, 0, Need::must, Need::none, Need::none, true, false, false, false},
    /* mfa    */ {KvHeads::one, 0, Need::may, Need::must, Need::none, false, false, false, false},
    /* mfa-kr */ {KvHeads::one, 0, Need::may, Need::must, Need::none, true, false, false, false},
    /* tpa    */ {KvHeads::all, 0, Need::may, Need::must, Need::must, false, false, false, false},
    /* tpla   */ {KvHeads::one, -1, Need::must, Need::may, Need::none, false, false, false, false},
    /* mtla   */ {KvHeads::one, 1, Need::must, Need::may, Need::none, false, false, false, true},
    /* lrkv   */ {KvHeads::one, 0, Need::may, Need::none, Need::may, false, true, false, false},
    /* mlra-2 */ {KvHeads::one, 4, Need::must, Need::may, Need::none, false, false, false, false},
    /* mlra-4 */ {KvHeads::one, 4, Need::must, Need::may, Need::none, false, false, false, false},
};
static_assert(std::size(kVariants) == std::size(kNeeds));

const Needs& needs(Variant variant) { return kNeeds[static_cast<std::size_t>(variant)]; }

// One word of a configuration's text form.
struct Word {
  std::string_view key;
  std::string (*print)(const AttentionConfig&);
  void (*parse)(AttentionConfig&, std::string_view what, std::string_view text);
};
template <auto kMember>
constexpr Word word(std::string_view key) {
  return {key, [](const AttentionConfig& config) { return words::print(config.*kMember); },
          [](AttentionConfig& config, std::string_view what, std::string_view text) {
            words::parse(what, text, config.*kMember);
          }};
}
constexpr Word kWords[] = {
    {"variant", [](const AttentionConfig& config) { return config.variant_name(); },
     [](AttentionConfig& config, std::string_view, std::string_view text) { set_variant(config, text); }},
    word<&AttentionConfig::hidden>("hidden"),
    word<&AttentionConfig::query_heads>("heads"),
    word<&AttentionConfig::kv_heads>("kv_heads"),
    word<&AttentionConfig::nope_dim>("nope"),
    word<&AttentionConfig::rope_dim>("rope"),
    word<&AttentionConfig::value_dim>("value"),
    word<&AttentionConfig::latent_heads>("latents"),
    word<&AttentionConfig::latent_dim>("latent"),
    word<&AttentionConfig::query_rank>("query_rank"),
    word<&AttentionConfig::key_rank>("key_rank"),
    word<&AttentionConfig::value_rank>("value_rank"),
    word<&AttentionConfig::stride>("stride"),
    word<&AttentionConfig::qk_norm>("qk_norm"),
    word<&AttentionConfig::qkv_bias>("qkv_bias"),
    word<&AttentionConfig::norm_epsilon>("epsilon"),
    word<&AttentionConfig::softmax_scale>("scale"),
    {"rotary", [](const AttentionConfig& config) { return config.rope.name(); },
     [](AttentionConfig& config, std::string_view, std::string_view text) {
       config.rope = parse_rope_spec(text);
     }},
};

}  // namespace

std::span<const VariantInfo> variants() { return kVariants; }

const VariantInfo& info(Variant variant) {
  const auto row = static_cast<std::size_t>(variant);
  if (row >= std::size(kVariants)) throw std::invalid_argument("info: not an attention variant");
  return kVariants[row];
}

std::vector<std::string> AttentionConfig::problems() const {
  std::vector<std::string> found;
  const std::string who = variant_name();
  const auto say = [&](std::string_view what, const std::string& value, const std::string& expected) {
    found.push_back(who + ": " + std::string(what) + " " + value + ": expected " + expected);
  };
  const auto within = [&](std::string_view what, int value, int least, int most) {
    if (value < least || value > most) {
      say(what, std::to_string(value), std::to_string(least) + " to " + std::to_string(most));
    }
  };
  const auto need = [&](std::string_view what, int value, Need rule) {
    if (rule == Need::none && value != 0) say(what, std::to_string(value), "0, as the variant has none");
    if (rule != Need::none) within(what, value, rule == Need::must ? 1 : 0, 1 << 16);
  };
  const Needs& rules = needs(variant);
  const VariantInfo& row = info(variant);

  // The limits keep every product of two widths within 31 bits.
  within("hidden", hidden, 1, 1 << 20);
  within("heads", query_heads, 1, 1 << 14);
  within("value", value_dim, 1, 1 << 16);
  need("nope", nope_dim, rules.nope);
  within("rope", rope_dim, row.family == Family::latent ? 2 : 0, 1 << 16);
  if (nope_dim == 0 && rope_dim == 0) say("nope and rope", "0", "a key at least one element wide");
  need("query_rank", query_rank, rules.query_rank);
  need("key_rank", key_rank, rules.cache_rank);
  need("value_rank", value_rank, rules.cache_rank);

  if (rules.kv_heads == KvHeads::one && kv_heads != 1) say("kv_heads", std::to_string(kv_heads), "1");
  if (rules.kv_heads == KvHeads::all && kv_heads != query_heads) {
    say("kv_heads", std::to_string(kv_heads), "as many as heads, " + std::to_string(query_heads));
  }
  if (rules.kv_heads == KvHeads::divisor && (kv_heads < 1 || query_heads % kv_heads != 0)) {
    say("kv_heads", std::to_string(kv_heads), "a divisor of heads, " + std::to_string(query_heads));
  }
  if (rules.latent_heads == 0 && latent_heads != 0) say("latents", std::to_string(latent_heads), "0");
  if (rules.latent_heads > 0 && (latent_heads < 1 || rules.latent_heads % latent_heads != 0)) {
    say("latents", std::to_string(latent_heads),
        rules.latent_heads == 1 ? "1"
                                : std::to_string(rules.latent_heads) + ", or a divisor of it on a rank");
  }
  if (rules.latent_heads < 0) within("latents", latent_heads, 1, 1 << 10);
  need("latent", latent_dim, rules.latent_heads == 0 ? Need::none : Need::must);
  // Latents of one branch share the heads among them: GLA latents heads / latents each, MLRA-2's half of the
  // heads each.
  const int head_groups = latent_heads > 0 ? latent_heads / branches() : 1;
  if (head_groups > 1 && query_heads % head_groups != 0) {
    say("heads", std::to_string(query_heads), "a multiple of " + std::to_string(head_groups));
  }
  if (rules.tied_value && value_dim != nope_dim + rope_dim) {
    say("value", std::to_string(value_dim),
        std::to_string(nope_dim + rope_dim) + ", a key's width, as keys are values");
  }
  if (rules.stride) {
    within("stride", stride, 1, 1 << 16);
  } else if (stride != 1) {
    say("stride", std::to_string(stride), "1, as the variant merges no tokens");
  }
  if (qk_norm && !rules.qk_norm) say("qk_norm", "yes", "no");
  if (qkv_bias && !rules.qkv_bias) say("qkv_bias", "yes", "no");
  if (gated && !row.can_be_gated) say("gated", "yes", "no, as there is no released gated form");
  if (unscaled && !row.can_be_unscaled) say("no-scale", "yes", "no, as there is no released no-scale form");
  if (gated && unscaled) say("gated and no-scale", "yes", "one of them at most");
  if (!(norm_epsilon >= 0) || std::isinf(norm_epsilon)) {
    say("epsilon", words::print(norm_epsilon), "0 or a positive finite number");
  }
  if (!(softmax_scale >= 0) || std::isinf(softmax_scale)) {
    say("scale", words::print(softmax_scale), "0 (the released one) or a positive finite number");
  }
  for (const std::string& problem : rope.problems(rope_dim)) found.push_back(who + ": " + problem);
  return found;
}

int AttentionConfig::branches() const {
  if (variant == Variant::mlra_2)
    return std::min(2, latent_heads);  // a rank with one latent has one branch of it
  return variant == Variant::mlra_4 || variant == Variant::tpla ? latent_heads : 1;
}

double AttentionConfig::scale() const {
  if (softmax_scale != 0) return softmax_scale;
  double magnitude = 1.0;
  if (variant == Variant::mla && rope.scaling == RopeScaling::yarn && rope.factor > 1) {
    magnitude = 0.1 * rope.yarn_mscale_all_dim * std::log(rope.factor) + 1.0;
  }
  return magnitude * magnitude / std::sqrt(static_cast<double>(nope_dim) + rope_dim);
}

std::string AttentionConfig::variant_name() const {
  return std::string(info(variant).name) + (gated ? "-gated" : "") + (unscaled ? "-no-scale" : "");
}

void set_variant(AttentionConfig& config, std::string_view variant_name) {
  for (const VariantInfo& row : kVariants) {
    AttentionConfig candidate;
    candidate.variant = row.variant;
    for (int form = 0; form < 3; ++form) {
      candidate.gated = form == 1;
      candidate.unscaled = form == 2;
      if ((candidate.gated && !row.can_be_gated) || (candidate.unscaled && !row.can_be_unscaled)) continue;
      if (candidate.variant_name() != variant_name) continue;
      config.variant = row.variant;
      config.gated = candidate.gated;
      config.unscaled = candidate.unscaled;
      return;
    }
  }
  throw std::invalid_argument("variant '" + std::string(variant_name) + "': expected one of " +
                              words::join(variant_names(), ", "));
}

std::vector<std::string> variant_names() {
  std::vector<std::string> names;
  for (const VariantInfo& row : kVariants) {
    names.emplace_back(row.name);
    if (row.can_be_gated) names.push_back(std::string(row.name) + "-gated");
    if (row.can_be_unscaled) names.push_back(std::string(row.name) + "-no-scale");
  }
  return names;
}

AttentionConfig small_config(std::string_view variant_name) {
  AttentionConfig config;
  set_variant(config, variant_name);
  const Needs& rules = needs(config.variant);
  const bool latent = rules.latent_heads != 0;
  config.hidden = 48;
  config.query_heads = rules.kv_heads == KvHeads::divisor || rules.latent_heads == 4 ? 8 : 4;
  config.kv_heads = rules.kv_heads == KvHeads::one   ? 1
                    : rules.kv_heads == KvHeads::all ? config.query_heads
                                                     : 2;
  config.nope_dim = rules.nope == Need::must ? 16 : 0;
  config.rope_dim = rules.nope == Need::must ? 8 : 16;
  config.value_dim = rules.tied_value ? config.nope_dim + config.rope_dim : latent ? 32 : 24;
  config.latent_heads = rules.latent_heads < 0 ? 2 : rules.latent_heads;
  config.latent_dim = latent ? 40 : 0;
  if (rules.query_rank != Need::none) config.query_rank = config.variant == Variant::tpa ? 5 : 20;
  if (rules.cache_rank != Need::none) {
    config.key_rank = 2;
    config.value_rank = 3;
  }
  config.stride = rules.stride ? 2 : 1;
  return config;
}

HeadConfig head_config(const AttentionConfig& config, Format storage) {
  const std::vector<std::string> found = config.problems();
  if (!found.empty()) throw std::invalid_argument(words::join(found, "; "));
  HeadConfig heads;
  heads.family = info(config.variant).family;
  heads.query_heads = config.query_heads;
  heads.storage = storage;
  if (heads.family == Family::latent) {
    // GTA has no latent of its own: the tied state of a group is key and value, its position-free part first.
    const bool tied = config.variant == Variant::gta;
    heads.kv_heads = tied ? config.kv_heads : config.latent_heads;
    heads.branches = config.branches();
    heads.key_dim = tied ? config.value_dim : config.latent_dim;
    heads.value_dim = heads.key_dim;
    heads.rope_dim = config.rope_dim;
    return heads;
  }
  heads.kv_heads = config.kv_heads;
  heads.key_dim = config.nope_dim + config.rope_dim;
  heads.value_dim = config.value_dim;
  heads.key_rank = config.key_rank;
  heads.value_rank = config.value_rank;
  return heads;
}

std::string to_words(const AttentionConfig& config) {
  const AttentionConfig defaults;
  std::string text;
  for (const Word& row : kWords) {
    const std::string value = row.print(config);
    if (row.key != "variant" && value == row.print(defaults)) continue;
    words::append(text, std::string(row.key) + "=" + value, " ");
  }
  return text;
}

AttentionConfig parse_attention_config(std::string_view text) {
  AttentionConfig config;
  std::vector<std::string_view> seen;
  for (std::string_view part : words::split_blanks(text)) {
    const auto [key, value] = words::key_value("attention configuration: word", part);
    for (std::string_view other : seen) {
      if (other == key) {
        throw std::invalid_argument("attention configuration: '" + std::string(key) + "' is given twice");
      }
    }
    seen.push_back(key);
    bool known = false;
    std::string expected;
    for (const Word& row : kWords) {
      if (row.key == key) {
        row.parse(config, "attention configuration: " + std::string(key), value);
        known = true;
      }
      words::append(expected, row.key);
    }
    if (!known) {
      throw std::invalid_argument("attention configuration: '" + std::string(key) + "': expected one of " +
                                  expected);
    }
  }
  return config;
}

}  // namespace attest
