// Clusters: the barrier, addresses in other blocks' shared memory and their checks; dependent launches.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "jit/vm/observer.h"
#include "jit/vm/parse_error.h"
#include "kernel_under_test.h"

namespace attest::vm {
namespace {

const Schedule kSchedules[] = {Schedule::lockstep, Schedule::serial, Schedule::shuffled};

void expect_trap(const Ran& ran, Rule rule, const std::string& part) {
  ASSERT_TRUE(ran.trap) << "no trap, expected " << rule_name(rule);
  EXPECT_EQ(ran.trap->rule, rule) << ran.trap->what();
  EXPECT_NE(std::string(ran.trap->what()).find(part), std::string::npos) << ran.trap->what();
}

const std::string kTile = ".shared .align 16 .b8 s[256];";
constexpr LaunchOptions kFour = {.grid = {4, 1, 1}, .block = {64, 1, 1}, .cluster = {4, 1, 1}};

// %r1 = rank, %r2 = this thread's word of the tile, %r3 = the word of the thread in the next block.
const std::string kPlaces =
    "mov.u32 %r1, %cluster_ctarank; mov.u32 %r2, s; mad.lo.u32 %r2, %t, 4, %r2;\n"
    "add.u32 %r4, %r1, 1; and.b32 %r4, %r4, 3; mapa.shared::cluster.u32 %r3, %r2, %r4;\n"
    "mad.lo.u32 %r5, %r1, 64, %t; mul.wide.u32 %rd1, %r5, 4; add.u64 %rd1, %d, %rd1;\n";
const std::string kBarrier = "barrier.cluster.arrive; barrier.cluster.wait;\n";
// Every block reads what the next one wrote: 64 * rank + thread of the next block.
const std::string kRing = kPlaces + "st.shared.u32 [%r2], %r5;\n" + kBarrier +
                          "ld.shared::cluster.u32 %r6, [%r3]; st.global.u32 [%rd1], %r6;\n" + kBarrier;

TEST(Cluster, BlocksReadEachOthersSharedMemoryInEverySchedule) {
  for (const Schedule schedule : kSchedules) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      LaunchOptions options = kFour;
      options.grid.x = 8;
      options.schedule = schedule;
      options.seed = seed;
      const Ran ran = run_kernel(module_with(kRing, kTile), std::vector<uint32_t>(256), options);
      ASSERT_FALSE(ran.trap) << ran.trap->what();
      for (uint32_t i = 0; i < 256; ++i) ASSERT_EQ(ran.data[i], (i + 64) % 256);
    }
  }
}
TEST(Cluster, AtomicsAndStoresReachTheOtherBlockThroughGenericAddressesToo) {
  // Each of 256 threads adds 1 to word 0 of block 0 and stores its number to its own word of block 3.
  const std::string body =
      "mov.u32 %r1, %cluster_ctarank; mov.u32 %r2, s; setp.ne.u32 %p1, %t, 0; @%p1 bra MADE; "
      "st.shared.u32 [s], 0; MADE: \n" +
      kBarrier +
      "mapa.shared::cluster.u32 %r3, %r2, 0; red.shared::cluster.add.u32 [%r3], 1;\n"
      "mov.u64 %rd3, s; cvta.shared.u64 %rd4, %rd3; mapa.u64 %rd5, %rd4, 3;\n"
      "mad.lo.u32 %r4, %r1, 64, %t; mul.wide.u32 %rd6, %r4, 4; add.u64 %rd7, %rd5, %rd6; st.u32 [%rd7+256], "
      "%r4;\n" +
      kBarrier +
      "setp.ne.u32 %p2, %r1, 0; @%p2 bra THIRD; ld.shared.u32 %r5, [s]; st.global.u32 [%d], %r5; THIRD:\n"
      "setp.ne.u32 %p3, %r1, 3; @%p3 bra END; mul.wide.u32 %rd8, %t, 4; add.u64 %rd9, %rd3, %rd8;\n"
      "ld.shared.u32 %r6, [%rd9+768]; add.u64 %rd10, %d, %rd8; st.global.u32 [%rd10+4], %r6; END:";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.schedule = schedule;
    const Ran ran =
        run_kernel(module_with(body, ".shared .align 16 .b8 s[1280];"), std::vector<uint32_t>(65), options);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[0], 256u);
    for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(ran.data[1 + i], 128 + i);
  }
}
TEST(Cluster, MapaAndGetctarankAreInverse) {
  const std::string body =
      "mov.u32 %r2, s; mapa.shared::cluster.u32 %r3, %r2, 2; getctarank.shared::cluster.u32 %r4, %r3; "
      "getctarank.shared::cluster.u32 %r5, %r2;\n"
      "mapa.shared::cluster.u32 %r6, %r3, 1; getctarank.shared::cluster.u32 %r7, %r6; sub.u32 %r8, %r3, %r6; "
      "\n"
      "mov.u64 %rd2, s; cvta.shared.u64 %rd3, %rd2; mapa.u64 %rd4, %rd3, 3; getctarank.u64 %r9, %rd4;\n"
      "isspacep.shared::cluster %p1, %rd4; isspacep.shared::cta %p2, %rd4; isspacep.shared %p3, %rd3; "
      "isspacep.global %p4, %rd4;\n"
      "mapa.shared::cluster.u64 %rd5, %rd2, 3; cvta.shared::cluster.u64 %rd6, %rd5; setp.eq.u64 %p5, %rd6, "
      "%rd4;\n"
      "selp.u32 %r10, 1, 0, %p1; selp.u32 %r11, 1, 0, %p2; selp.u32 %r12, 1, 0, %p3; selp.u32 %r13, 1, 0, "
      "%p4; selp.u32 %r14, 1, 0, %p5;\n"
      "mov.u32 %r1, %cluster_ctarank; setp.ne.u32 %p6, %r1, 1; @%p6 bra END;\n"
      "st.global.u32 [%d], %r4; st.global.u32 [%d+4], %r5; st.global.u32 [%d+8], %r7; st.global.u32 [%d+12], "
      "%r9;\n"
      "st.global.u32 [%d+16], %r10; st.global.u32 [%d+20], %r11; st.global.u32 [%d+24], %r12; st.global.u32 "
      "[%d+28], %r13;\n"
      "st.global.u32 [%d+32], %r14; END:";
  const Ran ran = run_kernel(module_with(body, kTile), std::vector<uint32_t>(9), kFour);
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data, (std::vector<uint32_t>{2, 1, 1, 3, 1, 0, 1, 0, 1}));
}
TEST(Cluster, EveryBlockKnowsItsPlace) {
  // Grid of 4 x 2 blocks in clusters of 2 x 2: digits are clusterid.x, nclusterid.x, cluster_ctaid.y, rank,
  // size.
  const std::string body =
      "mov.u32 %r1, %clusterid.x; mov.u32 %r2, %nclusterid.x; mov.u32 %r3, %cluster_ctaid.y; mov.u32 %r4, "
      "%cluster_ctarank; mov.u32 %r5, %cluster_nctarank;\n"
      "mad.lo.u32 %r1, %r1, 10, %r2; mad.lo.u32 %r1, %r1, 10, %r3; mad.lo.u32 %r1, %r1, 10, %r4; mad.lo.u32 "
      "%r1, %r1, 10, %r5;\n"
      "mov.u32 %r6, %ctaid.x; mov.u32 %r7, %ctaid.y; mad.lo.u32 %r6, %r7, 4, %r6; mul.wide.u32 %rd1, %r6, 4; "
      "add.u64 %rd1, %d, %rd1; st.global.u32 [%rd1], %r1;";
  const Ran ran =
      run_kernel(module_with(body), std::vector<uint32_t>(8), {.grid = {4, 2, 1}, .cluster = {2, 2, 1}});
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data, (std::vector<uint32_t>{2004, 2014, 12004, 12014, 2124, 2134, 12124, 12134}));
}
TEST(Cluster, ALaunchHasTheShapeThatTheKernelDemands) {
  std::string ptx = module_with("mov.u32 %r1, %cluster_nctaid.x; st.global.u32 [%d], %r1;");
  ptx.replace(ptx.find("\n{"), 2, " .reqnctapercluster 2, 1, 1\n{");
  LaunchOptions options = {.grid = {8, 2, 1}};
  for (const Dim3 cluster : {Dim3{}, Dim3{2, 1, 1}}) {
    options.cluster = cluster;
    EXPECT_EQ(run_kernel(ptx, {0}, options).data[0], 2u);
  }
  for (const Dim3 cluster : {Dim3{4, 1, 1}, Dim3{1, 2, 1}}) {
    options.cluster = cluster;
    EXPECT_THROW(run_kernel(ptx, {0}, options), std::invalid_argument);
  }
}
TEST(Cluster, ABlockWithoutAClusterIsOneOfItsOwn) {
  const std::string body = kBarrier +
                           "mov.u32 %r2, s; st.shared.u32 [s], 7; mapa.shared::cluster.u32 %r3, %r2, 0;\n"
                           "ld.shared::cluster.u32 %r4, [%r3]; st.global.u32 [%d], %r4;";
  const Ran ran = run_kernel(module_with(body, kTile), {0}, {});
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data[0], 7u);
}

