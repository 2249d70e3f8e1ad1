// Formats what Checkpoint, recognise and the safetensors reader report.
#include "golden/inspect.h"

#include <algorithm>
#include <filesystem>

#include "golden/checkpoint.h"
#include "golden/released_model.h"
#include "golden/safetensors.h"

namespace attest::golden {
namespace {

namespace fs = std::filesystem;

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string tensor_line(const StoredTensor& tensor, size_t name_width) {
  const ElementTypeInfo& row = info(tensor.type);
  const auto bytes = static_cast<uint64_t>(tensor.elements()) * static_cast<uint64_t>(row.bits) / 8;
  const std::string name = in_quotes(tensor.name);
  return padded(name.substr(1, name.size() - 2), name_width) + "  " + padded(std::string(row.name), 4) +
         "  " + shape_text(tensor.shape) + "  " + std::to_string(bytes) + " bytes" +
         (tensor.contiguous() ? "" : "  strided");
}

void add_tensors(std::vector<std::string>& lines, const std::vector<const StoredTensor*>& tensors) {
  size_t width = 0;
  for (const StoredTensor* tensor : tensors)
    width = std::max(width, std::min<size_t>(tensor->name.size(), 60));
  uint64_t elements = 0;
  for (const StoredTensor* tensor : tensors) {
    lines.push_back(tensor_line(*tensor, width));
    elements += static_cast<uint64_t>(tensor->elements());
  }
  lines.push_back(std::to_string(tensors.size()) + " tensors, " + std::to_string(elements) + " elements");
}

std::string model_line(const std::string& config, const Checkpoint& checkpoint) {
  try {
    const ReleasedModel model = recognise(config, checkpoint);
    return "model: " + std::string(model.layout->name) + " layout, " + std::to_string(model.config.layers) +
           " layers, vocabulary " + std::to_string(model.config.vocabulary) + ", " +
           to_words(model.config.attention);
  } catch (const CheckpointError& error) {
    return std::string("model: not recognised: ") + error.what();
  }
}

}  // namespace

std::vector<std::string> inspect(const std::string& path) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  std::vector<std::string> lines;
  for (const std::string& file : checkpoint.files()) {
    lines.push_back("file: " + file + ", " + std::to_string(fs::file_size(file)) + " bytes");
  }
  const fs::path folder = fs::is_directory(path) ? fs::path(path) : fs::path(path).parent_path();
  const fs::path config = folder / "config.json";
  if (fs::exists(config)) lines.push_back(model_line(config.string(), checkpoint));
  std::vector<const StoredTensor*> tensors;
  for (const std::string& name : checkpoint.names()) tensors.push_back(&checkpoint.tensor(name));
  add_tensors(lines, tensors);

  const fs::path golden = folder / "golden.safetensors";
  if (!fs::is_directory(path) || !fs::exists(golden)) return lines;
  const SafetensorsFile file = read_safetensors(MappedFile::open(golden.string()));
  lines.push_back("file: " + golden.string() + ", " + std::to_string(fs::file_size(golden)) + " bytes");
  for (const auto& [key, value] : file.metadata)
    lines.push_back("metadata: " + in_quotes(key) + " = " + in_quotes(value));
  tensors.clear();
  for (const StoredTensor& tensor : file.tensors) tensors.push_back(&tensor);
  add_tensors(lines, tensors);
  return lines;
}

}  // namespace attest::golden
