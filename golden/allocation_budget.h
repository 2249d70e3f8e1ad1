// A cap on what reading one file may allocate, so that a small hostile file cannot ask for a large amount of
// memory.
#pragma once

#include <cstdint>
#include <string>

#include "golden/checkpoint_error.h"

namespace attest::golden {

// Readers charge what they are about to allocate for parsed structure (names, shapes, pickle values). Tensor
// data is mapped, not allocated, so structure is all there is; no reader allocates more than kStructureBytes,
// whatever the file says.
class AllocationBudget {
 public:
  static constexpr uint64_t kStructureBytes = 64ull << 20;

  explicit AllocationBudget(std::string path, uint64_t limit_bytes = kStructureBytes)
      : path_(std::move(path)), limit_(limit_bytes) {}

  // Throws CheckpointError when the total passes the limit.
  void charge(uint64_t bytes) {
    if (bytes > limit_ - used_) {
      throw CheckpointError(path_, "describing its contents needs more than " + std::to_string(limit_ >> 20) +
                                       " MiB, which no genuine checkpoint does");
    }
    used_ += bytes;
  }
  uint64_t used() const { return used_; }

 private:
  std::string path_;
  uint64_t limit_;
  uint64_t used_ = 0;
};

}  // namespace attest::golden
