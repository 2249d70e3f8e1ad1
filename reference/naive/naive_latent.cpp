// Layers whose cache holds latents: MLA, GLA, TPLA, MLRA and MTLA, with keys and values projected up for
// every head.
#include "reference/naive/layer_parts.h"

namespace attest::naive {
namespace {

// Which latent a head reads in a branch, and as which of the heads that the latent serves.
struct Source {
  Index latent = 0, place = 0;
};

Source source(const AttentionConfig& c, Index branch, Index head) {
  const Index H = c.query_heads;
  switch (c.variant) {
    case Variant::mla:
      return {0, head};
    case Variant::gla_2:  // the first half of the heads reads the first latent
      return head < H / 2 ? Source{0, head} : Source{1, head - H / 2};
    case Variant::gla_4:
      for (Index quarter = 0; quarter < 4; ++quarter) {
        if (head < (quarter + 1) * (H / 4)) return {quarter, head - quarter * (H / 4)};
      }
      break;
    case Variant::mlra_2:  // branches are latents (0, 1) and (2, 3), halves of the heads within
      if (branch == 0) return head < H / 2 ? Source{0, head} : Source{1, head - H / 2};
      return head < H / 2 ? Source{2, head} : Source{3, head - H / 2};
    case Variant::tpla:
    case Variant::mlra_4:
      return {branch, head};
    default:
      break;
  }
  throw std::invalid_argument("naive layer: head " + std::to_string(head) + " reads no latent");
}

Index branches_of(const AttentionConfig& c) {
  if (c.variant == Variant::mlra_2) return 2;
  if (c.variant == Variant::mlra_4) return 4;
  return c.variant == Variant::tpla ? c.latent_heads : 1;
}

void require_all_latents(const AttentionConfig& c) {
  const int whole = c.variant == Variant::mla || c.variant == Variant::mtla ? 1
                    : c.variant == Variant::gla_2                           ? 2
                    : c.variant == Variant::tpla                            ? c.latent_heads
                                                                            : 4;
  if (c.latent_heads != whole) throw std::invalid_argument("naive layer: a rank's share of the latents");
}

// sqrt(D / width), by which the released MLRA code multiplies normed bottlenecks. TPLA has it in its weights.
Real bottleneck(const AttentionConfig& c, Index width) {
  if (c.unscaled || c.variant == Variant::tpla) return 1;
  return std::sqrt(static_cast<Real>(c.hidden) / static_cast<Real>(width));
}

// DeepSeek: YaRN also raises MLA's softmax scale, by the square of 0.1 mscale_all_dim ln(factor) + 1.
Real latent_scale(const AttentionConfig& c) {
  Real scale = plain_scale(c);
  const bool stretched = c.rope.scaling == RopeScaling::yarn && c.rope.factor > 1;
  if (c.variant == Variant::mla && stretched && c.softmax_scale == 0) {
    const Real mscale =
        1 + static_cast<Real>(c.rope.yarn_mscale_all_dim) * std::log(static_cast<Real>(c.rope.factor)) / 10;
    scale *= mscale * mscale;
  }
  return scale;
}

// The latent as it is cached.
Row normed(const Layer& layer, const Row& c, Index l) {
  const AttentionConfig& config = layer.config;
  if (config.variant == Variant::tpla) {  // rms_i = sqrt(a_i |c_i|^2 / d_c + epsilon), a_i = g norm_scale_i
    const auto slices = static_cast<Real>(config.latent_heads);
    Real squares = 0;
    for (const Number& e : c) squares += e.value * e.value;
    const Real whole_width = slices * static_cast<Real>(c.size());
    const Real share = slices * layer.weight("norm_scale")(l);
    return times(1 / std::sqrt(share * squares / whole_width + config.norm_epsilon), c);
  }
  const std::string gain = config.variant == Variant::mla     ? "kv_a_layernorm"
                           : config.variant == Variant::gla_2 ? "kv_a_layernorm_" + std::to_string(l + 1)
                                                              : "kv_a_layernorms." + std::to_string(l);
  return times(bottleneck(config, config.latent_dim),
               rms_norm(c, layer.weight(gain + ".weight"), config.norm_epsilon));
}

// Outputs [first, first + count) of latent l's up-projection.
Row up(const Layer& layer, const Row& latent, Index l, Index first, Index count) {
  const AttentionConfig& config = layer.config;
  Row y;
  for (Index o = first; o < first + count; ++o) {
    Number sum;
    for (Index i = 0; i < config.latent_dim; ++i) {
      double w = 0;
      switch (config.variant) {
        case Variant::mla:
          w = layer.weight("kv_b_proj.weight")(o, i);
          break;
        case Variant::tpla:  // slice l of the whole latent
          w = layer.weight("kv_b_proj.weight")(o, l * config.latent_dim + i);
          break;
        case Variant::gla_2:
          w = layer.weight("kv_b_proj_" + std::to_string(l + 1) + ".weight")(o, i);
          break;
        case Variant::mtla:
          w = layer.weight("wkv_b.weight")(o, i);
          break;
        default:
          w = layer.weight("kv_b_proj")(l, i, o);  // input-major
      }
      sum = sum + number(w) * latent[at(i)];
    }
    y.push_back(sum);
  }
  return y;
}

// Keys [k_n | k_r] and values of all heads in one branch: each head's outputs are [key | value].
KeysAndValues heads_of(const Layer& layer, const std::vector<Row>& latents, const Row& rope_key,
                       Index branch) {
  const AttentionConfig& c = layer.config;
  const Index dn = c.nope_dim, dv = c.value_dim;
  KeysAndValues both;
  for (Index head = 0; head < c.query_heads; ++head) {
    const Source from = c.variant == Variant::mtla ? Source{0, head} : source(c, branch, head);
    const Row& latent = latents.at(at(from.latent));
    Row key = up(layer, latent, from.latent, from.place * (dn + dv), dn);
    if (c.variant == Variant::tpla) key = times(layer.weight("logit_scale")(from.latent), key);
    both.first.push_back(joined(key, rope_key));
    both.second.push_back(up(layer, latent, from.latent, from.place * (dn + dv) + dn, dv));
  }
  return both;
}

Heads queries_of(const Layer& layer, const Row& all, Index token) {
  const Index width = layer.config.nope_dim + layer.config.rope_dim;
  Heads queries;
  for (Index head = 0; head < layer.config.query_heads; ++head) {
    queries.push_back(layer.turned_back(part(all, head * width, width), token));
  }
  return queries;
}

}  // namespace

Written latent(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  require_all_latents(c);
  const Index dl = c.latent_dim;
  Written parts;
  std::vector<Entry> all;
  for (Index t = 0; t < layer.count(); ++t) {
    const Row x = layer.hidden(t);
    Row query;
    if (c.query_rank > 0) {
      const Row low =
          rms_norm(layer.projected("q_a_proj", x), layer.weight("q_a_layernorm.weight"), c.norm_epsilon);
      query = layer.projected("q_b_proj", times(bottleneck(c, c.query_rank), low));
    } else {
      query = layer.projected("q_proj", x);
    }
    parts.queries.push_back(queries_of(layer, query, t));
    const Row down = layer.projected("kv_a_proj_with_mqa", x);
    std::vector<Row> latents;
    for (Index l = 0; l < c.latent_heads; ++l) latents.push_back(normed(layer, part(down, l * dl, dl), l));
    const Row rope_key = layer.turned(part(down, c.latent_heads * dl, c.rope_dim), t);
    Entry entry{t, {}, {}};
    for (Index branch = 0; branch < branches_of(c); ++branch) {
      const KeysAndValues both = heads_of(layer, latents, rope_key, branch);
      entry.keys.push_back(both.first);
      entry.values.push_back(both.second);
    }
    all.push_back(entry);
  }
  parts.entries = [all](Index) { return all; };
  parts.scale = latent_scale(c);
  // Variance-keeping mean of branches (MLRA); TPLA's slices are parts of one whole.
  if (c.variant == Variant::mlra_4) parts.branch_scale = 1 / std::sqrt(Real{4});
  if (c.variant == Variant::mlra_2 && !c.unscaled) parts.branch_scale = 1 / std::sqrt(Real{2});
  return parts;
}

// As released code fills its cache: a token opens an entry when it is the first of its chunk, else its
// weighted latent is added to the last entry and its rotated key takes the place of the one there.
Written temporal_latent(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  require_all_latents(c);
  const auto normed_by = [&layer, &c](const std::string& name, const Row& x) {
    return layer_norm(x, layer.weight(name + ".weight"), layer.weight(name + ".bias"), c.norm_epsilon);
  };
  const auto hypernet = [&layer](const std::string& name, const Row& x) {
    return plus(layer.projected("hypernet_down." + name, x), layer.weight("hypernet_down." + name + ".bias"));
  };
  Written parts;
  std::vector<Row> weighted, rope_keys;
  for (Index t = 0; t < layer.count(); ++t) {
    const Row x = layer.hidden(t);
    const Row query = c.query_rank > 0
                          ? layer.projected("wq_b", normed_by("q_norm", layer.projected("wq_a", x)))
                          : layer.projected("wq", x);
    parts.queries.push_back(queries_of(layer, query, t));
    const Row down = layer.projected("wkv_a", x);
    const Row latent = normed_by("kv_norm", part(down, 0, c.latent_dim));
    const Index number_after_padding = t < layer.tokens.left_padding ? 0 : t - layer.tokens.left_padding;
    const auto chunk = static_cast<Real>(number_after_padding / c.stride);
    Row encoding;  // sin(u 10000^(-2i / d)), cos(of the same), ..
    for (Index e = 0; e < c.latent_dim; ++e) {
      const Index even = e / 2 * 2;
      const Real angle =
          chunk / std::pow(Real{10000}, static_cast<Real>(even) / static_cast<Real>(c.latent_dim));
      const Real value = e == even ? std::sin(angle) : std::cos(angle);
      encoding.push_back({value, std::fabs(value)});
    }
    const Real gate = sigmoid(dot(hypernet("fc_c", encoding), hypernet("fc_p", latent)).value);
    weighted.push_back(times(gate, latent));
    rope_keys.push_back(layer.turned(part(down, c.latent_dim, c.rope_dim), t));
  }
  parts.entries = [weighted, rope_keys, &layer](Index query) {
    struct Merged {
      Index last;
      Row latent, rope_key;
    };
    std::vector<Merged> cache;
    for (Index t = layer.tokens.left_padding; t <= query; ++t) {
      if ((t - layer.tokens.left_padding) % layer.config.stride == 0) {
        cache.push_back({t, weighted[at(t)], rope_keys[at(t)]});
      } else {
        cache.back() = {t, sum_of(cache.back().latent, weighted[at(t)]), rope_keys[at(t)]};
      }
    }
    std::vector<Entry> entries;
    for (const Merged& merged : cache) {
      const KeysAndValues both = heads_of(layer, {merged.latent}, merged.rope_key, 0);
      entries.push_back({merged.last, {both.first}, {both.second}});
    }
    return entries;
  };
  parts.scale = plain_scale(c);
  return parts;
}

}  // namespace attest::naive
