// Asynchronous copies of a lane (cp.async) and the barriers in shared memory that they may arrive on
// (mbarrier).
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "jit/vm/access.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/scheduler.h"
#include "jit/vm/warp.h"

namespace attest::vm {

namespace {

constexpr uint32_t kMaxCopyBytes = 16;

// What a warp started and nobody has waited for: a copy by some lanes, or their arrival on an mbarrier once
// their earlier copies are there.
struct Pending {
  const Instruction* instruction = nullptr;
  uint32_t lanes = 0;
  bool arrival = false;
  std::array<uint32_t, kLanes> group{};                              // of each lane: commits before it
  std::array<std::byte*, kLanes> target{};                           // shared memory
  std::array<const std::byte*, kLanes> source{};                     // null: nothing is read
  std::array<uint8_t, kLanes> source_bytes{};                        // the rest of the target is zeroed
  std::array<std::array<std::byte, kMaxCopyBytes>, kLanes> early{};  // what was read at once, if it was
  bool read_early = false;
  LaneAddresses addresses{};  // of the targets
};

struct WarpCopies {
  std::vector<Pending> pending;
  std::array<uint32_t, kLanes> commits{};
};

}  // namespace

// Belongs to one block; blocks are used again, so it says whose it is.
struct CopiesInFlight {
  const Launch* launch = nullptr;
  uint64_t block = 0;
  std::vector<WarpCopies> warps;
};

namespace {

constexpr const char* kCopySection = "data-movement-and-conversion-instructions-cp-async";
constexpr const char* kBarrierSection = "parallel-synchronization-and-communication-instructions-mbarrier";

CopiesInFlight& copies_of(Block& block) {
  if (!block.copies || block.copies->launch != block.launch || block.copies->block != block.linear) {
    block.copies = std::make_shared<CopiesInFlight>();
    block.copies->launch = block.launch;
    block.copies->block = block.linear;
    block.copies->warps.resize(block.warps.size());
  }
  return *block.copies;
}

template <class F>
void each_lane(uint32_t lanes, F f) {
  for (uint32_t rest = lanes; rest; rest &= rest - 1) f(static_cast<uint32_t>(std::countr_zero(rest)));
}

// Runs `f` with warp.mask = lanes.
template <class F>
void with_mask(Warp& warp, uint32_t lanes, F f) {
  const uint32_t mask = warp.mask;
  warp.mask = lanes;
  f();
  warp.mask = mask;
}

// --- cp.async ---

// Instruction::variant of cp.async.
constexpr uint8_t kWideSource = 1, kSourceSize = 2;

// The observers learn of a copy's write twice: when it starts, since from then on it may happen, and when it
// is waited for, since only then it is ordered.
void notify_store(Warp& warp, const Instruction& instruction, uint32_t lanes,
                  const LaneAddresses& addresses) {
  if (!observed(warp) || lanes == 0) return;
  with_mask(warp, lanes, [&] {
    Site site = site_of(warp, instruction);
    site.lanes = lanes;
    const AccessEvent event{site,
                            Space::shared,
                            Touch::store,
                            instruction.count,
                            std::span<const uint64_t, kLanes>(addresses.at, kLanes),
                            instruction.memory};
    for (Observer* observer : warp.launch->observers) observer->access(event);
  });
}

// Whether this copy reads its source now (as early as is legal) or when it is waited for (as late as is
// legal).
bool reads_early(Warp& warp) {
  switch (warp.launch->options->schedule) {
    case Schedule::lockstep:
      return false;
    case Schedule::serial:
      return true;
    case Schedule::shuffled:
      return (next_random(warp.block->random) & 1) != 0;
  }
  return false;
}

// The source's bytes, checked: bounds, permission, initialisation. Lanes may copy fewer bytes than the target
// has.
void resolve_source(Warp& warp, const Instruction& instruction, Pending& copy) {
  Instruction from = instruction;
  from.r[5] = instruction.r[4];
  from.wide_address = (instruction.variant & kWideSource) != 0;
  from.memory.space = Space::global;
  from.immediate =
      static_cast<int64_t>(warp.row<uint64_t>(instruction.r[3])[0]);  // a constant: the same in every lane
  LaneAddresses all;
  lane_addresses(warp, from, all);
  uint32_t left = copy.lanes;
  while (left) {
    const uint32_t bytes = copy.source_bytes[static_cast<size_t>(std::countr_zero(left))];
    uint32_t lanes = 0;
    each_lane(left, [&](uint32_t lane) {
      lanes |= static_cast<uint32_t>(copy.source_bytes[lane] == bytes) << lane;
    });
    left &= ~lanes;
    if (bytes == 0) continue;
    // A power of two at once, else byte by byte; the whole copy's alignment is the target's.
    const uint32_t step = std::has_single_bit(bytes) ? bytes : 1;
    with_mask(warp, lanes, [&] {
      for (uint32_t offset = 0; offset < bytes; offset += step) {
        LaneAddresses addresses = all;
        for (uint64_t& address : addresses.at) address += offset;
        Resolved where;
        resolve(warp, from, addresses, step, Touch::load, where);
        if (offset == 0) each_lane(lanes, [&](uint32_t lane) { copy.source[lane] = where.of(lane); });
      }
    });
    each_lane(lanes, [&](uint32_t lane) {
      if (all.at[lane] % instruction.count != 0)
        trap(warp, instruction, Rule::misaligned, 1u << lane,
             "the source of a copy of " + std::to_string(instruction.count) +
                 " bytes is not aligned to its size");
    });
  }
}

// cp.async.ca|cg.shared.global [dst], [src], cp-size{, src-size};
void start_copy(Warp& warp, const Instruction& instruction) {
  Pending copy;
  copy.instruction = &instruction;
  copy.lanes = warp.mask;
  WarpCopies& copies = copies_of(*warp.block).warps[warp.index];
  copy.group = copies.commits;
  const uint32_t* sizes = instruction.variant & kSourceSize ? warp.row<uint32_t>(instruction.r[0]) : nullptr;
  each_lane(warp.mask, [&](uint32_t lane) {
    const uint32_t bytes = sizes ? sizes[lane] : instruction.count;
    if (bytes > instruction.count)
      trap(warp, instruction, Rule::other, 1u << lane,
           "a source size of " + std::to_string(bytes) + " bytes for a copy of " +
               std::to_string(instruction.count));
    copy.source_bytes[lane] = static_cast<uint8_t>(bytes);
  });
  resolve_source(warp, instruction, copy);
  lane_addresses(warp, instruction, copy.addresses);
  Resolved where;
  resolve(warp, instruction, copy.addresses, instruction.count, Touch::store, where);
  copy.read_early = reads_early(warp);
  Block& block = *warp.block;
  each_lane(copy.lanes, [&](uint32_t lane) {
    copy.target[lane] = where.of(lane);
    // Until it is waited for, nobody may read the target.
    std::memset(block.shared_initialised.get() + (copy.target[lane] - block.shared.get()), 0,
                instruction.count);
    if (copy.read_early && copy.source[lane])
      std::memcpy(copy.early[lane].data(), copy.source[lane], copy.source_bytes[lane]);
  });
  copies.pending.push_back(std::move(copy));
}

void arrive_pending(Warp& warp, const Pending& arrival, uint32_t lanes);

// Finishes what `lanes` of the warp started in entries [0, end) and `due(entry, lane)` says is due.
template <class Due>
void finish(Warp& warp, uint32_t lanes, size_t end, Due due) {
  WarpCopies& copies = copies_of(*warp.block).warps[warp.index];
  for (size_t i = 0; i < end; ++i) {
    Pending& entry = copies.pending[i];
    uint32_t done = 0;
    each_lane(entry.lanes & lanes, [&](uint32_t lane) {
      if (due(entry, lane)) done |= 1u << lane;
    });
    if (done == 0) continue;
    entry.lanes &= ~done;
    if (entry.arrival) {
      arrive_pending(warp, entry, done);
      continue;
    }
    const uint32_t bytes = entry.instruction->count;
    each_lane(done, [&](uint32_t lane) {
      std::byte* target = entry.target[lane];
      const uint32_t copied = entry.source_bytes[lane];
      const std::byte* source = entry.read_early ? entry.early[lane].data() : entry.source[lane];
      if (copied > 0) std::memcpy(target, source, copied);
      std::memset(target + copied, 0, bytes - copied);
      std::memset(warp.block->shared_initialised.get() + (target - warp.block->shared.get()), 1, bytes);
    });
    notify_store(warp, *entry.instruction, done, entry.addresses);
  }
  std::erase_if(copies.pending, [](const Pending& entry) { return entry.lanes == 0; });
}

// cp.async.commit_group;
void commit_group(Warp& warp, const Instruction&) {
  WarpCopies& copies = copies_of(*warp.block).warps[warp.index];
  each_lane(warp.mask, [&](uint32_t lane) { ++copies.commits[lane]; });
}

// cp.async.wait_group n;  all but the n youngest committed groups are there.
void wait_group(Warp& warp, const Instruction& instruction) {
  const WarpCopies& copies = copies_of(*warp.block).warps[warp.index];
  const std::array<uint32_t, kLanes> commits = copies.commits;
  const auto keep = static_cast<uint64_t>(instruction.immediate);
  finish(warp, warp.mask, copies.pending.size(), [&](const Pending& entry, uint32_t lane) {
    return !entry.arrival && entry.group[lane] + keep < commits[lane];
  });
}

// cp.async.wait_all;
void wait_all(Warp& warp, const Instruction&) {
  finish(warp, warp.mask, copies_of(*warp.block).warps[warp.index].pending.size(),
         [](const Pending& entry, uint32_t) { return !entry.arrival; });
}

void decode_copy(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  size_t operands = in.operands.size();
  bool cached_globally = false;
  for (const std::string& modifier : in.modifiers) {
    if (modifier == "L2::cache_hint") --operands;
    if (modifier == "cg") cached_globally = true;
  }
  if (operands < 3 || operands > 4) decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  const syntax::Operand& size = in.operands[2];
  if (size.kind != syntax::Operand::Kind::integer || (size.bits != 4 && size.bits != 8 && size.bits != 16))
    decoder.fail("the copy's size must be 4, 8 or 16");
  if (cached_globally && size.bits != 16) decoder.fail("cp.async.cg copies 16 bytes");
  out.count = static_cast<uint8_t>(size.bits);
  out.variant = 0;
  if (operands == 4) {
    if (in.operands[3].negated) decoder.fail("the form with an ignore-src predicate is not modelled");
    if (in.operands[3].kind == syntax::Operand::Kind::name) {
      Width width = Width::none;
      uint32_t bytes = 0;
      decoder.register_row(in.operands[3], width, bytes);
      if (width == Width::predicate) decoder.fail("the form with an ignore-src predicate is not modelled");
    }
    out.r[0] = decoder.source(in.operands[3], 'w');
    out.variant |= kSourceSize;
  }
  Instruction source;
  source.memory.space = Space::global;
  decoder.address(in.operands[1], source);
  out.r[4] = source.r[5];
  if (source.wide_address) out.variant |= kWideSource;
  out.r[3] = decoder.constant_row(static_cast<uint64_t>(source.immediate), Width::w64);
  out.memory.space = Space::shared;
  decoder.address(in.operands[0], out);
}

void decode_wait_group(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 1 || in.operands[0].kind != syntax::Operand::Kind::integer)
    decoder.fail("takes one integer");
  out.immediate = static_cast<int64_t>(in.operands[0].bits);
}

// --- mbarrier ---

// The opaque 64 bits: expected and pending arrivals (20 bits each), bytes still to come (22 bits, signed),
// the phase's parity, and a bit that a living barrier has.
struct BarrierWord {
  uint32_t expected = 0, pending = 0;
  int32_t bytes = 0;
  bool parity = false, valid = false;

