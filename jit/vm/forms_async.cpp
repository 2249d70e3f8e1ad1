// Asynchronous copies of a lane (cp.async), and the arrivals on an mbarrier that wait for them.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "jit/vm/access.h"
#include "jit/vm/async.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/hash.h"
#include "jit/vm/mbarrier.h"
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

struct CopiesInFlight {
  std::vector<WarpCopies> warps;
};

namespace {

constexpr const char* kCopySection = "data-movement-and-conversion-instructions-cp-async";
constexpr const char* kArrivalSection =
    "parallel-synchronization-and-communication-instructions-cp-async-mbarrier-arrive";

CopiesInFlight& copies_of(Block& block) {
  if (!block.copies) {
    block.copies = std::make_shared<CopiesInFlight>();
    block.copies->warps.resize(block.warps.size());
  }
  return *block.copies;
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
  copy.read_early = starts_early(warp);
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
    ++warp.block->changes;
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
  ++warp.block->changes;
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

// cp.async.mbarrier.arrive{.noinc}.shared.b64 [addr];  arrives when all copies that the lane started before
// are there. Without .noinc the arrival is one that the barrier did not count on.
void arrive_after_copies(Warp& warp, const Instruction& instruction) {
  Pending arrival;
  arrival.instruction = &instruction;
  arrival.lanes = warp.mask;
  arrival.arrival = true;
  Instruction look = instruction;
  look.memory.order = Order::relaxed;
  lane_addresses(warp, look, arrival.addresses);
  Resolved where;
  resolve(warp, look, arrival.addresses, 8, Touch::atomic, where);
  each_lane(warp.mask, [&](uint32_t lane) {
    arrival.target[lane] = where.of(lane);
    const Doer doer{warp, instruction, lane};
    Block& block = barrier_block(doer, arrival.target[lane], true);
    if (instruction.variant == 0)
      change_barrier(doer, block, arrival.target[lane], {.awaited = 1});
    else
      look_at_barrier(doer, block, arrival.target[lane]);
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
    change_barrier({warp, instruction, lane}, block_of(warp, arrival.target[lane]), arrival.target[lane],
                   {.arrivals = 1});
  });
  ++warp.block->changes;
}

void decode_arrive_after_copies(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 1) decoder.fail("takes one address");
  const auto has = [&](const char* modifier) { return has_modifier(in, modifier); };
  out.memory.space = has("shared") || has("shared::cta") ? Space::shared : Space::generic;
  out.memory.order = Order::release;
  out.memory.scope = Scope::cta;
  out.variant = has("noinc");
  decoder.address(in.operands[0], out);
}

}  // namespace

bool starts_early(Warp& warp) {
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

void settle_copy_arrivals(Warp& waiting, const std::byte* place) {
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
      return settle_copy_arrivals(waiting, place);  // the list has changed
    }
  }
}

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
  for (const std::string space : {"", ".shared", ".shared::cta"}) {
    for (const std::string increment : {"", ".noinc"}) {
      table.add({.name = "cp.async.mbarrier.arrive" + increment + space + ".b64",
                 .operands = "",
                 .run = arrive_after_copies,
                 .section = kArrivalSection,
                 .meaning = "Arrives when the lane's copies are there: when somebody waits for the barrier.",
                 .decode = decode_arrive_after_copies});
    }
  }
}

}  // namespace attest::vm
