// Regions are made when first touched; mostly the next touch is of the same one.
#include "jit/vm/watched_memory.h"

#include "jit/vm/machine.h"

namespace attest::vm {

void WatchedMemory::begin_launch(const LaunchEvent& event) {
  memory_ = &event.memory;
  grid_ = event.options.grid;
  cluster_ = event.options.cluster;
  end_launch();
}

void WatchedMemory::end_launch() {
  buffers_.clear();
  shared_.clear();
  last_buffer_ = last_shared_ = nullptr;
}

void WatchedMemory::end_block(uint64_t number) {
  shared_.erase(number);
  last_shared_ = nullptr;
}

WatchedRegion& WatchedMemory::region(ByNumber& regions, WatchedRegion*& last, Space space, uint64_t number) {
  if (last && last->number == number) return *last;
  const auto [found, fresh] = regions.try_emplace(number);
  last = &found->second;
  if (!fresh) return *last;
  last->space = space;
  last->number = number;
  if (space == Space::shared) return *last;
  if (const Buffer* buffer = memory_->find(number << Memory::kBufferShift)) {
    last->base = buffer->address;
    last->constant = buffer->access == Access::read;
  }
  return *last;
}

// Shared memory of another block of the cluster is named (rank + 1) << 24 | offset.
WatchedMemory::Place WatchedMemory::look_up(const Site& site, Space space, uint64_t address) {
  if (space != Space::shared) {
    WatchedRegion& buffer = region(buffers_, last_buffer_, Space::global, address >> Memory::kBufferShift);
    return {&buffer, address - buffer.base};
  }
  const uint64_t tag = address >> kSharedRankShift;
  uint64_t number = site.block_number;
  if (tag != 0) {
    const auto rank = static_cast<uint32_t>(tag - 1);
    const Dim3& at = site.block;
    const uint64_t x = at.x / cluster_.x * cluster_.x + rank % cluster_.x;
    const uint64_t y = at.y / cluster_.y * cluster_.y + rank / cluster_.x % cluster_.y;
    const uint64_t z = at.z / cluster_.z * cluster_.z + rank / cluster_.x / cluster_.y;
    number = x + grid_.x * (y + grid_.y * z);
  }
  return {&region(shared_, last_shared_, Space::shared, number), address - (tag << kSharedRankShift)};
}

std::string WatchedMemory::text(const Place& place) const {
  const WatchedRegion& region = *place.region;
  if (region.space == Space::shared)
    return "shared memory offset " + std::to_string(place.offset) + " of block " +
           std::to_string(region.number);
  const Buffer* buffer = memory_->find(region.number << Memory::kBufferShift);
  return "buffer '" + (buffer ? buffer->name : "?") + "' offset " + std::to_string(place.offset);
}

}  // namespace attest::vm