// --- what may be wrong with an access to another block ---

TEST(Cluster, TrapsOnAnAccessPastTheEndOfAnotherBlocksSharedMemory) {
  std::string body = kRing;
  body.replace(body.find("[%r3]"), 5, "[%r3+4]");
  expect_trap(run_kernel(module_with(body, kTile), std::vector<uint32_t>(256), kFour), Rule::out_of_bounds,
              "of the cluster's block of rank 0 offset 256, which ends at 256");
}
TEST(Cluster, TrapsOnAReadOfBytesThatNobodyWroteInAnotherBlock) {
  const std::string body = kPlaces +
                           "setp.eq.u32 %p1, %r1, 2; @%p1 bra SKIP; st.shared.u32 [%r2], %r5; SKIP:\n" +
                           kBarrier + "ld.shared::cluster.u32 %r6, [%r3];\n" + kBarrier;
  expect_trap(run_kernel(module_with(body, kTile), std::vector<uint32_t>(256), kFour), Rule::uninitialised,
              "of the cluster's block of rank 2 offset 0");
}
TEST(Cluster, TrapsOnAMisalignedAccessToAnotherBlock) {
  std::string body = kRing;
  body.replace(body.find("ld.shared::cluster.u32 %r6, [%r3]"), 33,
               "ld.shared::cluster.v2.u32 {%r6, %r7}, [%r3]");
  expect_trap(
      run_kernel(module_with(body, ".shared .align 16 .b8 s[512];"), std::vector<uint32_t>(256), kFour),
      Rule::misaligned, "which is not aligned to 8");
}
TEST(Cluster, TrapsWhenSharedCtaNamesAnotherBlock) {
  std::string body = kRing;
  body.replace(body.find("ld.shared::cluster"), 18, "ld.shared");
  expect_trap(run_kernel(module_with(body, kTile), std::vector<uint32_t>(256), kFour), Rule::wrong_space,
              "needs .shared::cluster");
}
TEST(Cluster, TrapsOnARankThatTheClusterDoesNotHave) {
  expect_trap(
      run_kernel(module_with("mov.u32 %r2, s; mapa.shared::cluster.u32 %r3, %r2, 4;", kTile), {0}, kFour),
      Rule::out_of_bounds, "rank 4 in a cluster of 4");
  expect_trap(
      run_kernel(module_with("mov.u32 %r2, 0x7000000; mapa.shared::cluster.u32 %r3, %r2, 0;"), {0}, kFour),
      Rule::wrong_space, "no block of the cluster");
  expect_trap(run_kernel(module_with("getctarank.u64 %r3, %d;"), {0}, kFour), Rule::wrong_space,
              "no block of the cluster");
}
TEST(Cluster, TrapsWhenTheOtherBlockHasNotBegunOrHasEnded) {
  std::string early = kRing;
  early.replace(early.find(kBarrier), kBarrier.size(), "");
  expect_trap(run_kernel(module_with(early, kTile), std::vector<uint32_t>(256), kFour), Rule::use_after_free,
              "rank 1, which has not begun");
  std::string late = kRing;
  late.replace(late.rfind(kBarrier), kBarrier.size(), "");
  expect_trap(run_kernel(module_with(late, kTile), std::vector<uint32_t>(256), kFour), Rule::use_after_free,
              "which has ended");
}

