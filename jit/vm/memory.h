// The device's global memory: buffers with guard zones, permissions and one "was it written" flag per byte.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace attest::vm {

enum class Access { read, write, read_write };

// One allocation. `initialised` has one byte per byte of data: 0 = never written. `complete` means that all
// are set, so that nobody needs to look.
struct Buffer {
  std::string name;
  uint64_t address = 0;  // of its first byte
  uint64_t bytes = 0;
  Access access = Access::read_write;
  bool freed = false;
  bool constant = false;  // .const: only ld.const may read it
  std::atomic<bool> complete = false;
  std::unique_ptr<std::byte[]> storage;  // `data` lies in it, 256-byte aligned
  std::byte* data = nullptr;
  std::unique_ptr<uint8_t[]> initialised;
};

// An address is (buffer number + 1) * 2^40 + 2^39 + offset: arithmetic that leaves a buffer by less than 2^39
// bytes, in either direction, still names the buffer it left. Addresses below 2^40 belong to no buffer (null,
// windows).
class Memory {
 public:
  static constexpr int kBufferShift = 40;
  static constexpr uint64_t kBase = uint64_t{1} << 39;

  // Uninitialised memory of `bytes` bytes (0 is allowed), 256-byte aligned. Returns its device address.
  uint64_t allocate(uint64_t bytes, std::string name, Access access = Access::read_write);
  // Later use of any address in the buffer traps. Throws std::invalid_argument unless `address` came from
  // allocate.
  void free(uint64_t address);
  // Copies from the host and marks the bytes as initialised. Throws std::invalid_argument outside a living
  // buffer.
  void write(uint64_t address, std::span<const std::byte> bytes);
  // Copies to the host; bytes that were never written read as 0xAB.
  void read(uint64_t address, std::span<std::byte> bytes) const;
  // Whether every byte of the range was written.
  bool initialised(uint64_t address, uint64_t bytes) const;
  // Changes what kernels may do with a buffer (any address in it).
  void protect(uint64_t address, Access access);
  // Marks as never written again (a host that reuses a buffer wants the checks of a fresh one).
  void forget(uint64_t address, uint64_t bytes);

  // The buffer that an address names, even when the offset is outside it or it was freed; null if there is
  // none.
  Buffer* find(uint64_t address) {
    const uint64_t number = (address >> kBufferShift) - 1;
    return number < buffers_.size() ? buffers_[number].get() : nullptr;
  }
  const Buffer* find(uint64_t address) const { return const_cast<Memory*>(this)->find(address); }
  const std::vector<std::unique_ptr<Buffer>>& buffers() const { return buffers_; }

 private:
  const Buffer& checked(uint64_t address, uint64_t bytes, const char* verb) const;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace attest::vm
