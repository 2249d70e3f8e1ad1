// The barriers in shared memory that arrivals and bytes are counted on (mbarrier).
#include <algorithm>
#include <array>
#include <string>

#include "jit/vm/access.h"
#include "jit/vm/async.h"
#include "jit/vm/bulk.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/hash.h"
#include "jit/vm/mbarrier.h"
#include "jit/vm/spinning.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

constexpr const char* kSection = "parallel-synchronization-and-communication-instructions-mbarrier";

// Instruction::variant of mbarrier forms.
enum Operation : uint8_t {
  kInit,
  kInvalidate,
  kArrive,
  kArriveExpect,
  kArriveNoComplete,
  kExpect,
  kComplete,
  kTestState,
  kTestParity
};
constexpr uint8_t kMayFail = 16;  // try_wait: false although the phase is over is allowed
constexpr uint8_t kLeaves = 32;   // arrive_drop
constexpr uint8_t kOperation = 15;

// The lanes' barriers, checked and told to the observers.
Resolved barrier_places(Warp& warp, const Instruction& instruction, LaneAddresses& addresses, Touch touch) {
  lane_addresses(warp, instruction, addresses);
  Resolved where;
  resolve(warp, instruction, addresses, 8, touch, where);
  return where;
}

// mbarrier.init, .inval, .arrive, .arrive_drop, .expect_tx, .complete_tx and what they combine to
void change(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  const auto operation = static_cast<Operation>(instruction.variant & kOperation);
  const bool plain = operation == kInit || operation == kInvalidate;
  const Resolved where = barrier_places(warp, instruction, addresses, plain ? Touch::store : Touch::atomic);
  const uint32_t* values = instruction.r[1] == kNoRow ? nullptr : warp.row<uint32_t>(instruction.r[1]);
  uint64_t* states = instruction.r[0] == kNoRow ? nullptr : warp.row<uint64_t>(instruction.r[0]);
  const bool generic = instruction.memory.space == Space::generic;
  // Another block's barrier only by .shared::cluster, or generic addresses of operations that return nothing.
  const bool local = plain || states || !(instruction.memory.shared_cluster || generic);
  each_lane(warp.mask, [&](uint32_t lane) {
    std::byte* const at = where.of(lane);
    const Doer doer{warp, instruction, lane};
    Block& block = barrier_block(doer, at, local);
    const uint32_t value = values ? values[lane] : 1;
    const bool arrives = operation == kArrive || operation == kArriveNoComplete;
    if (arrives && value == 0)
      trap(warp, instruction, Rule::asynchronous, 1u << lane, "0 arrivals on an mbarrier");
    BarrierChange todo{.leaves = (instruction.variant & kLeaves) != 0};
    switch (operation) {
      case kInit:
        return make_barrier(doer, block, at, value);
      case kInvalidate:
        if (bulk_in_flight(block, at))
          trap(warp, instruction, Rule::asynchronous, 1u << lane,
               "an asynchronous operation is under way that will complete on this mbarrier");
        return end_barrier(doer, block, at);
      case kArriveNoComplete:
        if (const BarrierWord word = look_at_barrier(doer, block, at);
            value == word.pending && word.bytes == 0)
          trap(warp, instruction, Rule::asynchronous, 1u << lane, "a .noComplete arrival ends the phase");
        [[fallthrough]];
      case kArrive:
        todo.arrivals = value;
        break;
      case kArriveExpect:
        todo.arrivals = 1;
        [[fallthrough]];
      case kExpect:
        todo.bytes = value;
        break;
      default:
        todo.bytes = -static_cast<int64_t>(value);
        break;
    }
    const BarrierWord before = change_barrier(doer, block, at, todo);
    if (states) states[lane] = before.pack();
  });
}

