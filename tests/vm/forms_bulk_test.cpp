// Tests bulk copies of bytes: results under every placement, what must not be touched before its wait,
// misuse.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "bulk_kernel.h"
#include "jit/vm/observer.h"
#include "jit/vm/parse_error.h"

namespace attest::vm {
namespace {

const std::string kLoad64 =
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%in+32], 64, [%bar]; ";
const std::string kStore64 =
    "cp.async.bulk.global.shared::cta.bulk_group [%out], [%s], 64; cp.async.bulk.commit_group; ";

// --- from global to shared memory ---

TEST(BulkLoad, BringsTheBytes) {
  for (const BulkShape& shape : kBulkSchedules) {
    for (const std::string form : {"shared::cluster.global", "shared::cta.global"}) {
      const BulkRan ran = run_bulk(kMakeBarrier + expect(64) + "cp.async.bulk." + form +
                                       ".mbarrier::complete_tx::bytes [%s], [%in+32], 64, [%bar]; " + spin() +
                                       tile_to_out(64),
                                   shape);
      ASSERT_FALSE(ran.trap) << ran.trap->what();
      for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(ran.out[i], 1008 + i);
      EXPECT_EQ(ran.out[16], 0u);
    }
  }
}

TEST(BulkLoad, MayNotBeReadBeforeItsWait) {
  for (const BulkShape& shape : kBulkSchedules) {
    EXPECT_EQ(rule_of(kMakeBarrier + expect(64) + kLoad64 + "ld.shared.b32 %r1, [%s+60];", shape),
              Rule::uninitialised);
    // What stood there before is gone from the start of the copy.
    EXPECT_EQ(
        rule_of(kMakeBarrier + "st.shared.b32 [%s], 7; " + expect(64) + kLoad64 + "ld.shared.b32 %r1, [%s];",
                shape),
        Rule::uninitialised);
    // A phase that ended before says nothing about this copy, whose own phase awaits more bytes.
    EXPECT_EQ(rule_of(kMakeBarrier + "mbarrier.arrive.shared::cta.b64 _, [%bar]; " + expect(80) + kLoad64 +
                          spin(0) + "ld.shared.b32 %r1, [%s];",
                      shape),
              Rule::uninitialised);
  }
}

TEST(BulkLoad, ReadsItsSourceEarlyOrLateByTheSchedule) {
  const std::string body =
      kMakeBarrier + "st.global.b32 [%out], 7; " + expect(16) +
      "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%out], 16, [%bar]; "
      "st.global.b32 [%out], 8; " +
      spin() + "ld.shared.b32 %r1, [%s]; st.global.b32 [%out+64], %r1;";
  EXPECT_EQ(run_bulk(body, {.schedule = Schedule::lockstep}).out[16], 8u);
  EXPECT_EQ(run_bulk(body, {.schedule = Schedule::serial}).out[16], 7u);
  std::set<uint32_t> seen;
  for (uint64_t seed = 0; seed < 16; ++seed)
    seen.insert(run_bulk(body, {.schedule = Schedule::shuffled, .seed = seed}).out[16]);
  EXPECT_EQ(seen, (std::set<uint32_t>{7, 8}));
}

TEST(BulkLoad, WrongByteCountsAreReported) {
  for (const BulkShape& shape : kBulkSchedules) {
    // Too many expected: the phase never ends, and the report says what is missing.
    const BulkRan more = run_bulk(kMakeBarrier + expect(80) + kLoad64 + spin(), shape);
    ASSERT_TRUE(more.trap);
    EXPECT_EQ(more.trap->rule, Rule::deadlock);
    EXPECT_NE(std::string(more.trap->what()).find("0 of 1 arrivals and 16 bytes to come"), std::string::npos)
        << more.trap->what();
    // Too few, or none: as late as possible the phase does not end with the copy, as early the bytes are too
    // many.
    for (const std::string& arrival :
         {expect(48), std::string("mbarrier.arrive.shared::cta.b64 _, [%bar]; ")}) {
      const std::optional<Rule> late =
          rule_of(kMakeBarrier + arrival + kLoad64 + spin() + tile_to_out(64), shape);
      EXPECT_TRUE(late == Rule::asynchronous || late == Rule::uninitialised || late == Rule::deadlock);
      const std::optional<Rule> first =
          rule_of(kMakeBarrier + kLoad64 + arrival + spin() + tile_to_out(64), shape);
      EXPECT_TRUE(first == Rule::asynchronous || first == Rule::uninitialised || first == Rule::deadlock);
    }
  }
  EXPECT_EQ(rule_of(kMakeBarrier + kLoad64 + expect(48), {.schedule = Schedule::serial}), Rule::asynchronous);
}

TEST(BulkLoad, StagesOfARing) {
  // Six tiles through two stages; the words of every tile are summed.
  std::string body =
      "mbarrier.init.shared::cta.b64 [%bar], 1; mbarrier.init.shared::cta.b64 [%bar+8], 1; mov.u32 %r1, 0; ";
  const auto issue = [](int tile) {
    const std::string stage = std::to_string(tile % 2);
    return "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar+" + std::to_string(tile % 2 * 8) +
           "], 128; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s+" +
           std::to_string(tile % 2 * 128) + "], [%in+" + std::to_string(tile * 128) + "], 128, [%bar+" +
           std::to_string(tile % 2 * 8) + "]; ";
  };
  body += issue(0) + issue(1);
  for (int tile = 0; tile < 6; ++tile) {
    body += spin(tile / 2 % 2, tile, "%bar+" + std::to_string(tile % 2 * 8));
    for (int word : {0, 31})
      body += "ld.shared.b32 %r2, [%s+" + std::to_string(tile % 2 * 128 + word * 4) +
              "]; add.u32 %r1, %r1, %r2; ";
    if (tile + 2 < 6) body += issue(tile + 2);
  }
  body += "st.global.b32 [%out], %r1;";
  uint32_t want = 0;
  for (uint32_t tile = 0; tile < 6; ++tile) want += 1000 + tile * 32 + 1000 + tile * 32 + 31;
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, shape);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.out[0], want);
  }
}