TEST(Cluster, LockstepAndSerialGoThroughAClusterInOppositeDirections) {
  // Only one block looks at another, and no barrier keeps that one: each order finds one direction.
  const auto kernel = [](const std::string& reader, const std::string& owner) {
    return module_with("mov.u32 %r1, %cluster_ctarank; mov.u32 %r2, s; st.shared.u32 [s], 1;\n" + kBarrier +
                           "setp.ne.u32 %p1, %r1, " + reader +
                           "; @%p1 exit; mapa.shared::cluster.u32 %r3, %r2, " + owner +
                           "; ld.shared::cluster.u32 %r4, [%r3];",
                       kTile);
  };
  LaunchOptions lockstep = kFour, serial = kFour;
  serial.schedule = Schedule::serial;
  expect_trap(run_kernel(kernel("2", "0"), {0}, lockstep), Rule::use_after_free, "which has ended");
  expect_trap(run_kernel(kernel("0", "2"), {0}, serial), Rule::use_after_free, "which has ended");
}

// --- the barrier ---

TEST(ClusterBarrier, TrapsOnAWaitWithoutAnArrivalAndOnTwoArrivals) {
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.schedule = schedule;
    expect_trap(run_kernel(module_with("barrier.cluster.wait;"), {0}, options), Rule::barrier_count,
                "without having arrived");
    expect_trap(run_kernel(module_with("barrier.cluster.arrive; barrier.cluster.arrive;"), {0}, options),
                Rule::barrier_count, "a second time");
    expect_trap(run_kernel(module_with(kBarrier + "barrier.cluster.wait.acquire;"), {0}, options),
                Rule::barrier_count, "without having arrived");
  }
}
TEST(ClusterBarrier, LanesThatExitedAreNotWaitedFor) {
  // Block 2 never arrives, nor do the odd threads of the others.
  const std::string body =
      "mov.u32 %r1, %cluster_ctarank; setp.eq.u32 %p1, %r1, 2; @%p1 exit; and.b32 %r2, %t, 1; setp.ne.u32 "
      "%p2, %r2, 0; @%p2 exit;\n" +
      kBarrier + kBarrier + "red.global.add.u32 [%d], 1;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.schedule = schedule;
    const Ran ran = run_kernel(module_with(body), {0}, options);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[0], 96u);
  }
}
TEST(ClusterBarrier, WorkMayStandBetweenArrivalAndWait) {
  // Blocks other than 0 arrive, and wait on a flag that block 0 sets between its arrival and its wait.
  const std::string body =
      "mov.u32 %r1, %cluster_ctarank; barrier.cluster.arrive.release; setp.ne.u32 %p1, %r1, 0; @%p1 bra "
      "SPIN;\n"
      "st.volatile.global.u32 [%d], 1; bra WAIT;\n"
      "SPIN: ld.volatile.global.u32 %r2, [%d]; setp.eq.u32 %p2, %r2, 0; @%p2 bra SPIN;\n"
      "WAIT: barrier.cluster.wait.acquire; red.global.add.u32 [%d+4], 1;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.schedule = schedule;
    options.instruction_budget = 1u << 26;
    const Ran ran = run_kernel(module_with(body), {0, 0}, options);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[1], 256u);
  }
}
TEST(ClusterBarrier, TrapsWhenOnlySomeLanesReachAnAlignedOne) {
  const std::string body =
      "setp.lt.u32 %p1, %t, 16; @%p1 bra LOW; barrier.cluster.arrive.aligned; bra END; LOW: bar.warp.sync "
      "0xffff; barrier.cluster.arrive.aligned; END: barrier.cluster.wait.aligned;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.schedule = schedule;
    expect_trap(run_kernel(module_with(body), {0}, options), Rule::divergent_barrier,
                "aligned cluster barrier");
  }
  // Lanes that come one after the other are no divergence.
  std::string apart =
      "setp.lt.u32 %p1, %t, 16; @%p1 bra ON; add.u32 %r1, %t, 1; ON: "
      "barrier.cluster.arrive.aligned; @%p1 bra ON2; add.u32 %r1, %t, 1; ON2: "
      "barrier.cluster.wait.aligned;";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.schedule = schedule;
    const Ran ran = run_kernel(module_with(apart), {0}, options);
    EXPECT_FALSE(ran.trap) << ran.trap->what();
  }
}
TEST(ClusterBarrier, ABlockThatNeverArrivesIsADeadlockThatNamesWhoWaits) {
  const std::string body =
      "mov.u32 %r1, %cluster_ctarank; setp.eq.u32 %p1, %r1, 3; @%p1 bra OTHER; barrier.cluster.arrive; "
      "barrier.cluster.wait; bra END; OTHER: bar.sync 1, 96; END:";
  const Ran ran = run_kernel(module_with(body), {0}, kFour);
  expect_trap(ran, Rule::deadlock, "in the block of rank 0: warp 0 lanes 0-31 wait at line");
  EXPECT_NE(std::string(ran.trap->what()).find("(192 of 256 threads of the cluster arrived)"),
            std::string::npos)
      << ran.trap->what();
  EXPECT_NE(std::string(ran.trap->what()).find("in the block of rank 3: warp 0 lanes 0-31"),
            std::string::npos)
      << ran.trap->what();
}

