// Lists what may and what must be there, then compares the file with both lists.
#include "golden/golden_file.h"

#include <charconv>
#include <filesystem>

#include "reference/cache.h"

namespace attest::golden {
namespace {

using Shapes = std::map<std::string, std::vector<Index>>;

// A cache part under the names that reference/model.h reports.
void add_cache_shapes(Shapes& shapes, const ReleasedModel& model, const std::string& prefix, Index batch,
                      Index tokens) {
  const AttentionConfig& c = model.config.attention;
  for (const CachePart& part : cache_parts(c)) {
    if (part.name == "rope_keys") {
      shapes[prefix + "rope_key_cache"] = {batch, tokens, 1, c.rope_dim};
    } else if (part.name == "latents") {
      for (Index l = 0; l < part.shape[0]; ++l) {
        shapes[prefix + "latent_cache." + std::to_string(l)] = {batch, tokens, 1, part.shape[1]};
      }
    } else {
      std::vector<Index> shape{batch, tokens};
      shape.insert(shape.end(), part.shape.begin(), part.shape.end());
      shapes[prefix + part.name] = shape;
    }
  }
}

}  // namespace

const std::string kFloat32Prefix = "shipped_fp32.";

GoldenFile::GoldenFile(const std::string& directory, const ReleasedModel& model)
    : file_(MappedFile::open((std::filesystem::path(directory) / "golden.safetensors").string())) {
  SafetensorsFile contents = read_safetensors(file_);
  metadata_ = std::move(contents.metadata);
  for (StoredTensor& tensor : contents.tensors) {
    const std::string name = tensor.name;
    tensors_.emplace(name, std::move(tensor));
  }
  const auto ids = tensors_.find("input_ids");
  if (ids == tensors_.end()) file_->fail("tensor 'input_ids' is missing");
  if (ids->second.shape.size() != 2 || ids->second.elements() == 0) {
    file_->fail("tensor 'input_ids' has shape " + shape_text(ids->second.shape) +
                ", expected [batch, tokens]");
  }
  input_ids_ = Tensor<Index>(ids->second.shape);
  const std::vector<int64_t> values = ids->second.to_integers();
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] >= model.config.vocabulary) {
      file_->fail("input_ids: token " + std::to_string(values[i]) + ", expected 0 to " +
                  std::to_string(model.config.vocabulary - 1));
    }
    input_ids_.elements()[i] = values[i];
  }

  const Index batch = input_ids_.size(0), tokens = input_ids_.size(1), width = model.config.attention.hidden;
  const bool float32 = has_any(kFloat32Prefix), decode = has_any("decode.");
  Shapes allowed{{"input_ids", input_ids_.shape()},
                 {"logits", {batch, tokens, model.config.vocabulary}},
                 {kFloat32Prefix + "logits", {batch, tokens, model.config.vocabulary}},
                 {"decode.logits", {batch, tokens, model.config.vocabulary}}};
  std::vector<std::string> required;
  if (!model.attention_only) required.push_back("logits");
  if (!model.attention_only && float32) required.push_back(kFloat32Prefix + "logits");
  if (decode) required.push_back("decode.logits");
  for (Index layer = 0; layer < model.config.layers; ++layer) {
    const std::string name = "layers." + std::to_string(layer) + ".";
    for (const std::string end : {"attn.input", "attn.output"}) {
      allowed[name + end] = allowed[kFloat32Prefix + name + end] = {batch, tokens, width};
      required.push_back(name + end);
    }
    if (float32) required.push_back(kFloat32Prefix + name + "attn.output");
    add_cache_shapes(allowed, model, "decode." + name, batch, tokens);
  }
  check(allowed, required);

  if (!decode) return;
  const auto stated = metadata_.find("prefill_length");
  const std::string text = stated == metadata_.end() ? "" : stated->second;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), prefill_tokens_);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || prefill_tokens_ < 1 ||
      prefill_tokens_ > tokens) {
    file_->fail("metadata prefill_length is " + in_quotes(text) + ", expected 1 to " +
                std::to_string(tokens) + " for the decode tensors");
  }
}

bool GoldenFile::has_any(const std::string& prefix) const {
  const auto first = tensors_.lower_bound(prefix);
  return first != tensors_.end() && first->first.starts_with(prefix);
}

void GoldenFile::check(const Shapes& allowed, const std::vector<std::string>& required) const {
  for (const std::string& name : required) {
    if (!has(name)) file_->fail("tensor " + in_quotes(name) + " is missing");
  }
  for (const auto& [name, tensor] : tensors_) {
    const auto expected = allowed.find(name);
    if (expected == allowed.end())
      file_->fail("tensor " + in_quotes(name) + " is unknown: nothing that the reference computes");
    if (tensor.shape != expected->second) {
      file_->fail("tensor " + in_quotes(name) + " has shape " + shape_text(tensor.shape) + ", expected " +
                  shape_text(expected->second));
    }
    if (name == "input_ids") continue;
    const ElementType type = name.starts_with(kFloat32Prefix) ? ElementType::f32 : ElementType::f64;
    if (tensor.type != type) {
      file_->fail("tensor " + in_quotes(name) + " is " + std::string(info(tensor.type).name) + ", expected " +
                  std::string(info(type).name));
    }
  }
}

Tensor<double> GoldenFile::values(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) file_->fail("tensor " + in_quotes(name) + " is missing");
  Tensor<double> values(found->second.shape);
  found->second.read_doubles(0, values.elements());
  return values;
}

}  // namespace attest::golden