  static constexpr uint32_t kMost = (1u << 20) - 1;
  static BarrierWord read(const std::byte* from) {
    uint64_t bits;
    std::memcpy(&bits, from, sizeof bits);
    return unpack(bits);
  }
  static BarrierWord unpack(uint64_t bits) {
    BarrierWord word;
    word.expected = bits & kMost;
    word.pending = bits >> 20 & kMost;
    word.bytes = static_cast<int32_t>(static_cast<uint32_t>(bits >> 40 & 0x3fffff) << 10) >> 10;
    word.parity = (bits >> 62 & 1) != 0;
    word.valid = (bits >> 63 & 1) != 0;
    return word;
  }
  uint64_t pack() const {
    return expected | uint64_t{pending} << 20 | (uint64_t{static_cast<uint32_t>(bytes)} & 0x3fffff) << 40 |
           uint64_t{parity} << 62 | uint64_t{valid} << 63;
  }
  void write(std::byte* to) const {
    const uint64_t bits = pack();
    std::memcpy(to, &bits, sizeof bits);
  }
  // A phase ends when nobody and nothing is awaited any more; the next one expects as many again.
  void settle() {
    if (pending != 0 || bytes != 0) return;
    parity = !parity;
    pending = expected;
  }
};

BarrierWord living(Warp& warp, const Instruction& instruction, const std::byte* place, uint32_t lane) {
  const BarrierWord word = BarrierWord::read(place);
  if (!word.valid)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         "there is no mbarrier at this address: it was not initialised, or was overwritten");
  return word;
}

