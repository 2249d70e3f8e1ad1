// The common case is one buffer for all lanes: one bounds check, one alignment check, one look at the
// initialised flags.
#include "jit/vm/access.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace attest::vm {
namespace {

// A stretch of bytes that addresses are checked against.
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

bool range_set(const uint8_t* flags, uint64_t bytes) {
  uint64_t i = 0;
  uint64_t all = 0x0101010101010101u;
  for (; i + 8 <= bytes; i += 8) all &= load_word<uint64_t>(flags + i);
  bool set = all == 0x0101010101010101u;
  for (; i < bytes; ++i) set = set && flags[i];
  return set;
}

const char* verb(Touch touch) {
  return touch == Touch::load ? "read" : touch == Touch::store ? "write" : "atomic access";
}
std::string size_text(uint32_t bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

std::string hex(uint64_t value) {
  std::string text;
  for (; value; value >>= 4) text.insert(text.begin(), "0123456789abcdef"[value & 15]);
  return "0x" + (text.empty() ? "0" : text);
}

// Explains what is wrong with one lane's address, for all lanes that have the same kind of wrong.
class Explain {
 public:
  Explain(const Warp& warp, const Instruction& instruction, uint32_t bytes, Touch touch)
      : warp_(warp), instruction_(instruction), bytes_(bytes), touch_(touch) {}

  std::string lead() const { return std::string(verb(touch_)) + " of " + size_text(bytes_) + " at "; }
  [[noreturn]] void fail(Rule rule, uint32_t lanes, const std::string& what) const {
    trap(warp_, instruction_, rule, lanes, lead() + what);
  }

 private:
  const Warp& warp_;
  const Instruction& instruction_;
  uint32_t bytes_;
  Touch touch_;
};

std::string buffer_place(const Buffer& buffer, uint64_t address) {
  const auto offset = static_cast<int64_t>(address - buffer.address);
  return "buffer '" + buffer.name + "' offset " + std::to_string(offset);
}

// The window an address of the generic space lies in.
std::string window_text(uint64_t address) {
  switch (address / kWindowBytes) {
    case 0:
      return address < 4096 ? "a null pointer (" + hex(address) + ")"
                            : hex(address) + ", which is no generic address";
    case 1:
      return "shared memory";
    case 2:
      return "local memory";
    case 3:
      return "parameter memory";
    case 4:
      return "the address of a function";
    default:
      return hex(address) + ", which belongs to no buffer";
  }
}

void notify(Warp& warp, const Instruction& instruction, Space space, const LaneAddresses& addresses,
            uint32_t bytes, Touch touch, uint32_t lanes) {
  Site site = site_of(warp, instruction);
  site.lanes = lanes;
  const AccessEvent event{
      site, space, touch, bytes, std::span<const uint64_t, kLanes>(addresses.at, kLanes), instruction.memory};
  for (Observer* observer : warp.launch->observers) observer->access(event);
}

// Reads check the flags, writes set them. Returns the lanes that read a byte nobody wrote.
uint32_t flags_of_lanes(const Region& region, const LaneAddresses& addresses, uint32_t mask, uint32_t bytes,
                        Touch touch) {
  uint32_t bad = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    uint8_t* flags = region.initialised + (addresses.at[lane] - region.first);
    if (touch != Touch::store && !all_set(flags, bytes)) bad |= 1u << lane;
    if (touch == Touch::store) std::memset(flags, 1, bytes);
  }
  return bad;
}

uint64_t first_unwritten(const Region& region, uint64_t address, uint32_t bytes) {
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
bool settle(const Region& region, const LaneAddresses& addresses, uint32_t mask, uint32_t bytes, Touch touch,
            const Extent& range, Resolved& out, uint32_t& unwritten) {
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

uint32_t misaligned_lanes(const LaneAddresses& addresses, uint32_t mask, uint32_t bytes) {
  uint32_t bad = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    bad |= static_cast<uint32_t>((addresses.at[lane] & (bytes - 1)) != 0) << lane;
  return bad & mask;
}

uint32_t outside(const LaneAddresses& addresses, uint32_t mask, uint32_t bytes, uint64_t first,
                 uint64_t size) {
  uint32_t bad = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t offset = addresses.at[lane] - first;
    if (offset > size || bytes > size - offset) bad |= 1u << lane;
  }
  return bad;
}

// --- global and constant memory ---

// Everything that can be wrong about lanes that all name `buffer`.
void check_buffer(const Warp& warp, const Instruction& instruction, const Buffer& buffer, bool constant,
                  const LaneAddresses& addresses, uint32_t mask, uint32_t bytes, Touch touch) {
  const Explain explain(warp, instruction, bytes, touch);
  const uint64_t sample = addresses.at[std::countr_zero(mask)];
  if (buffer.freed)
    explain.fail(Rule::use_after_free, mask, buffer_place(buffer, sample) + ", which was freed");
  if (const uint32_t bad = outside(addresses, mask, bytes, buffer.address, buffer.bytes)) {
    const uint64_t address = addresses.at[std::countr_zero(bad)];
    explain.fail(Rule::out_of_bounds, bad,
                 buffer_place(buffer, address) + (address < buffer.address
                                                      ? ", before its first byte"
                                                      : ", which ends at " + std::to_string(buffer.bytes)));
  }
  if (buffer.constant != constant)
    explain.fail(Rule::wrong_space, mask,
                 buffer_place(buffer, sample) +
                     (constant ? ", which is no constant memory" : ", which is constant memory"));
  if ((touch != Touch::load && buffer.access == Access::read) ||
      (touch != Touch::store && buffer.access == Access::write))
    explain.fail(Rule::permission, mask,
                 buffer_place(buffer, sample) +
                     (buffer.access == Access::read ? ", which is read-only" : ", which is write-only"));
  if (const uint32_t bad = misaligned_lanes(addresses, mask, bytes))
    explain.fail(Rule::misaligned, bad,
                 buffer_place(buffer, addresses.at[std::countr_zero(bad)]) + ", which is not aligned to " +
                     std::to_string(bytes));
}

Region region_of(const Warp& warp, const Buffer& buffer) {
  const bool track = !buffer.complete;
  (void)warp;
  return {buffer.data, track ? buffer.initialised.get() : nullptr, buffer.address, buffer.bytes};
}

[[noreturn]] void unwritten_global(const Warp& warp, const Instruction& instruction, const Buffer& buffer,
                                   const Region& region, const LaneAddresses& addresses, uint32_t lanes,
                                   uint32_t bytes, Touch touch) {
  const uint64_t address = addresses.at[std::countr_zero(lanes)];
  Explain(warp, instruction, bytes, touch)
      .fail(Rule::uninitialised, lanes,
            buffer_place(buffer, address) + ": byte " +
                std::to_string(first_unwritten(region, address, bytes) - buffer.address) +
                " was never written");
}

bool bad_permission(const Buffer& buffer, Touch touch) {
  return (touch != Touch::load && buffer.access == Access::read) ||
         (touch != Touch::store && buffer.access == Access::write);
}

// Lanes that name different buffers, or something is wrong.
void resolve_buffers_slowly(Warp& warp, const Instruction& instruction, LaneAddresses& addresses,
                            uint32_t mask, uint32_t bytes, Touch touch, bool constant, Resolved& out) {
  Memory& memory = *warp.launch->memory;
  for (uint32_t left = mask; left;) {
    const auto first = static_cast<uint32_t>(std::countr_zero(left));
    Buffer* buffer = memory.find(addresses.at[first]);
    uint32_t same = 0;
    for (uint32_t rest = left; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      if (memory.find(addresses.at[lane]) == buffer) same |= 1u << lane;
    }
    if (!buffer)
      Explain(warp, instruction, bytes, touch)
          .fail(Rule::out_of_bounds, same, window_text(addresses.at[first]));
    check_buffer(warp, instruction, *buffer, constant, addresses, same, bytes, touch);
    const Region region = region_of(warp, *buffer);
    if (region.initialised) {
      const uint32_t bad = flags_of_lanes(region, addresses, same, bytes, touch);
      if (bad && warp.launch->options->check_memory)
        unwritten_global(warp, instruction, *buffer, region, addresses, bad, bytes, touch);
    }
    for (uint32_t rest = same; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      out.lane[lane] = buffer->data + (addresses.at[lane] - buffer->address);
    }
    left &= ~same;
  }
  out.together = out.consecutive = out.same = false;
}

void resolve_buffers(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t mask,
                     uint32_t bytes, Touch touch, bool constant, Resolved& out) {
  if (mask != kAllLanes) fill_idle(addresses, mask);
  const Extent range = extent(addresses);
  Buffer* buffer = warp.launch->memory->find(range.low);
  const uint64_t offset = buffer ? range.low - buffer->address : 0;
  if (buffer && !buffer->freed && offset < buffer->bytes && range.high - range.low < buffer->bytes &&
      range.high - buffer->address + bytes <= buffer->bytes && buffer->constant == constant &&
      !bad_permission(*buffer, touch)) {
    const Region region = region_of(warp, *buffer);
    uint32_t unwritten = 0;
    if (settle(region, addresses, mask, bytes, touch, range, out, unwritten)) {
      if (unwritten && warp.launch->options->check_memory)
        unwritten_global(warp, instruction, *buffer, region, addresses, unwritten, bytes, touch);
      return;
    }
  }
  resolve_buffers_slowly(warp, instruction, addresses, mask, bytes, touch, constant, out);
}

// --- shared memory, of the block itself or of another one of its cluster ---

// `addresses` are offsets into the block's shared memory.
void resolve_shared_of(const Block& block, Warp& warp, const Instruction& instruction,
                       LaneAddresses& addresses, uint32_t mask, uint32_t bytes, Touch touch, Resolved& out) {
  const Explain explain(warp, instruction, bytes, touch);
  const auto place = [&](uint64_t address) {
    const std::string whose =
        &block == warp.block ? "" : " of the cluster's block of rank " + std::to_string(block.rank);
    return "shared memory" + whose + " offset " + std::to_string(static_cast<int64_t>(address));
  };
  const Extent range = extent(addresses);
  if (range.high >= block.shared_bytes || bytes > block.shared_bytes - range.high) {
    const uint32_t bad = outside(addresses, mask, bytes, 0, block.shared_bytes);
    explain.fail(
        Rule::out_of_bounds, bad,
        place(addresses.at[std::countr_zero(bad)]) + ", which ends at " + std::to_string(block.shared_bytes));
  }
  const Region region{block.shared.get(), block.shared_initialised.get(), 0, block.shared_bytes};
  uint32_t unwritten = 0;
  if (!settle(region, addresses, mask, bytes, touch, range, out, unwritten)) {
    const uint32_t bad = misaligned_lanes(addresses, mask, bytes);
    explain.fail(
        Rule::misaligned, bad,
        place(addresses.at[std::countr_zero(bad)]) + ", which is not aligned to " + std::to_string(bytes));
  }
  if (unwritten && warp.launch->options->check_memory) {
    const uint64_t address = addresses.at[std::countr_zero(unwritten)];
    explain.fail(Rule::uninitialised, unwritten,
                 place(address) + ": byte " + std::to_string(first_unwritten(region, address, bytes)) +
                     " was never written");
  }
}

// Only .shared::cluster and generic addresses reach another block's shared memory.
void check_remote(const Block& remote, const Warp& warp, const Instruction& instruction, uint32_t lanes,
                  uint32_t bytes, Touch touch) {
  const Explain explain(warp, instruction, bytes, touch);
  const std::string whose = "shared memory of the cluster's block of rank " + std::to_string(remote.rank);
  if (instruction.memory.space == Space::shared && !instruction.memory.shared_cluster)
    explain.fail(Rule::wrong_space, lanes,
                 whose + "; .shared means .shared::cta, another block's memory needs .shared::cluster");
  if (const char* why = unreachable(remote))
    explain.fail(Rule::use_after_free, lanes, whose + ", which " + why);
}

// (rank + 1) << 24 | offset names the shared memory of a block of the cluster, plain offsets the own one.
void resolve_shared(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t mask,
                    uint32_t bytes, Touch touch, Resolved& out) {
  if (mask != kAllLanes) fill_idle(addresses, mask);
  const std::vector<Block*>& cluster = *warp.block->cluster;
  const auto tag_of = [&](uint32_t lane) { return addresses.at[lane] >> kSharedRankShift; };
  uint64_t tags = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) tags |= tag_of(lane);
  if (tags == 0) return resolve_shared_of(*warp.block, warp, instruction, addresses, mask, bytes, touch, out);
  bool first = true;
  for (uint32_t left = mask; left;) {  // block by block
    const uint64_t tag = tag_of(static_cast<uint32_t>(std::countr_zero(left)));
    uint32_t lanes = 0;
    for (uint32_t rest = left; rest; rest &= rest - 1)
      if (tag_of(static_cast<uint32_t>(std::countr_zero(rest))) == tag) lanes |= rest & (0u - rest);
    // What names no block of the cluster is an offset past the end.
    const bool named = tag != 0 && tag - 1 < cluster.size();
    const Block& block = named ? *cluster[tag - 1] : *warp.block;
    if (&block != warp.block) check_remote(block, warp, instruction, lanes, bytes, touch);
    LaneAddresses part = addresses;
    if (lanes != kAllLanes) fill_idle(part, lanes);
    if (named)
      for (uint64_t& address : part.at) address -= tag << kSharedRankShift;
    if (first && lanes == mask) {
      addresses = part;
      return resolve_shared_of(block, warp, instruction, addresses, mask, bytes, touch, out);
    }
    first = false;
    Resolved some;
    some.addresses = &part;
    resolve_shared_of(block, warp, instruction, part, lanes, bytes, touch, some);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      out.lane[lane] = some.of(lane);
    }
    left &= ~lanes;
  }
  out.together = out.consecutive = out.same = false;
}

