// Whole released models, streamed layer by layer: every layer's weights are read once, also when tokens are
// generated one by one, because a layer's output at a token depends on earlier tokens only.
#include "reference/model.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "reference/cache.h"
#include "reference/variants/steps.h"

namespace attest {
namespace {

constexpr Index kHeadRows = 4096;  // rows of the head that are in memory at a time

std::string layer_name(Index layer, std::string_view rest) {
  return "transformer.h." + std::to_string(layer) + "." + std::string(rest);
}

void require_valid(const ModelConfig& config) {
  const std::vector<std::string> problems = config.problems();
  if (!problems.empty()) throw std::invalid_argument(problems.front());
}

void require_shape(const std::string& name, const Tensor<double>& x, const std::vector<Index>& shape) {
  if (x.shape() != shape) {
    throw std::invalid_argument("weight '" + name + "' has shape " + shape_text(x.shape()) + ": expected " +
                                shape_text(shape));
  }
}

Tensor<double> read(WeightSource& source, const std::string& name, const std::vector<Index>& shape) {
  Tensor<double> x = source.tensor(name);
  require_shape(name, x, shape);
  return x;
}

Weights attention_weights(const ModelConfig& config, WeightSource& source, Index layer) {
  Weights weights;
  for (const WeightShape& shape : weight_shapes(config.attention)) {
    weights[shape.name] = read(source, layer_name(layer, "attn." + shape.name), shape.shape);
  }
  return weights;
}

// RMSNorm of [B, T, D].
Tensor<double> normed(const ModelConfig& config, WeightSource& source, const std::string& name,
                      const Tensor<double>& x) {
  const Tensor<double> gain = read(source, name, {config.attention.hidden});
  return as_tensor(reference::rms_norm(matrix(x), gain, config.norm_epsilon), x.shape());
}

// down(silu(gate x) * up x), one weight in memory at a time.
Matrix feed_forward(const ModelConfig& config, WeightSource& source, Index layer, const Tensor<double>& x) {
  const Index D = config.attention.hidden, F = config.feed_forward;
  const auto times = [&](const Matrix& in, std::string_view name, const std::vector<Index>& shape) -> Matrix {
    const Tensor<double> weight = read(source, layer_name(layer, name), shape);
    return product_transposed(in, matrix(weight));
  };
  const Matrix input = matrix(x);
  Matrix inner = times(input, "mlp.c_fc1.weight", {F, D});
  inner = inner.unaryExpr([](double g) { return g / (1 + std::exp(-g)); });
  inner.array() *= times(input, "mlp.c_fc2.weight", {F, D}).array();
  return times(inner, "mlp.c_proj.weight", {D, F});
}

// Token embeddings [B, T, D].
Tensor<double> embed(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids) {
  if (input_ids.shape().size() != 2) {
    throw std::invalid_argument("input_ids " + shape_text(input_ids.shape()) + ": expected [batch, tokens]");
  }
  for (const Index id : input_ids.elements()) {
    if (id < 0 || id >= config.vocabulary) {
      throw std::invalid_argument("input_ids: token " + std::to_string(id) + ": expected 0 to " +
                                  std::to_string(config.vocabulary - 1));
    }
  }
  const std::string name = "transformer.wte.weight";
  const Tensor<double> rows = source.rows(name, input_ids.elements());
  require_shape(name, rows, {input_ids.count(), config.attention.hidden});
  return as_tensor(matrix(rows), {input_ids.size(0), input_ids.size(1), config.attention.hidden});
}

// Final norm and head: [B, T, D] -> [B, T, V].
Tensor<double> logits_of(const ModelConfig& config, WeightSource& source, const Tensor<double>& x) {
  const std::string name = config.tied_head ? "transformer.wte.weight" : "lm_head.weight";
  const Tensor<double> final_state = normed(config, source, "layernorm.weight", x);
  Tensor<double> logits{x.size(0), x.size(1), config.vocabulary};
  for (Index first = 0; first < config.vocabulary; first += kHeadRows) {
    std::vector<Index> ids(static_cast<std::size_t>(std::min(kHeadRows, config.vocabulary - first)));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = first + static_cast<Index>(i);
    const Tensor<double> rows = source.rows(name, ids);
    require_shape(name, rows, {static_cast<Index>(ids.size()), config.attention.hidden});
    matrix(logits).middleCols(first, rows.size(0)) = product_transposed(matrix(final_state), matrix(rows));
  }
  return logits;
}

// Tokens [first, first + count) of sequence b of [B, T, D].
Tokens tokens_of(const Tensor<double>& hidden, Index b, Index first, Index count) {
  const Index T = hidden.size(1), D = hidden.size(2);
  Tokens tokens{
      .hidden = Tensor<double>{count, D}, .first_position = first, .positions = {}, .left_padding = 0};
  tokens.first_token = first;
  std::copy_n(hidden.data() + (b * T + first) * D, count * D, tokens.hidden.data());
  return tokens;
}

// All tokens at once, the materialised form.
Tensor<double> attention(const AttentionConfig& config, const Weights& weights,
                         const Tensor<double>& hidden) {
  Tensor<double> output(hidden.shape());
  const Index T = hidden.size(1);
  for (Index b = 0; b < hidden.size(0); ++b) {
    const Tensor<double> out = materialised_layer(config, weights, tokens_of(hidden, b, 0, T));
    matrix(output).middleRows(b * T, T) = matrix(out);
  }
  return output;
}

// A prefill of `prefill` tokens, then one token at a time against the cache so far, the decode form; caches
// [B] as they end up.
Tensor<double> generated_attention(const AttentionConfig& config, const Weights& weights,
                                   const Tensor<double>& hidden, Index prefill,
                                   std::vector<Projected>& caches) {
  Tensor<double> output(hidden.shape());
  const Index T = hidden.size(1);
  if (config.variant == Variant::mtla) prefill = 1;  // a merged entry changes with every token
  for (Index b = 0; b < hidden.size(0); ++b) {
    Projected cache;
    for (Index first = 0; first < T;) {
      const Index count = first == 0 ? prefill : 1;
      append(cache, project(config, weights, tokens_of(hidden, b, first, count)));
      const Tensor<double> out = decode_projected(config, weights, {&cache, 1}, count);
      matrix(output).middleRows(b * T + first, count) = matrix(out);
      first += count;
    }
    caches.push_back(std::move(cache));
  }
  return output;
}

// One part of the caches of all sequences, [B, T, ..].
Tensor<double> stacked(const std::vector<Projected>& caches, const std::string& part,
                       std::vector<Index> token_shape) {
  const auto batch = static_cast<Index>(caches.size());
  token_shape.insert(token_shape.begin(), {batch, caches.front().tokens()});
  Tensor<double> all(token_shape);
  double* to = all.data();
  for (const Projected& cache : caches) {
    const Tensor<double>& values = cache.cache.at(part);
    to = std::copy(values.elements().begin(), values.elements().end(), to);
  }
  return all;
}

void report_caches(const AttentionConfig& config, Index layer, const std::vector<Projected>& caches,
                   const ModelHook& hook) {
  const std::string prefix = "decode.layers." + std::to_string(layer) + ".";
  for (const CachePart& part : cache_parts(config)) {
    const Tensor<double> all = stacked(caches, part.name, part.shape);
    if (part.name == "rope_keys") {
      hook(prefix + "rope_key_cache", as_tensor(matrix(all), {all.size(0), all.size(1), 1, config.rope_dim}));
    } else if (part.name == "latents") {
      const Tensor<double> rows =
          as_tensor(matrix(all), {all.size(0) * all.size(1), part.shape[0], part.shape[1]});
      for (Index l = 0; l < part.shape[0]; ++l) {
        const Matrix one = head(rows, l);
        hook(prefix + "latent_cache." + std::to_string(l),
             as_tensor(one, {all.size(0), all.size(1), 1, part.shape[1]}));
      }
    } else {
      hook(prefix + part.name, all);
    }
  }
}

// x <- x + attention(norm(x)); x <- x + feed_forward(norm(x)) in every layer, `attend` being one of the two
// forms above.
template <class Attend>
Tensor<double> run(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids,
                   const Attend& attend_layer) {
  require_valid(config);
  Tensor<double> x = embed(config, source, input_ids);
  for (Index layer = 0; layer < config.layers; ++layer) {
    {
      const Tensor<double> input = normed(config, source, layer_name(layer, "input_layernorm.weight"), x);
      const Weights weights = attention_weights(config, source, layer);
      const Tensor<double> output = attend_layer(layer, weights, input);
      matrix(x) += matrix(output);
    }
    const Tensor<double> input =
        normed(config, source, layer_name(layer, "post_attention_layernorm.weight"), x);
    matrix(x) += feed_forward(config, source, layer, input);
  }
  return logits_of(config, source, x);
}

}  // namespace

std::vector<std::string> ModelConfig::problems() const {
  std::vector<std::string> found = attention.problems();
  const auto positive = [&](const char* what, Index value) {
    if (value < 1)
      found.push_back(std::string("model: ") + what + " " + std::to_string(value) + ": expected 1 or more");
  };
  positive("layers", layers);
  positive("vocabulary", vocabulary);
  positive("feed-forward width", feed_forward);
  if (!(norm_epsilon >= 0) || std::isinf(norm_epsilon)) {
    found.push_back("model: norm epsilon " + std::to_string(norm_epsilon) +
                    ": expected 0 or a positive finite number");
  }
  return found;
}

std::vector<WeightShape> ModelConfig::weight_shapes() const {
  require_valid(*this);
  const Index D = attention.hidden;
  std::vector<WeightShape> shapes = {{"transformer.wte.weight", {vocabulary, D}}};
  for (Index layer = 0; layer < layers; ++layer) {
    shapes.push_back({layer_name(layer, "input_layernorm.weight"), {D}});
    for (const WeightShape& shape : attest::weight_shapes(attention)) {
      shapes.push_back({layer_name(layer, "attn." + shape.name), shape.shape});
    }
    shapes.push_back({layer_name(layer, "post_attention_layernorm.weight"), {D}});
    shapes.push_back({layer_name(layer, "mlp.c_fc1.weight"), {feed_forward, D}});
    shapes.push_back({layer_name(layer, "mlp.c_fc2.weight"), {feed_forward, D}});
    shapes.push_back({layer_name(layer, "mlp.c_proj.weight"), {D, feed_forward}});
  }
  shapes.push_back({"layernorm.weight", {D}});
  if (!tied_head) shapes.push_back({"lm_head.weight", {vocabulary, D}});
  return shapes;
}

Tensor<double> WeightSource::rows(const std::string& name, std::span<const Index> rows) {
  const Tensor<double> all = tensor(name);
  if (all.shape().size() != 2) {
    throw std::invalid_argument("weight '" + name + "' has shape " + shape_text(all.shape()) +
                                ": expected a matrix");
  }
  Tensor<double> part{static_cast<Index>(rows.size()), all.size(1)};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= all.size(0)) {
      throw std::invalid_argument("weight '" + name + "': row " + std::to_string(rows[i]) + " of " +
                                  std::to_string(all.size(0)));
    }
    std::copy_n(all.data() + rows[i] * all.size(1), all.size(1),
                part.data() + static_cast<Index>(i) * all.size(1));
  }
  return part;
}

