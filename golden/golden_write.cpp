// Runs the reference once for the forward pass and once for generation, then writes everything in one go.
#include "golden/golden_write.h"

#include <charconv>
#include <filesystem>

#include "golden/safetensors_writer.h"

namespace attest::golden {
namespace {

namespace fs = std::filesystem;

void copy_into(const fs::path& from, const fs::path& folder) {
  std::error_code error;
  fs::copy_file(from, folder / from.filename(), fs::copy_options::overwrite_existing, error);
  if (error)
    throw CheckpointError((folder / from.filename()).string(),
                          "cannot copy " + from.string() + ": " + error.message());
}

// An index has the name of the file it replaces, with ".index.json".
void copy_checkpoint(const Checkpoint& checkpoint, const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to, error);
  if (error) throw CheckpointError(to.string(), "cannot be made: " + error.message());
  if (fs::equivalent(from, to)) return;
  copy_into(from / "config.json", to);
  for (const std::string& file : checkpoint.files()) copy_into(file, to);
  for (const std::string name : {"model.safetensors.index.json", "pytorch_model.bin.index.json"}) {
    if (checkpoint.files().size() > 1 && fs::exists(from / name)) copy_into(from / name, to);
  }
}

}  // namespace

void write_golden(const std::string& path, const Tensor<Index>& input_ids, const std::string& directory,
                  const WriteOptions& options) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  const ReleasedModel model =
      recognise((fs::path(path) / "config.json").string(), checkpoint, {options.variant, false});
  CheckpointWeights weights(checkpoint, model);
  const Index tokens = input_ids.shape().size() == 2 ? input_ids.size(1) : 0;
  const Index prefill = options.prefill_tokens > 0 ? options.prefill_tokens : std::max<Index>(1, tokens / 2);

  std::vector<TensorData> tensors;
  const auto record = [&](const std::string& name, const Tensor<double>& value) {
    tensors.push_back(tensor_data(name, value.shape(), value.elements()));
  };
  run_model(model.config, weights, input_ids, record);
  if (options.generation) {
    const ModelHook caches = [&](const std::string& name, const Tensor<double>& value) {
      if (name.starts_with("decode.layers.0.")) record(name, value);
    };
    record("decode.logits", generate_model(model.config, weights, input_ids, prefill, caches));
  }
  tensors.push_back(tensor_data("input_ids", input_ids.shape(), input_ids.elements()));

  copy_checkpoint(checkpoint, path, directory);
  std::map<std::string, std::string> metadata{
      {"variant", model.config.attention.variant_name()},
      {"source", "attest golden write: the double-precision reference"}};
  if (options.generation) metadata["prefill_length"] = std::to_string(prefill);
  write_safetensors((fs::path(directory) / "golden.safetensors").string(), tensors, metadata);
}

Tensor<Index> read_tokens(const std::string& path) {
  const auto file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->size());
  std::vector<Index> ids;
  Index rows = 0, width = 0;
  size_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    ++line_number;
    const size_t end = std::min(text.find('\n', at), text.size());
    const size_t before = ids.size();
    for (const char* c = text.data() + at; c != text.data() + end;) {
      if (*c == ' ' || *c == '\t' || *c == ',' || *c == '\r') {
        ++c;
        continue;
      }
      Index id = 0;
      const auto result = std::from_chars(c, text.data() + end, id);
      if (result.ec != std::errc() || id < 0) {
        file->fail("line " + std::to_string(line_number) + ": expected token identifiers, found " +
                   in_quotes({c, static_cast<size_t>(std::min<std::ptrdiff_t>(text.data() + end - c, 20))}));
      }
      ids.push_back(id);
      c = result.ptr;
    }
    at = end + 1;
    const auto count = static_cast<Index>(ids.size() - before);
    if (count == 0) continue;
    if (rows > 0 && count != width) {
      file->fail("line " + std::to_string(line_number) + ": " + std::to_string(count) + " tokens, but " +
                 std::to_string(width) + " in the lines before");
    }
    width = count;
    ++rows;
  }
  if (rows == 0) file->fail("holds no token identifiers");
  Tensor<Index> result({rows, width});
  std::copy(ids.begin(), ids.end(), result.elements().begin());
  return result;
}

}  // namespace attest::golden
