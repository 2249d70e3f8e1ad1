// Allocation and host copies; what kernels do with the buffers is checked in access.cpp.
#include "jit/vm/memory.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace attest::vm {

uint64_t Memory::allocate(uint64_t bytes, std::string name, Access access) {
  if (bytes >= kBase)
    throw std::invalid_argument("Memory::allocate: '" + name + "' of " + std::to_string(bytes) +
                                " bytes is larger than the address space of a buffer");
  auto buffer = std::make_unique<Buffer>();
  buffer->name = std::move(name);
  buffer->bytes = bytes;
  buffer->access = access;
  buffer->complete = bytes == 0;
  buffer->storage = std::make_unique_for_overwrite<std::byte[]>(bytes + 256);
  const auto raw = reinterpret_cast<uintptr_t>(buffer->storage.get());
  buffer->data = buffer->storage.get() + ((256 - raw % 256) % 256);
  std::memset(buffer->data, 0xAB, bytes);
  buffer->initialised = std::make_unique<uint8_t[]>(bytes);
  buffers_.push_back(std::move(buffer));
  const uint64_t address = (uint64_t{buffers_.size()} << kBufferShift) + kBase;
  buffers_.back()->address = address;
  return address;
}

void Memory::free(uint64_t address) {
  Buffer* buffer = find(address);
  if (!buffer || buffer->address != address || buffer->freed)
    throw std::invalid_argument("Memory::free: no living buffer begins at this address");
  buffer->freed = true;
  buffer->storage.reset();
  buffer->data = nullptr;
  buffer->initialised.reset();
}

const Buffer& Memory::checked(uint64_t address, uint64_t bytes, const char* verb) const {
  const Buffer* buffer = find(address);
  if (!buffer || buffer->freed)
    throw std::invalid_argument(std::string("Memory::") + verb + ": the address is in no living buffer");
  const uint64_t offset = address - buffer->address;
  if (offset > buffer->bytes || bytes > buffer->bytes - offset)
    throw std::invalid_argument(std::string("Memory::") + verb + ": " + std::to_string(bytes) +
                                " bytes at offset " + std::to_string(static_cast<int64_t>(offset)) +
                                " of buffer '" + buffer->name + "', which has " +
                                std::to_string(buffer->bytes));
  return *buffer;
}

void Memory::write(uint64_t address, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  checked(address, bytes.size(), "write");
  Buffer& buffer = *find(address);
  const uint64_t offset = address - buffer.address;
  std::memcpy(buffer.data + offset, bytes.data(), bytes.size());
  std::memset(buffer.initialised.get() + offset, 1, bytes.size());
  if (bytes.size() == buffer.bytes) buffer.complete = true;
}

void Memory::read(uint64_t address, std::span<std::byte> bytes) const {
  if (bytes.empty()) return;
  const Buffer& buffer = checked(address, bytes.size(), "read");
  std::memcpy(bytes.data(), buffer.data + (address - buffer.address), bytes.size());
}

bool Memory::initialised(uint64_t address, uint64_t bytes) const {
  if (bytes == 0) return true;
  const Buffer& buffer = checked(address, bytes, "initialised");
  const uint8_t* flags = buffer.initialised.get() + (address - buffer.address);
  return buffer.complete || std::all_of(flags, flags + bytes, [](uint8_t flag) { return flag != 0; });
}

void Memory::protect(uint64_t address, Access access) {
  checked(address, 0, "protect");
  find(address)->access = access;
}

void Memory::forget(uint64_t address, uint64_t bytes) {
  if (bytes == 0) return;
  checked(address, bytes, "forget");
  Buffer& buffer = *find(address);
  const uint64_t offset = address - buffer.address;
  std::memset(buffer.initialised.get() + offset, 0, bytes);
  std::memset(buffer.data + offset, 0xAB, bytes);
  buffer.complete = false;
}

}  // namespace attest::vm