TEST(BulkLoad, ChecksItsOperands) {
  const auto load = [](const std::string& operands) {
    return rule_of(kMakeBarrier + expect(64) +
                   "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes " + operands + ";");
  };
  EXPECT_EQ(load("[%s+8], [%in], 64, [%bar]"), Rule::misaligned);
  EXPECT_EQ(load("[%s], [%in+8], 64, [%bar]"), Rule::misaligned);
  EXPECT_EQ(load("[%s], [%in], 68, [%bar]"), Rule::misaligned);
  EXPECT_EQ(load("[%s], [%in], 64, [%bar+4]"), Rule::misaligned);
  EXPECT_EQ(load("[%s], [%in+65504], 64, [%bar]"), Rule::out_of_bounds);
  EXPECT_EQ(load("[%s+32832], [%in], 64, [%bar]"), Rule::out_of_bounds);
  EXPECT_EQ(load("[%s], [0], 64, [%bar]"), Rule::out_of_bounds);
  EXPECT_EQ(load("[%s], [%in], 64, [%bar+8]"), Rule::uninitialised);  // nobody made this barrier
  EXPECT_EQ(
      rule_of(kMakeBarrier + "st.shared.b64 [%bar+8], 0; "
                             "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%in], "
                             "64, [%bar+8];"),
      Rule::asynchronous);
}

TEST(BulkLoad, MustBeWaitedForBeforeTheBlockEnds) {
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(kMakeBarrier + expect(64) + kLoad64, shape);
    ASSERT_TRUE(ran.trap);
    EXPECT_EQ(ran.trap->rule, Rule::asynchronous);
    EXPECT_NE(ran.trap->message.find("nobody waited"), std::string::npos) << ran.trap->message;
  }
}

// --- from shared to global memory ---

