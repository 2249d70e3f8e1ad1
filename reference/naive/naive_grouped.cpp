// Layers whose cache holds plain keys and values, heads counted off in groups: MHA, MQA, GQA, GTA, MFA,
// MFA-KR.
#include "reference/naive/layer_parts.h"

namespace attest::naive {
namespace {

// Row i of `x` cut into rows of `width`.
Heads cut(const Row& x, Index width) {
  Heads heads;
  for (Index first = 0; first < static_cast<Index>(x.size()); first += width) {
    heads.push_back(part(x, first, width));
  }
  return heads;
}

// Every group's row once for each query head that reads it: query heads are dealt to groups in runs.
Heads dealt(const Heads& groups, int query_heads) {
  Heads heads;
  for (const Row& group : groups) {
    for (std::size_t member = 0; member < at(query_heads) / groups.size(); ++member) heads.push_back(group);
  }
  return heads;
}

}  // namespace

// q_h = x W_q,h + b, k_g and v_g likewise; q and k normed per head (Qwen3), then their front rotated.
Written grouped_query(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const Index width = c.nope_dim + c.rope_dim;
  const auto biased = [&layer, &c](const std::string& name, Index token) {
    const Row y = layer.projected(name, layer.hidden(token));
    return c.qkv_bias ? plus(y, layer.weight(name + ".bias")) : y;
  };
  const auto ready = [&layer, &c](Heads heads, const std::string& norm, Index token) {
    for (Row& x : heads) {
      if (c.qk_norm) x = rms_norm(x, layer.weight(norm + ".weight"), c.norm_epsilon);
      x = layer.turned_front(x, token);
    }
    return heads;
  };
  Written parts;
  for (Index t = 0; t < layer.count(); ++t) {
    parts.queries.push_back(ready(cut(biased("c_q", t), width), "q_norm", t));
  }
  parts.entries = entry_a_token(layer, [&](Index t) {
    return KeysAndValues{dealt(ready(cut(biased("c_k", t), width), "k_norm", t), c.query_heads),
                         dealt(cut(biased("c_v", t), c.value_dim), c.query_heads)};
  });
  parts.scale = plain_scale(c);
  return parts;
}

// A head's query is [position-free | rotated]; a group's state is its value, and its front half a key to
// which one rotated key of all heads is joined.
Written grouped_tied(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  Written parts;
  for (Index t = 0; t < layer.count(); ++t) {
    Heads queries = cut(layer.projected("c_q", layer.hidden(t)), c.nope_dim + c.rope_dim);
    for (Row& q : queries) q = layer.turned_back(q, t);
    parts.queries.push_back(queries);
  }
  parts.entries = entry_a_token(layer, [&](Index t) {
    const Heads states = dealt(cut(layer.projected("kv_proj", layer.hidden(t)), c.value_dim), c.query_heads);
    const Row rope_key = layer.turned(layer.projected("W_rope_k", layer.hidden(t)), t);
    Heads keys;
    for (const Row& state : states) keys.push_back(joined(part(state, 0, c.nope_dim), rope_key));
    return KeysAndValues{keys, states};
  });
  parts.scale = plain_scale(c);
  return parts;
}

// q = W_q RMSNorm(W_c x) in wide heads; one key and one value for all. MFA-KR's value has the weight
//   S_v = S_k + diag(alpha) N S_k     (columns of S are outputs here: [C, D])
Written multi_matrix(const Layer& layer) {
  const AttentionConfig& c = layer.config;
  const Index width = c.nope_dim + c.rope_dim;
  const Tensor<double>& key_weight = layer.weight("c_k.weight");
  Written parts;
  for (Index t = 0; t < layer.count(); ++t) {
    const Row narrow =
        rms_norm(layer.projected("c_q", layer.hidden(t)), layer.weight("q_layernorm.weight"), c.norm_epsilon);
    Heads queries = cut(layer.projected("w_q", narrow), width);
    for (Row& q : queries) q = layer.turned_front(q, t);
    parts.queries.push_back(queries);
  }
  std::vector<Row> value_weight;  // [C][D]
  for (Index o = 0; o < c.value_dim; ++o) {
    Row row;
    for (Index i = 0; i < c.hidden; ++i) {
      if (c.variant == Variant::mfa) {
        row.push_back(number(layer.weight("c_v.weight")(o, i)));
        continue;
      }
      Number mixed;
      for (Index m = 0; m < c.value_dim; ++m) {
        mixed = mixed + number(layer.weight("value_matrix")(o, m)) * number(key_weight(m, i));
      }
      row.push_back(number(key_weight(o, i)) + number(layer.weight("value_gain")(o)) * mixed);
    }
    value_weight.push_back(row);
  }
  parts.entries = entry_a_token(layer, [&](Index t) {
    const Row x = layer.hidden(t);
    Row value;
    for (const Row& row : value_weight) value.push_back(dot(row, x));
    return KeysAndValues{dealt({layer.turned_front(linear(key_weight, x), t)}, c.query_heads),
                         dealt({value}, c.query_heads)};
  });
  parts.scale = plain_scale(c);
  return parts;
}

}  // namespace attest::naive
