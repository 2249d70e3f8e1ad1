// Launches: what is refused, schedules, budgets, calls, atomics over host threads, counters.
#include "jit/vm/machine.h"

#include <gtest/gtest.h>

#include "jit/vm/counters.h"
#include "kernel_under_test.h"

namespace attest::vm {
namespace {

TEST(Launch, RefusesWhatCannotBe) {
  const std::string ptx = module_with("", "");
  EXPECT_THROW(run_kernel(ptx, {1}, {.block = {2000, 1, 1}}), std::invalid_argument);
  EXPECT_THROW(run_kernel(ptx, {1}, {.grid = {0, 1, 1}}), std::invalid_argument);
  EXPECT_THROW(run_kernel(ptx, {1}, {.dynamic_shared_bytes = 300000}), std::invalid_argument);
  EXPECT_THROW(run_kernel(ptx, {1}, {.grid = {3, 1, 1}, .cluster = {2, 1, 1}}), std::invalid_argument);
  Machine machine;
  const Program program = Program::parse(ptx);
  const std::byte few[4] = {};
  EXPECT_THROW(machine.launch(program, "k", {}, few), std::invalid_argument);
  EXPECT_THROW(machine.launch(program, "other", {}, few), std::invalid_argument);
}
TEST(Launch, GivesEveryThreadItsPlace) {
  const std::string body =
      "mov.u32 %r1, %ctaid.y; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.y; mad.lo.u32 %r4, %r3, %r2, %t; "
      "mov.u32 %r5, %ctaid.x;\n"
      "mov.u32 %r6, %nctaid.x; mad.lo.u32 %r7, %r1, %r6, %r5; mad.lo.u32 %r8, %r7, 15, %r4; mul.wide.u32 "
      "%rd1, %r8, 4;\n"
      "add.u64 %rd1, %d, %rd1; st.global.u32 [%rd1], %r8;";
  const Ran ran =
      run_kernel(module_with(body), std::vector<uint32_t>(90), {.grid = {3, 2, 1}, .block = {5, 3, 1}});
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  for (uint32_t i = 0; i < 90; ++i) EXPECT_EQ(ran.data[i], i);
}
TEST(Launch, ClocksGoForward) {
  // Twice each clock with work in between; what is stored is the difference, and that of the halves.
  const std::string body =
      "mov.u32 %r1, %clock; mov.u64 %rd1, %clock64; mov.u64 %rd2, %globaltimer; mov.u32 %r2, "
      "%globaltimer_lo;\n"
      "mov.u32 %r9, 0; AGAIN: add.u32 %r9, %r9, 1; setp.lt.u32 %p1, %r9, 1000; @%p1 bra AGAIN;\n"
      "mov.u32 %r3, %clock; mov.u64 %rd3, %clock64; mov.u64 %rd4, %globaltimer; mov.u32 %r4, "
      "%globaltimer_lo;\n"
      "sub.u32 %r5, %r3, %r1; sub.u64 %rd5, %rd3, %rd1; sub.u64 %rd6, %rd4, %rd2; sub.u32 %r6, %r4, %r2;\n"
      "cvt.u32.u64 %r7, %rd5; cvt.u32.u64 %r8, %rd6; mov.u32 %r10, %clock_hi; st.global.u32 [%d], %r5; "
      "st.global.u32 [%d+4], %r7; st.global.u32 [%d+8], %r8; st.global.u32 [%d+12], %r6; st.global.u32 "
      "[%d+16], %r10;";
  for (const Schedule schedule : {Schedule::lockstep, Schedule::serial}) {
    const Ran ran = run_kernel(module_with(body), {0, 0, 0, 0, 9}, {.schedule = schedule});
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_GT(ran.data[i], 0u) << i;
      EXPECT_LT(ran.data[i], 10000u) << i;
    }
    EXPECT_EQ(ran.data[4], 0u);
  }
}
TEST(Launch, AnEndlessLoopSpendsItsBudget) {
  const Ran ran =
      run_kernel(module_with("LOOP: add.u32 %r1, %r1, 1; bra LOOP;"), {1}, {.instruction_budget = 5000});
  ASSERT_TRUE(ran.trap);
  EXPECT_EQ(ran.trap->rule, Rule::budget);
}
TEST(Launch, TheTrapInstructionEndsTheRun) {
  const Ran ran = run_kernel(module_with("setp.eq.u32 %p1, %t, 7; @%p1 trap;"), {1}, {.block = {32, 1, 1}});
  ASSERT_TRUE(ran.trap);
  EXPECT_EQ(ran.trap->rule, Rule::trap_instruction);
  EXPECT_EQ(ran.trap->lanes, std::vector<uint32_t>{7});
  EXPECT_EQ(ran.trap->instruction, "@%p1 trap");
}
TEST(Launch, LanesOfAWarpCanWaitForEachOtherInALoop) {
  // A lock that each lane takes in turn: lockstep must let the holder go on.
  const std::string body =
      "AGAIN: atom.global.cas.b32 %r1, [%d], 0, 1; setp.ne.u32 %p1, %r1, 0; @%p1 bra AGAIN;\n"
      "ld.volatile.global.u32 %r2, [%d+4]; add.u32 %r2, %r2, 1; st.volatile.global.u32 [%d+4], %r2; "
      "membar.gl;\n"
      "atom.global.exch.b32 %r3, [%d], 0;";
  for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled}) {
    const Ran ran = run_kernel(module_with(body), {0, 0},
                               {.block = {64, 1, 1}, .schedule = schedule, .instruction_budget = 1u << 26});
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.data[1], 64u);
  }
}
TEST(Launch, BlocksCanWaitForEachOther) {
  const std::string body =
      "atom.global.add.u32 %r1, [%d], 1; SPIN: ld.volatile.global.u32 %r2, [%d]; setp.lt.u32 %p1, %r2, 8; "
      "@%p1 bra SPIN;";
  EXPECT_FALSE(run_kernel(module_with(body), {0}, {.grid = {8, 1, 1}, .instruction_budget = 1u << 26}).trap);
}
TEST(Launch, AtomicsAddUpOverHostThreads) {
  const std::string body = "atom.global.add.u32 %r1, [%d], 1; red.global.add.u32 [%d+4], 2;";
  for (int threads : {1, 2, 4}) {
    const Ran ran = run_kernel(module_with(body), {0, 0},
                               {.grid = {200, 1, 1}, .block = {64, 1, 1}, .host_threads = threads});
    EXPECT_EQ(ran.data, (std::vector<uint32_t>{12800, 25600}));
  }
}
TEST(Launch, ATrapOnAnotherHostThreadReachesTheCaller) {
  const std::string body = "mov.u32 %r1, %ctaid.x; setp.eq.u32 %p1, %r1, 150; @%p1 trap;";
  const Ran ran = run_kernel(module_with(body), {0}, {.grid = {200, 1, 1}, .host_threads = 3});
  ASSERT_TRUE(ran.trap);
  EXPECT_EQ(ran.trap->block.x, 150u);
}
TEST(Calls, PassParametersAndReturnThroughPointers) {
  const std::string before =
      ".func (.param .b32 result) twice(.param .b32 x) { .reg .b32 %a; ld.param.u32 %a, [x]; add.u32 %a, %a, "
      "%a; st.param.b32 [result], %a; ret; }\n"
      ".func (.param .b32 result) next(.param .b32 x) { .reg .b32 %a; ld.param.u32 %a, [x]; add.u32 %a, %a, "
      "1; st.param.b32 [result], %a; ret; }\n";
  const std::string body =
      "and.b32 %r1, %t, 1; setp.eq.u32 %p1, %r1, 0; mov.u64 %rd1, twice; mov.u64 %rd2, next; selp.b64 %rd3, "
      "%rd1, %rd2, %p1;\n"
      "{ .param .b32 p0; .param .b32 r0; st.param.b32 [p0], %t; proto: .callprototype (.param .b32 _) _ "
      "(.param .b32 _);\n"
      "call (r0), %rd3, (p0), proto; ld.param.b32 %r2, [r0]; }\n"
      "mul.wide.u32 %rd4, %t, 4; add.u64 %rd4, %d, %rd4; st.global.u32 [%rd4], %r2;";
  const Ran ran = run_kernel(module_with(body, before), std::vector<uint32_t>(32), {.block = {32, 1, 1}});
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data[6], 12u);
  EXPECT_EQ(ran.data[7], 8u);
}
TEST(Calls, ACallToNoFunctionTraps) {
  const std::string body = "proto: .callprototype _ (); call %d, (), proto;";
  const Ran ran = run_kernel(module_with(body), {1}, {});
  ASSERT_TRUE(ran.trap);
  EXPECT_EQ(ran.trap->rule, Rule::bad_call);
}
TEST(Calls, EndlessRecursionTraps) {
  const std::string before = ".func f() { call f; ret; }\n";
  const Ran ran = run_kernel(module_with("call f;", before), {1}, {});
  ASSERT_TRUE(ran.trap);
  EXPECT_EQ(ran.trap->rule, Rule::bad_call);
}
TEST(Counters, CountBytesAllAndDistinctAndInstructionsByForm) {
  const std::string body =
      "mul.wide.u32 %rd1, %t, 4; add.u64 %rd1, %d, %rd1; ld.global.u32 %r1, [%rd1]; ld.global.u32 %r2, [%d]; "
      "st.global.u32 [%rd1], %r2;";
  CountingObserver observer;
  Observer* const observers[] = {&observer};
  const Ran ran = run_kernel(module_with(body), std::vector<uint32_t>(32), {.block = {32, 1, 1}}, observers);
  ASSERT_FALSE(ran.trap);
  const Counters counters = observer.counters();
  EXPECT_EQ(counters.global_load_bytes, 256u);
  EXPECT_EQ(counters.distinct_global_load_bytes, 128u);
  EXPECT_EQ(counters.global_store_bytes, 128u);
  EXPECT_EQ(counters.buffers.at("data").distinct_loaded_bytes, 128u);
  EXPECT_EQ(counters.global_load_sectors, 5u);  // 128 bytes in a row, and one word
  EXPECT_EQ(counters.instructions.at("ld.u32"), 2u);
  EXPECT_EQ(counters.warp_instructions, ran.statistics.warp_instructions);
  EXPECT_EQ(counters.lane_instructions, ran.statistics.lane_instructions);
}

}  // namespace
}  // namespace attest::vm