TEST(BulkStore, BringsTheBytes) {
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(
        fill_tile(64) + kStore64 +
            "cp.async.bulk.wait_group 0; ld.global.b32 %r1, [%out+60]; st.global.b32 [%out+64], %r1;",
        shape);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(ran.out[i], 5000 + i);
    EXPECT_EQ(ran.out[16], 5015u);
  }
}

TEST(BulkStore, MayNotBeReadBeforeItsWait) {
  for (const BulkShape& shape : kBulkSchedules) {
    for (const std::string wait : {"", "cp.async.bulk.wait_group.read 0; ", "cp.async.bulk.wait_group 1; "}) {
      EXPECT_EQ(rule_of(fill_tile(64) + kStore64 + wait + "ld.global.b32 %r1, [%out];", shape),
                Rule::uninitialised);
    }
    // What was not committed is in no group.
    EXPECT_EQ(rule_of(fill_tile(64) + "cp.async.bulk.global.shared::cta.bulk_group [%out], [%s], 64; "
                                      "cp.async.bulk.wait_group 0; ld.global.b32 %r1, [%out];",
                      shape),
              Rule::uninitialised);
  }
}

TEST(BulkStore, ASourceOverwrittenTooSoonShowsInOneOrderAtLeast) {
  const std::string overwrite = "st.shared.b32 [%s], 9; ", wait = "cp.async.bulk.wait_group 0; ";
  const auto first = [&](const std::string& tail, Schedule schedule) {
    return run_bulk(fill_tile(64) + kStore64 + tail, {.schedule = schedule}).out[0];
  };
  EXPECT_EQ(first(overwrite + wait, Schedule::lockstep), 9u);
  EXPECT_EQ(first(overwrite + wait, Schedule::serial), 5000u);
  for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled})
    EXPECT_EQ(first("cp.async.bulk.wait_group.read 0; " + overwrite + wait, schedule), 5000u);
}

TEST(BulkStore, WaitGroupKeepsTheYoungestGroups) {
  const std::string two = fill_tile(128) + kStore64 +
                          "cp.async.bulk.global.shared::cta.bulk_group [%out+64], [%s+64], 64; "
                          "cp.async.bulk.commit_group; cp.async.bulk.wait_group 1; ";
  for (const BulkShape& shape : kBulkSchedules) {
    EXPECT_EQ(rule_of(two + "ld.global.b32 %r1, [%out+60]; cp.async.bulk.wait_group 0;", shape),
              std::nullopt);
    EXPECT_EQ(rule_of(two + "ld.global.b32 %r1, [%out+64];", shape), Rule::uninitialised);
  }
}

TEST(BulkStore, NeedsItsSourceUntilItHasRead) {
  for (const BulkShape& shape : kBulkSchedules) {
    EXPECT_EQ(rule_of(fill_tile(64) + kStore64, shape), Rule::asynchronous);
    const BulkRan ran = run_bulk(fill_tile(64) + kStore64 + "cp.async.bulk.wait_group.read 0;", shape);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.out[15], 5015u);  // done when the kernel ends
  }
}

TEST(BulkStore, ChecksItsOperands) {
  const auto store = [](const std::string& operands) {
    return rule_of(fill_tile(64) + "cp.async.bulk.global.shared::cta.bulk_group " + operands + ";");
  };
  EXPECT_EQ(store("[%out], [%s], 80"), Rule::uninitialised);
  EXPECT_EQ(store("[%in], [%s], 64"), Rule::permission);
  EXPECT_EQ(store("[%out+4], [%s], 64"), Rule::misaligned);
  EXPECT_EQ(store("[%out], [%s+4], 32"), Rule::misaligned);
  EXPECT_EQ(store("[%out], [%s], 40"), Rule::misaligned);
  EXPECT_EQ(store("[%out+65520], [%s], 32"), Rule::out_of_bounds);
}

