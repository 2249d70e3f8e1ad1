// Instructions in which the lanes of a warp meet: shuffles, votes, matches, reductions, bar.warp.sync, elect.
#include <algorithm>
#include <bit>
#include <string>

#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/lanes.h"
#include "jit/vm/rendezvous.h"

namespace attest::vm {
namespace {

using std::string;

// The member mask is in r[4] for all of them (rendezvous.h). `evaluate` runs with warp.mask = the lanes that
// met.

// shfl.sync.mode.b32 d{|p}, a, b, c, membermask;      PTX ISA:
// data-movement-and-conversion-instructions-shfl-sync c holds the clamp (bits 0-4) and the segment mask (bits
// 8-12).
enum class Shuffle { up, down, bfly, idx };
template <Shuffle K>
void shuffle(Warp& warp, const Instruction& instruction) {
  const uint32_t* a = warp.row<uint32_t>(instruction.r[1]);
  const uint32_t* b = warp.row<uint32_t>(instruction.r[2]);
  const uint32_t* c = warp.row<uint32_t>(instruction.r[3]);
  uint32_t values[kLanes];
  uint32_t in_range = 0, bad = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t delta = b[lane] & 31, clamp = c[lane] & 31, segment = c[lane] >> 8 & 31;
    const uint32_t highest = (lane & segment) | (clamp & ~segment);
    const uint32_t lowest = lane & segment;
    uint32_t from = 0;
    bool inside = false;
    if constexpr (K == Shuffle::up) {
      from = lane - delta;
      inside = static_cast<int32_t>(from) >= static_cast<int32_t>(highest);
    } else if constexpr (K == Shuffle::down) {
      from = lane + delta;
      inside = from <= highest;
    } else if constexpr (K == Shuffle::bfly) {
      from = lane ^ delta;
      inside = from <= highest;
    } else {
      from = lowest | (delta & ~segment);
      inside = from <= highest;
    }
    if (!inside) from = lane;
    values[lane] = a[from & 31];
    in_range |= static_cast<uint32_t>(inside) << lane;
    bad |= (warp.mask >> (from & 31) & 1 ? 0u : 1u) << lane;
  }
  if (bad & warp.mask) {
    const uint32_t lane = static_cast<uint32_t>(std::countr_zero(bad & warp.mask));
    trap(warp, instruction, Rule::inactive_lane, bad & warp.mask,
         "lane " + std::to_string(lane) + " reads a lane that takes no part (lanes " + lane_list(warp.mask) +
             " do)");
  }
  uint32_t* d = warp.row<uint32_t>(instruction.r[0]);
  for (uint32_t lane = 0; lane < kLanes; ++lane) d[lane] = warp.mask >> lane & 1 ? values[lane] : d[lane];
  if (instruction.r[5] != kNoRow) {
    uint32_t& p = warp.predicate(instruction.r[5]);
    p = (p & ~warp.mask) | (in_range & warp.mask);
  }
}

void put(Warp& warp, uint32_t row, uint32_t bits) {
  uint32_t& p = warp.predicate(row);
  p = (p & ~warp.mask) | (bits & warp.mask);
}
void put_all(Warp& warp, uint32_t row, uint32_t value) {
  uint32_t* d = warp.row<uint32_t>(row);
  for (uint32_t lane = 0; lane < kLanes; ++lane) d[lane] = warp.mask >> lane & 1 ? value : d[lane];
}

// vote.sync.mode.pred d, {!}a, membermask; vote.sync.ballot.b32
enum class Vote { all, any, uni, ballot };
template <Vote K>
void vote(Warp& warp, const Instruction& instruction) {
  const uint32_t values = warp.predicate(instruction.r[1]) & warp.mask;
  if constexpr (K == Vote::ballot) return put_all(warp, instruction.r[0], values);
  const bool all = values == warp.mask, any = values != 0;
  const bool result = K == Vote::all ? all : K == Vote::any ? any : all || !any;
  put(warp, instruction.r[0], result ? kAllLanes : 0);
}

// match.any.sync.type d, a, membermask; match.all.sync.type d{|p}, a, membermask
template <class T, bool All>
void match(Warp& warp, const Instruction& instruction) {
  const Source<T> a(warp, instruction.r[1]);
  uint32_t equal[kLanes] = {};
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    for (uint32_t other = warp.mask; other; other &= other - 1)
      if (a.at(static_cast<uint32_t>(std::countr_zero(other))) == a.at(lane))
        equal[lane] |= other & (0u - other);
  }
  if constexpr (All) {
    const bool same = equal[std::countr_zero(warp.mask)] == warp.mask;
    put_all(warp, instruction.r[0], same ? warp.mask : 0);
    if (instruction.r[5] != kNoRow) put(warp, instruction.r[5], same ? kAllLanes : 0);
  } else {
    uint32_t* d = warp.row<uint32_t>(instruction.r[0]);
    for (uint32_t rest = warp.mask; rest; rest &= rest - 1)
      d[std::countr_zero(rest)] = equal[std::countr_zero(rest)];
  }
}

