// Reads the pickle of a torch.save'd state dict as a typed stack machine: data only, nothing is imported,
// nothing is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "golden/element_type.h"
#include "reference/tensor.h"

namespace attest::golden {

// What the pickle says of one tensor; where the storage's bytes are is the archive's business.
struct PickledTensor {
  std::string name;     // key in the state dict
  std::string storage;  // key of the storage, "0"
  ElementType type = ElementType::f32;
  Index storage_elements = 0;
  Index offset = 0;  // of the first element in the storage
  std::vector<Index> shape;
  std::vector<Index> strides;  // in elements
};

// `pickle` is the entry data.pkl of `path`. Allowed globals: collections.OrderedDict,
// torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter and the storage classes of element_type.h;
// they are names that select a rule below, never code. Anything else (os.system, an opcode that builds
// objects) throws CheckpointError naming the byte offset and what was asked for. Every tensor is checked to
// lie within its storage and to name no more elements than the storage has.
std::vector<PickledTensor> read_state_dict(std::span<const std::byte> pickle, const std::string& path);

}  // namespace attest::golden