TEST(BulkPrefetch, ChecksItsOperandsAndMovesNothing) {
  EXPECT_EQ(rule_of("cp.async.bulk.prefetch.L2.global [%in], 64;"), std::nullopt);
  EXPECT_EQ(rule_of("cp.async.bulk.prefetch.L2.global [%in+65520], 32;"), Rule::out_of_bounds);
  EXPECT_EQ(rule_of("cp.async.bulk.prefetch.L2.global [%in+4], 32;"), Rule::misaligned);
  EXPECT_EQ(rule_of("mov.u64 %rd1, 0; cp.async.bulk.prefetch.L2.global.L2::cache_hint [%in], 20, %rd1;"),
            Rule::misaligned);
}

// --- other blocks of the cluster ---

// Block 0 goes on when all others have set their flag, a word at %out+4096+4*rank.
const std::string kFlag =
    "mul.lo.u32 %r20, %rank, 4; cvt.u64.u32 %rd10, %r20; add.u64 %rd10, %rd10, %out; "
    "st.release.gpu.global.b32 [%rd10+4096], 1; ";
std::string await_flag(int rank, int n) {
  const std::string label = "$flag" + std::to_string(n);
  return label + ": ld.acquire.gpu.global.b32 %r21, [%out+" + std::to_string(4096 + 4 * rank) +
         "]; setp.eq.u32 %p6, %r21, 0; @%p6 bra " + label + "; ";
}

TEST(BulkMulticast, ReachesEveryNamedBlockAndItsBarrier) {
  // Block 0 sends to blocks 0 and 2 of three; each writes what it got to its own 64 bytes of the output.
  const std::string body =
      kMakeBarrier + "setp.eq.u32 %p1, %rank, 1; @%p1 bra $done; " + expect(64) + kFlag +
      "setp.ne.u32 %p2, %rank, 0; @%p2 bra $wait; " + await_flag(2, 0) +
      "mov.b16 %h1, 5; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%s], [%in+32], 64, [%bar], %h1; $wait: " +
      spin() + "mul.lo.u32 %r22, %rank, 64; cvt.u64.u32 %rd9, %r22; add.u64 %out, %out, %rd9; " +
      tile_to_out(64) + "$done: ";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, in_cluster(shape, 3));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t i = 0; i < 16; ++i) {
      EXPECT_EQ(ran.out[i], 1008 + i);
      EXPECT_EQ(ran.out[16 + i], 0u);
      EXPECT_EQ(ran.out[32 + i], 1008 + i);
    }
  }
}

TEST(BulkMulticast, TheMaskNamesBlocksThatExist) {
  for (const std::string mask : {"4", "0"})
    EXPECT_EQ(
        rule_of(kMakeBarrier + "mov.b16 %h1, " + mask +
                    "; cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                    "[%s], [%in], 64, [%bar], %h1;",
                {.cluster = 2}),
        Rule::out_of_bounds);
}

// (rank + 1) << 24 | offset: what mapa gives.
const std::string kBarrierOf1 = "add.u32 %r10, %bar, 33554432; ", kTileOf1 = "add.u32 %r11, %s, 33554432; ";

TEST(BulkToOtherBlocks, ASharedCopyArrivesThere) {
  const std::string copy =
      kBarrierOf1 + kTileOf1 +
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11], [%s], 64, [%r10]; ";
  const std::string body = kMakeBarrier + "setp.eq.u32 %p1, %rank, 1; @%p1 bra $receive; " + fill_tile(64) +
                           await_flag(1, 0) + copy +
                           "$flag9: ld.acquire.gpu.global.b32 %r21, [%out+4096]; setp.eq.u32 %p6, %r21, 0; "
                           "@%p6 bra $flag9; bra $done; $receive: " +
                           expect(64) + kFlag + spin() + tile_to_out(64) +
                           "st.release.gpu.global.b32 [%out+4096], 1; $done: ";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, in_cluster(shape, 2));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(ran.out[i], 5000 + i);
  }
  // The barrier must be where the bytes go; the source is the own block's.
  const std::string meet = "barrier.cluster.arrive; barrier.cluster.wait; ";
  const std::string astray =
      kMakeBarrier + fill_tile(64) + kTileOf1 + meet +
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11], [%s], 64, [%bar]; ";
  EXPECT_EQ(rule_of(astray, {.cluster = 2}), Rule::asynchronous);
  const std::string foreign =
      kMakeBarrier + kTileOf1 +
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%s], [%r11], 64, [%bar]; ";
  EXPECT_EQ(rule_of("setp.eq.u32 %p1, %rank, 1; @%p1 bra $done; " + foreign + "$done: ", {.cluster = 2}),
            Rule::wrong_space);
}

