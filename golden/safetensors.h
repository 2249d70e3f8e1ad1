// Reads a safetensors file strictly and in place: every rule of the format that a file breaks is its own
// error.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "golden/allocation_budget.h"
#include "golden/stored_tensor.h"

namespace attest::golden {

// Format (github huggingface/safetensors, README "Format"): u64 header bytes N, N bytes of JSON, then the
// tensors' data, which the header's entries cover without hole or overlap. `data_offsets` count from the end
// of the header.
struct SafetensorsFile {
  std::vector<StoredTensor> tensors;  // in order of their data
  std::map<std::string, std::string> metadata;
};

// Throws CheckpointError naming file, tensor and offsets for: a file shorter than its header says, a header
// over 100 MB, not beginning with '{', not JSON, with a duplicate key; an unknown or missing field or dtype;
// a shape whose byte count overflows or is not what data_offsets span; data that overlaps, leaves a hole,
// ends past the file or before it.
SafetensorsFile read_safetensors(const std::shared_ptr<const MappedFile>& file);

}  // namespace attest::golden