void drop(Warp& warp, const Instruction& instruction, BarrierWord& word, uint32_t arrivals, uint32_t lane) {
  if (arrivals == 0 || arrivals > word.pending)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         std::to_string(arrivals) + " arrivals on an mbarrier that awaits " + std::to_string(word.pending) +
             " more in this phase");
  word.pending -= arrivals;
}

void add_bytes(Warp& warp, const Instruction& instruction, BarrierWord& word, int64_t bytes, uint32_t lane) {
  const int64_t sum = word.bytes + bytes;
  if (sum < -((1 << 20) - 1) || sum > (1 << 20) - 1)
    trap(warp, instruction, Rule::asynchronous, 1u << lane,
         "the mbarrier's byte count leaves its range: " + std::to_string(sum));
  word.bytes = static_cast<int32_t>(sum);
}

// Ends the phase if nothing is awaited any more. Observers have heard of the arrival that `word` counts.
void settle(const Warp& warp, const Instruction& instruction, BarrierWord& word, uint64_t address) {
  const bool parity = word.parity;
  word.settle();
  if (word.parity == parity || !observed(warp)) return;
  const Site site = site_of(warp, instruction);
  for (Observer* observer : warp.launch->observers) observer->mbarrier_phase(site, address);
}

// Instruction::variant of mbarrier forms.
enum BarrierOperation : uint8_t {
  kInit,
  kInvalidate,
  kArrive,
  kArriveExpect,
  kExpect,
  kComplete,
  kTestState,
  kTestParity
};
constexpr uint8_t kMayFail = 16;  // try_wait: false although the phase is over is allowed