// mbarrier.test_wait and .try_wait: whether the phase is over that `state` belongs to, or that has this
// parity. What may arrive as late as somebody looks arrives now.
void test(Warp& warp, const Instruction& instruction) {
  LaneAddresses addresses;
  Instruction look = instruction;
  look.memory.order = Order::relaxed;
  const Resolved where = barrier_places(warp, look, addresses, Touch::load);
  const bool by_parity = (instruction.variant & kOperation) == kTestParity;
  uint32_t over = 0, vain = 0;
  std::array<const std::byte*, kLanes> barriers{};
  each_lane(warp.mask, [&](uint32_t lane) {
    std::byte* const at = where.of(lane);
    barriers[lane] = at;
    const Doer doer{warp, instruction, lane};
    Block& block = barrier_block(doer, at, true);
    const bool parity = by_parity ? (warp.row<uint32_t>(instruction.r[1])[lane] & 1) != 0
                                  : BarrierWord::unpack(warp.row<uint64_t>(instruction.r[1])[lane]).parity;
    const auto finished = [&] { return look_at_barrier(doer, block, at).parity != parity; };
    if (!finished()) settle_copy_arrivals(warp, at);
    if (!finished()) deliver_bulk(block, at);
    bool done = finished();
    if (!done) vain |= static_cast<uint32_t>(!bulk_in_flight(block, at)) << lane;
    if (done && (instruction.variant & kMayFail) && warp.launch->options->schedule == Schedule::shuffled &&
        next_random(warp.block->random) % 4 == 0) {
      done = false;
      ++block.changes;  // the next test has another answer
    }
    if (done) reveal_bulk(block, at);
    over |= static_cast<uint32_t>(done) << lane;
  });
  uint32_t& predicate = warp.predicate(instruction.r[0]);
  predicate = (predicate & ~warp.mask) | over;
  if (vain) note_vain_test(warp, instruction, vain, barriers);
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

void qualify(const syntax::Instruction& in, Instruction& out, Order order) {
  const bool shared =
      has_modifier(in, "shared") || has_modifier(in, "shared::cta") || has_modifier(in, "shared::cluster");
  out.memory.space = shared ? Space::shared : Space::generic;
  out.memory.shared_cluster = has_modifier(in, "shared::cluster");
  out.memory.order = has_modifier(in, "relaxed") ? Order::relaxed : order;
  out.memory.scope = has_modifier(in, "cluster") ? Scope::cluster : Scope::cta;
}

// Operand lists: the state that arrive returns (may be _), the address, a 32-bit number (may be left out by
// arrive).
template <Operation O>
void decode_change(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  // Others may use a barrier only behind another one's wait after .init, and before .inval.
  constexpr bool plain = O == kInit || O == kInvalidate, bytes = O == kExpect || O == kComplete;
  qualify(in, out, plain ? Order::weak : bytes ? Order::relaxed : Order::release);
  out.memory.mbarrier_init = O == kInit;
  out.variant = static_cast<uint8_t>(O | (has_modifier(in, "arrive_drop") ? kLeaves : 0));
  constexpr bool returns = O == kArrive || O == kArriveExpect || O == kArriveNoComplete;
  constexpr bool needs_number = O != kArrive && O != kInvalidate;
  const size_t least = 1 + (returns ? 1 : 0) + (needs_number ? 1 : 0), most = least + (O == kArrive ? 1 : 0);
  if (in.operands.size() < least || in.operands.size() > most)
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  size_t at = 0;
  if (returns) {
    const syntax::Operand& state = in.operands[at++];
    if (state.kind != syntax::Operand::Kind::underscore) {
      if (out.memory.shared_cluster) decoder.fail("an arrival at another block's mbarrier returns `_`");
      out.r[0] = decoder.target(state, 'Q');
    }
  }
  const syntax::Operand& address = in.operands[at++];
  if (at < in.operands.size()) out.r[1] = decoder.source(in.operands[at], 'w');
  decoder.address(address, out);
}

void decode_test(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const bool tries = has_modifier(in, "try_wait"), by_parity = has_modifier(in, "parity");
  if (in.operands.size() != 3 && !(tries && in.operands.size() == 4))
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  qualify(in, out, Order::acquire);
  out.variant = static_cast<uint8_t>((by_parity ? kTestParity : kTestState) | (tries ? kMayFail : 0));
  out.r[0] = decoder.target(in.operands[0], 'P');
  out.r[1] = decoder.source(in.operands[2], by_parity ? 'w' : 'q');
  if (in.operands.size() == 4) decoder.source(in.operands[3], 'w');  // the time limit: any is kept
  decoder.address(in.operands[1], out);
}

}  // namespace

void add_mbarrier_forms(FormTable& table) {
  const auto add = [&](const std::string& name, Handler run, Decode decode, const char* meaning) {
    table.add({.name = name,
               .operands = "",
               .run = run,
               .section = kSection,
               .meaning = meaning,
               .decode = decode});
  };
  const std::string local[] = {"", ".shared", ".shared::cta"};
  const std::string anywhere[] = {"", ".shared", ".shared::cta", ".shared::cluster"};
  const std::string orders[] = {"", ".release.cta", ".release.cluster", ".relaxed.cta", ".relaxed.cluster"};
  for (const std::string& space : local) {
    add("mbarrier.init" + space + ".b64", change, decode_change<kInit>,
        "A barrier for a number of arrivals; phase 0 begins.");
    add("mbarrier.inval" + space + ".b64", change, decode_change<kInvalidate>,
        "Ends a barrier's life; its bytes count as never written.");
    for (const std::string order : {"", ".release.cta"}) {
      add("mbarrier.arrive.noComplete" + order + space + ".b64", change, decode_change<kArriveNoComplete>,
          "Arrivals that must not end the phase.");
      add("mbarrier.arrive_drop.noComplete" + order + space + ".b64", change,
          decode_change<kArriveNoComplete>, "Arrivals that must not end the phase, and are the last.");
    }
    for (const std::string wait : {"mbarrier.test_wait", "mbarrier.try_wait"})
      for (const std::string parity : {"", ".parity"})
        for (const std::string order :
             {"", ".acquire.cta", ".acquire.cluster", ".relaxed.cta", ".relaxed.cluster"})
          add(wait + parity + order + space + ".b64", test, decode_test,
              "Whether a phase is over; try_wait may say no at random in the shuffled schedule.");
  }
  for (const std::string& space : anywhere) {
    for (const std::string& order : orders) {
      add("mbarrier.arrive" + order + space + ".b64", change, decode_change<kArrive>,
          "Arrivals; traps when more come than the phase awaits.");
      add("mbarrier.arrive.expect_tx" + order + space + ".b64", change, decode_change<kArriveExpect>,
          "Awaits bytes, then arrives.");
      add("mbarrier.arrive_drop" + order + space + ".b64", change, decode_change<kArrive>,
          "Arrivals that later phases do not expect.");
      add("mbarrier.arrive_drop.expect_tx" + order + space + ".b64", change, decode_change<kArriveExpect>,
          "Awaits bytes, then arrives for the last time.");
    }
    for (const std::string order : {"", ".relaxed.cta", ".relaxed.cluster"}) {
      add("mbarrier.expect_tx" + order + space + ".b64", change, decode_change<kExpect>,
          "The phase awaits more bytes.");
      add("mbarrier.complete_tx" + order + space + ".b64", change, decode_change<kComplete>,
          "Bytes of the phase have come.");
    }
  }
  table.add({.name = "mbarrier.pending_count.b64",
             .operands = "Wq",
             .run = pending_count,
             .section = kSection,
             .meaning = "Pending arrivals of a state that arrive returned."});
}

}  // namespace attest::vm
