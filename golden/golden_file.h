// What a golden.safetensors holds of a model: which tensors there are, which must be there, and their shapes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "golden/released_model.h"
#include "golden/safetensors.h"

namespace attest::golden {

// "shipped_fp32.": the released code as released, run in float32.
extern const std::string kFloat32Prefix;

class GoldenFile {
 public:
  // Reads golden.safetensors of `directory`. Throws CheckpointError for a tensor that golden files of such a
  // model do not have, one that they must have and this one lacks, a wrong shape or element type, and a
  // prefill_length that is none.
  GoldenFile(const std::string& directory, const ReleasedModel& model);

  const Tensor<Index>& input_ids() const { return input_ids_; }  // [B, T]
  Index prefill_tokens() const { return prefill_tokens_; }       // 0 when there are no decode tensors
  bool has(const std::string& name) const { return tensors_.count(name) != 0; }
  bool has_any(const std::string& prefix) const;
  Tensor<double> values(const std::string& name) const;
  // The rest of `directory`'s metadata, "variant", "source".
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void check(const std::map<std::string, std::vector<Index>>& allowed,
             const std::vector<std::string>& required) const;

  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, StoredTensor> tensors_;
  Tensor<Index> input_ids_;
  Index prefill_tokens_ = 0;
};

}  // namespace attest::golden