// The lanes' barriers, checked and told to the observers.
Resolved barrier_places(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, Touch touch) {
  lane_addresses(warp, instruction, addresses);
  Resolved where;
  resolve(warp, instruction, addresses, 8, touch, where);
  return where;
}

// mbarrier.init, .inval, .arrive, .arrive.expect_tx, .expect_tx, .complete_tx
void change_barrier(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  const uint8_t operation = instruction.variant;
  const Resolved where =
      barrier_places(warp, instruction, addresses, operation == kInit ? Touch::store : Touch::atomic);
  const uint32_t* values = instruction.r[1] == kNoRow ? nullptr : warp.row<uint32_t>(instruction.r[1]);
  uint64_t* states = instruction.r[0] == kNoRow ? nullptr : warp.row<uint64_t>(instruction.r[0]);
  each_lane(warp.mask, [&](uint32_t lane) {
    std::byte* place = where.of(lane);
    const uint32_t value = values ? values[lane] : 1;
    if (operation == kInit) {
      if (value == 0 || value > BarrierWord::kMost)
        trap(warp, instruction, Rule::asynchronous, 1u << lane,
             "an mbarrier for " + std::to_string(value) + " arrivals; 1 to 1048575 are possible");
      BarrierWord{value, value, 0, false, true}.write(place);
      return;
    }
    BarrierWord word = living(warp, instruction, place, lane);
    if (states) states[lane] = word.pack();
    switch (operation) {
      case kInvalidate:
        word = {};
        break;
      case kArrive:
        drop(warp, instruction, word, value, lane);
        break;
      case kArriveExpect:
        add_bytes(warp, instruction, word, value, lane);
        drop(warp, instruction, word, 1, lane);
        break;
      case kExpect:
        add_bytes(warp, instruction, word, value, lane);
        break;
      default:
        add_bytes(warp, instruction, word, -static_cast<int64_t>(value), lane);
        break;
    }
    if (operation != kInvalidate && operation != kExpect) settle(warp, instruction, word, addresses.at[lane]);
    word.write(place);
    if (operation == kInvalidate)
      std::memset(warp.block->shared_initialised.get() + (place - warp.block->shared.get()), 0, 8);
  });
  warp.block->progress = true;
}

