// Softmax over what the family wrote out, sum of branches, gate, output projection.
#include "reference/naive/naive_layer.h"

#include "reference/naive/layer_parts.h"

namespace attest::naive {
namespace {

Written written(const Layer& layer) {
  switch (layer.config.variant) {
    case Variant::mha:
    case Variant::mqa:
    case Variant::gqa:
      return grouped_query(layer);
    case Variant::gta:
      return grouped_tied(layer);
    case Variant::mfa:
    case Variant::mfa_kr:
      return multi_matrix(layer);
    case Variant::mla:
    case Variant::gla_2:
    case Variant::gla_4:
    case Variant::tpla:
    case Variant::mlra_2:
    case Variant::mlra_4:
      return latent(layer);
    case Variant::mtla:
      return temporal_latent(layer);
    case Variant::tpa:
      return tensor_product(layer);
    case Variant::lrkv:
      return low_rank(layer);
  }
  throw std::invalid_argument("naive layer: not an attention variant");
}

// sum_j softmax_j(s q . k_j) v_j of one head and branch.
Row attended(const Layer& layer, const Written& parts, const MaskSpec& mask,
             const std::vector<Entry>& entries, Index query, std::size_t branch, std::size_t head) {
  Vector scores;
  std::vector<Vector> values, sizes;
  for (const Entry& entry : entries) {
    const Index number = entry.token - layer.tokens.left_padding;
    if (!is_seen(mask, query - entry.token, number)) continue;
    scores.push_back(parts.scale *
                     dot(parts.queries[at(query)].at(head), entry.keys.at(branch).at(head)).value);
    values.emplace_back();
    sizes.emplace_back();
    for (const Number& e : entry.values[branch].at(head)) {
      values.back().push_back(e.value);
      sizes.back().push_back(e.size);
    }
  }
  const Index width = layer.config.value_dim;
  const Result value = softmax_sum(mask, scores, values, width),
               size = softmax_sum(mask, scores, sizes, width);
  Row row;
  for (Index e = 0; e < width; ++e) row.push_back({value.output[at(e)], size.output[at(e)]});
  return row;
}

}  // namespace

Row Layer::hidden(Index token) const {
  Row x;
  for (Index e = 0; e < config.hidden; ++e) x.push_back(number(tokens.hidden(token, e)));
  return x;
}

Row Layer::turned(const Row& x, Index token) const {
  const auto place_of = [&](Index t) {
    return tokens.places.empty() ? Place{t, t, t} : tokens.places.at(at(t));
  };
  Index length = 0;  // the model's notion of a sequence's length: one more than the largest position
  for (Index t = 0; t < count(); ++t) {
    for (const Index axis : place_of(t)) {
      if (axis + 1 > length) length = axis + 1;
    }
  }
  return rotated(config.rope, x, place_of(token), length);
}
Row Layer::turned_front(const Row& x, Index token) const {
  const Index passing = static_cast<Index>(x.size()) - config.rope_dim;
  return joined(turned(part(x, 0, config.rope_dim), token), part(x, config.rope_dim, passing));
}
Row Layer::turned_back(const Row& x, Index token) const {
  const Index passing = static_cast<Index>(x.size()) - config.rope_dim;
  return joined(part(x, 0, passing), turned(part(x, passing, config.rope_dim), token));
}

Real plain_scale(const AttentionConfig& config) {
  if (config.softmax_scale != 0) return config.softmax_scale;
  return 1 / std::sqrt(static_cast<Real>(config.nope_dim + config.rope_dim));
}

std::function<std::vector<Entry>(Index)> entry_a_token(
    const Layer& layer, const std::function<KeysAndValues(Index)>& keys_and_values) {
  std::vector<Entry> all;
  for (Index token = 0; token < layer.count(); ++token) {
    const KeysAndValues both = keys_and_values(token);
    all.push_back({token, {both.first}, {both.second}});
  }
  return [all](Index) { return all; };
}

LayerOutput layer(const AttentionConfig& config, const LayerWeights& weights, const LayerTokens& tokens,
                  const MaskSpec& mask) {
  const Layer whole{config, weights, tokens};
  const Written parts = written(whole);
  const bool grouped = config.variant == Variant::gqa;
  const std::string out = config.variant == Variant::mtla ? "wo" : "c_proj";
  LayerOutput result{Tensor<double>{whole.count(), config.hidden},
                     Tensor<double>{whole.count(), config.hidden}};
  for (Index query = 0; query < whole.count(); ++query) {
    const std::vector<Entry> entries = parts.entries(query);
    Row all_heads;
    for (std::size_t head = 0; head < at(config.query_heads); ++head) {
      Row sum(at(config.value_dim));
      for (std::size_t branch = 0; !entries.empty() && branch < entries.front().keys.size(); ++branch) {
        sum = sum_of(sum, attended(whole, parts, mask, entries, query, branch, head));
      }
      all_heads = joined(all_heads, times(parts.branch_scale, sum));
    }
    if (config.gated) {
      const Row gate = whole.projected(grouped ? "c_gated" : "gated_proj", whole.hidden(query));
      for (std::size_t i = 0; i < gate.size(); ++i) all_heads[i] = sigmoid(gate[i].value) * all_heads[i];
    }
    const Row y = whole.projected(out, all_heads);
    for (Index e = 0; e < config.hidden; ++e) {
      result.output(query, e) = static_cast<double>(y[at(e)].value);
      result.absolute(query, e) = static_cast<double>(y[at(e)].size);
    }
  }
  return result;
}

}  // namespace attest::naive
