// A checkpoint of the released size, made of random numbers and streamed: how long the reference takes, how
// much memory it holds.
//
//   attest_scale FOLDER [layers] [tokens]     FOLDER gets 5.8 GB (24 layers) and keeps them; a second run
//   reads them again
#include <sys/resource.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "golden/released_model.h"
#include "golden/safetensors_writer.h"

namespace {

using namespace attest;
using namespace attest::golden;

// train_mlra_4.py of the released repository: 2,873,220,096 parameters with 24 layers.
std::string config_json(int layers) {
  return R"({"vocab_size": 50304, "n_layer": )" + std::to_string(layers) +
         R"(, "n_head": 24, "n_embd": 3072, "intermediate_size": 9880, "q_lora_rank": 1024, "qk_nope_head_dim": 128,
 "qk_rope_head_dim": 64, "kv_lora_rank": 512, "model_type": "gpt2", "attention_variant": "mlra_4"})";
}

ModelConfig model_config(int layers) {
  ModelConfig config;
  set_variant(config.attention, "mlra-4");
  config.attention.hidden = 3072;
  config.attention.query_heads = 24;
  config.attention.kv_heads = 1;
  config.attention.nope_dim = config.attention.value_dim = 128;
  config.attention.rope_dim = 64;
  config.attention.query_rank = 1024;
  config.attention.latent_heads = 4;
  config.attention.latent_dim = 128;
  config.layers = layers;
  config.vocabulary = 50304;
  config.feed_forward = 9880;
  return config;
}

// bfloat16 numbers uniform in [-a, a] with variance 1 / in, gains about 1; cheap, because billions of them
// are needed.
void write_checkpoint(const std::string& folder, int layers) {
  std::vector<TensorHeader> headers;
  for (const WeightShape& shape : model_config(layers).weight_shapes())
    headers.push_back({shape.name, ElementType::bf16, shape.shape});
  SafetensorsWriter writer(folder + "/model.safetensors", headers);
  std::mt19937_64 random(1);
  std::vector<uint16_t> block(1 << 20);
  for (const TensorHeader& header : writer.order()) {
    const bool gain = header.shape.size() == 1;
    const Index in = header.name.ends_with("kv_b_proj") ? header.shape[1] : header.shape.back();
    const double width = gain ? 0.1 : std::sqrt(3.0 / static_cast<double>(in));
    for (Index left = element_count(header.shape); left > 0;) {
      const auto count = static_cast<size_t>(std::min<Index>(left, static_cast<Index>(block.size())));
      for (size_t i = 0; i < count; ++i) {
        const double uniform = static_cast<double>(random() >> 11) * 0x1p-53 * 2 - 1;
        const auto value = static_cast<float>((gain ? 1.0 : 0.0) + width * uniform);
        block[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
      }
      writer.write(std::as_bytes(std::span(block).first(count)));
      left -= static_cast<Index>(count);
    }
  }
  writer.finish();
  std::ofstream(folder + "/config.json") << config_json(layers);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: attest_scale FOLDER [layers] [tokens]\n");
    return 2;
  }
  const std::string folder = argv[1];
  const int layers = argc > 2 ? std::atoi(argv[2]) : 24, tokens = argc > 3 ? std::atoi(argv[3]) : 64;
  try {
    std::filesystem::create_directories(folder);
    auto start = std::chrono::steady_clock::now();
    if (!std::filesystem::exists(folder + "/model.safetensors")) {
      write_checkpoint(folder, layers);
      std::printf("written in %.1f s\n", seconds_since(start));
    }
    start = std::chrono::steady_clock::now();
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const ReleasedModel model = recognise(folder + "/config.json", checkpoint);
    CheckpointWeights weights(checkpoint, model);
    Tensor<Index> ids({1, tokens});
    for (Index t = 0; t < tokens; ++t)
      ids.elements()[static_cast<size_t>(t)] = 7919 * t % model.config.vocabulary;
    const Tensor<double> logits =
        run_model(model.config, weights, ids, [&](const std::string& name, const Tensor<double>&) {
          std::printf("%7.1f s  %s\n", seconds_since(start), name.c_str());
          std::fflush(stdout);
        });
    double sum = 0;
    for (const double value : logits.elements()) sum += value * value;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::printf("%d layers, %d tokens: %.1f s, peak memory %.2f GiB, logits' root mean square %.4f\n", layers,
                tokens, seconds_since(start), static_cast<double>(usage.ru_maxrss) / (1 << 20),
                std::sqrt(sum / static_cast<double>(logits.count())));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
  return 0;
}