// Arrivals that wait for copies become due when somebody waits for their barrier: that is as late as they may
// be.
void settle_arrivals(Warp& waiting, const std::byte* place) {
  Block& block = *waiting.block;
  if (!block.copies) return;
  for (Warp& warp : block.warps) {
    WarpCopies& copies = copies_of(block).warps[warp.index];
    for (size_t i = 0; i < copies.pending.size(); ++i) {
      const Pending& entry = copies.pending[i];
      if (!entry.arrival) continue;
      uint32_t lanes = 0;
      each_lane(entry.lanes,
                [&](uint32_t lane) { lanes |= static_cast<uint32_t>(entry.target[lane] == place) << lane; });
      if (lanes == 0) continue;
      finish(warp, lanes, i + 1, [](const Pending&, uint32_t) { return true; });
      return settle_arrivals(waiting, place);  // the list has changed
    }
  }
}

// mbarrier.test_wait and .try_wait: whether the phase is over that `state` belongs to, or that has this
// parity.
void test_barrier(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  Instruction look = instruction;
  look.memory.order = Order::relaxed;
  const Resolved where = barrier_places(warp, look, addresses, Touch::load);
  const uint8_t operation = instruction.variant & 15;
  uint32_t over = 0;
  each_lane(warp.mask, [&](uint32_t lane) {
    const std::byte* place = where.of(lane);
    living(warp, instruction, place, lane);
    const bool parity = operation == kTestParity
                            ? (warp.row<uint32_t>(instruction.r[1])[lane] & 1) != 0
                            : BarrierWord::unpack(warp.row<uint64_t>(instruction.r[1])[lane]).parity;
    const auto finished = [&] { return BarrierWord::read(place).parity != parity; };
    if (!finished()) settle_arrivals(warp, place);
    bool done = finished();
    if (done && (instruction.variant & kMayFail) && warp.launch->options->schedule == Schedule::shuffled)
      done = next_random(warp.block->random) % 4 != 0;
    over |= static_cast<uint32_t>(done) << lane;
  });
  uint32_t& predicate = warp.predicate(instruction.r[0]);
  predicate = (predicate & ~warp.mask) | over;
  // Only who sees the end of the phase is ordered after the arrivals.
  if (over && observed(warp)) {
    with_mask(warp, over, [&] {
      LaneAddresses again;
      barrier_places(warp, instruction, again, Touch::load);
    });
  }
}

// mbarrier.pending_count.b64 count, state;
void pending_count(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    warp.row<uint32_t>(instruction.r[0])[lane] =
        BarrierWord::unpack(warp.row<uint64_t>(instruction.r[1])[lane]).pending;
  });
}

