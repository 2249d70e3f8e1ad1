// Tests the order of asynchronous operations, proxies and clusters: events made by hand, each rule with its
// violation.
#include "jit/vm/happens_before.h"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/vm/order_script.h"

namespace attest::vm {
namespace {

using enum Race::Kind;

// `b` (broken) leaves out, or moves, the one thing that the name is about. A finding of it is at lines
// `earlier` and `later`.
struct Rule {
  const char* name;
  std::function<void(Script&, bool broken)> run;
  Race::Kind kind;
  int earlier, later;
  const char* asynchronous;  // which sides are operations: "", "earlier", "later", "both"
};

const Who kProducer{0, 0, kLeader}, kConsumers{0, 1};

// A stage of 128 bytes, filled three times by the producer's lane and read by the consumers' warp.
void load_ring(Script& s, bool waits_full, bool waits_empty, bool arrives_late) {
  s.store(1, kProducer, kFull, 16);
  s.block_barrier();
  for (int round = 0; round < 3; ++round) {
    if (round > 0 && waits_empty) s.wait(2, kProducer, kEmpty);
    s.arrive(3, kProducer, kFull);  // arrive.expect_tx
    const uint64_t copy = s.start(4, kProducer, Touch::load, s.global, 128);
    s.extend(copy, kProducer, Touch::store, 0, 128);
    s.complete(copy, kProducer, kFull);
    if (waits_full) s.wait(5, kConsumers, kFull);
    if (!arrives_late) s.arrive(7, kConsumers, kEmpty);
    s.load(6, kConsumers, 0);
    if (arrives_late) s.arrive(7, kConsumers, kEmpty);
  }
}

// Both warps write a tile, a lane of warp 0 stores it, all write the next one.
void store_tile(Script& s, bool waits, bool barrier_behind) {
  for (int round = 0; round < 2; ++round) {
    for (uint32_t warp : {0u, 1u}) {
      s.store(10, {0, warp}, 128 * warp);
      s.proxy_fence({0, warp});
    }
    s.block_barrier();
    const uint64_t copy = s.start(11, kProducer, Touch::load, 0, 256);
    s.extend(copy, kProducer, Touch::store, s.global + 256 * static_cast<uint64_t>(round), 256);
    if (waits) s.wait_group(copy, kProducer, true);
    if (barrier_behind) s.block_barrier();
  }
}

// Warp 1 writes, lane 0 of warp 0 starts an operation that touches what it wrote.
void generic_then(Script& s, Touch touch, const char* fence, bool proxy = true) {
  const std::string by = fence;
  if (by == "writer, too early") s.proxy_fence({0, 1});
  s.store(20, {0, 1}, 0);
  if (by == "writer") s.proxy_fence({0, 1});
  if (by == "stranger") s.proxy_fence({1, 0});
  if (by == "issuer, too early") s.proxy_fence(kProducer);
  s.block_barrier();
  if (by == "issuer") s.proxy_fence(kProducer);
  if (by == "bystander") s.proxy_fence({0, 0, 2});
  if (by == "third") {
    s.proxy_fence({0, 0, 4});
    s.warp_barrier({0, 0});
  }
  s.start(21, kProducer, touch, 64, 64, proxy);
}

// Warp 1 multiplies a tile of 512 bytes that the producer filled; the producer fills it again.
void multiply(Script& s, bool waits, bool arrives_late) {
  const uint64_t fill = s.start(30, kProducer, Touch::store, 0, 512);
  s.complete(fill, kProducer, kFull);
  s.wait(31, kConsumers, kFull);
  const uint64_t product = s.start(32, kConsumers, Touch::load, 0, 512);
  if (!arrives_late) s.arrive(33, kConsumers, kEmpty);
  if (waits) s.wait_group(product, kConsumers);
  if (arrives_late) s.arrive(33, kConsumers, kEmpty);
  s.wait(34, kProducer, kEmpty);
  s.start(35, kProducer, Touch::store, 256, 512);
}

// Each block writes a word a thread into the other's shared memory, and reads what it was given.
void exchange(Script& s, bool first, bool orders, bool waits) {
  if (first) s.cluster_barrier(0);  // the other block is there
  for (uint32_t block : {0u, 1u}) s.store(40, {block, 0}, remote(1 - block, 0));
  for (uint32_t block : {0u, 1u}) s.cluster_arrive({block, 0}, 1, orders);
  for (uint32_t block : {0u, 1u}) {
    if (waits) s.cluster_wait({block, 0}, 1);
    s.load(41, {block, 0}, 0);
  }
}

const Rule kRules[] = {
    {"AStageIsReadBehindItsFullBarrier", [](Script& s, bool b) { load_ring(s, !b, true, true); }, write_read,
     4, 6, "earlier"},
    {"AStageIsFilledBehindItsEmptyBarrier", [](Script& s, bool b) { load_ring(s, true, !b, true); },
     read_write, 6, 4, "later"},
    {"AStageIsGivenBackAfterItsLastRead", [](Script& s, bool b) { load_ring(s, true, true, !b); }, read_write,
     6, 4, "later"},
    {"APhaseOrdersWhatBelongsToIt",  // b: the consumers look at the stage a phase too early
     [](Script& s, bool b) {
       for (int round = 0; round < 2; ++round) {
         s.complete(s.start(51, kProducer, Touch::store, 128 * static_cast<uint64_t>(round), 128), kProducer,
                    kFull);
         if (round == 0 || !b) s.phase(kProducer, kFull);
       }
       s.wait(52, kConsumers, kFull);
       s.load(53, kConsumers, 0);
       s.load(54, kConsumers, 128);
     },
     write_read, 51, 54, "earlier"},
    {"AnArrivalInThePhaseThatIsNotOverCountsForTheNext",
     [](Script& s, bool b) {
       s.arrive(55, kProducer, kFull);
       s.phase(kProducer, kFull);
       s.store(56, kProducer, 0);
       s.arrive(57, kProducer, kFull);
       if (b) s.wait(58, kConsumers, kFull);
       s.phase(kProducer, kFull);
       if (!b) s.wait(58, kConsumers, kFull);
       s.load(59, {0, 1, kLeader}, 0);
     },
     write_read, 56, 59, ""},
    {"ASourceIsOverwrittenAfterWaitGroupRead", [](Script& s, bool b) { store_tile(s, !b, true); }, read_write,
     11, 10, "earlier"},
    {"WaitGroupConcernsTheLaneThatWaited", [](Script& s, bool b) { store_tile(s, true, !b); }, read_write, 11,
     10, "earlier"},
    {"WaitGroupReadDoesNotOrderTheWrites",
     [](Script& s, bool b) {
       const uint64_t copy = s.start(12, kProducer, Touch::store, s.global, 64);
       s.wait_group(copy, kProducer, b);
       s.load(13, kProducer, s.global);
     },
     write_read, 12, 13, "earlier"},
    {"AnOperationFollowsWhatItsStarterDid",
     [](Script& s, bool b) {
       if (!b) s.load(14, kProducer, 0);
       const uint64_t copy = s.start(15, kProducer, Touch::store, 0, 64);
       if (b) s.load(14, kProducer, 0);
       s.wait_group(copy, kProducer);
       s.load(16, kProducer, 0);
     },
     write_read, 15, 14, "earlier"},
    {"OperationsOfOneLaneAreNotOrdered",
     [](Script& s, bool b) {
       const uint64_t copy = s.start(17, kProducer, Touch::store, 0, 64);
       if (!b) s.wait_group(copy, kProducer);
       s.start(18, kProducer, Touch::load, 0, 64);
     },
     write_read, 17, 18, "both"},
    {"TheWriterFences", [](Script& s, bool b) { generic_then(s, Touch::load, b ? "nobody" : "writer"); },
     missing_proxy_fence, 20, 21, "later"},
    {"TheIssuerFences",
     [](Script& s, bool b) { generic_then(s, Touch::load, b ? "issuer, too early" : "issuer"); },
     missing_proxy_fence, 20, 21, "later"},
    {"TheFenceFollowsTheWrite",
     [](Script& s, bool b) { generic_then(s, Touch::load, b ? "writer, too early" : "writer"); },
     missing_proxy_fence, 20, 21, "later"},
    {"AFenceIsForTheStateSpaceThatItNames",
     [](Script& s, bool b) {
       s.store(27, kProducer, 0);
       s.proxy_fence(kProducer, b ? Space::global : Space::shared);
       s.start(28, kProducer, Touch::load, 0, 64);
       s.store(29, kProducer, s.global);
       s.proxy_fence(kProducer, Space::global);
       s.start(21, kProducer, Touch::load, s.global, 64);
     },
     missing_proxy_fence, 27, 28, "later"},
    {"AThirdFencesInBetween",
     [](Script& s, bool b) { generic_then(s, Touch::load, b ? "bystander" : "third"); }, missing_proxy_fence,
     20, 21, "later"},
    {"AStrangersFenceHelpsNobody",
     [](Script& s, bool b) { generic_then(s, Touch::load, b ? "stranger" : "writer"); }, missing_proxy_fence,
     20, 21, "later"},
    {"WritingOverNeedsTheFenceToo",
     [](Script& s, bool b) { generic_then(s, Touch::store, b ? "nobody" : "issuer"); }, missing_proxy_fence,
     20, 21, "later"},
    {"TheGenericProxyNeedsNoFence", [](Script& s, bool b) { generic_then(s, Touch::load, "nobody", b); },
     missing_proxy_fence, 20, 21, "later"},
    {"AWriteAfterTheFenceIsNotFenced",
     [](Script& s, bool b) {
       s.store(22, kProducer, 0);
       s.proxy_fence(kProducer);
       if (b) s.store(23, kProducer, 0);
       s.start(24, kProducer, Touch::load, 0, 64);
     },
     missing_proxy_fence, 23, 24, "later"},
    {"AReadBeforeAnAsynchronousWriteNeedsOrderOnly",
     [](Script& s, bool b) {
       s.load(25, kConsumers, 0);
       if (!b) s.block_barrier();
       s.start(26, kProducer, Touch::store, 0, 64);
     },
     read_write, 25, 26, "later"},
    {"ALanesReadIsNotForgottenForAnotherLanes",
     [](Script& s, bool b) {
       s.touch(62, {0, 1, 8}, Touch::load, 0, 4, 0);
       s.touch(63, {0, 1, 32}, Touch::load, 0, 4, 0);
       s.arrive(64, {0, 1, b ? 32u : 40u}, kFull);
       s.wait(65, kProducer, kFull);
       s.store(66, kProducer, 0);
     },
     read_write, 62, 66, ""},
    {"AFenceIsNoOrder",
     [](Script& s, bool b) {
       s.store(27, kConsumers, 0);
       s.proxy_fence(kConsumers);
       if (!b) s.arrive(28, kConsumers, kFull);
       s.wait(28, kProducer, kFull);
       s.start(29, kProducer, Touch::load, 0, 128);
     },
     write_read, 27, 29, "later"},
    {"AProductIsWaitedForBeforeItsTileIsFilled", [](Script& s, bool b) { multiply(s, !b, true); }, read_write,
     32, 35, "both"},
    {"AProductsEndIsToldToTheProducer", [](Script& s, bool b) { multiply(s, true, !b); }, read_write, 32, 35,
     "both"},
    {"AProductsTileIsNotWrittenByThreadsMeanwhile",
     [](Script& s, bool b) {
       const uint64_t product = s.start(36, kConsumers, Touch::load, 0, 128);
       if (b) s.store(37, kConsumers, 0);
       s.wait_group(product, kConsumers);
       if (!b) s.store(37, kConsumers, 0);
     },
     read_write, 36, 37, "earlier"},
    {"AProductMayAccumulateOverManyTiles",  // 40 operations wait at once; one tile is never waited for
     [](Script& s, bool b) {
       std::vector<uint64_t> products;
       for (uint64_t i = 0; i < 40; ++i)
         products.push_back(s.start(38, kConsumers, Touch::load, 128 * i, 128));
       for (uint64_t i = 0; i < 40; ++i)
         if (!(b && i == 17)) s.wait_group(products[i], kConsumers);
       s.store(39, kConsumers, 0, 160);
     },
     read_write, 38, 39, "earlier"},
    {"AnExchangeWaitsForTheCluster", [](Script& s, bool b) { exchange(s, true, true, !b); }, write_read, 40,
     41, ""},
    {"ARelaxedArrivalOrdersNothing", [](Script& s, bool b) { exchange(s, true, !b, true); }, write_read, 40,
     41, ""},
    {"AClusterBarrierOrdersItsOwnPhase",
     [](Script& s, bool b) {
       if (!b) s.store(42, {0, 0}, remote(1, 0));
       s.cluster_barrier(0);
       s.cluster_arrive({0, 0}, 1);
       if (b) s.store(42, {0, 0}, remote(1, 0));
       s.cluster_wait({1, 0}, 1);
       s.load(43, {1, 0}, 0);
     },
     write_read, 42, 43, ""},
    {"AFastBlocksNextArrivalCountsForTheNextPhase",
     [](Script& s, bool b) {
       if (!b) s.store(60, {0, 0}, remote(1, 0));
       for (uint32_t block : {0u, 1u}) s.cluster_arrive({block, 0}, 0);
       s.cluster_wait({0, 0}, 0);
       if (b) s.store(60, {0, 0}, remote(1, 0));
       s.cluster_arrive({0, 0}, 1);
       s.cluster_wait({1, 0}, 0);
       s.load(61, {1, 0}, 0);
     },
     write_read, 60, 61, ""},
    {"ARemoteArrivalReachesTheBarriersBlock",
     [](Script& s, bool b) {
       s.store(44, {0, 0}, remote(1, 0));
       s.arrive(45, {0, 0}, b ? kFull : remote(1, kFull));
       s.wait(46, {1, 0}, kFull);
       s.load(47, {1, 0}, 0);
     },
     write_read, 44, 47, ""},
    {"AMulticastIsWaitedForInEveryBlock",
     [](Script& s, bool b) {
       const uint64_t copy = s.start(48, kProducer, Touch::store, remote(0, 0), 128);
       s.extend(copy, kProducer, Touch::store, remote(1, 0), 128);
       s.complete(copy, kProducer, kFull);
       if (!b) s.complete(copy, kProducer, remote(1, kFull));
       for (uint32_t block : {0u, 1u}) {
         s.wait(49, {block, 1}, kFull);
         s.load(50, {block, 1}, 0);
       }
     },
     write_read, 48, 50, "earlier"},
};

class OrderRules : public testing::TestWithParam<Rule> {};

TEST_P(OrderRules, ClaimNothingOfTheSoundOneAndNameBothSidesOfTheBroken) {
  const Rule& rule = GetParam();
  Script sound, broken;
  rule.run(sound, false);
  for (const Race& race : sound.finish()) ADD_FAILURE() << race.text();
  rule.run(broken, true);
  const std::string asynchronous = rule.asynchronous;
  bool named = false;
  std::string all;
  for (const Race& race : broken.finish()) {
    all += race.text() + "\n";
    named = named ||
            (race.kind == rule.kind && race.earlier.line == rule.earlier && race.later.line == rule.later &&
             race.earlier.asynchronous == (asynchronous == "earlier" || asynchronous == "both") &&
             race.later.asynchronous == (asynchronous == "later" || asynchronous == "both"));
  }
  EXPECT_TRUE(named) << "found: " << all;
}

INSTANTIATE_TEST_SUITE_P(Vm, OrderRules, testing::ValuesIn(kRules),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(RaceText, SaysWhatAnOperationLacked) {
  Script script;
  script.start(4, kProducer, Touch::store, 100, 28);
  script.load(5, {0, 1}, 0);  // lanes 25 to 31 meet it
  generic_then(script, Touch::load, "nobody");
  const std::vector<Race> races = script.finish();
  ASSERT_EQ(races.size(), 3u);
  EXPECT_EQ(
      races[0].text(),
      "write-read race at shared memory offset 100 of block 0: the asynchronous operation of PTX line 4 "
      "`it` block 0 warp 0 lanes 0 and PTX line 5 `it` block 0 warp 1 lanes 25 are not ordered: nothing "
      "in between waited for the operation's end (7 times)");
  EXPECT_EQ(races[1].kind, write_write);  // line 20 overwrites it as well
  EXPECT_EQ(races[2].text().find("missing fence.proxy.async at shared memory offset 64"), 0u)
      << races[2].text();
  EXPECT_NE(races[2].text().find("execute fence.proxy.async"), std::string::npos);
}

TEST(RaceText, PlacesOfLargeRangesAreExactToTheByte) {
  for (const uint64_t first : {0, 1, 4095, 4100}) {
    Script script;
    script.start(1, kProducer, Touch::store, first, 16384);
    script.store(2, {0, 1, kLeader}, first + 16384, 1);
    if (first > 0) script.store(3, {0, 1, kLeader}, first - 1, 1);
    EXPECT_TRUE(script.finish().empty()) << first;

    Script overlapping;
    overlapping.start(1, kProducer, Touch::store, first, 16384);
    overlapping.store(2, {0, 1, kLeader}, first + 16383, 1);
    const std::vector<Race> races = overlapping.finish();
    ASSERT_EQ(races.size(), 1u);
    EXPECT_EQ(races[0].place, "shared memory offset " + std::to_string(first + 16383) + " of block 0");
    EXPECT_EQ(races[0].occurrences, 1u);
  }
}

TEST(RaceObserverAsync, AnOperationThatNobodyBeganIsAnError) {
  Script script;
  EXPECT_THROW(script.extend(7, kProducer, Touch::load, 0, 4), std::logic_error);
  EXPECT_THROW(script.wait_group(7, kProducer), std::logic_error);
}

TEST(Fences, WhatWasPolledIsKnownOnceItIsFenced) {
  for (const bool fenced : {true, false}) {
    Script script;
    script.store(1, {0, 0}, 0);
    script.arrive(2, {0, 0}, kFull);
    for (int i = 0; i < 1000; ++i) script.poll(3, {0, 1}, kFull);
    script.poll(3, {0, 1, 0xffff}, kFull);
    if (fenced) script.fence({0, 1});
    script.load(4, {0, 1}, 0);
    EXPECT_EQ(script.finish().empty(), fenced);
  }
}

TEST(HappensBefore, OperationsThatFollowEachOtherShareASlot) {
  HappensBefore order;
  order.begin_block(0, 64);
  for (uint64_t number = 1; number <= 3; ++number) {
    order.begin_operation(number, {0, 0, kLeader, 0});
    order.learn(0, 0, kLeader, order.end_operation(number, false));
  }
  EXPECT_EQ(order.stamp_of_operation(3, false).unit, kFirstSlot);
  EXPECT_LT(order.stamp_of_operation(2, true).clock, order.stamp_of_operation(3, false).clock);
  // Warp 1 knows of none of their ends; of the reads' end alone is not enough.
  order.begin_operation(4, {0, 1, kLeader, 0});
  EXPECT_EQ(order.stamp_of_operation(4, false).unit, kFirstSlot + 1);
  order.learn(0, 1, kLeader, order.end_operation(4, true));
  order.begin_operation(5, {0, 1, kLeader, 0});
  EXPECT_EQ(order.stamp_of_operation(5, false).unit, kFirstSlot + 2);
}

TEST(Clocks, JoinsKeepTheNewestOfEachLane) {
  Stamp stamp;
  stamp.block = 3;
  stamp.unit = 2;
  const auto covered = [&](const Clocks& clocks, uint32_t clock) {
    stamp.clock = clock;
    return clocks.covered(stamp);
  };
  Clocks a, b;
  a.add(3, 2, 10, 0x0f);
  a.add(3, 2, 20, 0x01);
  a.add(3, 1, 99, kAllLanes);  // another unit
  b.add(3, 2, 15, 0x33);
  a.join(b);
  EXPECT_EQ(covered(a, 10), 0x3fu);
  EXPECT_EQ(covered(a, 11), 0x33u);
  EXPECT_EQ(covered(a, 16), 0x01u);
  EXPECT_EQ(covered(a, 21), 0u);
  a.add_block(3, 12);
  EXPECT_EQ(covered(a, 12), kAllLanes);
  EXPECT_EQ(covered(a, 13), 0x33u);
  a.drop_warps(3);
  EXPECT_EQ(covered(a, 12), kAllLanes);
  EXPECT_EQ(covered(a, 13), 0u);
  // A block's clock says nothing of its operations.
  stamp.unit = kFirstSlot;
  EXPECT_EQ(covered(a, 1), 0u);
}

}  // namespace
}  // namespace attest::vm