// --- a lane's own memory: .local variables and call parameters ---

void resolve_local(Warp& warp, const Instruction& instruction, const LaneAddresses& addresses, uint32_t mask,
                   uint32_t bytes, Touch touch, Resolved& out) {
  const Explain explain(warp, instruction, bytes, touch);
  const uint64_t size = warp.launch->code->frame_bytes;
  if (const uint32_t bad = outside(addresses, mask, bytes, 0, size))
    explain.fail(Rule::out_of_bounds, bad,
                 "local memory offset " +
                     std::to_string(static_cast<int64_t>(addresses.at[std::countr_zero(bad)])) +
                     ", which ends at " + std::to_string(size));
  if (const uint32_t bad = misaligned_lanes(addresses, mask, bytes))
    explain.fail(Rule::misaligned, bad,
                 "local memory offset " + std::to_string(addresses.at[std::countr_zero(bad)]) +
                     ", which is not aligned to " + std::to_string(bytes));
  uint32_t bad = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t at = lane * size + addresses.at[lane];
    out.lane[lane] = warp.frame + at;
    uint8_t* flags = warp.frame_initialised + at;
    if (touch == Touch::store)
      std::memset(flags, 1, bytes);
    else if (!all_set(flags, bytes))
      bad |= 1u << lane;
  }
  if (bad && warp.launch->options->check_memory && !instruction.memory.call_parameter)
    explain.fail(Rule::uninitialised, bad,
                 "local memory offset " + std::to_string(addresses.at[std::countr_zero(bad)]) +
                     ": some of these bytes were never written");
  out.together = out.consecutive = out.same = false;
}