// Symptom: bytes sent to a block of the cluster that had exited, or had not begun, arrived in its memory.
TEST(BulkToOtherBlocks, ABlockThatDoesNotLiveReceivesNothing) {
  struct Operation {
    const char* text;
    uint32_t bytes;
  };
  const Operation operations[] = {
      {"cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11], [%s], 64, [%r10]; ",
       64},
      {"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r11], [%in], 64, [%r10]; ", 64},
      {"st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r11], 7, [%r10]; ", 4},
      {"mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r10]; ", 0}};
  const std::string meet = "barrier.cluster.arrive; barrier.cluster.wait; ";
  std::string fill;  // without a loop, at whose end the other block would begin
  for (const char* at : {"", "+16", "+32", "+48"})
    fill += std::string("st.shared.v4.b32 [%s") + at + "], {1, 2, 3, 4}; ";
  for (const auto& [text, bytes] : operations) {
    const std::string send = kBarrierOf1 + kTileOf1 + text;
    const std::string begin = kMakeBarrier + fill + "fence.proxy.async; setp.eq.u32 %p1, %rank, 1; ";
    const BulkShape two{.cluster = 2, .schedule = Schedule::lockstep};  // block 0 begins
    const BulkRan early = run_bulk(begin + "@%p1 bra $done; " + send + "$done: ", two);
    ASSERT_TRUE(early.trap) << text;
    EXPECT_EQ(early.trap->rule, Rule::use_after_free) << text;
    EXPECT_NE(std::string(early.trap->what()).find("has not begun"), std::string::npos) << early.trap->what();
    const BulkRan late = run_bulk(
        begin + "@%p1 bra $leave; " + await_flag(1, 0) + send + "bra $done; $leave: " + kFlag + "$done: ",
        two);
    ASSERT_TRUE(late.trap) << text;
    EXPECT_EQ(late.trap->rule, Rule::use_after_free) << text;
    EXPECT_NE(std::string(late.trap->what()).find("has ended"), std::string::npos) << late.trap->what();
    // The repaired twin: the receiver begins before, and stays until it has got everything.
    const BulkRan twin = run_bulk(begin + meet + "@%p1 bra $receive; " + send + "bra $done; $receive: " +
                                      (bytes ? expect(bytes) : "") + spin() + "$done: " + meet,
                                  two);
    EXPECT_FALSE(twin.trap) << text << twin.trap->what();
  }
}

TEST(BulkToOtherBlocks, TheSourceMustOutliveTheCopy) {
  // Block 0 exits while its shared memory is still to be read.
  const std::string body =
      kMakeBarrier + "setp.eq.u32 %p1, %rank, 1; @%p1 bra $receive; " + fill_tile(64) + await_flag(1, 0) +
      kBarrierOf1 + kTileOf1 +
      "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11], [%s], 64, [%r10]; "
      "bra $done; $receive: " +
      expect(64) + kFlag + await_flag(2, 1) + spin() + "$done: ";
  EXPECT_EQ(rule_of(body, {.cluster = 2}), Rule::asynchronous);
}

TEST(RemoteBarrier, ArrivalsAndBytesCountThere) {
  // Block 1's barrier awaits block 0's arrival, which expects and brings 8 bytes.
  const std::string body =
      kMakeBarrier + "setp.eq.u32 %p1, %rank, 1; @%p1 bra $receive; " + await_flag(1, 0) + kBarrierOf1 +
      "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%r10], 8; "
      "mbarrier.complete_tx.relaxed.cluster.shared::cluster.b64 [%r10], 8; bra $done; $receive: " +
      kFlag + spin() + "st.global.b32 [%out], 3; $done: ";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, in_cluster(shape, 2));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.out[0], 3u);
  }
}

