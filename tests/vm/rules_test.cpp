// The rules R1 to R15 that kernels are held to: for each a kernel that breaks it, reported by that rule at
// that line, and its repaired twin, clean in every schedule.
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>

#include "rule_row.h"

namespace attest::vm {
namespace {

const Row kRows[] = {
    {"R1", "a load past the end", Rule::out_of_bounds, 1, 64, false, R"(
->ld.global.u32 %r1, [%w+3844];
+ ld.global.u32 %r1, [%w+3840];
st.global.u32 [%w], %r1;)"},
    {"R1", "a shared access to a global address", Rule::out_of_bounds, 1, 64, false, R"(
->st.shared.u32 [%w], %t;
+ st.global.u32 [%w], %t;)"},
    {"R1", "another block's shared memory without .shared::cluster", Rule::wrong_space, 2, 64, true, R"(
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %m, %r1;
st.shared.u32 [%m], %t;
barrier.cluster.arrive;
barrier.cluster.wait;
->ld.shared.u32 %r3, [%r2];
+ ld.shared::cluster.u32 %r3, [%r2];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R1", "shared memory of a block that has ended", Rule::use_after_free, 2, 64, true, R"(
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %m, %r1;
st.shared.u32 [%m], %t;
barrier.cluster.arrive;
barrier.cluster.wait;
>ld.shared::cluster.u32 %r3, [%r2];
+ barrier.cluster.arrive;
+ barrier.cluster.wait;)"},
    {"R2", "a vector that is not aligned", Rule::misaligned, 1, 32, false, R"(
->ld.global.v2.u32 {%r1, %r2}, [%w];
+ ld.global.u32 %r1, [%w];
+ ld.global.u32 %r2, [%w+4];)"},
    {"R2", "a matrix row that is not aligned", Rule::misaligned, 1, 32, false, R"(
mad.lo.u32 %r1, %t, 12, %m;
st.shared.v4.u32 [%r1], {%t, %t, %t, %t};
bar.warp.sync -1;
- add.u32 %r1, %r1, 8;
- min.u32 %r1, %r1, 488;
->ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];
+ ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];)"},
    {"R2", "a bulk copy from between two pieces of 16 bytes", Rule::misaligned, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 16;
->cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%d+8], 16, [%bar];
+ cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%d+16], 16, [%bar];
$spin:
mbarrier.try_wait.parity.shared.b64 %p1, [%bar], 0;
@!%p1 bra $spin;)"},
    {"R3", "shared memory that nobody wrote", Rule::uninitialised, 1, 64, false, R"(
- setp.lt.u32 %p1, %t, 63;
+ setp.lt.u32 %p1, %t, 64;
@%p1 st.shared.u32 [%m], %t;
bar.sync 0;
>ld.shared.u32 %r1, [%m];)"},
    {"R3", "half of a local array", Rule::uninitialised, 1, 32, false, R"(
.local .align 8 .b8 room[8];
mov.u64 %rd1, room;
st.local.u32 [%rd1], %t;
+ st.local.u32 [%rd1+4], %t;
>ld.local.u64 %rd2, [%rd1];)"},
    {"R4", "an exchange without a barrier", Rule::race, 1, 64, false, R"(
st.shared.u32 [%m], %t;
bar.sync 0;
>ld.shared.u32 %r1, [%n];
+ bar.sync 0;
st.shared.u32 [%m], %r1;)"},
    {"R4", "blocks that count without atomics", Rule::race, 2, 1, false, R"(
- ld.global.u32 %r1, [%d];
- add.u32 %r1, %r1, 1;
->st.global.u32 [%d], %r1;
+ red.global.add.u32 [%d], 1;)"},
    {"R5", "a copy that is read before it is waited for", Rule::uninitialised, 1, 64, false, R"(
cp.async.ca.shared.global [%m], [%w], 4;
cp.async.commit_group;
+ cp.async.wait_group 0;
>ld.shared.u32 %r1, [%m];)"},
    {"R5", "a wait for the wrong group", Rule::uninitialised, 1, 64, false, R"(
cp.async.ca.shared.global [%m], [%w], 4;
cp.async.commit_group;
cp.async.ca.shared.global [%m+256], [%w], 4;
cp.async.commit_group;
- cp.async.wait_group 2;
+ cp.async.wait_group 1;
>ld.shared.u32 %r1, [%m];
cp.async.wait_all;)"},
    {"R5", "a copy over what others still read", Rule::race, 1, 64, false, R"(
st.shared.u32 [%m], %t;
bar.sync 0;
ld.shared.u32 %r1, [%n];
+ bar.sync 0;
>cp.async.ca.shared.global [%m], [%w], 4;
cp.async.wait_all;)"},
    {"R5", "a bulk copy that is read before its mbarrier", Rule::uninitialised, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
st.shared.u32 [%s], %t;
fence.proxy.async.shared::cta;
mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 16;
cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%d], 16, [%bar];
->ld.shared.u32 %r1, [%s];
$spin:
mbarrier.try_wait.parity.shared.b64 %p1, [%bar], 0;
@!%p1 bra $spin;
+ ld.shared.u32 %r1, [%s];)"},
    {"R5", "a block that ends before its bulk copy", Rule::asynchronous, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 16;
>cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%d], 16, [%bar];
+ $spin:
+ mbarrier.try_wait.parity.shared.b64 %p1, [%bar], 0;
+ @!%p1 bra $spin;)"},
    {"R5", "a bulk store that is read before its wait", Rule::uninitialised, 1, 1, false, R"(
st.shared.v4.u32 [%s], {%t, %t, %t, %t};
fence.proxy.async.shared::cta;
cp.async.bulk.global.shared::cta.bulk_group [%d], [%s], 16;
cp.async.bulk.commit_group;
- cp.async.bulk.wait_group.read 0;
+ cp.async.bulk.wait_group 0;
>ld.global.u32 %r1, [%d];)"},
    {"R5", "a bulk store's source that is written again", Rule::race, 1, 1, false, R"(
st.shared.v4.u32 [%s], {%t, %t, %t, %t};
fence.proxy.async.shared::cta;
cp.async.bulk.global.shared::cta.bulk_group [%d], [%s], 16;
cp.async.bulk.commit_group;
+ cp.async.bulk.wait_group.read 0;
>st.shared.u32 [%s], 9;
cp.async.bulk.wait_group 0;)"},
    {"R6", "a bulk store of what was just written", Rule::race, 1, 1, false, R"(
st.shared.v4.u32 [%s], {%t, %t, %t, %t};
+ fence.proxy.async.shared::cta;
>cp.async.bulk.global.shared::cta.bulk_group [%d], [%s], 16;
cp.async.bulk.commit_group;
cp.async.bulk.wait_group 0;)"},
    {"R6", "a proxy fence for global memory, where shared was written", Rule::race, 1, 1, false, R"(
st.shared.v4.u32 [%s], {%t, %t, %t, %t};
- fence.proxy.async.global;
+ fence.proxy.async.shared::cluster;
>cp.async.bulk.global.shared::cta.bulk_group [%d], [%s], 16;
cp.async.bulk.commit_group;
cp.async.bulk.wait_group 0;)"},
    {"R6", "a proxy fence for shared memory, where global was written", Rule::race, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
st.global.v4.u32 [%d], {%t, %t, %t, %t};
- fence.proxy.async.shared::cta;
+ fence.proxy.async;
mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 16;
>cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%d], 16, [%bar];
$spin:
mbarrier.try_wait.parity.shared.b64 %p1, [%bar], 0;
@!%p1 bra $spin;)"},
    {"R6", "a proxy fence of only one of those that wrote", Rule::race, 1, 64, false, R"(
setp.eq.u32 %p1, %t, 0;
st.shared.u32 [%m], %t;
- @%p1 fence.proxy.async.shared::cta;
+ fence.proxy.async.shared::cta;
bar.sync 0;
>@%p1 cp.async.bulk.global.shared::cta.bulk_group [%d], [%s], 256;
@%p1 cp.async.bulk.commit_group;
@%p1 cp.async.bulk.wait_group 0;)"},
    {"R6", "a matrix for wgmma that was just written", Rule::race, 1, 128, false, R"(
st.shared.u32 [%m], 0;
+ fence.proxy.async.shared::cta;
bar.sync 0;
setp.eq.u32 %p1, %t, %t; mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;
wgmma.fence.sync.aligned;
>wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %desc, %desc, %p1, 1, 1, 0, 0;
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;)"},
    {"R7", "an accumulator that is read before its wait", Rule::asynchronous, 1, 128, false, R"(
st.shared.u32 [%m], 0;
fence.proxy.async.shared::cta;
bar.sync 0;
setp.eq.u32 %p1, %t, %t; mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;
wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %desc, %desc, %p1, 1, 1, 0, 0;
wgmma.commit_group.sync.aligned;
+ wgmma.wait_group.sync.aligned 0;
>add.f32 %f0, %f0, %f1;
- wgmma.wait_group.sync.aligned 0;)"},
    {"R7", "an accumulator that is written without a fence", Rule::asynchronous, 1, 128, false, R"(
st.shared.u32 [%m], 0;
fence.proxy.async.shared::cta;
bar.sync 0;
setp.eq.u32 %p1, %t, %t; mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;
+ wgmma.fence.sync.aligned;
>wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f0, %f1, %f2, %f3}, %desc, %desc, %p1, 1, 1, 0, 0;
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;)"},
    {"R8", "an mbarrier that was not made", Rule::asynchronous, 1, 32, false, R"(
setp.ne.u32 %p1, %t, 0;
+ @!%p1 mbarrier.init.shared.b64 [%bar], 32;
- @!%p1 st.shared.u64 [%bar], 32;
bar.sync 0;
>mbarrier.arrive.shared.b64 _, [%bar];)"},
    {"R8", "more arrivals than the mbarrier awaits", Rule::asynchronous, 1, 32, false, R"(
setp.ne.u32 %p1, %t, 0;
- @!%p1 mbarrier.init.shared.b64 [%bar], 33;
+ @!%p1 mbarrier.init.shared.b64 [%bar], 64;
bar.sync 0;
>mbarrier.arrive.shared.b64 %rd1, [%bar], 2;)"},
    {"R8", "an mbarrier that is made twice", Rule::asynchronous, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
mbarrier.arrive.shared.b64 _, [%bar];
+ mbarrier.inval.shared.b64 [%bar];
>mbarrier.init.shared.b64 [%bar], 1;)"},
    {"R8", "more bytes than the mbarrier awaits", Rule::asynchronous, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
- mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%bar], 16;
+ mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%bar], 32;
mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%bar], 32;
>mbarrier.arrive.shared.b64 _, [%bar];)"},
    {"R9", "lanes of a warp at different barriers", Rule::divergent_barrier, 1, 64, false, R"(
setp.lt.u32 %p1, %t, 16;
- @%p1 bra $low;
bar.sync 0;
- bra $on;
$low:
->bar.sync 0;
$on:)"},
    {"R9", "warps that do not agree on a count", Rule::barrier_count, 1, 64, false, R"(
setp.lt.u32 %p1, %t, 32;
- selp.u32 %r1, 64, 32, %p1;
+ mov.u32 %r1, 64;
>bar.sync 1, %r1;)"},
    {"R9", "two arrivals at the cluster barrier", Rule::barrier_count, 2, 64, true, R"(
barrier.cluster.arrive;
+ barrier.cluster.wait;
>barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R9", "a cluster wait without an arrival", Rule::barrier_count, 2, 64, true, R"(
+ barrier.cluster.arrive;
>barrier.cluster.wait;)"},
    {"R10", "an aligned barrier in divergent code", Rule::divergent_barrier, 1, 32, false, R"(
setp.lt.u32 %p1, %t, 16;
@%p1 bra $low;
- barrier.sync.aligned 0;
+ barrier.sync 0;
bra $on;
$low:
->barrier.sync.aligned 0;
+ barrier.sync 0;
$on:)"},
    {"R10", "an aligned cluster barrier in divergent code", Rule::divergent_barrier, 2, 32, true, R"(
setp.lt.u32 %p1, %t, 16;
@%p1 bra $low;
- barrier.cluster.arrive.aligned;
+ barrier.cluster.arrive;
bra $on;
$low:
->barrier.cluster.arrive.aligned;
+ barrier.cluster.arrive;
$on:
barrier.cluster.wait;)"},
    {"R10", "a matrix load in both branches", Rule::divergent_barrier, 1, 32, false, R"(
mad.lo.u32 %r1, %t, 12, %m;
st.shared.v4.u32 [%r1], {%t, %t, %t, %t};
bar.warp.sync -1;
setp.lt.u32 %p1, %t, 16;
- @%p1 bra $low;
->ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];
- bra $on;
$low:
->ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];
+ ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r2, %r3, %r4, %r5}, [%r1];
$on:)"},
    {"R12", "a barrier that half of the block misses", Rule::deadlock, 1, 64, false, R"(
setp.lt.u32 %p1, %t, 32;
- @%p1 bra $on;
>bar.sync 1, 64;
$on:)"},
    {"R12", "two warps that wait for each other", Rule::deadlock, 1, 64, false, R"(
setp.lt.u32 %p1, %t, 32;
@%p1 bra $first;
bar.sync 1, 64;
bar.sync 2, 64;
bra $on;
$first:
->bar.sync 2, 64;
- bar.sync 1, 64;
+ bar.sync 1, 64;
+ bar.sync 2, 64;
$on:)"},
    {"R12", "a block that does not come to the cluster barrier", Rule::deadlock, 2, 32, true, R"(
setp.eq.u32 %p1, %b, 1;
- @%p1 bra $other;
barrier.cluster.arrive;
>barrier.cluster.wait;
bra $on;
$other:
- bar.sync 1, 64;
$on:)"},
    {"R12", "everybody spins on an mbarrier", Rule::deadlock, 1, 64, false, R"(
setp.ne.u32 %p1, %t, 0;
- @!%p1 mbarrier.init.shared.b64 [%bar], 65;
+ @!%p1 mbarrier.init.shared.b64 [%bar], 64;
bar.sync 0;
mbarrier.arrive.shared.b64 _, [%bar];
$spin:
>mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 0;
@!%p2 bra $spin;)"},
    {"R12", "everybody spins on a flag", Rule::deadlock, 2, 32, false, R"(
setp.eq.u32 %p1, %b, 0;
+ @%p1 st.relaxed.gpu.global.u32 [%d], 1;
$spin:
>ld.relaxed.gpu.global.u32 %r1, [%d];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $spin;)"},
    {"R13", "a store to a read-only buffer", Rule::permission, 1, 32, false, R"(
ld.global.u32 %r1, [%c];
->st.global.u32 [%c], %r1;
+ st.global.u32 [%w], %r1;)"},
    {"R14", "a non-coherent load of what the kernel writes", Rule::race, 1, 32, false, R"(
st.global.u32 [%w], %t;
->ld.global.nc.u32 %r1, [%w];
+ ld.global.u32 %r1, [%w];)"},
    {"R15", "a loop without an end", Rule::budget, 1, 32, false, R"(
mov.u32 %r1, 0;
$loop:
>add.u32 %r1, %r1, 1;
->setp.ne.u32 %p1, %r1, 0x7FFFFFFF;
+ setp.ne.u32 %p1, %r1, 1000;
>@%p1 bra $loop;)"},
};

