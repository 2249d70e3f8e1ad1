// A tensor as a checkpoint stores it: a strided view into a mapped file, converted only where somebody asks
// for numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "golden/element_type.h"
#include "golden/mapped_file.h"
#include "reference/tensor.h"

namespace attest::golden {

// Elements are numbered in row-major order of `shape` whatever the strides are. Readers check that every
// element lies in `bytes` and that no more elements are named than the storage holds, so a conversion never
// reads outside the file and never multiplies it.
struct StoredTensor {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<Index> shape;
  std::vector<Index> strides;        // in elements, one an axis
  std::span<const std::byte> bytes;  // from the first element to the end of the last
  std::shared_ptr<const MappedFile> file;

  Index elements() const;   // 1 for a scalar (empty shape)
  bool contiguous() const;  // row-major without gaps

  // Elements [first, first + out.size()) as exact doubles. Throws CheckpointError when the type has no
  // decoder or an element is a 64-bit integer that a double cannot hold, std::invalid_argument when the range
  // leaves the tensor.
  void read_doubles(Index first, std::span<double> out) const;
  std::vector<double> to_doubles() const;  // all of them

  // All elements of an integer tensor. Throws CheckpointError for any other type.
  std::vector<int64_t> to_integers() const;

  // After a conversion: these pages will not be needed again (MappedFile::drop_pages).
  void drop_pages() const { file->drop_pages(bytes); }
};

}  // namespace attest::golden
