// Reads the input, then the first and last elements of every tensor in it.
#include "golden/fuzz/targets.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "golden/json.h"
#include "golden/pickle.h"
#include "golden/safetensors.h"
#include "golden/torch_file.h"
#include "reference/problem.h"

namespace attest::golden {
namespace {

constexpr std::array<FuzzTarget, 5> kTargets{{
    {"safetensors", fuzz_safetensors},
    {"torch_file", fuzz_torch_file},
    {"pickle", fuzz_pickle},
    {"json", fuzz_json},
    {"problem", fuzz_problem},
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

void fuzz_problem(std::span<const std::byte> input) {
  const std::string_view line(reinterpret_cast<const char*>(input.data()), input.size());
  const auto reads_back = [&](auto parse, auto print) {
    try {
      const auto value = parse(line);
      (void)value.problems();
      if (!(parse(print(value)) == value)) throw std::logic_error("does not read back: " + print(value));
    } catch (const std::invalid_argument&) {
    }
  };
  reads_back(parse_problem, [](const Problem& problem) { return problem.repro(); });
  reads_back(parse_head_config, [](const HeadConfig& config) { return config.name(); });
  reads_back(parse_mask_spec, [](const MaskSpec& mask) { return mask.name(); });
  try {
    const RopeSpec rope = parse_rope_spec(line);
    (void)rope.problems(16);
    if (!(parse_rope_spec(rope.name()) == rope)) throw std::logic_error("does not read back: " + rope.name());
  } catch (const std::invalid_argument&) {
  }
}

}  // namespace attest::golden