struct Heard : Observer {
  uint64_t arrived = 0, waited = 0, unordered = 0, clusters = 0, phases = 0;
  void cluster_arrive(const ClusterBarrierEvent& event) override {
    arrived += static_cast<uint64_t>(std::popcount(event.site.lanes));
    if (!event.orders) unordered += static_cast<uint64_t>(std::popcount(event.site.lanes));
    clusters = std::max(clusters, event.cluster + 1);
  }
  void cluster_wait(const ClusterBarrierEvent& event) override {
    waited += static_cast<uint64_t>(std::popcount(event.site.lanes));
    EXPECT_TRUE(event.orders);
    phases = std::max(phases, event.phase + 1);
  }
};
TEST(ClusterBarrier, ObserversHearEveryThreadArriveAndGetThrough) {
  const std::string body =
      kBarrier + "barrier.cluster.arrive.relaxed.aligned; barrier.cluster.wait.aligned;\n";
  for (const Schedule schedule : kSchedules) {
    LaunchOptions options = kFour;
    options.grid.x = 8;
    options.schedule = schedule;
    Heard heard;
    Observer* const observers[] = {&heard};
    const Ran ran = run_kernel(module_with(body), {0}, options, observers);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(heard.arrived, 1024u);
    EXPECT_EQ(heard.waited, 1024u);
    EXPECT_EQ(heard.unordered, 512u);
    EXPECT_EQ(heard.clusters, 2u);
    EXPECT_EQ(heard.phases, 2u);
  }
}
TEST(Cluster, MultimemIsRefused) {
  EXPECT_THROW(Program::parse(module_with("multimem.red.global.add.u32 [%d], %r1;")), ParseError);
  EXPECT_THROW(Program::parse(module_with("multimem.ld_reduce.global.add.u32 %r1, [%d];")), ParseError);
}