RandomWeightSource::RandomWeightSource(const ModelConfig& config, std::uint64_t seed) {
  for (const WeightShape& shape : config.weight_shapes()) tensors_[shape.name] = random_weight(shape, seed);
}

Tensor<double> RandomWeightSource::tensor(const std::string& name) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw std::invalid_argument("weight '" + name + "' is missing");
  return found->second;
}

Tensor<double> run_model(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids,
                         const ModelHook& hook) {
  const auto attend_layer = [&](Index layer, const Weights& weights, const Tensor<double>& input) {
    Tensor<double> output = attention(config.attention, weights, input);
    if (hook) {
      const std::string name = "layers." + std::to_string(layer) + ".attn.";
      hook(name + "input", input);
      hook(name + "output", output);
    }
    return output;
  };
  Tensor<double> logits = run(config, source, input_ids, attend_layer);
  if (hook) hook("logits", logits);
  return logits;
}

Tensor<double> run_attention(const ModelConfig& config, WeightSource& source, Index layer,
                             const Tensor<double>& hidden) {
  require_valid(config);
  if (layer < 0 || layer >= config.layers) {
    throw std::invalid_argument("layer " + std::to_string(layer) + " of " + std::to_string(config.layers));
  }
  if (hidden.shape().size() != 3) {
    throw std::invalid_argument("hidden states " + shape_text(hidden.shape()) +
                                ": expected [batch, tokens, width]");
  }
  return attention(config.attention, attention_weights(config, source, layer), hidden);
}

Tensor<double> generate_model(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids,
                              Index prefill_tokens, const ModelHook& hook) {
  if (prefill_tokens < 1 || input_ids.shape().size() != 2 || prefill_tokens > input_ids.size(1)) {
    throw std::invalid_argument("prefill of " + std::to_string(prefill_tokens) + " tokens, input_ids " +
                                shape_text(input_ids.shape()) + ": expected 1 to all tokens");
  }
  return run(
      config, source, input_ids, [&](Index layer, const Weights& weights, const Tensor<double>& input) {
        std::vector<Projected> caches;
        Tensor<double> output = generated_attention(config.attention, weights, input, prefill_tokens, caches);
        if (hook && !caches.empty()) report_caches(config.attention, layer, caches, hook);
        return output;
      });
}

}  // namespace attest
