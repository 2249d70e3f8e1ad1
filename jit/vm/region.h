// A stretch of bytes that lanes' addresses are checked against: bounds, alignment, and which bytes were
// written.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "jit/vm/access.h"

namespace attest::vm {

struct Region {
  std::byte* data = nullptr;
  uint8_t* initialised = nullptr;  // null: nothing to check or mark
  uint64_t first = 0;              // address of data[0]
  uint64_t bytes = 0;
};

template <class T>
T load_word(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Whether `bytes` flags are all set; bytes is 1, 2, 4, 8, 16 or 32.
inline bool all_set(const uint8_t* flags, uint64_t bytes) {
  switch (bytes) {
    case 1:
      return *flags != 0;
    case 2:
      return load_word<uint16_t>(flags) == 0x0101u;
    case 4:
      return load_word<uint32_t>(flags) == 0x01010101u;
    case 8:
      return load_word<uint64_t>(flags) == 0x0101010101010101u;
    default:
      break;
  }
  uint64_t all = 0x0101010101010101u;
  for (uint64_t i = 0; i + 8 <= bytes; i += 8) all &= load_word<uint64_t>(flags + i);
  return all == 0x0101010101010101u;
}

inline bool range_set(const uint8_t* flags, uint64_t bytes) {
  uint64_t i = 0;
  uint64_t all = 0x0101010101010101u;
  for (; i + 8 <= bytes; i += 8) all &= load_word<uint64_t>(flags + i);
  bool set = all == 0x0101010101010101u;
  for (; i < bytes; ++i) set = set && flags[i];
  return set;
}

// Reads check the flags, writes set them. Returns the lanes that read a byte nobody wrote.
inline uint32_t flags_of_lanes(const Region& region, const LaneAddresses& addresses, uint32_t mask,
                               uint32_t bytes, Touch touch) {
  uint32_t bad = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    uint8_t* flags = region.initialised + (addresses.at[lane] - region.first);
    if (touch != Touch::store && !all_set(flags, bytes)) bad |= 1u << lane;
    if (touch == Touch::store) std::memset(flags, 1, bytes);
  }
  return bad;
}

inline uint64_t first_unwritten(const Region& region, uint64_t address, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; ++i)
    if (!region.initialised[address - region.first + i]) return address + i;
  return address;
}

// Bounds of the lanes in `mask`, vectorised: addresses outside the mask were made equal to an active lane's.
struct Extent {
  uint64_t low, high, bits;
};
inline Extent extent(const LaneAddresses& addresses) {
  uint64_t low = addresses.at[0], high = addresses.at[0], bits = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    low = std::min(low, addresses.at[lane]);
    high = std::max(high, addresses.at[lane]);
    bits |= addresses.at[lane];
  }
  return {low, high, bits};
}

inline bool consecutive(const LaneAddresses& addresses, uint64_t low, uint64_t bytes) {
  uint64_t differs = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) differs |= addresses.at[lane] ^ (low + lane * bytes);
  return differs == 0;
}

inline void fill_idle(LaneAddresses& addresses, uint32_t mask) {
  const uint64_t first = addresses.at[std::countr_zero(mask)];
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    addresses.at[lane] = mask >> lane & 1 ? addresses.at[lane] : first;
}

// All lanes in one region whose bounds are known to hold: alignment, flags, shape.
inline bool settle(const Region& region, const LaneAddresses& addresses, uint32_t mask, uint32_t bytes,
                   Touch touch, const Extent& range, Resolved& out, uint32_t& unwritten) {
  if (range.bits & (bytes - 1)) return false;
  out.together = true;
  out.low = range.low;
  out.base = region.data + (range.low - region.first);
  out.same = range.low == range.high;
  out.consecutive = !out.same && mask == kAllLanes &&
                    range.high - range.low == uint64_t{bytes} * (kLanes - 1) &&
                    consecutive(addresses, range.low, bytes);
  unwritten = 0;
  if (!region.initialised) return true;
  uint8_t* flags = region.initialised + (range.low - region.first);
  if (out.consecutive || out.same) {
    const uint64_t total = out.same ? bytes : uint64_t{bytes} * kLanes;
    if (touch == Touch::store) {
      std::memset(flags, 1, total);
      return true;
    }
    if (range_set(flags, total)) return true;
  }
  unwritten = flags_of_lanes(region, addresses, mask, bytes, touch);
  return true;
}

inline uint32_t misaligned_lanes(const LaneAddresses& addresses, uint32_t mask, uint32_t bytes) {
  uint32_t bad = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    bad |= static_cast<uint32_t>((addresses.at[lane] & (bytes - 1)) != 0) << lane;
  return bad & mask;
}

inline uint32_t outside(const LaneAddresses& addresses, uint32_t mask, uint32_t bytes, uint64_t first,
                        uint64_t size) {
  uint32_t bad = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t offset = addresses.at[lane] - first;
    if (offset > size || bytes > size - offset) bad |= 1u << lane;
  }
  return bad;
}

}  // namespace attest::vm
