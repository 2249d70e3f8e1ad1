// Rules of asynchronous operations, of clusters and of order, each of which was not kept once: a kernel that
// breaks it, and its repaired twin.
#include <gtest/gtest.h>

#include "rule_row.h"

namespace attest::vm {
namespace {

const Row kRows[] = {
    {"R4", "bytes of an mbarrier that are taken for a release", Rule::race, 1, 64, false, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $made;
- mbarrier.init.shared.b64 [%bar], 1;
+ mbarrier.init.shared.b64 [%bar], 2;
mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%bar], 8;
$made:
bar.sync 0;
setp.ne.u32 %p2, %t, 32;
@%p2 bra $read;
st.shared.u32 [%s], %t;
mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%bar], 8;
+ mbarrier.arrive.shared.b64 _, [%bar];
$read:
@%p1 bra $done;
mbarrier.arrive.shared.b64 _, [%bar];
$spin:
mbarrier.try_wait.parity.shared.b64 %p3, [%bar], 0;
@!%p3 bra $spin;
>ld.shared.u32 %r1, [%s];
$done:)"},
    {"R4", "an mbarrier that ends while others may still test it", Rule::race, 1, 64, false, R"(
setp.ne.u32 %p1, %t, 0;
@!%p1 mbarrier.init.shared.b64 [%bar], 2;
bar.sync 0;
and.b32 %r1, %t, 31;
setp.ne.u32 %p2, %r1, 0;
@%p2 bra $done;
mbarrier.arrive.shared.b64 _, [%bar];
$spin:
mbarrier.try_wait.parity.shared.b64 %p3, [%bar], 0;
@!%p3 bra $spin;
$done:
+ bar.sync 0;
mov.u32 %r2, 0;
$delay:
add.u32 %r2, %r2, 1;
setp.lt.u32 %p4, %r2, 3000;
@%p4 bra $delay;
>@!%p1 mbarrier.inval.shared.b64 [%bar];)"},
    {"R8", "an mbarrier that ends before a copy that completes on it", Rule::asynchronous, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 16;
>cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%s], [%d], 16, [%bar];
+ $spin:
+ mbarrier.try_wait.parity.shared.b64 %p1, [%bar], 0;
+ @!%p1 bra $spin;
>mbarrier.inval.shared.b64 [%bar];)"},
    {"R8", "more arrivals that leave an mbarrier than it expects", Rule::asynchronous, 1, 1, false, R"(
mbarrier.init.shared.b64 [%bar], 1;
cp.async.mbarrier.arrive.shared.b64 [%bar];
->mbarrier.arrive_drop.shared.b64 _, [%bar], 2;
+ mbarrier.arrive_drop.shared.b64 _, [%bar], 1;)"},
    {"R1", "copies that arrive on another block's mbarrier", Rule::wrong_space, 2, 1, true, R"(
mbarrier.init.shared.b64 [%bar], 1;
barrier.cluster.arrive;
barrier.cluster.wait;
cvt.u64.u32 %rd1, %bar;
cvta.shared.u64 %rd1, %rd1;
- xor.b32 %r1, %b, 1;
- mapa.u64 %rd1, %rd1, %r1;
>cp.async.mbarrier.arrive.noinc.b64 [%rd1];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "a relaxed cluster arrival without a fence", Rule::race, 2, 64, true, R"(
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %n, %r1;
>st.shared.u32 [%m], %t;
+ fence.acq_rel.cluster;
barrier.cluster.arrive.relaxed;
barrier.cluster.wait;
>ld.shared::cluster.u32 %r3, [%r2];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "a fence of the block before a relaxed cluster arrival", Rule::race, 2, 64, true, R"(
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %n, %r1;
>st.shared.u32 [%m], %t;
- fence.sc.cta;
+ fence.sc.gpu;
barrier.cluster.arrive.relaxed.aligned;
barrier.cluster.wait.acquire.aligned;
>ld.shared::cluster.u32 %r3, [%r2];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "a relaxed cluster arrival without even a fence of the block", Rule::race, 2, 64, true, R"(
>st.shared.u32 [%m], %t;
+ fence.acq_rel.cta;
barrier.cluster.arrive.relaxed;
barrier.cluster.wait;
>ld.shared.u32 %r3, [%n];)"},
    {"R4", "a store between the fence and a relaxed cluster arrival", Rule::race, 2, 64, true, R"(
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %n, %r1;
- fence.acq_rel.sys;
>st.shared.u32 [%m], %t;
+ fence.acq_rel.sys;
barrier.cluster.arrive.relaxed;
barrier.cluster.wait;
>ld.shared::cluster.u32 %r3, [%r2];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "a fence of one thread for the stores of all", Rule::race, 2, 64, true, R"(
setp.eq.u32 %p1, %t, 0;
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %n, %r1;
>st.shared.u32 [%m], %t;
+ bar.sync 0;
@%p1 fence.acq_rel.cluster;
barrier.cluster.arrive.relaxed;
barrier.cluster.wait;
>ld.shared::cluster.u32 %r3, [%r2];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "an mbarrier for the cluster without its fence", Rule::race, 2, 32, true, R"(
setp.ne.u32 %p1, %t, 0;
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %bar, %r1;
>@!%p1 mbarrier.init.shared.b64 [%bar], 32;
+ @!%p1 fence.mbarrier_init.release.cluster;
barrier.cluster.arrive.relaxed;
barrier.cluster.wait;
>mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r2];
$spin:
mbarrier.try_wait.parity.acquire.cluster.shared.b64 %p2, [%bar], 0;
@!%p2 bra $spin;
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "data that are fenced as if they were mbarriers", Rule::race, 2, 64, true, R"(
setp.ne.u32 %p1, %t, 0;
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %n, %r1;
@!%p1 mbarrier.init.shared.b64 [%bar], 32;
>st.shared.u32 [%m], %t;
- fence.mbarrier_init.release.cluster;
+ fence.acq_rel.cluster;
barrier.cluster.arrive.relaxed;
barrier.cluster.wait;
>ld.shared::cluster.u32 %r3, [%r2];
barrier.cluster.arrive;
barrier.cluster.wait;)"},
    {"R4", "a release for a cluster of one block, read by another block", Rule::race, 2, 1, false, R"(
setp.ne.u32 %p1, %b, 0;
@%p1 bra $read;
>st.global.u32 [%d+64], 7;
->st.release.cluster.global.u32 [%d], 1;
+ st.release.gpu.global.u32 [%d], 1;
bra $done;
$read:
ld.acquire.gpu.global.u32 %r1, [%d];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $read;
>ld.global.u32 %r2, [%d+64];
$done:)"},
    {"R4", "a fence for a cluster of one block before a flag is set", Rule::race, 2, 1, false, R"(
setp.ne.u32 %p1, %b, 0;
@%p1 bra $read;
>st.global.u32 [%d+64], 7;
- fence.acq_rel.cluster;
+ fence.acq_rel.gpu;
st.relaxed.gpu.global.u32 [%d], 1;
bra $done;
$read:
ld.acquire.gpu.global.u32 %r1, [%d];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $read;
>ld.global.u32 %r2, [%d+64];
$done:)"},
    {"R4", "a fence that only acquires before a flag is set", Rule::race, 2, 1, false, R"(
setp.ne.u32 %p1, %b, 0;
@%p1 bra $read;
>st.global.u32 [%d+64], 7;
- fence.proxy.tensormap::generic.acquire.gpu [%d], 128;
+ fence.acq_rel.gpu;
st.relaxed.gpu.global.u32 [%d], 1;
bra $done;
$read:
ld.relaxed.gpu.global.u32 %r1, [%d];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $read;
fence.acq_rel.gpu;
>ld.global.u32 %r2, [%d+64];
$done:)"},
};

TEST(VmAsyncRules, ABrokenKernelIsReportedByItsRuleAtItsLine) {
  for (const Row& row : kRows) expect_reported(row);
}

TEST(VmAsyncRules, ItsRepairedTwinIsCleanInEverySchedule) {
  for (const Row& row : kRows) expect_clean(row);
}

}  // namespace
}  // namespace attest::vm