// cp.async.mbarrier.arrive{.noinc}.shared.b64 [addr];  arrives when all copies that the lane started before
// are there. Without .noinc the arrival is one that the barrier did not count on.
void arrive_after_copies(Warp& warp, const Instruction& instruction) {
  Pending arrival;
  arrival.instruction = &instruction;
  arrival.lanes = warp.mask;
  arrival.arrival = true;
  Instruction look = instruction;
  look.memory.order = Order::relaxed;
  const Resolved where = barrier_places(warp, look, arrival.addresses, Touch::atomic);
  each_lane(warp.mask, [&](uint32_t lane) {
    arrival.target[lane] = where.of(lane);
    BarrierWord word = living(warp, instruction, arrival.target[lane], lane);
    if (instruction.variant == 0) {
      if (word.pending == BarrierWord::kMost)
        trap(warp, instruction, Rule::asynchronous, 1u << lane, "the mbarrier's pending count overflows");
      ++word.pending;
      word.write(arrival.target[lane]);
    }
  });
  copies_of(*warp.block).warps[warp.index].pending.push_back(std::move(arrival));
}

void arrive_pending(Warp& warp, const Pending& arrival, uint32_t lanes) {
  const Instruction& instruction = *arrival.instruction;
  if (observed(warp)) {
    with_mask(warp, lanes, [&] {
      LaneAddresses addresses = arrival.addresses;
      Resolved where;
      resolve(warp, instruction, addresses, 8, Touch::atomic, where);
    });
  }
  each_lane(lanes, [&](uint32_t lane) {
    BarrierWord word = living(warp, instruction, arrival.target[lane], lane);
    drop(warp, instruction, word, 1, lane);
    settle(warp, instruction, word, arrival.addresses.at[lane]);
    word.write(arrival.target[lane]);
  });
  warp.block->progress = true;
}

void release_in_block(Instruction& out) {
  out.memory.space = Space::shared;
  out.memory.order = Order::release;
  out.memory.scope = Scope::cta;
}

// Operand lists: `s` the state that arrive returns (may be _), `a` the address, `n` a 32-bit number (may be
// left out when it comes last and `optional`).
template <BarrierOperation Operation>
void decode_barrier_change(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  release_in_block(out);
  out.variant = Operation;
  if (Operation == kInit) out.memory.order = Order::weak;  // others may use it only behind a barrier
  constexpr bool returns = Operation == kArrive || Operation == kArriveExpect;
  constexpr bool needs_number = Operation != kArrive && Operation != kInvalidate;
  const size_t least = 1 + (returns ? 1 : 0) + (needs_number ? 1 : 0),
               most = least + (Operation == kArrive ? 1 : 0);
  if (in.operands.size() < least || in.operands.size() > most)
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  size_t at = 0;
  if (returns) {
    out.r[0] = decoder.target(in.operands[at++], 'Q');
  }
  const syntax::Operand& address = in.operands[at++];
  if (at < in.operands.size()) out.r[1] = decoder.source(in.operands[at], 'w');
  decoder.address(address, out);
}

void decode_barrier_test(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const auto has = [&](const char* modifier) {
    return std::find(in.modifiers.begin(), in.modifiers.end(), modifier) != in.modifiers.end();
  };
  const bool tries = has("try_wait");
  if (in.operands.size() != 3 && !(tries && in.operands.size() == 4))
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  out.memory.space = Space::shared;
  out.memory.order = Order::acquire;
  out.memory.scope = Scope::cta;
  out.variant = static_cast<uint8_t>((has("parity") ? kTestParity : kTestState) | (tries ? kMayFail : 0));
  out.r[0] = decoder.target(in.operands[0], 'P');
  out.r[1] = decoder.source(in.operands[2], has("parity") ? 'w' : 'q');
  if (in.operands.size() == 4) decoder.source(in.operands[3], 'w');  // the time limit: any is kept
  decoder.address(in.operands[1], out);
}

