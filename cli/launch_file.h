// LAUNCH.json: how to launch one PTX entry on the virtual machine, with what contents, and what it should
// leave behind.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "cli/element_codec.h"
#include "jit/vm/machine.h"
#include "jit/vm/memory.h"
#include "jit/vm/tensor_map.h"
#include "reference/tensor.h"

namespace attest::cli {

struct BufferParameter {
  const ElementCodec* codec = nullptr;
  std::vector<Index> shape;
  vm::Access access = vm::Access::read_write;
  bool initialised = true;
  std::vector<std::byte> contents;  // all elements, when initialised
  Index elements() const { return element_count(shape); }
};

struct ScalarParameter {
  std::string type;
  std::vector<std::byte> contents;
};

// A tensor map by value (128 bytes, aligned to 64) over the buffer that another parameter points to.
struct TensorMapParameter {
  std::size_t buffer = 0;  // number of that parameter
  vm::TensorMap map;       // its address is known once the buffer has one
};

// What a buffer holds afterwards: |got - want| <= tolerance for every element; NaN is met by NaN only.
struct Expectation {
  std::size_t parameter = 0;
  std::vector<Number> values;
  Number tolerance = 0;
};

struct LaunchFile {
  std::string entry;  // empty: the module's only one
  vm::LaunchOptions options;
  std::vector<std::variant<BufferParameter, ScalarParameter, TensorMapParameter>> parameters;
  std::vector<Expectation> expectations;
};

// Names of files inside are relative to the folder of `path`. Throws std::invalid_argument: the file, the
// place in it ("params[2].fill"), what was found, what was expected. Unknown keys are refused.
LaunchFile read_launch_file(const std::filesystem::path& path);

}  // namespace attest::cli