// --- dependent launches: the primary writes thread + 1 to `data`, the secondary doubles it into `out` ---

std::vector<uint32_t> dependent(const std::string& wait, bool written, std::optional<Trap>* trap = nullptr) {
  const Program primary =
      Program::parse(module_with("griddepcontrol.launch_dependents; griddepcontrol.wait; mul.wide.u32 %rd1, "
                                 "%t, 4; add.u64 %rd1, %d, %rd1; "
                                 "add.u32 %r1, %t, 1; st.global.u32 [%rd1], %r1;"));
  const Program secondary = Program::parse(module_with(
      "mul.wide.u32 %rd1, %t, 4; add.u64 %rd1, %d, %rd1;\n" + wait +
      "\nbar.sync 0; ld.global.u32 %r1, [%rd1]; add.u32 %r1, %r1, %r1; st.global.u32 [%rd1+256], %r1;"));
  std::vector<uint32_t> words(64, 5), out(64);
  Machine machine;
  const uint64_t data = machine.memory().allocate(512, "data");
  if (written) machine.memory().write(data, std::as_bytes(std::span(words)));
  const auto params = std::as_bytes(std::span(&data, 1));
  const LaunchOptions options = {.block = {64, 1, 1}};
  try {
    machine.launch_dependent({primary, "k", options, params}, {secondary, "k", options, params});
    machine.memory().read(data + 256, std::as_writable_bytes(std::span(out)));
  } catch (const Trap& caught) {
    if (!trap) throw;
    trap->emplace(caught);
  }
  return out;
}

