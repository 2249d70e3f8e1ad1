// The memory that a race checker watches during a launch: buffers and blocks' shared memory, with what is
// remembered of their bytes.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "jit/vm/memory.h"
#include "jit/vm/observer.h"
#include "jit/vm/releases.h"
#include "jit/vm/shadow.h"

namespace attest::vm {

// A buffer, or a block's shared memory.
struct WatchedRegion {
  Space space = Space::global;
  uint64_t number = 0;    // of the buffer or the block
  uint64_t base = 0;      // address of its first byte
  bool constant = false;  // kernels may only read it
  Shadow shadow;
  Releases releases;
};

class WatchedMemory {
 public:
  struct Place {
    WatchedRegion* region;
    uint64_t offset;
  };

  void begin_launch(const LaunchEvent& event);
  void end_launch();
  void end_block(uint64_t number);
  // `space` is global or shared, `address` as in AccessEvent.
  Place place(const Site& site, Space space, uint64_t address) {
    if (space != Space::shared) {
      if (last_buffer_ && last_buffer_->number == address >> Memory::kBufferShift)
        return {last_buffer_, address - last_buffer_->base};
    } else if (last_shared_ && last_shared_->number == site.block_number &&
               address >> kSharedRankShift == 0) {
      return {last_shared_, address};
    }
    return look_up(site, space, address);
  }
  // "shared memory offset 64 of block 0", "buffer 'out' offset 12"
  std::string text(const Place& place) const;

 private:
  Place look_up(const Site& site, Space space, uint64_t address);
  using ByNumber = std::unordered_map<uint64_t, WatchedRegion>;
  WatchedRegion& region(ByNumber& regions, WatchedRegion*& last, Space space, uint64_t number);

  const Memory* memory_ = nullptr;
  Dim3 grid_, cluster_;
  ByNumber buffers_, shared_;
  WatchedRegion* last_buffer_ = nullptr;
  WatchedRegion* last_shared_ = nullptr;
};

}  // namespace attest::vm
