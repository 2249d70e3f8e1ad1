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
};

TEST(VmAsyncRules, ABrokenKernelIsReportedByItsRuleAtItsLine) {
  for (const Row& row : kRows) expect_reported(row);
}

TEST(VmAsyncRules, ItsRepairedTwinIsCleanInEverySchedule) {
  for (const Row& row : kRows) expect_clean(row);
}

}  // namespace
}  // namespace attest::vm
