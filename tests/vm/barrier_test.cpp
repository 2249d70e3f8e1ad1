// Barriers and rendezvous: who must come, who came, and what is said when somebody does not.
#include <gtest/gtest.h>

#include "kernel_under_test.h"

namespace attest::vm {
namespace {

void expect_trap(const Ran& ran, Rule rule, const std::string& part) {
  ASSERT_TRUE(ran.trap) << "no trap, expected " << rule_name(rule);
  EXPECT_EQ(ran.trap->rule, rule) << ran.trap->what();
  EXPECT_NE(std::string(ran.trap->what()).find(part), std::string::npos) << ran.trap->what();
}
const Schedule kSchedules[] = {Schedule::lockstep, Schedule::serial, Schedule::shuffled};
const LaunchOptions kTwoWarps = {.block = {64, 1, 1}};

// Every thread hands its number to the thread at the other end of the block.
const std::string kSwap =
    "mul.wide.u32 %rd1, %t, 4; mov.u64 %rd2, s; add.u64 %rd2, %rd2, %rd1; st.shared.u32 [%rd2], %t;\n"
    "bar.sync 0;\n"
    "sub.u32 %r1, 63, %t; mul.wide.u32 %rd3, %r1, 4; mov.u64 %rd4, s; add.u64 %rd4, %rd4, %rd3; "
    "ld.shared.u32 %r2, [%rd4];\n"
    "add.u64 %rd5, %d, %rd1; st.global.u32 [%rd5], %r2;";

TEST(Barrier, OrdersSharedMemoryUnderEverySchedule) {
  for (const Schedule schedule : kSchedules) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      LaunchOptions options = kTwoWarps;
      options.schedule = schedule;
      options.seed = seed;
      const Ran ran =
          run_kernel(module_with(kSwap, ".shared .align 4 .b8 s[256];"), std::vector<uint32_t>(64), options);
      ASSERT_FALSE(ran.trap) << ran.trap->what();
      for (uint32_t i = 0; i < 64; ++i) ASSERT_EQ(ran.data[i], 63 - i);
    }
  }
}
TEST(Barrier, ItsRemovalIsNoticed) {
  std::string without = kSwap;
  without.erase(without.find("bar.sync 0;"), 11);
  expect_trap(
      run_kernel(module_with(without, ".shared .align 4 .b8 s[256];"), std::vector<uint32_t>(64), kTwoWarps),
      Rule::uninitialised, "shared memory offset");
}
TEST(Barrier, TrapsWhenOnlySomeLanesArrive) {
  const std::string body = "setp.lt.u32 %p1, %t, 16; @%p1 bar.sync 0; @!%p1 bar.sync 0;";
  expect_trap(run_kernel(module_with(body), {1}, kTwoWarps), Rule::divergent_barrier,
              "lanes 16-31 of the warp wait at line");
}
TEST(Barrier, LanesThatExitedAreNotWaitedFor) {
  EXPECT_FALSE(run_kernel(module_with("setp.lt.u32 %p1, %t, 40; @%p1 bra STAY; exit; STAY: bar.sync 0;"), {1},
                          kTwoWarps)
                   .trap);
}
TEST(Barrier, LanesThatExitAfterTheOthersArrivedOneByOneDoNotHoldThemUp) {
  // Lanes 16 to 31 count a while and exit; the last ones of both warps do so while everybody else waits.
  const std::string body =
      "and.b32 %r1, %t, 31; setp.lt.u32 %p1, %r1, 16; @%p1 bra WAIT; mov.u32 %r2, 0; COUNT: add.u32 %r2, "
      "%r2, "
      "1; setp.lt.u32 %p2, %r2, 1500; @%p2 bra COUNT; exit; WAIT: setp.eq.u32 %p3, %t, %t; "
      "barrier.red.popc.u32 %r3, 0, %p3; mul.wide.u32 %rd1, %t, 4; add.u64 %rd1, %rd1, %d; st.global.u32 "
      "[%rd1], %r3;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kTwoWarps;
    options.schedule = schedule;
    const Ran ran = run_kernel(module_with(body), std::vector<uint32_t>(64), options);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(ran.data[i], i % 32 < 16 ? 32u : 0u) << i;
  }
}
TEST(Barrier, ALaneThatStaysElsewhereHoldsUpTheOthersThatArrivedOneByOne) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 16; @%p1 bra WAIT; barrier.sync 1; exit; WAIT: barrier.sync 0;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kTwoWarps;
    options.schedule = schedule;
    expect_trap(run_kernel(module_with(body), {1}, options), Rule::deadlock, "16 of 64 threads arrived");
  }
}
TEST(Barrier, AWarpThatNeverComesIsADeadlockThatNamesTheWaiting) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 32; @%p1 bra FIRST; bar.sync 1, 64; bra END; FIRST: bar.sync 2, 64; END:";
  const Ran ran = run_kernel(module_with(body), {1}, kTwoWarps);
  expect_trap(ran, Rule::deadlock, "32 of 64 threads arrived");
  EXPECT_NE(std::string(ran.trap->what()).find("warp 1 lanes 0-31 wait at line"), std::string::npos)
      << ran.trap->what();
}
TEST(Barrier, TrapsOnDifferentCounts) {
  const std::string body = "setp.lt.u32 %p1, %t, 32; selp.u32 %r1, 64, 96, %p1; bar.sync 1, %r1;";
  expect_trap(run_kernel(module_with(body), {1}, {.block = {96, 1, 1}}), Rule::barrier_count,
              "others arrived for 64");
}
TEST(Barrier, TrapsOnACountThatIsNoMultipleOfAWarp) {
  expect_trap(run_kernel(module_with("bar.sync 1, 40;"), {1}, kTwoWarps), Rule::barrier_count, "40");
}
TEST(Barrier, ArriveDoesNotWait) {
  const std::string body =
      "setp.ge.u32 %p1, %t, 32; @%p1 bra CONSUMER; st.shared.u32 [s], 5; bar.arrive 1, 64; bra END;\n"
      "CONSUMER: bar.sync 1, 64; ld.shared.u32 %r1, [s]; st.global.u32 [%d], %r1; END:";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kTwoWarps;
    options.schedule = schedule;
    const Ran ran = run_kernel(module_with(body, ".shared .u32 s;"), {0}, options);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[0], 5u);
  }
}
TEST(Barrier, AnUnalignedArrivalCountsAWarpOnceWhereverItsLanesStand) {
  // Lanes of warp 0 arrive at two places and exit; warp 1 waits. Had the last ones counted for the whole warp
  // beside the first ones, 80 of 64 threads would have come.
  const std::string body =
      "setp.ge.u32 %p1, %t, 32; @%p1 bra CONSUMER; st.shared.u32 [s], 5; setp.lt.u32 %p2, %t, 16; @%p2 bra "
      "LOW; barrier.arrive 1, 64; exit; LOW: barrier.arrive 1, 64; exit;\n"
      "CONSUMER: barrier.sync 1, 64; ld.shared.u32 %r1, [s]; st.global.u32 [%d], %r1;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kTwoWarps;
    options.schedule = schedule;
    const Ran ran = run_kernel(module_with(body, ".shared .u32 s;"), {0}, options);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[0], 5u);
  }
}
TEST(Barrier, ReducesPredicatesOfTheBlock) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 5; bar.red.popc.u32 %r1, 0, %p1; bar.red.and.pred %p2, 0, %p1; bar.red.or.pred "
      "%p3, 0, %p1;\n"
      "selp.u32 %r2, 1, 0, %p2; selp.u32 %r3, 1, 0, %p3; setp.ne.u32 %p4, %t, 63; @%p4 bra END; "
      "st.global.u32 [%d], %r1;\n"
      "st.global.u32 [%d+4], %r2; st.global.u32 [%d+8], %r3; END:";
  const Ran ran = run_kernel(module_with(body), {9, 9, 9}, kTwoWarps);
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data, (std::vector<uint32_t>{5, 0, 1}));
}
TEST(Rendezvous, LanesMeetAtDifferentInstructionsOfTheSameForm) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 16; @%p1 bra LOW; add.u32 %r1, %t, 100; shfl.sync.bfly.b32 %r2, %r1, 16, 31, -1; "
      "bra END;\n"
      "LOW: shfl.sync.bfly.b32 %r2, %t, 16, 31, -1; END: mul.wide.u32 %rd1, %t, 4; add.u64 %rd1, %d, %rd1; "
      "st.global.u32 [%rd1], %r2;";
  for (const Schedule schedule : kSchedules) {
    const Ran ran =
        run_kernel(module_with(body), std::vector<uint32_t>(32), {.block = {32, 1, 1}, .schedule = schedule});
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[3], 119u);
    EXPECT_EQ(ran.data[19], 3u);
  }
}
TEST(Rendezvous, TrapsWhenALaneIsNotInItsOwnMask) {
  expect_trap(run_kernel(module_with("shfl.sync.idx.b32 %r1, %t, 0, 31, 1;"), {1}, {.block = {32, 1, 1}}),
              Rule::lane_not_in_mask, "lanes 0");
}
TEST(Rendezvous, TrapsWhenAShuffleReadsALaneThatTakesNoPart) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 8; @!%p1 bra END; shfl.sync.down.b32 %r1, %t, 4, 31, 255; END:";
  expect_trap(run_kernel(module_with(body), {1}, {.block = {32, 1, 1}}), Rule::inactive_lane,
              "lane 4 reads a lane that takes no part");
}
TEST(Rendezvous, LanesThatWaitForOnesAtABlockBarrierAreReported) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 16; @%p1 bra LOW; bar.sync 0; LOW: bar.warp.sync -1; bar.sync 0;";
  expect_trap(run_kernel(module_with(body), {1}, {.block = {32, 1, 1}}), Rule::divergent_barrier,
              "`bar.warp.sync -1`");
}

TEST(Rendezvous, LanesThatWaitForEachOtherAreADeadlock) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 16; @%p1 bra LOW; bar.warp.sync -1; bra END; LOW: vote.sync.any.pred %p2, %p1, "
      "-1; END:";
  expect_trap(run_kernel(module_with(body), {1}, {.block = {32, 1, 1}}), Rule::deadlock, "for lanes 0-31");
}

}  // namespace
}  // namespace attest::vm
