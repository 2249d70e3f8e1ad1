// Tests bulk copies, arrivals and asynchronous stores from one block of a cluster to another.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bulk_kernel.h"

namespace attest::vm {
namespace {

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

}  // namespace
}  // namespace attest::vm