TEST(RemoteBarrier, OnlyArrivalsWithoutAStateReachIt) {
  // (Block 0 acts when block 1 has made its barrier, and block 1 stays.)
  const auto rule = [](const std::string& act) {
    return rule_of(kMakeBarrier + "setp.eq.u32 %p1, %rank, 1; @%p1 bra $stay; " + await_flag(1, 0) +
                       kBarrierOf1 + act + " bra $done; $stay: " + kFlag + spin() + "$done: ",
                   {.cluster = 2});
  };
  EXPECT_EQ(rule("mbarrier.arrive.shared::cta.b64 _, [%r10];"), Rule::wrong_space);
  EXPECT_EQ(rule("mbarrier.test_wait.parity.shared::cta.b64 %p2, [%r10], 0;"), Rule::wrong_space);
  EXPECT_EQ(rule("mbarrier.init.shared::cta.b64 [%r10+8], 1;"), Rule::wrong_space);
  EXPECT_EQ(rule("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r10];"), std::nullopt);
}

TEST(StAsync, ValuesArriveWithTheBarrier) {
  const std::string body =
      kMakeBarrier + "setp.eq.u32 %p1, %rank, 1; @%p1 bra $receive; " + await_flag(1, 0) + kBarrierOf1 +
      kTileOf1 +
      "mov.u32 %r1, 11; mov.u32 %r2, 22; mov.u32 %r3, 33; mov.u32 %r4, 44; mov.u64 %rd1, "
      "281474976710657; "
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%r11], {%r1, %r2, "
      "%r3, %r4}, [%r10]; mov.u32 %r1, 99; "
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.u64 [%r11+16], %rd1, [%r10]; "
      "bra $done; $receive: " +
      expect(24) + kFlag + spin() + tile_to_out(24) + "$done: ";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, in_cluster(shape, 2));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    const std::vector<uint32_t> want = {11, 22, 33, 44, 1, 65536};
    for (uint32_t i = 0; i < 6; ++i) EXPECT_EQ(ran.out[i], want[i]);
  }
  EXPECT_EQ(rule_of(kMakeBarrier + "st.async.shared::cluster.mbarrier::complete_tx::bytes.u64 [%s+4], %rd1, "
                                   "[%bar];"),
            Rule::misaligned);
}

TEST(StAsync, RedAsyncReducesThere) {
  const std::string body =
      kMakeBarrier + "st.shared.b64 [%s], 42949672960; st.shared.b32 [%s+8], -5; st.shared.b32 [%s+12], 8; " +
      expect(20) +
      "mov.u32 %r1, 7; mov.u64 %rd1, 4294967297; "
      "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u64 [%s], "
      "%rd1, [%bar]; "
      "red.async.relaxed.cluster.mbarrier::complete_tx::bytes.shared::cluster.min.s32 [%s+8], "
      "%r1, [%bar]; "
      "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.or.b32 [%s+12], "
      "%r1, [%bar]; "
      "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.max.u32 [%s+8], "
      "%r1, [%bar]; " +
      spin() + tile_to_out(16);
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, shape);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    // 10 * 2^32 + 2^32 + 1; min(-5, 7), which as an unsigned number is also the larger one; 8 | 7
    EXPECT_EQ(ran.out[0], 1u);
    EXPECT_EQ(ran.out[1], 11u);
    EXPECT_EQ(static_cast<int32_t>(ran.out[2]), -5);
    EXPECT_EQ(ran.out[3], 15u);
  }
}

// --- what observers hear ---