TEST(VmRules, ABrokenKernelIsReportedByItsRuleAtItsLine) {
  std::set<std::string> rules;
  for (const Row& row : kRows) {
    rules.insert(row.rule);
    expect_reported(row);
  }
  // R11 is below.
  for (const char* rule :
       {"R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R12", "R13", "R14", "R15"})
    EXPECT_TRUE(rules.count(rule)) << rule << " has no row";
}

TEST(VmRules, ItsRepairedTwinIsCleanInEverySchedule) {
  for (const Row& row : kRows) expect_clean(row);
}

// R11: what a block may have, and what the launch gave it.
TEST(VmRules, SharedMemoryBeyondTheLaunchIsReported) {
  const Program program = Program::parse(
      ".version 8.0\n.target sm_90\n.address_size 64\n.extern .shared .align 16 .b8 room[];\n"
      ".visible .entry k() {\n.reg .b32 %r<2>;\nmov.u32 %r1, room;\nst.shared.u32 [%r1+60], %r1;\nret;\n}\n");
  const auto run = [&](uint64_t bytes) {
    Machine machine;
    machine.launch(program, "k", {.dynamic_shared_bytes = bytes}, {});
  };
  EXPECT_THROW(run(227 * 1024 + 16), std::invalid_argument);
  EXPECT_NO_THROW(run(227 * 1024));
  EXPECT_NO_THROW(run(64));
  try {
    run(63);
    ADD_FAILURE() << "63 bytes were enough for 64";
  } catch (const Trap& trap) {
    EXPECT_EQ(trap.rule, Rule::out_of_bounds);
    EXPECT_EQ(trap.ptx_line, 8);
  }
}

}  // namespace
}  // namespace attest::vm