// redux.sync.op.type d, a, membermask
template <class T, T (*F)(T, T)>
void reduce(Warp& warp, const Instruction& instruction) {
  const Source<T> a(warp, instruction.r[1]);
  T result{};
  bool first = true;
  for (uint32_t rest = warp.mask; rest; rest &= rest - 1) {
    const T value = a.at(static_cast<uint32_t>(std::countr_zero(rest)));
    result = first ? value : F(result, value);
    first = false;
  }
  put_all(warp, instruction.r[0], static_cast<uint32_t>(result));
}
uint32_t sum(uint32_t a, uint32_t b) { return a + b; }
uint32_t conj(uint32_t a, uint32_t b) { return a & b; }
uint32_t disj(uint32_t a, uint32_t b) { return a | b; }
uint32_t excl(uint32_t a, uint32_t b) { return a ^ b; }
template <class T>
T smaller(T a, T b) {
  return std::min(a, b);
}
template <class T>
T larger(T a, T b) {
  return std::max(a, b);
}

void met(Warp&, const Instruction&) {}  // bar.warp.sync: that they met is all

// elect.sync d|p, membermask: the lowest lane is the leader.
void elect(Warp& warp, const Instruction& instruction) {
  const auto leader = static_cast<uint32_t>(std::countr_zero(warp.mask));
  if (instruction.r[0] != kNoRow) put_all(warp, instruction.r[0], leader);
  put(warp, instruction.r[5], 1u << leader);
}

// activemask.b32 d: the lanes that execute it together; any subset of the warp's is a legal answer.
void activemask(Warp& warp, const Instruction& instruction) { put_all(warp, instruction.r[0], warp.mask); }

// Operands by letters, but the last one, the member mask, goes to r[4].
void decode_members(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  const Form& form = FormTable::instance().row(static_cast<int>(out.form));
  const string letters = form.operands.substr(0, form.operands.size() - 1);
  if (in.operands.size() != form.operands.size())
    decoder.fail("has " + std::to_string(in.operands.size()) + " operands, expected " +
                 std::to_string(form.operands.size()));
  syntax::Instruction shorter = in;
  shorter.operands.pop_back();
  decoder.operands_by_letters(letters, shorter, out);
  out.r[4] = decoder.source(in.operands.back(), 'w');
}

void decode_elect(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  using Kind = syntax::Operand::Kind;
  if (in.operands.size() != 2 || in.operands[0].kind != Kind::pair)
    decoder.fail("expected d|p and a member mask");
  const syntax::Operand& d = in.operands[0].parts[0];
  if (d.kind != Kind::underscore) {
    out.r[0] = decoder.target(d, 'W');
    out.widths |= 2u | 1u << 16;
  }
  out.r[5] = decoder.target(in.operands[0].parts[1], 'P');
  out.widths |= 1u << 10 | 1u << 21;
  out.r[4] = decoder.source(in.operands[1], 'w');
}