void decode_arrive_after_copies(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 1) decoder.fail("takes one address");
  release_in_block(out);
  out.variant = std::find(in.modifiers.begin(), in.modifiers.end(), "noinc") != in.modifiers.end();
  decoder.address(in.operands[0], out);
}

}  // namespace

void add_async_forms(FormTable& table) {
  for (const char* cache : {"ca", "cg"}) {
    for (const char* space : {"shared", "shared::cta"}) {
      for (const char* hint : {"", ".L2::cache_hint"}) {
        for (const char* prefetch : {"", ".L2::64B", ".L2::128B", ".L2::256B"}) {
          table.add({.name = std::string("cp.async.") + cache + "." + space + ".global" + hint + prefetch,
                     .operands = "",
                     .run = start_copy,
                     .section = kCopySection,
                     .meaning = "Copies 4, 8 or 16 bytes, zero-filled past src-size, early or late; "
                                "unreadable until waited for.",
                     .decode = decode_copy});
        }
      }
    }
  }
  table.add({.name = "cp.async.commit_group",
             .operands = "",
             .run = commit_group,
             .section = kCopySection,
             .meaning = "Closes the lane's group of copies."});
  table.add({.name = "cp.async.wait_group",
             .operands = "",
             .run = wait_group,
             .section = kCopySection,
             .meaning = "Finishes all but the n youngest groups of the lane.",
             .decode = decode_wait_group});
  table.add({.name = "cp.async.wait_all",
             .operands = "",
             .run = wait_all,
             .section = kCopySection,
             .meaning = "Finishes all copies of the lane."});
  const auto barrier = [&](const std::string& name, Handler run, Decode decode, const char* meaning) {
    table.add({.name = name,
               .operands = "",
               .run = run,
               .section = kBarrierSection,
               .meaning = meaning,
               .decode = decode});
  };
  for (const std::string space : {".shared", ".shared::cta"}) {
    barrier("mbarrier.init" + space + ".b64", change_barrier, decode_barrier_change<kInit>,
            "A barrier for a number of arrivals; phase 0 begins.");
    barrier("mbarrier.inval" + space + ".b64", change_barrier, decode_barrier_change<kInvalidate>,
            "Ends a barrier's life; its bytes count as never written.");
    for (const std::string order : {"", ".release.cta"}) {
      barrier("mbarrier.arrive" + order + space + ".b64", change_barrier, decode_barrier_change<kArrive>,
              "Arrivals; traps when more come than the phase awaits.");
      barrier("mbarrier.arrive.expect_tx" + order + space + ".b64", change_barrier,
              decode_barrier_change<kArriveExpect>, "Awaits bytes, then arrives.");
    }
    for (const std::string order : {"", ".relaxed.cta"}) {
      barrier("mbarrier.expect_tx" + order + space + ".b64", change_barrier, decode_barrier_change<kExpect>,
              "The phase awaits more bytes.");
      barrier("mbarrier.complete_tx" + order + space + ".b64", change_barrier,
              decode_barrier_change<kComplete>, "Bytes of the phase have come.");
    }
    for (const std::string wait : {"mbarrier.test_wait", "mbarrier.try_wait"}) {
      for (const std::string parity : {"", ".parity"}) {
        for (const std::string order : {"", ".acquire.cta"}) {
          barrier(wait + parity + order + space + ".b64", test_barrier, decode_barrier_test,
                  "Whether a phase is over; try_wait may say no at random in the shuffled schedule.");
        }
      }
    }
    for (const std::string increment : {"", ".noinc"}) {
      barrier("cp.async.mbarrier.arrive" + increment + space + ".b64", arrive_after_copies,
              decode_arrive_after_copies,
              "Arrives when the lane's copies are there: when somebody waits for the barrier.");
    }
  }
  table.add({.name = "mbarrier.pending_count.b64",
             .operands = "Wq",
             .run = pending_count,
             .section = kBarrierSection,
             .meaning = "Pending arrivals of a state that arrive returned."});
}

}  // namespace attest::vm
