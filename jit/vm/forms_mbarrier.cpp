// The barriers in shared memory that arrivals and bytes are counted on (mbarrier).
#include <algorithm>
#include <cstring>
#include <string>

#include "jit/vm/access.h"
#include "jit/vm/async.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/mbarrier.h"
#include "jit/vm/scheduler.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

constexpr const char* kBarrierSection = "parallel-synchronization-and-communication-instructions-mbarrier";

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
    if (operation != kInvalidate && operation != kExpect) word.settle();
    word.write(place);
    if (operation == kInvalidate)
      std::memset(warp.block->shared_initialised.get() + (place - warp.block->shared.get()), 0, 8);
  });
  warp.block->progress = true;
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
    if (!finished()) settle_copy_arrivals(warp, place);
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

}  // namespace

void add_mbarrier_forms(FormTable& table) {
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
  }
  table.add({.name = "mbarrier.pending_count.b64",
             .operands = "Wq",
             .run = pending_count,
             .section = kBarrierSection,
             .meaning = "Pending arrivals of a state that arrive returned."});
}

}  // namespace attest::vm