// --- the kernel's parameters ---

void resolve_param(Warp& warp, const Instruction& instruction, const LaneAddresses& addresses, uint32_t mask,
                   uint32_t bytes, Touch touch, Resolved& out) {
  const Explain explain(warp, instruction, bytes, touch);
  if (touch != Touch::load) explain.fail(Rule::permission, mask, "a kernel parameter, which is read-only");
  const uint64_t size = warp.launch->params.size();
  if (const uint32_t bad = outside(addresses, mask, bytes, 0, size))
    explain.fail(Rule::out_of_bounds, bad,
                 "parameter offset " +
                     std::to_string(static_cast<int64_t>(addresses.at[std::countr_zero(bad)])) +
                     ", which ends at " + std::to_string(size));
  if (const uint32_t bad = misaligned_lanes(addresses, mask, bytes))
    explain.fail(Rule::misaligned, bad,
                 "parameter offset " + std::to_string(addresses.at[std::countr_zero(bad)]) +
                     ", which is not aligned to " + std::to_string(bytes));
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    out.lane[lane] =
        const_cast<std::byte*>(warp.launch->params.data()) + addresses.at[lane];  // only ever read
  }
  out.together = out.consecutive = out.same = false;
}

// --- dispatch ---

void resolve_unobserved(Warp& warp, const Instruction& instruction, Space space, LaneAddresses& addresses,
                        uint32_t lanes, uint32_t bytes, Touch touch, Resolved& out) {
  switch (space) {
    case Space::global:
      return resolve_buffers(warp, instruction, addresses, lanes, bytes, touch, false, out);
    case Space::constant:
      return resolve_buffers(warp, instruction, addresses, lanes, bytes, touch, true, out);
    case Space::shared:
      return resolve_shared(warp, instruction, addresses, lanes, bytes, touch, out);
    case Space::local:
      return resolve_local(warp, instruction, addresses, lanes, bytes, touch, out);
    case Space::param:
      return resolve_param(warp, instruction, addresses, lanes, bytes, touch, out);
    default:
      break;
  }
  trap(warp, instruction, Rule::wrong_space, lanes, "an access to a space that has no memory");
}

