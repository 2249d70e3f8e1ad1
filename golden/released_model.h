// Recognises what a checkpoint is, from config.json and the names and shapes of its tensors.
#pragma once

#include <string>
#include <vector>

#include "golden/checkpoint.h"
#include "golden/released_layout.h"
#include "reference/model.h"

namespace attest::golden {

struct RecogniseOptions {
  std::string variant;  // "mlra-4": settles what config and names leave open; it must still fit the tensors
  bool attention_only = false;  // embeddings, norms and feed-forward are neither needed nor checked
};

struct ReleasedModel {
  const ReleasedLayout* layout = nullptr;  // a row of released_layouts()
  ModelConfig config;
  bool attention_only = false;
};

// Throws CheckpointError when no family or variant fits, when several do (naming them, and --variant as the
// way out), when config.json names one and the tensors are another's, when a tensor is missing, is none of
// the model's, or has another shape than config.json says (naming it, the shape found and the shape
// expected), and for models that are not computed (mixture of experts, quantised weights).
ReleasedModel recognise(const std::string& config_path, const Checkpoint& checkpoint,
                        const RecogniseOptions& options = {});

// Weights as the reference asks for them, converted when asked, pages dropped after. A tied head or embedding
// is found under either name.
class CheckpointWeights : public WeightSource {
 public:
  CheckpointWeights(const Checkpoint& checkpoint, const ReleasedModel& model)
      : checkpoint_(checkpoint), model_(model) {}
  Tensor<double> tensor(const std::string& name) override;
  Tensor<double> rows(const std::string& name, std::span<const Index> rows) override;

 private:
  const StoredTensor& find(const std::string& name) const;
  const Checkpoint& checkpoint_;
  const ReleasedModel& model_;
};

}  // namespace attest::golden