struct Hearing : Observer {
  std::vector<std::string> heard;
  static std::string space(Space space) { return space == Space::global ? "global" : "shared"; }
  void async_begin(const AsyncBeginEvent& event) override {
    heard.push_back("begin " + std::to_string(event.actor) + " lane " + std::to_string(event.site.lanes));
  }
  void async_access(const AsyncAccessEvent& event) override {
    heard.push_back(std::string(event.touch == Touch::load    ? "load "
                                : event.touch == Touch::store ? "store "
                                                              : "atomic ") +
                    std::to_string(event.actor) + " " + space(event.space) + " " +
                    std::to_string(event.space == Space::global ? event.address & 0xffff : event.address) +
                    "+" + std::to_string(event.bytes) + (event.async_proxy ? "" : " generic"));
  }
  void async_end(const AsyncEndEvent& event) override {
    heard.push_back("end " + std::to_string(event.actor) + (event.reads_only ? " reads" : "") +
                    (event.barrier ? " barrier " + std::to_string(event.address) : ""));
  }
  void proxy_fence(const Site&, Space) override { heard.push_back("proxy fence"); }
};

std::vector<std::string> heard(const std::string& body, Schedule schedule) {
  Hearing hearing;
  Observer* const observers[] = {&hearing};
  const BulkRan ran = run_bulk(body, {.schedule = schedule}, {}, {}, std::nullopt, false, observers);
  EXPECT_FALSE(ran.trap) << ran.trap->what();
  return hearing.heard;
}

TEST(BulkEvents, AreRaisedInOrder) {
  const std::string body = kMakeBarrier + expect(64) + kLoad64 + spin() + "fence.proxy.async; " + kStore64 +
                           "cp.async.bulk.wait_group.read 0; cp.async.bulk.wait_group 0;";
  const std::vector<std::string> want = {
      "proxy fence", "begin 1 lane 1", "load 1 global 32+64", "store 1 shared 0+64", "end 1 barrier 32768",
      "proxy fence", "begin 2 lane 1", "load 2 shared 0+64",  "store 2 global 0+64", "end 2 reads",
      "end 2"};
  for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled})
    EXPECT_EQ(heard(body, schedule), want);
}

TEST(BulkEvents, ReductionsAreAtomicAndStAsyncIsGeneric) {
  const std::vector<std::string> reduced =
      heard(fill_tile(64) +
                "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [%s], 64; "
                "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;",
            Schedule::lockstep);
  EXPECT_EQ(reduced[3], "atomic 1 global 0+64");
  const std::vector<std::string> stored =
      heard(kMakeBarrier + expect(8) +
                "mov.u64 %rd1, 5; st.async.shared::cluster.mbarrier::complete_tx::bytes.u64 [%s+8], %rd1, "
                "[%bar]; " +
                spin(),
            Schedule::lockstep);
  EXPECT_EQ(stored[2], "store 1 shared 8+8 generic");
}

// --- refusals ---

TEST(BulkForms, WhatIsNotModelledIsRefused) {
  const auto refusal = [](const std::string& body) -> std::string {
    try {
      Program::parse(bulk_module(body));
    } catch (const ParseError& error) {
      return error.what();
    }
    return "parsed";
  };
  EXPECT_NE(
      refusal(
          "mov.b16 %h1, 0; "
          "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%s], [%map, "
          "{%r1, %r2, %r3}], [%bar], {%h1};")
          .find("im2col"),
      std::string::npos);
  EXPECT_NE(
      refusal(
          "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%map, {%r1}], "
          "[%bar];")
          .find("2 coordinates"),
      std::string::npos);
  EXPECT_NE(
      refusal(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%s], [%in], "
          "16, [%bar];")
          .find("too few operands"),
      std::string::npos);
  EXPECT_NE(refusal("cp.async.bulk.global.shared::cta.bulk_group [%out], [%s], 16, %rd1;").find("too many"),
            std::string::npos);
  EXPECT_NE(refusal("mbarrier.arrive.release.cluster.shared::cluster.b64 %rd1, [%r1];").find("returns `_`"),
            std::string::npos);
  EXPECT_NE(refusal("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.s64 [%out], [%s], 16;")
                .find("not modelled"),
            std::string::npos);
  EXPECT_EQ(refusal("fence.mbarrier_init.release.cluster; fence.proxy.async.global; "
                    "fence.proxy.tensormap::generic.acquire.gpu [%map], 128; "
                    "fence.proxy.tensormap::generic.release.gpu;"),
            "parsed");
}

}  // namespace
}  // namespace attest::vm