TEST(DependentLaunch, WaitsForThePrimarysResults) {
  for (const char* wait : {"griddepcontrol.wait;", "setp.ne.u32 %p1, %t, 0; @!%p1 griddepcontrol.wait;"}) {
    const std::vector<uint32_t> out = dependent(wait, false);
    for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(out[i], 2 * (i + 1)) << wait;
  }
}
TEST(DependentLaunch, WithoutTheWaitItReadsWhatWasThereBefore) {
  std::optional<Trap> trap;
  dependent("", false, &trap);
  ASSERT_TRUE(trap);
  EXPECT_EQ(trap->rule, Rule::uninitialised) << trap->what();
  EXPECT_EQ(dependent("", true), std::vector<uint32_t>(64, 10));
}
// Symptom: what a bulk store of the secondary grid had left to write when its kernel ended was never written.
TEST(DependentLaunch, AStoreThatTheSecondaryDidNotAwaitIsDoneAtItsEnd) {
  const std::string store =
      "setp.ne.u32 %p1, %t, 0; @%p1 bra $done; st.shared.u32 [s], 77; st.shared.u32 [s+4], 78;\n"
      "st.shared.u32 [s+8], 79; st.shared.u32 [s+12], 80; mov.u32 %r2, s; fence.proxy.async;\n"
      "cp.async.bulk.global.shared::cta.bulk_group [%d], [%r2], 16; cp.async.bulk.commit_group;\n"
      "cp.async.bulk.wait_group.read 0; $done: ";
  const Program primary = Program::parse(module_with("griddepcontrol.launch_dependents;"));
  const Program secondary = Program::parse(module_with("griddepcontrol.wait;\n" + store, kTile));
  for (const Schedule schedule : kSchedules) {
    Machine machine;
    const uint64_t data = machine.memory().allocate(16, "data");
    const auto params = std::as_bytes(std::span(&data, 1));
    LaunchOptions options = {.block = {64, 1, 1}};
    options.schedule = schedule;
    options.seed = 5;
    machine.launch_dependent({primary, "k", options, params}, {secondary, "k", options, params});
    std::array<uint32_t, 4> words{};
    machine.memory().read(data, std::as_writable_bytes(std::span(words)));
    EXPECT_EQ(words, (std::array<uint32_t, 4>{77, 78, 79, 80}));
  }
}
// Symptom: a secondary grid that waited in a loop for what its primary writes, instead of by
// griddepcontrol.wait, ran until its budget was spent.
TEST(DependentLaunch, ASecondaryThatSpinsOnItsPrimaryIsReported) {
  const Program primary = Program::parse(module_with("st.release.gpu.global.u32 [%d], 1;"));
  const std::string spin =
      "$spin: ld.acquire.gpu.global.u32 %r1, [%d]; setp.eq.u32 %p1, %r1, 0; @%p1 bra $spin;";
  for (const Schedule schedule : kSchedules) {
    for (const bool waits : {false, true}) {
      const Program secondary = Program::parse(module_with((waits ? "griddepcontrol.wait;\n" : "") + spin));
      Machine machine;
      const uint64_t data = machine.memory().allocate(4, "data"), zero = 0;
      machine.memory().write(data, std::as_bytes(std::span(&zero, 1)).first(4));
      const auto params = std::as_bytes(std::span(&data, 1));
      LaunchOptions options = {.block = {64, 1, 1}};
      options.schedule = schedule;
      const auto launch = [&] {
        machine.launch_dependent({primary, "k", options, params}, {secondary, "k", options, params});
      };
      if (waits) {
        EXPECT_NO_THROW(launch());
        continue;
      }
      try {
        launch();
        ADD_FAILURE() << "not reported";
      } catch (const Trap& trap) {
        EXPECT_EQ(trap.rule, Rule::deadlock) << trap.what();
        EXPECT_NE(trap.message.find("livelock"), std::string::npos) << trap.what();
      }
    }
  }
}

}  // namespace
}  // namespace attest::vm
