// Writes a safetensors file in one pass: under a temporary name, and renamed into place only when complete.
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

struct TensorHeader {
  std::string name;
  ElementType type;
  std::vector<Index> shape;
};

// Tensors are written in the order of the reference implementation: wider element types first, then by name.
// Until finish() returns the file does not exist under its own name; a writer destroyed early, or one whose
// disk filled up, leaves nothing behind.
class SafetensorsWriter {
 public:
  // Throws std::invalid_argument for duplicate names or a shape that does not fit, CheckpointError when the
  // file cannot be made.
  SafetensorsWriter(std::string path, std::vector<TensorHeader> tensors,
                    const std::map<std::string, std::string>& metadata = {});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // The order in which write() wants the tensors' data.
  const std::vector<TensorHeader>& order() const { return tensors_; }

  // Appends data of the current tensor; a tensor may take several calls. Throws CheckpointError when the disk
  // is full.
  void write(std::span<const std::byte> bytes);

  // Flushes to the disk and renames. Throws std::invalid_argument when data is missing.
  void finish();

 private:
  void put(std::span<const std::byte> bytes);
  [[noreturn]] void fail(const std::string& action);

  std::string path_;
  std::string temporary_;
  std::vector<TensorHeader> tensors_;
  std::vector<std::byte> buffer_;
  uint64_t expected_bytes_ = 0;
  uint64_t written_bytes_ = 0;
  int descriptor_ = -1;
};

// Whole tensors at once, for small files. `bytes` holds the values, little-endian and row-major.
struct TensorData {
  TensorHeader header;
  std::vector<std::byte> bytes;
};
void write_safetensors(const std::string& path, const std::vector<TensorData>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The bytes of numbers that are already of the stored type.
TensorData tensor_data(std::string name, std::vector<Index> shape, std::span<const double> values);   // F64
TensorData tensor_data(std::string name, std::vector<Index> shape, std::span<const float> values);    // F32
TensorData tensor_data(std::string name, std::vector<Index> shape, std::span<const int64_t> values);  // I64

}  // namespace attest::golden
