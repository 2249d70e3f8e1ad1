// Whole released models: embeddings, pre-norm blocks of attention and SwiGLU, final norm and tied head, in
// double precision, streamed so that one tensor of one layer is in memory at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "reference/attention_config.h"
#include "reference/layer.h"
#include "reference/mask_spec.h"
#include "reference/tensor.h"

namespace attest {

// Tensors go by the released MLRA repository's names: transformer.wte.weight, lm_head.weight (untied heads
// only), layernorm.weight, and for every layer i, below transformer.h.{i}: input_layernorm.weight, attn.*
// (layer.h), post_attention_layernorm.weight, mlp.c_fc1.weight (gate), mlp.c_fc2.weight (up),
// mlp.c_proj.weight (down). Other layouts are translated by their WeightSource.
struct ModelConfig {
  AttentionConfig attention;  // hidden is the model's width
  Index layers = 1;
  Index vocabulary = 1;
  Index feed_forward = 1;  // width of SwiGLU's inner layer
  double norm_epsilon =
      1e-6;               // of the block and final norms (attention.norm_epsilon is that of the norms inside)
  bool tied_head = true;  // logits use the embedding; else lm_head.weight

  std::vector<std::string> problems() const;
  // Every tensor that the model reads, with its shape, by name.
  std::vector<WeightShape> weight_shapes() const;
};

// Where weights come from. `tensor` returns all values of a named tensor; `rows` only some rows of a matrix
// (token embeddings), by default cut from `tensor`. Both throw what the source throws when the name is
// unknown.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual Tensor<double> tensor(const std::string& name) = 0;
  virtual Tensor<double> rows(const std::string& name, std::span<const Index> rows);
};
// A model of `config` in memory, all tensors random (see random_weights), for tests.
class RandomWeightSource : public WeightSource {
 public:
  RandomWeightSource(const ModelConfig& config, std::uint64_t seed);
  Tensor<double> tensor(const std::string& name) override;

 private:
  std::map<std::string, Tensor<double>> tensors_;
};

// Called with "layers.0.attn.input", "layers.0.attn.output" ([B, T, D] each) and "logits" ([B, T, V]) as they
// are computed.
using ModelHook = std::function<void(const std::string& name, const Tensor<double>& value)>;

// input_ids [B, T] -> logits [B, T, V] by the materialised form, causal. Throws std::invalid_argument for an
// identifier outside the vocabulary.
Tensor<double> run_model(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids,
                         const ModelHook& hook = {});

// One layer's attention alone, on given inputs: hidden [B, T, D] (what "layers.i.attn.input" holds) -> [B, T,
// D].
Tensor<double> run_attention(const ModelConfig& config, WeightSource& source, Index layer,
                             const Tensor<double>& hidden);

// The released generation path: a prefill of `prefill_tokens`, then one token at a time, each step through
// the decode form with caches. Returns logits [B, T, V] of every position. The hook is called once at the
// end, per layer and cache part, with "decode.layers.{i}.rope_key_cache" [B, T, 1, dr] and
// "decode.layers.{i}.latent_cache.{l}" [B, T, 1, latent_dim] (latent family) or "decode.layers.{i}.{part}"
// ([B, T, ..]; the others).
Tensor<double> generate_model(const ModelConfig& config, WeightSource& source, const Tensor<Index>& input_ids,
                              Index prefill_tokens, const ModelHook& hook = {});

}  // namespace attest
