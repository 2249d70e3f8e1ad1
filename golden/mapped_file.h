// A read-only memory-mapped file: bytes that are paged in when touched, so that a checkpoint is never copied
// whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "golden/checkpoint_error.h"

namespace attest::golden {

class MappedFile {
 public:
  // Maps `path` whole. Throws CheckpointError when it is not a readable regular file.
  static std::shared_ptr<const MappedFile> open(const std::string& path);

  // The same interface over bytes in memory; `path` is only the name that errors give.
  static std::shared_ptr<const MappedFile> in_memory(std::string path, std::vector<std::byte> bytes);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  uint64_t size() const { return bytes_.size(); }

  // Tells the kernel that `part` of this mapping will not be read again soon, so that its pages stop counting
  // as this process's memory. Reading them later is still correct.
  void drop_pages(std::span<const std::byte> part) const;

  // Throws CheckpointError for this file.
  [[noreturn]] void fail(const std::string& problem) const { throw CheckpointError(path_, problem); }

 private:
  explicit MappedFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::span<const std::byte> bytes_;
  std::vector<std::byte> owned_;
  bool mapped_ = false;
};

}  // namespace attest::golden
