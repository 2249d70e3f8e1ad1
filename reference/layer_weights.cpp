// Which weights a layer needs, whether they are there, and random ones.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "reference/layer.h"
#include "reference/random.h"
#include "reference/variants/steps.h"
#include "reference/variants/variant_maths.h"

namespace attest {
namespace {

using reference::maths;
using reference::require_valid;

// FNV-1a: a tensor's random stream follows from its name.
std::uint64_t stream_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

std::vector<WeightShape> weight_shapes(const AttentionConfig& config) {
  require_valid(config);
  const reference::VariantMaths& variant = maths(config.variant);
  const Index heads = Index{config.query_heads} * config.value_dim;
  std::vector<WeightShape> shapes = variant.weights(config);
  if (config.gated) shapes.push_back({variant.gate, {heads, config.hidden}});
  shapes.push_back({variant.output_projection, {config.hidden, heads}});
  return shapes;
}

void check_weights(const AttentionConfig& config, const Weights& weights) {
  for (const WeightShape& want : weight_shapes(config)) {
    const auto found = weights.find(want.name);
    if (found == weights.end()) {
      throw std::invalid_argument(config.variant_name() + ": weight '" + want.name +
                                  "' is missing: expected " + shape_text(want.shape));
    }
    if (found->second.shape() != want.shape) {
      throw std::invalid_argument(config.variant_name() + ": weight '" + want.name + "' has shape " +
                                  shape_text(found->second.shape()) + ": expected " + shape_text(want.shape));
    }
  }
}

Weights random_weights(const AttentionConfig& config, std::uint64_t seed) {
  Weights weights;
  for (const WeightShape& shape : weight_shapes(config)) weights[shape.name] = random_weight(shape, seed);
  return weights;
}

Tensor<double> random_weight(const WeightShape& shape, std::uint64_t seed) {
  const std::uint64_t stream = stream_of(shape.name);
  const bool is_vector = shape.shape.size() == 1, is_bias = shape.name.ends_with("bias");
  // Linear weights [out, in] and raw parameters [latent or head, in, out]: `in` is the second axis.
  const double mean = is_vector && !is_bias ? 1 : 0;
  const double spread =
      is_vector ? 0.1 : 1 / std::sqrt(static_cast<double>(std::max<Index>(shape.shape[1], 1)));
  Tensor<double> x(shape.shape);
  for (Index i = 0; i < x.count(); ++i) {
    x.data()[i] = mean + spread * random_normal(seed ^ static_cast<std::uint64_t>(Stream::weights), stream,
                                                static_cast<std::uint64_t>(i));
  }
  return x;
}

}  // namespace attest