// `lanes` of the warp in a space that is not generic; addresses are relative to that space.
void resolve_space(Warp& warp, const Instruction& instruction, Space space, LaneAddresses& addresses,
                   uint32_t lanes, uint32_t bytes, Touch touch, Resolved& out) {
  if (touch != Touch::load)
    ++warp.block->changes;
  else if (space == Space::global)
    ++warp.block->global_loads;
  if (observed(warp)) {  // once it is known to be allowed; resolving changes the addresses
    const LaneAddresses asked = addresses;
    resolve_unobserved(warp, instruction, space, addresses, lanes, bytes, touch, out);
    notify(warp, instruction, space, asked, bytes, touch, lanes);
  } else {
    resolve_unobserved(warp, instruction, space, addresses, lanes, bytes, touch, out);
  }
}

struct Window {
  Space space;
  uint64_t base;
};
Window window_of(const Memory& memory, uint64_t address) {
  switch (address / kWindowBytes) {
    case 1:
      return {Space::shared, kSharedWindow};
    case 2:
      return {Space::local, kLocalWindow};
    case 3:
      return {Space::param, kParamWindow};
    default:
      break;
  }
  const Buffer* buffer = memory.find(address);
  return {buffer && buffer->constant ? Space::constant : Space::global,
          0};  // what is neither explains itself there
}

