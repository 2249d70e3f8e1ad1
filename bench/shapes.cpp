// The table of timed shapes.
#include "bench/shapes.h"

namespace attest::bench {
namespace {

constexpr Index kKilo = 1024;

HeadConfig grouped(int query_heads, int kv_heads) {
  return {.family = Family::grouped,
          .query_heads = query_heads,
          .kv_heads = kv_heads,
          .key_dim = 128,
          .value_dim = 128,
          .storage = Format::bf16};
}

HeadConfig latent(int query_heads, int latent_dim) {
  return {.family = Family::latent,
          .query_heads = query_heads,
          .kv_heads = 1,
          .key_dim = latent_dim,
          .rope_dim = 64,
          .value_dim = latent_dim,
          .storage = Format::bf16};
}

}  // namespace

std::string DecodeShape::name(std::string_view device) const {
  return "decode/" + heads.name() + "/cached=" + std::to_string(cached_tokens) +
         "/batch=" + std::to_string(batch) + "/" + std::string(device);
}

Index DecodeShape::elements_per_token() const {
  const Index keys = Index{heads.kv_heads} * heads.key_dim;
  return heads.family == Family::latent ? keys + heads.rope_dim
                                        : keys + Index{heads.kv_heads} * heads.value_dim;
}

double DecodeShape::least_bytes() const {
  const double element = info(heads.storage).bytes;
  const double cache = static_cast<double>(cached_tokens * elements_per_token()) * element;
  const double queries =
      static_cast<double>(heads.rows() * heads.key_dim + heads.query_heads * heads.rope_dim) * element;
  const double results = 4.0 * heads.rows() * (heads.value_dim + 1);  // f32 outputs and log-sum-exp
  return static_cast<double>(batch) * (cache + queries + results);
}

std::vector<HeadConfig> published_heads() {
  return {
      grouped(8, 8),    // MHA, 8 heads
      grouped(8, 1),    // GQA-8 at TP 8
      latent(64, 512),  // MLA, not sharded
      latent(32, 256),  // GLA-2 at TP 2
      latent(32, 128),  // MLRA-2 at TP 4
      latent(64, 128),  // MLRA-4 at TP 4
  };
}

std::vector<DecodeShape> device_shapes() {
  std::vector<DecodeShape> shapes;
  for (const HeadConfig& heads : published_heads()) {
    for (const Index kilo : {128, 256, 512, 1024, 2048}) shapes.push_back({heads, kilo * kKilo, 1});
    shapes.push_back({heads, 4 * kKilo, 128});
  }
  return shapes;
}

std::vector<DecodeShape> host_shapes() {
  std::vector<DecodeShape> shapes;
  for (const HeadConfig& heads : published_heads()) {
    for (const Index cached : {128, 512}) shapes.push_back({heads, cached, 1});
  }
  return shapes;
}

}  // namespace attest::bench