void add_meeting(FormTable& table, const string& name, const string& letters, Handler evaluate,
                 const char* section, const char* meaning) {
  table.add({name, letters, meet_members, section, meaning, decode_members, evaluate});
}

}  // namespace

void add_warp_forms(FormTable& table) {
  const char* section = "data-movement-and-conversion-instructions-shfl-sync";
  const char* meaning = "Reads a register of another lane; a lane that takes no part traps.";
  add_meeting(table, "shfl.sync.up.b32", "Wwwww", shuffle<Shuffle::up>, section, meaning);
  add_meeting(table, "shfl.sync.down.b32", "Wwwww", shuffle<Shuffle::down>, section, meaning);
  add_meeting(table, "shfl.sync.bfly.b32", "Wwwww", shuffle<Shuffle::bfly>, section, meaning);
  add_meeting(table, "shfl.sync.idx.b32", "Wwwww", shuffle<Shuffle::idx>, section, meaning);
  section = "parallel-synchronization-and-communication-instructions-vote-sync";
  add_meeting(table, "vote.sync.all.pred", "Ppw", vote<Vote::all>, section,
              "True if the predicate holds in all lanes.");
  add_meeting(table, "vote.sync.any.pred", "Ppw", vote<Vote::any>, section,
              "True if the predicate holds in any lane.");
  add_meeting(table, "vote.sync.uni.pred", "Ppw", vote<Vote::uni>, section, "True if all lanes agree.");
  add_meeting(table, "vote.sync.ballot.b32", "Wpw", vote<Vote::ballot>, section,
              "The lanes in which the predicate holds.");
  section = "parallel-synchronization-and-communication-instructions-match-sync";
  add_meeting(table, "match.any.sync.b32", "Www", match<uint32_t, false>, section,
              "The lanes with the same value.");
  add_meeting(table, "match.any.sync.b64", "Wqw", match<uint64_t, false>, section,
              "The lanes with the same value.");
  add_meeting(table, "match.all.sync.b32", "Www", match<uint32_t, true>, section,
              "The member mask if all values are the same, else 0.");
  add_meeting(table, "match.all.sync.b64", "Wqw", match<uint64_t, true>, section,
              "The member mask if all values are the same, else 0.");
  section = "parallel-synchronization-and-communication-instructions-redux-sync";
  meaning = "The operation over all lanes.";
  add_meeting(table, "redux.sync.add.u32", "Www", reduce<uint32_t, sum>, section, meaning);
  add_meeting(table, "redux.sync.add.s32", "Www", reduce<uint32_t, sum>, section, meaning);
  add_meeting(table, "redux.sync.min.u32", "Www", reduce<uint32_t, smaller<uint32_t>>, section, meaning);
  add_meeting(table, "redux.sync.min.s32", "Www", reduce<int32_t, smaller<int32_t>>, section, meaning);
  add_meeting(table, "redux.sync.max.u32", "Www", reduce<uint32_t, larger<uint32_t>>, section, meaning);
  add_meeting(table, "redux.sync.max.s32", "Www", reduce<int32_t, larger<int32_t>>, section, meaning);
  add_meeting(table, "redux.sync.and.b32", "Www", reduce<uint32_t, conj>, section, meaning);
  add_meeting(table, "redux.sync.or.b32", "Www", reduce<uint32_t, disj>, section, meaning);
  add_meeting(table, "redux.sync.xor.b32", "Www", reduce<uint32_t, excl>, section, meaning);
  add_meeting(table, "bar.warp.sync", "w", met,
              "parallel-synchronization-and-communication-instructions-bar-warp-sync",
              "Waits for the lanes of the mask.");
  table.add({"elect.sync", "", meet_members,
             "parallel-synchronization-and-communication-instructions-elect-sync",
             "Picks the lowest lane of the mask as leader.", decode_elect, elect});
  table.add({"activemask.b32", "W", activemask,
             "parallel-synchronization-and-communication-instructions-activemask",
             "The lanes that execute it together."});
}

}  // namespace attest::vm