void resolve_generic(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t bytes,
                     Touch touch, Resolved& out) {
  const uint32_t all = warp.mask;
  const Memory& memory = *warp.launch->memory;
  bool first_group = true;
  for (uint32_t left = all; left;) {
    const Window window = window_of(memory, addresses.at[std::countr_zero(left)]);
    uint32_t lanes = 0;
    for (uint32_t rest = left; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      if (window_of(memory, addresses.at[lane]).space == window.space) lanes |= 1u << lane;
    }
    if (first_group && lanes == all) {
      if (window.base)
        for (uint64_t& address : addresses.at) address -= window.base;
      return resolve_space(warp, instruction, window.space, addresses, all, bytes, touch, out);
    }
    first_group = false;
    LaneAddresses part = addresses;
    for (uint64_t& address : part.at) address -= window.base;
    Resolved some;
    some.addresses = &part;
    resolve_space(warp, instruction, window.space, part, lanes, bytes, touch, some);
    for (uint32_t rest = lanes; rest; rest &= rest - 1) {
      const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
      out.lane[lane] = some.of(lane);
    }
    left &= ~lanes;
  }
  out.together = out.consecutive = out.same = false;
}

}  // namespace

const char* unreachable(const Block& remote) {
  if (remote.ticks == 0) return "has not begun: a cluster barrier must come first";
  if (std::none_of(remote.warps.begin(), remote.warps.end(), [](const Warp& each) { return each.living; }))
    return "has ended: a cluster barrier must keep it until the last access";
  return nullptr;
}

void lane_addresses(const Warp& warp, const Instruction& instruction, LaneAddresses& out) {
  const auto offset = static_cast<uint64_t>(instruction.immediate);
  if (instruction.r[5] == kNoRow) {
    for (uint64_t& address : out.at) address = offset;
  } else if (instruction.wide_address) {
    const uint64_t* base = warp.row<uint64_t>(instruction.r[5]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) out.at[lane] = base[lane] + offset;
  } else {
    const uint32_t* base = warp.row<uint32_t>(instruction.r[5]);
    for (uint32_t lane = 0; lane < kLanes; ++lane) out.at[lane] = base[lane] + offset;
  }
}

void resolve(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, uint32_t bytes,
             Touch touch, Resolved& out) {
  out.addresses = &addresses;
  const Space space = instruction.memory.space;
  if (space == Space::generic)
    resolve_generic(warp, instruction, addresses, bytes, touch, out);
  else
    resolve_space(warp, instruction, space, addresses, warp.mask, bytes, touch, out);
}

}  // namespace attest::vm
