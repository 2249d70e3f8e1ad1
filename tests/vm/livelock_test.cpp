// Tests that loops which can never end are found in every schedule, and that those which wait for something
// that comes are left alone.
#include <gtest/gtest.h>

#include <string>

#include "bulk_kernel.h"

namespace attest::vm {
namespace {

// %r9 is the block, %p0 holds in the last one. The line with '+' is only in the twin that ends.
struct Row {
  const char* name;
  uint32_t threads, blocks;
  const char* text;
};
const Row kRows[] = {
    {"a flag that the last block sets", 32, 7, R"(
@%p0 bra $set;
$spin:
ld.acquire.gpu.global.b32 %r1, [%out];
setp.eq.u32 %p1, %r1, 0;
@%p1 bra $spin;
bra $done;
$set:
+ st.release.gpu.global.b32 [%out], 1;
$done:)"},
    {"two blocks that wait for each other", 64, 2, R"(
mul.wide.u32 %rd1, %r9, 4;
add.u64 %rd1, %rd1, %out;
sub.u64 %rd2, %rd1, %out;
sub.u64 %rd2, %out, %rd2;
add.u64 %rd2, %rd2, 4;
+ @%p0 st.release.gpu.global.b32 [%rd1], 1;
$spin:
ld.acquire.gpu.global.b32 %r1, [%rd2];
setp.eq.u32 %p1, %r1, 0;
@%p1 nanosleep.u32 20;
@%p1 bra $spin;
st.release.gpu.global.b32 [%rd1], 1;)"},
    {"a warp at a barrier that another one keeps from it", 64, 4, R"(
setp.ne.u32 %p1, %t, 0;
@!%p1 st.shared.b32 [%s], 0;
bar.sync 0;
setp.ge.u32 %p1, %t, 32;
@%p1 bra $other;
$spin:
ld.volatile.shared.b32 %r1, [%s];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $spin;
bra $meet;
$other:
+ st.volatile.shared.b32 [%s], 1;
$meet:
bar.sync 0;)"},
    {"a lane that waits for another one of its warp", 32, 5, R"(
st.shared.b32 [%s], 0;
bar.warp.sync -1;
setp.eq.u32 %p1, %t, 5;
@%p1 bra $set;
$spin:
ld.volatile.shared.b32 %r1, [%s];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $spin;
bra $done;
$set:
+ st.volatile.shared.b32 [%s], 1;
$done:)"},
    {"a thread that polls for its block and tells it through shared memory", 64, 3, R"(
+ @%p0 st.release.gpu.global.b32 [%out], 1;
setp.ne.u32 %p1, %t, 0;
$spin:
@%p1 bra $told;
ld.acquire.gpu.global.b32 %r1, [%out];
st.shared.b32 [%s], %r1;
$told:
bar.sync 0;
ld.shared.b32 %r2, [%s];
bar.sync 0;
setp.eq.u32 %p2, %r2, 0;
@%p2 bra $spin;)"},
    {"a flag that is spilled to local memory", 32, 3, R"(
.local .align 4 .b8 room[4];
+ @%p0 st.release.gpu.global.b32 [%out], 1;
$spin:
ld.acquire.gpu.global.b32 %r1, [%out];
st.local.b32 [room], %r1;
ld.local.b32 %r2, [room];
setp.eq.u32 %p2, %r2, 0;
@%p2 bra $spin;)"},
    {"a lock that nobody gives back", 32, 5, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $done;
$spin:
atom.acquire.gpu.global.cas.b32 %r1, [%out], 0, 1;
setp.ne.u32 %p2, %r1, 0;
@%p2 bra $spin;
+ atom.release.gpu.global.exch.b32 %r2, [%out], 0;
$done:)"},
    {"a counter that an addition of nothing reads", 32, 4, R"(
+ @%p0 red.release.gpu.global.add.u32 [%out], 1;
$spin:
atom.acquire.gpu.global.add.u32 %r1, [%out], 0;
setp.eq.u32 %p1, %r1, 0;
@%p1 bra $spin;)"},
    {"an mbarrier or a flag", 1, 4, R"(
mbarrier.init.shared::cta.b64 [%bar], 1;
+ @%p0 st.release.gpu.global.b32 [%out], 1;
$spin:
mbarrier.test_wait.parity.shared::cta.b64 %p1, [%bar], 0;
ld.acquire.gpu.global.b32 %r1, [%out];
setp.eq.u32 %p2, %r1, 0;
@!%p1 bra $look;
bra $done;
$look:
@%p2 bra $spin;
$done:)"},
};

std::string body_of(const Row& row, bool ends) {
  std::string body =
      "mov.u32 %r9, %ctaid.x; setp.eq.u32 %p0, %r9, " + std::to_string(row.blocks - 1) + ";" + row.text;
  for (size_t at; (at = body.find("\n+")) != std::string::npos;) {
    if (ends)
      body[at + 1] = ' ';
    else
      body.erase(at + 1, body.find('\n', at + 1) - at - 1);
  }
  return body;
}

template <class F>
void in_every_order(const Row& row, F f) {
  for (BulkShape shape : kBulkSchedules) {
    if (shape.seed > 1) continue;
    for (const int host_threads : {1, 2}) {
      shape.threads = row.threads;
      shape.clusters = row.blocks;
      shape.host_threads = host_threads;
      shape.budget = uint64_t{1} << 34;  // minutes: who spends it has not been found
      SCOPED_TRACE(std::string(row.name) + ", schedule " + std::to_string(static_cast<int>(shape.schedule)) +
                   ", seed " + std::to_string(shape.seed) + ", host threads " + std::to_string(host_threads));
      f(shape);
    }
  }
}

TEST(Livelock, ALoopThatCanNeverEndIsReportedInEverySchedule) {
  for (const Row& row : kRows) {
    in_every_order(row, [&](const BulkShape& shape) {
      const BulkRan ran = run_bulk(body_of(row, false), shape);
      ASSERT_TRUE(ran.trap);
      EXPECT_EQ(ran.trap->rule, Rule::deadlock) << ran.trap->what();
      EXPECT_NE(ran.trap->message.find("livelock: whoever runs only spins"), std::string::npos)
          << ran.trap->what();
      EXPECT_TRUE(ran.trap->instruction.starts_with("ld.") ||
                  ran.trap->instruction.starts_with("mbarrier.") ||
                  ran.trap->instruction.starts_with("atom."))
          << ran.trap->what();
    });
  }
}

TEST(Livelock, ALoopThatWaitsForWhatComesEndsInEverySchedule) {
  for (const Row& row : kRows) {
    in_every_order(row, [&](const BulkShape& shape) {
      const BulkRan ran = run_bulk(body_of(row, true), shape);
      EXPECT_FALSE(ran.trap) << ran.trap->what();
    });
  }
}

TEST(Livelock, WhoComputesForLongBeforeItSetsAFlagIsWaitedFor) {
  // Nothing in memory changes for several times as many instructions as make the watch look closely.
  const std::string body =
      "mov.u32 %r9, %ctaid.x; setp.ne.u32 %p0, %r9, 0; @%p0 bra $spin; mov.u32 %r2, 0; $count: add.u32 %r2, "
      "%r2, 1; setp.lt.u32 %p1, %r2, 400000; @%p1 bra $count; st.release.gpu.global.b32 [%out], 7; bra "
      "$done; "
      "$spin: ld.acquire.gpu.global.b32 %r1, [%out]; setp.eq.u32 %p2, %r1, 0; @%p2 bra $spin; "
      "st.global.b32 [%out+4], %r1; $done:";
  in_every_order({"a long count", 1, 2, ""}, [&](const BulkShape& shape) {
    const BulkRan ran = run_bulk(body, shape);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.out[1], 7u);
  });
}

}  // namespace
}  // namespace attest::vm
