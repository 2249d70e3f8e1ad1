// Finds the weight files, reads each, and checks an index against them in both directions.
#include "golden/checkpoint.h"

#include <array>
#include <filesystem>
#include <set>

#include "golden/json.h"
#include "golden/safetensors.h"
#include "golden/torch_file.h"

namespace attest::golden {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kWeightFiles{"model.safetensors", "model.safetensors.index.json",
                                                       "pytorch_model.bin", "pytorch_model.bin.index.json"};

std::string find_weights(const std::string& folder) {
  for (const std::string_view name : kWeightFiles) {
    const fs::path candidate = fs::path(folder) / name;
    if (fs::exists(candidate)) return candidate.string();
  }
  std::string expected;
  for (const std::string_view name : kWeightFiles)
    expected += (expected.empty() ? "" : ", ") + std::string(name);
  throw CheckpointError(folder, "holds no weights; expected one of " + expected);
}

std::vector<StoredTensor> read_weights(const std::string& path) {
  const auto file = MappedFile::open(path);
  const auto bytes = file->bytes();
  const auto begins = [&](std::string_view magic) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())
               .substr(0, magic.size()) == magic;
  };
  const std::string extension = fs::path(path).extension().string();
  const bool torch =
      begins("PK") || (extension != ".safetensors" &&
                       (begins("\x80") || extension == ".bin" || extension == ".pt" || extension == ".pth"));
  return torch ? read_torch_file(file) : read_safetensors(file).tensors;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  Checkpoint checkpoint(path);
  if (!fs::exists(path)) throw CheckpointError(path, "does not exist");
  const std::string weights = fs::is_directory(path) ? find_weights(path) : path;
  if (weights.ends_with(".index.json")) {
    checkpoint.add_shards(weights);
  } else {
    checkpoint.add_file(weights);
  }
  return checkpoint;
}

void Checkpoint::add_file(const std::string& file) {
  for (StoredTensor& tensor : read_weights(file)) {
    const std::string name = tensor.name;
    const auto [existing, inserted] = tensors_.emplace(name, std::move(tensor));
    if (!inserted) {
      throw CheckpointError(file,
                            "tensor " + in_quotes(name) + " is also in " + existing->second.file->path());
    }
  }
  files_.push_back(file);
}

// {"metadata": {...}, "weight_map": {"tensor": "file"}}; Source: transformers, modeling_utils.py,
// save_pretrained
void Checkpoint::add_shards(const std::string& index) {
  const auto file = MappedFile::open(index);
  AllocationBudget budget(index);
  const JsonValue root =
      parse_json({reinterpret_cast<const char*>(file->bytes().data()), file->size()}, index, budget);
  const JsonValue* weight_map = root.find("weight_map");
  if (weight_map == nullptr || weight_map->object() == nullptr) {
    file->fail("expected an object with an object \"weight_map\"");
  }
  std::map<std::string, std::string> first_tensor;  // shard -> a tensor that it should hold
  for (const auto& [name, shard] : *weight_map->object()) {
    if (shard.string() == nullptr) {
      file->fail("weight_map " + in_quotes(name) + ": found " + std::string(shard.kind()) +
                 ", expected a file name");
    }
    const std::string& shard_name = *shard.string();
    if (shard_name.empty() || shard_name == ".." || shard_name == "." ||
        shard_name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      file->fail("weight_map " + in_quotes(name) + ": " + in_quotes(shard_name) +
                 " is not a plain file name");
    }
    first_tensor.emplace(shard_name, name);
  }
  const fs::path folder = fs::path(index).parent_path();
  for (const auto& [shard, name] : first_tensor) {
    const std::string shard_path = (folder / shard).string();
    if (!fs::exists(shard_path)) {
      file->fail("shard " + in_quotes(shard) + " is missing; it should hold tensor " + in_quotes(name));
    }
    add_file(shard_path);
  }
  std::set<std::string_view> indexed;
  for (const auto& [name, shard] : *weight_map->object()) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      file->fail("tensor " + in_quotes(name) + " should be in " + in_quotes(*shard.string()) +
                 ", but no shard has it");
    }
    const std::string& holder = found->second.file->path();
    if (fs::path(holder).filename().string() != *shard.string()) {
      file->fail("tensor " + in_quotes(name) + " should be in " + in_quotes(*shard.string()) +
                 ", but is in " + holder);
    }
    indexed.insert(name);
  }
  for (const auto& [name, tensor] : tensors_) {
    if (indexed.count(name) == 0) {
      file->fail("tensor " + in_quotes(name) + " of " + tensor.file->path() + " is not named by the index");
    }
  }
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> result;
  for (const auto& [name, tensor] : tensors_) result.push_back(name);
  return result;
}

const StoredTensor& Checkpoint::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw CheckpointError(path_, "tensor " + in_quotes(name) + " is missing");
  return found->second;
}

const StoredTensor& Checkpoint::tensor(std::string_view name, const std::vector<Index>& shape) const {
  const StoredTensor& found = tensor(name);
  if (found.shape != shape) {
    throw CheckpointError(found.file->path(), "tensor " + in_quotes(name) + " has shape " +
                                                  shape_text(found.shape) + ", expected " +
                                                  shape_text(shape));
  }
  return found;
}

}  // namespace attest::golden
