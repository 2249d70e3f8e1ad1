// Reads the input, then the first and last elements of every tensor in it.
#include "golden/fuzz/targets.h"

#include <algorithm>
#include <array>

#include "golden/json.h"
#include "golden/pickle.h"
#include "golden/safetensors.h"
#include "golden/torch_file.h"

namespace attest::golden {
namespace {

constexpr std::array<FuzzTarget, 4> kTargets{{
    {"safetensors", fuzz_safetensors},
    {"torch_file", fuzz_torch_file},
    {"pickle", fuzz_pickle},
    {"json", fuzz_json},
}};

std::shared_ptr<const MappedFile> file_of(std::span<const std::byte> input) {
  return MappedFile::in_memory("input", {input.begin(), input.end()});
}

void look_at(const std::vector<StoredTensor>& tensors) {
  std::array<double, 64> values{};
  for (const StoredTensor& tensor : tensors) {
    if (info(tensor.type).decode == nullptr) continue;
    const Index count = std::min<Index>(tensor.elements(), values.size());
    try {
      tensor.read_doubles(0, std::span(values).first(static_cast<size_t>(count)));
      tensor.read_doubles(tensor.elements() - count, std::span(values).first(static_cast<size_t>(count)));
    } catch (const CheckpointError&) {  // an integer that a double cannot hold
    }
  }
}

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return kTargets; }

void fuzz_safetensors(std::span<const std::byte> input) {
  try {
    look_at(read_safetensors(file_of(input)).tensors);
  } catch (const CheckpointError&) {
  }
}

void fuzz_torch_file(std::span<const std::byte> input) {
  try {
    look_at(read_torch_file(file_of(input)));
  } catch (const CheckpointError&) {
  }
}

void fuzz_pickle(std::span<const std::byte> input) {
  try {
    read_state_dict(input, "input");
  } catch (const CheckpointError&) {
  }
}

void fuzz_json(std::span<const std::byte> input) {
  try {
    AllocationBudget budget("input");
    parse_json({reinterpret_cast<const char*>(input.data()), input.size()}, "input", budget);
  } catch (const CheckpointError&) {
  }
}

}  // namespace attest::golden
