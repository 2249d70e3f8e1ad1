// Draws structure first (heads, widths), then lengths, then data.
#include "tests/reference/layer_case.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "reference/random.h"

namespace attest {
namespace {

int any(int least, int most) { return *rc::gen::inRange(least, most + 1); }

AttentionConfig draw_config(const std::string& variant_name) {
  AttentionConfig c = small_config(variant_name);
  const int heads_of_group = any(1, 3);
  const int groups = c.latent_heads > 0 ? c.latent_heads / c.branches() : c.kv_heads == 1 ? 1 : any(1, 3);
  c.query_heads = groups * heads_of_group;
  if (c.variant == Variant::mha || c.variant == Variant::tpa) {
    c.kv_heads = c.query_heads;
  } else if (c.kv_heads > 1) {
    c.kv_heads = groups;
  }
  c.hidden = any(3, 24);
  c.rope_dim = 2 * any(1, 4);
  if (c.nope_dim > 0) c.nope_dim = any(1, 7);
  c.value_dim = any(1, 9);
  if (c.variant == Variant::gta || c.variant == Variant::mfa_kr) c.value_dim = c.nope_dim + c.rope_dim;
  if (c.latent_dim > 0) c.latent_dim = any(4, 11);
  if (c.query_rank > 0) c.query_rank = any(1, 8);
  if (c.variant == Variant::mla || c.variant == Variant::mtla) c.query_rank = any(0, 4);
  if (c.variant == Variant::tpa || c.variant == Variant::lrkv) {
    c.key_rank = any(1, 4);
    c.value_rank = any(1, 4);
  }
  if (c.variant == Variant::mha || c.variant == Variant::gqa || c.variant == Variant::lrkv)
    c.qk_norm = any(0, 1) == 1;
  if (c.variant == Variant::gqa || c.variant == Variant::mqa) {
    c.qkv_bias = any(0, 1) == 1;
    c.nope_dim = any(0, 3);  // partial rotary
  }
  if (c.variant == Variant::mtla) c.stride = any(1, 4);
  c.rope.pairing = any(0, 1) == 0 ? RopePairing::half_split : RopePairing::interleaved;
  return c;
}

}  // namespace

Tensor<double> random_tensor(const std::vector<Index>& shape, std::uint64_t seed) {
  Tensor<double> x(shape);
  for (Index i = 0; i < x.count(); ++i) x.data()[i] = random_normal(seed, 1, static_cast<std::uint64_t>(i));
  return x;
}

Tokens LayerCase::tokens(std::size_t sequence) const {
  Tokens tokens;
  tokens.hidden = random_tensor({lengths[sequence], config.hidden}, mix(seed + 1000 * (sequence + 1)));
  tokens.left_padding = padding[sequence];
  return tokens;
}

std::vector<Tokens> LayerCase::all_tokens() const {
  std::vector<Tokens> all;
  for (std::size_t b = 0; b < lengths.size(); ++b) all.push_back(tokens(b));
  return all;
}

std::ostream& operator<<(std::ostream& out, const LayerCase& layer) {
  out << to_words(layer.config) << " mask=" << layer.mask.name() << " query=" << layer.query_tokens
      << " seed=" << layer.seed << " tokens(padding)=";
  for (std::size_t b = 0; b < layer.lengths.size(); ++b) {
    out << (b > 0 ? "," : "") << layer.lengths[b] << "(" << layer.padding[b] << ")";
  }
  return out;
}

rc::Gen<LayerCase> layer_case(const std::string& variant_name, LayerCaseOptions options) {
  return rc::gen::exec([variant_name, options] {
    LayerCase layer;
    layer.config = draw_config(variant_name);
    const bool merges = layer.config.variant == Variant::mtla;
    const int batch = any(1, 2);
    const int shortest_query = options.many_queries && !merges ? any(1, 3) : 1;
    layer.query_tokens = shortest_query;
    for (int b = 0; b < batch; ++b) {
      const int length = shortest_query + any(0, 8);
      layer.lengths.push_back(length);
      // At least the last query sees itself.
      layer.padding.push_back(options.padding ? any(0, length - 1) : 0);
    }
    if (options.masks) {
      layer.mask.causal = merges || any(0, 4) > 0;
      if (!merges && any(0, 1) == 1) {
        layer.mask.window = any(1, 5);
        layer.mask.sink_tokens = any(0, 2);
      }
      if (any(0, 2) == 0) layer.mask.softcap = 0.5 * any(1, 20);
    }
    layer.seed = static_cast<std::uint64_t>(any(0, 1 << 20));
    return layer;
  });
}

double distance(const Tensor<double>& a, const Tensor<double>& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double error = 0, magnitude = 1;
  for (Index i = 0; i < a.count(); ++i) {
    const double difference = std::abs(a.data()[i] - b.data()[i]);
    if (!(difference <= error)) error = difference;  // a NaN stays
    if (std::isnan(error)) return std::numeric_limits<double>::infinity();
    magnitude = std::max(magnitude, std::abs(b.data()[i]));
  }
  return error / magnitude;
}

Tensor<double> some_rows(const Tensor<double>& x, Index first, Index count) {
  Tensor<double> part{count, x.size(1)};
  std::copy_n(x.data() + first * x.size(1), part.count(), part.data());
  return part;
}

Tensor<double> entry(const Tensor<double>& x, Index b) {
  Tensor<double> part(std::vector<Index>(x.shape().begin() + 1, x.shape().end()));
  std::copy_n(x.data() + b * part.count(), part.count(), part.data());
  return part;
}

}  // namespace attest
