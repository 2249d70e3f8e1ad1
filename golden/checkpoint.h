// Opens a released checkpoint, one file or shards with an index, and hands out its tensors by name as views
// into mapped files.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "golden/stored_tensor.h"

namespace attest::golden {

class Checkpoint {
 public:
  // `path` is a folder or a weights file. In a folder the first of these that exists is read, as transformers
  // does: model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json.
  // A file is read by its content: zip (torch.save) or safetensors; an *.index.json names shards beside it.
  // Throws CheckpointError when there are no weights, a file is malformed (see safetensors.h and
  // torch_file.h), a shard is missing, a tensor is in two shards, or index and shards disagree about what is
  // where.
  static Checkpoint open(const std::string& path);

  const std::string& path() const { return path_; }                 // as given
  const std::vector<std::string>& files() const { return files_; }  // weight files, in order
  std::vector<std::string> names() const;                           // sorted
  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  // Throws CheckpointError when there is no such tensor.
  const StoredTensor& tensor(std::string_view name) const;
  // The same, and the shape must be `shape`: the error names tensor, shape found and shape expected.
  const StoredTensor& tensor(std::string_view name, const std::vector<Index>& shape) const;

 private:
  explicit Checkpoint(std::string path) : path_(std::move(path)) {}
  void add_file(const std::string& file);
  void add_shards(const std::string& index);

  std::string path_;
  std::vector<std::string> files_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

}  // namespace attest::golden
