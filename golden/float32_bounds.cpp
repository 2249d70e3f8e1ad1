// All draws advance together, layer by layer, so that every weight is read once.
#include "golden/float32_bounds.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "golden/float32_attention.h"

namespace attest::golden {
namespace {

constexpr std::uint64_t kSeed = 0x5eed;

// One run of the model; run 0 is exact. Rows are all tokens of all sequences.
struct Run {
  Float32Noise noise;
  Float32Rope rope;
  Matrix x;
};

struct Pass {
  const ModelConfig& config;
  WeightSource& source;
  Index batch, tokens;
  std::vector<Run> runs;
  Float32Bounds result;

  // Replaces every run's `state` by step(run, state).
  template <typename Step>
  void each(std::vector<Matrix>& states, const Step& step) {
    for (size_t i = 0; i < runs.size(); ++i) states[i] = step(runs[i], states[i]);
  }
  std::vector<Matrix> linear(const std::vector<Matrix>& from, const std::string& name) {
    const Tensor<double> weight = source.tensor(name);
    std::vector<Matrix> to = from;
    each(to, [&](Run& run, const Matrix& x) { return run.noise.linear(x, matrix(weight)); });
    return to;
  }
  std::vector<Matrix> normed(const std::string& name) {
    const Tensor<double> gain = source.tensor(name);
    std::vector<Matrix> to(runs.size());
    for (size_t i = 0; i < runs.size(); ++i)
      to[i] = runs[i].noise.rms_norm(runs[i].x, matrix(gain), config.norm_epsilon);
    return to;
  }
  void add_to_residual(const std::vector<Matrix>& states) {
    for (size_t i = 0; i < runs.size(); ++i) runs[i].x = runs[i].noise.add(runs[i].x, states[i]);
  }
  // Exact values and bounds of a result of which there is one matrix a run.
  void record(const std::string& name, const std::vector<Matrix>& states) {
    const Matrix& exact = states.front();
    Matrix square = Matrix::Zero(exact.rows(), exact.cols());
    for (size_t i = 1; i < states.size(); ++i) square += (states[i] - exact).cwiseAbs2();
    const Matrix bound =
        kDeviations / std::sqrt(kChiSquare) * square.cwiseSqrt();  // sqrt(k / c) sqrt(square / k)
    result.values[name] = as_tensor(exact, {batch, tokens, exact.cols()});
    result.bounds[name] = as_tensor(bound, {batch, tokens, exact.cols()});
  }
};

std::vector<Matrix> attention(Pass& pass, Index layer, const std::vector<Matrix>& inputs) {
  const AttentionConfig& c = pass.config.attention;
  Weights weights;
  for (const WeightShape& shape : weight_shapes(c)) {
    weights[shape.name] =
        pass.source.tensor("transformer.h." + std::to_string(layer) + ".attn." + shape.name);
  }
  std::vector<Matrix> outputs = inputs;
  pass.each(outputs, [&](Run& run, const Matrix& x) {
    Matrix y(x.rows(), x.cols());
    for (Index b = 0; b < pass.batch; ++b) {
      const Matrix sequence = x.middleRows(b * pass.tokens, pass.tokens);
      y.middleRows(b * pass.tokens, pass.tokens) =
          attention_in_float32(c, weights, run.rope, sequence, run.noise);
    }
    return y;
  });
  return outputs;
}

void feed_forward(Pass& pass, const std::string& prefix) {
  const std::vector<Matrix> inner = pass.normed(prefix + "post_attention_layernorm.weight");
  std::vector<Matrix> gate = pass.linear(inner, prefix + "mlp.c_fc1.weight");
  const std::vector<Matrix> up = pass.linear(inner, prefix + "mlp.c_fc2.weight");
  for (size_t i = 0; i < gate.size(); ++i) {
    Float32Noise& noise = pass.runs[i].noise;
    gate[i] = noise.multiply(noise.silu(gate[i]), up[i]);
  }
  pass.add_to_residual(pass.linear(gate, prefix + "mlp.c_proj.weight"));
}

// The head has as many rows as the vocabulary, so only some are in memory at a time.
void logits(Pass& pass) {
  const std::string name = pass.config.tied_head ? "transformer.wte.weight" : "lm_head.weight";
  const std::vector<Matrix> last = pass.normed("layernorm.weight");
  std::vector<Matrix> all(last.size(), Matrix(last.front().rows(), pass.config.vocabulary));
  constexpr Index kRows = 4096;
  for (Index first = 0; first < pass.config.vocabulary; first += kRows) {
    std::vector<Index> ids(static_cast<size_t>(std::min(kRows, pass.config.vocabulary - first)));
    std::iota(ids.begin(), ids.end(), first);
    const Tensor<double> rows = pass.source.rows(name, ids);
    for (size_t i = 0; i < last.size(); ++i) {
      all[i].middleCols(first, rows.size(0)) = pass.runs[i].noise.linear(last[i], matrix(rows));
    }
  }
  pass.record("logits", all);
}

}  // namespace

Float32Bounds float32_bounds(const ModelConfig& config, WeightSource& source,
                             const Tensor<Index>& input_ids) {
  const AttentionConfig& c = config.attention;
  Float32Bounds none;
  if (!has_float32_attention(c.variant)) none.unknown = c.variant_name() + " has no released float32 code";
  if (!none.unknown.empty()) return none;

  Pass pass{config, source, input_ids.size(0), input_ids.size(1), std::vector<Run>(kDraws + 1), {}};
  const Tensor<double> embedded = source.rows("transformer.wte.weight", input_ids.elements());
  for (size_t i = 0; i < pass.runs.size(); ++i) {
    Run& run = pass.runs[i];
    if (i > 0) run.noise = Float32Noise(kSeed + i);
    run.x = matrix(embedded);
    run.rope = float32_rope(c.rope, c.rope_dim, pass.tokens, run.noise);
  }
  for (Index layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = "transformer.h." + std::to_string(layer) + ".",
                      name = "layers." + std::to_string(layer) + ".attn.";
    const std::vector<Matrix> input = pass.normed(prefix + "input_layernorm.weight");
    pass.record(name + "input", input);
    const std::vector<Matrix> output = attention(pass, layer, input);
    pass.record(name + "output", output);
    pass.add_to_residual(output);
    feed_forward(pass, prefix);
  }
  logits(pass);
  return std::move(pass.result);
}

}  // namespace attest::golden
