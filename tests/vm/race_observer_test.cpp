// Tests the race rules with kernels that break one of them, each beside its repaired twin.
#include "jit/vm/race_observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "jit/vm/machine.h"

namespace attest::vm {
namespace {

struct Shape {
  uint32_t blocks = 1, threads = 64;
  Schedule schedule = Schedule::lockstep;
  uint64_t seed = 0;
  int launches = 1;
  int host_threads = 1;
};

// Runs `body` with %tid in %t, %ctaid in %b, lane in %l, a zeroed global buffer at %g, shared memory `tile`
// at %s and this thread's word of it at %m.
std::vector<Race> races_of(const std::string& body, const Shape& run = {}) {
  const std::string text =
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p) {\n"
      ".reg .b16 %h<8>; .reg .b32 %r<20>, %t, %b, %l, %s, %m; .reg .b64 %g, %rd<8>; .reg .pred %p<8>;\n"
      ".shared .align 16 .b8 tile[4096];\n"
      "ld.param.u64 %g, [p];\nmov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmov.u32 %l, %laneid;\nmov.u32 %s, "
      "tile;\n"
      "mad.lo.u32 %m, %t, 4, %s;\n" +
      body + "\nret;\n}\n";
  const Program program = Program::parse(text);
  Machine machine;
  const uint64_t buffer = machine.memory().allocate(4096, "data");
  machine.memory().write(buffer, std::vector<std::byte>(4096));
  std::array<std::byte, 8> parameters;
  std::memcpy(parameters.data(), &buffer, 8);
  LaunchOptions options;
  options.check_memory = false;  // a schedule may well read before anybody wrote
  options.grid.x = run.blocks;
  options.block.x = run.threads;
  options.schedule = run.schedule;
  options.seed = run.seed;
  options.host_threads = run.host_threads;
  RaceObserver observer;
  Observer* const observers[] = {&observer};
  for (int i = 0; i < run.launches; ++i) machine.launch(program, "k", options, parameters, observers);
  return observer.races();
}

struct Twins {
  const char* name;
  const char* sound;
  const char* broken;
  Race::Kind kind;  // of a finding in the broken one
  Shape run;
  bool every_schedule = true;  // false: some orders of the blocks never come to the broken part
};
using enum Race::Kind;

const Twins kTwins[] = {
    {"BlockBarrier",
     "st.shared.b32 [%m], %t; bar.sync 0; xor.b32 %r1, %t, 63; mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 "
     "%r3, [%r2];",
     "st.shared.b32 [%m], %t; xor.b32 %r1, %t, 31; bar.warp.sync -1; mad.lo.u32 %r2, %r1, 4, %s; "
     "ld.shared.b32 %r3, [%r2]; "
     "setp.lt.u32 %p1, %t, 32; @%p1 bra $done; st.shared.b32 [%s], %t; $done:",
     write_write,
     {}},
    {"ReadAfterWriteNeedsABarrier",
     "st.shared.b32 [%m], %t; bar.sync 0; xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 "
     "%r3, [%r2];",
     "bar.sync 0; st.shared.b32 [%m], %t; xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 4, %s; setp.ge.u32 %p1, "
     "%t, 32; "
     "@%p1 ld.shared.b32 %r3, [%r2];",
     read_write,
     {}},
    {"WriteAfterReadNeedsABarrier",
     "st.shared.b32 [%m], %t; bar.sync 0; xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 "
     "%r3, [%r2]; bar.sync 0; "
     "st.shared.b32 [%m], %r3;",
     "st.shared.b32 [%m], %t; bar.sync 0; xor.b32 %r1, %t, 32; mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 "
     "%r3, [%r2]; "
     "st.shared.b32 [%m], %r3;",
     read_write,
     {}},
    {"LanesOfAWarpNeedAWarpBarrier",
     "st.shared.b32 [%m], %t; bar.warp.sync -1; xor.b32 %r1, %t, 1; mad.lo.u32 %r2, %r1, 4, %s; "
     "ld.shared.b32 %r3, [%r2];",
     "st.shared.b32 [%m], %t; xor.b32 %r1, %t, 1; mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 %r3, [%r2];",
     write_read,
     {}},
    {"AShuffleOrdersNoMemory",
     "st.shared.b32 [%m], %t; shfl.sync.bfly.b32 %r4, %t, 1, 31, -1; bar.warp.sync -1; xor.b32 %r1, %t, 1; "
     "mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 %r3, [%r2];",
     "st.shared.b32 [%m], %t; shfl.sync.bfly.b32 %r4, %t, 1, 31, -1; xor.b32 %r1, %t, 1; mad.lo.u32 %r2, "
     "%r1, 4, %s; "
     "ld.shared.b32 %r3, [%r2];",
     write_read,
     {}},
    {"LdmatrixOrdersNoMemory",
     "xor.b32 %r1, %l, 1; mad.lo.u32 %r2, %r1, 16, %s; mad.lo.u32 %r3, %l, 16, %s; st.shared.v4.b32 [%r2], "
     "{%t, %t, %t, %t}; "
     "bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r3];",
     "xor.b32 %r1, %l, 1; mad.lo.u32 %r2, %r1, 16, %s; mad.lo.u32 %r3, %l, 16, %s; st.shared.v4.b32 [%r2], "
     "{%t, %t, %t, %t}; "
     "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r3];",
     write_read,
     {.threads = 32}},
    {"AWarpBarrierCoversItsMembersOnly",
     "setp.ge.u32 %p1, %l, 16; @%p1 bra $done; st.shared.b32 [%m], %t; bar.warp.sync 0xffff; xor.b32 %r1, "
     "%t, 8; "
     "mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 %r3, [%r2]; $done:",
     "st.shared.b32 [%m], %t; setp.ge.u32 %p1, %l, 16; @%p1 bra $done; bar.warp.sync 0xffff; xor.b32 %r1, "
     "%t, 16; "
     "mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 %r3, [%r2]; $done:",
     write_read,
     {}},
    {"ANamedBarrierOrdersProducerBeforeConsumer",
     "setp.ge.u32 %p1, %t, 32; @%p1 bra $consume; st.shared.b32 [%m], %t; bar.arrive 1, 64; bra $done; "
     "$consume: bar.sync 1, 64; sub.u32 %r1, %m, 128; ld.shared.b32 %r3, [%r1]; $done:",
     "setp.ge.u32 %p1, %t, 32; @%p1 bra $consume; bar.arrive 1, 64; st.shared.b32 [%m], %t; bra $done; "
     "$consume: bar.sync 1, 64; setp.eq.u32 %p2, %t, 0; sub.u32 %r1, %m, 128; @%p2 ld.shared.b32 %r3, [%r1]; "
     "st.shared.b32 [%r1], %t; $done:",
     write_write,
     {}},
    {"AnArrivalDoesNotOrderTheArriver",
     "setp.ge.u32 %p1, %t, 32; @%p1 bra $consume; st.shared.b32 [%m], %t; bar.sync 1, 64; bra $done; "
     "$consume: sub.u32 %r1, %m, 128; bar.sync 1, 64; ld.shared.b32 %r3, [%r1]; $done:",
     "setp.ge.u32 %p1, %t, 32; @%p1 bra $consume; bar.arrive 1, 64; bra $write; $consume: sub.u32 %r1, %m, "
     "128; "
     "st.shared.b32 [%r1], %t; bar.sync 1, 64; bra $done; $write: st.shared.b32 [%m], %t; $done:",
     write_write,
     {}},
    {"BlocksAreNotOrdered",
     "setp.ne.u32 %p1, %b, 0; @!%p1 st.global.b32 [%g], %t; @%p1 st.global.b32 [%g+4], %t;",
     "st.global.b32 [%g], %t;",
     write_write,
     {.blocks = 2, .threads = 1}},
    {"TheLastBlockReadsWhatTheOthersFenced",
     "mul.wide.u32 %rd1, %b, 4; add.u64 %rd2, %g, %rd1; st.global.b32 [%rd2+16], %b; fence.acq_rel.gpu; "
     "atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; fence.acq_rel.gpu; "
     "ld.global.b32 %r2, [%g+16]; ld.global.b32 %r3, [%g+20]; $done:",
     "mul.wide.u32 %rd1, %b, 4; add.u64 %rd2, %g, %rd1; st.global.b32 [%rd2+16], %b; "
     "atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; fence.acq_rel.gpu; "
     "ld.global.b32 %r2, [%g+16]; ld.global.b32 %r3, [%g+20]; $done:",
     write_read,
     {.blocks = 2, .threads = 1}},
    {"TheReaderNeedsAFenceToo",
     "mul.wide.u32 %rd1, %b, 4; add.u64 %rd2, %g, %rd1; st.global.b32 [%rd2+16], %b; membar.gl; "
     "atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; membar.gl; ld.global.b32 "
     "%r2, [%g+16]; ld.global.b32 %r3, [%g+20]; $done:",
     "mul.wide.u32 %rd1, %b, 4; add.u64 %rd2, %g, %rd1; st.global.b32 [%rd2+16], %b; membar.gl; "
     "atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; ld.global.b32 %r2, [%g+16]; "
     "ld.global.b32 %r3, [%g+20]; $done:",
     write_read,
     {.blocks = 2, .threads = 1}},
    {"ABlockFenceDoesNotReachOtherBlocks",
     "mul.wide.u32 %rd1, %b, 4; add.u64 %rd2, %g, %rd1; st.global.b32 [%rd2+16], %b; fence.acq_rel.gpu; "
     "atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; fence.acq_rel.gpu; "
     "ld.global.b32 %r2, [%g+16]; ld.global.b32 %r3, [%g+20]; $done:",
     "mul.wide.u32 %rd1, %b, 4; add.u64 %rd2, %g, %rd1; st.global.b32 [%rd2+16], %b; fence.acq_rel.cta; "
     "atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; fence.acq_rel.gpu; "
     "ld.global.b32 %r2, [%g+16]; ld.global.b32 %r3, [%g+20]; $done:",
     write_read,
     {.blocks = 2, .threads = 1}},
    {"ALastBlockReadsThroughBarriers",
     // All threads write, one counts, the last block's threads read: barriers carry the order to and from the
     // one, whose own fence must stand behind the barrier. Fences of the writers before it do not reach its
     // atomic.
     "mad.lo.u32 %r5, %b, 64, %t; mul.wide.u32 %rd1, %r5, 4; add.u64 %rd2, %g, %rd1; st.global.b32 "
     "[%rd2+16], %b; "
     "bar.sync 0; setp.ne.u32 %p1, %t, 0; @%p1 bra $wait; fence.acq_rel.gpu; atom.global.add.u32 %r1, [%g], "
     "1; "
     "fence.acq_rel.gpu; st.shared.b32 [%s], %r1; $wait: bar.sync 0; ld.shared.b32 %r2, [%s]; setp.ne.u32 "
     "%p2, %r2, 1; "
     "@%p2 bra $done; xor.b32 %r6, %r5, 64; mul.wide.u32 %rd3, %r6, 4; add.u64 %rd4, %g, %rd3; ld.global.b32 "
     "%r7, [%rd4+16]; $done:",
     "mad.lo.u32 %r5, %b, 64, %t; mul.wide.u32 %rd1, %r5, 4; add.u64 %rd2, %g, %rd1; st.global.b32 "
     "[%rd2+16], %b; "
     "fence.acq_rel.gpu; bar.sync 0; setp.ne.u32 %p1, %t, 0; @%p1 bra $wait; atom.global.add.u32 %r1, [%g], "
     "1; "
     "fence.acq_rel.gpu; st.shared.b32 [%s], %r1; $wait: bar.sync 0; ld.shared.b32 %r2, [%s]; setp.ne.u32 "
     "%p2, %r2, 1; "
     "@%p2 bra $done; xor.b32 %r6, %r5, 64; mul.wide.u32 %rd3, %r6, 4; add.u64 %rd4, %g, %rd3; ld.global.b32 "
     "%r7, [%rd4+16]; $done:",
     write_read,
     {.blocks = 2, .threads = 64}},
    {"TheLastBlockMayResetTheCounter",
     // Whose atomic saw the other's is ordered after it, so an ordinary store is allowed then.
     "fence.acq_rel.gpu; atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 1; @%p1 bra $done; "
     "fence.acq_rel.gpu; st.global.b32 [%g], 0; $done:",
     "fence.acq_rel.gpu; atom.global.add.u32 %r1, [%g], 1; setp.ne.u32 %p1, %r1, 0; @%p1 bra $done; "
     "fence.acq_rel.gpu; st.global.b32 [%g], 0; $done:",
     atomic_plain,
     {.blocks = 2, .threads = 1}},
    {"TwoReadsNeverRaceHoweverTheyAreSpelled",
     "ld.volatile.global.b32 %r1, [%g]; ld.global.b32 %r2, [%g]; ld.relaxed.cta.global.b32 %r3, [%g];",
     "ld.volatile.global.b32 %r1, [%g]; setp.eq.u32 %p1, %t, 0; @%p1 st.global.b32 [%g], %t;",
     atomic_plain,
     {.blocks = 2}},
    {"AStrongReadDoesNotHideTheAtomicBeforeIt",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $read; atom.global.add.u32 %r1, [%g], 1; ld.volatile.global.b32 %r2, "
     "[%g]; bra $done; $read: ld.volatile.global.b32 %r1, [%g]; $done:",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $read; atom.global.add.u32 %r1, [%g], 1; ld.volatile.global.b32 %r2, "
     "[%g]; bra $done; $read: ld.global.b32 %r1, [%g]; $done:",
     atomic_plain,
     {.blocks = 2, .threads = 1}},
    {"AStrongReadDoesNotHideTheOrdinaryOneBeforeIt",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $write; ld.volatile.global.b32 %r2, [%g]; bra $done; "
     "$write: atom.global.add.u32 %r1, [%g], 1; $done:",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $write; ld.global.b32 %r1, [%g]; ld.volatile.global.b32 %r2, [%g]; "
     "bra $done; $write: atom.global.add.u32 %r1, [%g], 1; $done:",
     atomic_plain,
     {.blocks = 2, .threads = 1}},
    {"AReleasingStoreIsPartOfWhatItReleases",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $read; st.release.gpu.global.b32 [%g], 1; bra $done; "
     "$read: ld.acquire.gpu.global.b32 %r1, [%g]; setp.eq.u32 %p2, %r1, 0; @%p2 bra $read; "
     "st.global.b32 [%g], 0; $done:",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $read; st.release.gpu.global.b32 [%g], 1; bra $done; "
     "$read: ld.relaxed.gpu.global.b32 %r1, [%g]; setp.eq.u32 %p2, %r1, 0; @%p2 bra $read; "
     "st.global.b32 [%g], 0; $done:",
     atomic_plain,
     {.blocks = 2, .threads = 1}},
    {"WhoWaitsForAnEarlierPhaseIsNotOrderedAfterThisOne",
     // Warp 0 writes and arrives in the second phase; the reader in warp 1 waits for the first one only, and
     // sees its end after these arrivals were made.
     "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared.b64 [%s+1024], 64; $made: bar.sync 0; "
     "mbarrier.arrive.shared.b64 _, [%s+1024]; $w0: mbarrier.try_wait.parity.shared.b64 %p2, [%s+1024], 0; "
     "@!%p2 bra $w0; setp.lt.u32 %p1, %t, 32; @%p1 st.shared.b32 [%m], %t; mbarrier.arrive.shared.b64 _, "
     "[%s+1024]; $w1: mbarrier.try_wait.parity.shared.b64 %p2, [%s+1024], 1; @!%p2 bra $w1; setp.ne.u32 %p3, "
     "%t, 37; @%p3 bra $done; sub.u32 %r1, %m, 128; ld.shared.b32 %r2, [%r1]; $done:",
     "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared.b64 [%s+1024], 64; $made: bar.sync 0; "
     "mbarrier.arrive.shared.b64 _, [%s+1024]; $w0: mbarrier.try_wait.parity.shared.b64 %p2, [%s+1024], 0; "
     "@!%p2 bra $w0; setp.lt.u32 %p1, %t, 32; @%p1 st.shared.b32 [%m], %t; @%p1 mbarrier.arrive.shared.b64 "
     "_, [%s+1024]; setp.ne.u32 %p3, %t, 37; @%p3 bra $done; sub.u32 %r1, %m, 128; ld.shared.b32 %r2, [%r1]; "
     "$done:",
     write_read,
     {}},
    {"AReleaseIsNeededForAnAcquire",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $read; st.global.b32 [%g+16], %t; st.release.gpu.global.b32 [%g], 1; "
     "bra $done; "
     "$read: ld.acquire.gpu.global.b32 %r1, [%g]; setp.eq.u32 %p2, %r1, 0; @%p2 bra $done; ld.global.b32 "
     "%r2, [%g+16]; $done:",
     "setp.ne.u32 %p1, %b, 0; @%p1 bra $read; st.global.b32 [%g+16], %t; st.relaxed.gpu.global.b32 [%g], 1; "
     "bra $done; "
     "$read: ld.acquire.gpu.global.b32 %r1, [%g]; setp.eq.u32 %p2, %r1, 0; @%p2 bra $done; ld.global.b32 "
     "%r2, [%g+16]; $done:",
     write_read,
     {.blocks = 2, .threads = 1},
     false},
    {"AnOrdinaryReadRacesWithAnAtomic",
     "atom.global.add.u32 %r1, [%g], 1;",
     "atom.global.add.u32 %r1, [%g], 1; ld.global.b32 %r2, [%g];",
     atomic_plain,
     {}},
    {"BlockScopeAtomicsDoNotMeetAcrossBlocks",
     "atom.global.gpu.add.u32 %r1, [%g], 1;",
     "atom.global.cta.add.u32 %r1, [%g], 1;",
     atomic_plain,
     {.blocks = 2, .threads = 1}},
    {"LanesOfOneInstructionMustNotWriteTheSamePlace",
     "setp.eq.u32 %p1, %l, 0; mov.u32 %r1, %warpid; mad.lo.u32 %r2, %r1, 4, %s; @%p1 st.shared.b32 [%r2], "
     "%t;",
     "st.shared.b32 [%s], %t;",
     write_write,
     {.threads = 32}},
    {"NonCoherentLoadsMustNotMeetWrites",
     "st.shared.b32 [%m], %t; setp.ne.u32 %p1, %t, 0; @%p1 bra $done; st.global.b32 [%g], %t; ld.global.b32 "
     "%r1, [%g]; $done:",
     "setp.ne.u32 %p1, %t, 0; @%p1 bra $done; st.global.b32 [%g], %t; ld.global.nc.b32 %r1, [%g]; $done:",
     non_coherent,
     {}},
    {"NeighbouringBytesAreApart",
     "cvt.u16.u32 %h1, %t; add.u32 %r1, %s, %t; st.shared.b8 [%r1], %h1;",
     "cvt.u16.u32 %h1, %t; shr.u32 %r2, %t, 1; add.u32 %r1, %s, %r2; st.shared.b8 [%r1], %h1;",
     write_write,
     {}},
};

class RaceTwins : public testing::TestWithParam<Twins> {};

TEST_P(RaceTwins, TheSoundOneIsCleanAndTheBrokenOneIsReported) {
  const Twins& twins = GetParam();
  for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled}) {
    for (uint64_t seed = 0; seed < (schedule == Schedule::shuffled ? 8u : 1u); ++seed) {
      Shape run = twins.run;
      run.schedule = schedule;
      run.seed = seed;
      for (const Race& race : races_of(twins.sound, run)) ADD_FAILURE() << race.text();
      const std::vector<Race> found = races_of(twins.broken, run);
      EXPECT_TRUE(!found.empty() || (!twins.every_schedule && schedule == Schedule::shuffled))
          << "schedule " << static_cast<int>(schedule) << " seed " << seed;
      if (schedule != Schedule::lockstep) continue;
      bool kind = false;
      for (const Race& race : found) kind = kind || race.kind == twins.kind;
      EXPECT_TRUE(kind || found.empty()) << found[0].text();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, RaceTwins, testing::ValuesIn(kTwins),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(RaceObserver, FindsTheSameWithSeveralHostThreads) {
  for (const Twins& twins : kTwins) {
    Shape run = twins.run;
    run.blocks = std::max(run.blocks, 8u);
    if (twins.run.blocks > 1 || twins.kind == non_coherent) continue;  // written for a number of blocks
    const std::vector<Race> alone = races_of(twins.broken, run);
    run.host_threads = 4;
    const std::vector<Race> together = races_of(twins.broken, run);
    for (const Race& race : alone)
      EXPECT_TRUE(std::any_of(
          together.begin(), together.end(),
          [&](const Race& other) { return other.kind == race.kind && other.later.line == race.later.line; }))
          << twins.name << ": " << race.text();
  }
}

// Counts what it hears of.
class Listener : public Observer {
 public:
  explicit Listener(bool watches) : watches_(watches) {}
  bool watches_instructions() const override { return watches_; }
  void instruction(const Site&) override { ++instructions; }
  void access(const AccessEvent&) override { ++accesses; }
  int instructions = 0, accesses = 0;

 private:
  bool watches_;
};

TEST(Observer, HearsOfInstructionsOnlyIfItWantsTo) {
  const Program program = Program::parse(
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k() {\n.reg .b32 %r<2>;\n.shared .b32 "
      "x[32];\nmov.u32 %r0, 1;\nst.shared.b32 [x], %r0;\nret;\n}\n");
  Machine machine;
  const auto listen = [&](std::vector<Observer*> observers) {
    machine.launch(program, "k", {}, {}, observers);
  };
  Listener all(true), some(false);
  listen({&some});
  EXPECT_EQ(some.instructions, 0);
  EXPECT_EQ(some.accesses, 1);
  listen({&some, &all});
  EXPECT_EQ(all.instructions, 3);
  EXPECT_EQ(all.accesses, 1);
}

TEST(RaceObserver, LaunchesAreOrdered) {
  const std::string each_thread_its_word =
      "mul.wide.u32 %rd1, %t, 4; add.u64 %rd2, %g, %rd1; ld.global.b32 %r1, [%rd2]; "
      "xor.b32 %r2, %t, 1; mul.wide.u32 %rd3, %r2, 4; add.u64 %rd4, %g, %rd3; "
      "st.global.b32 [%rd2+2048], %r1;";
  EXPECT_TRUE(races_of(each_thread_its_word, {.launches = 3}).empty());
}

TEST(RaceObserver, SaysWhereAndWho) {
  const std::vector<Race> races = races_of("st.global.b32 [%g+8], %t;", {.blocks = 2, .threads = 1});
  ASSERT_EQ(races.size(), 1u);
  EXPECT_EQ(races[0].place, "buffer 'data' offset 8");
  EXPECT_EQ(races[0].earlier.block, 0u);
  EXPECT_EQ(races[0].later.block, 1u);
  EXPECT_EQ(races[0].later.line, 13);
  EXPECT_NE(races[0].text().find("st.global.b32"), std::string::npos) << races[0].text();
}

TEST(RaceObserver, FindsTheRaceOfARemovedBarrierInEverySchedule) {
  // A rotating buffer of two: with a barrier a step, and without every second one.
  const std::string step =
      "st.shared.b32 [%m], %t; bar.sync 0; xor.b32 %r1, %t, 33; mad.lo.u32 %r2, %r1, 4, %s; ld.shared.b32 "
      "%r3, [%r2]; ";
  EXPECT_TRUE(races_of(step + "bar.sync 0; " + step).empty());
  EXPECT_FALSE(races_of(step + step).empty());
}

}  // namespace
}  // namespace attest::vm
