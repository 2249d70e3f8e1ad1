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
