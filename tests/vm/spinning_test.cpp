// Tests when lanes that test an mbarrier in vain are stuck, and what is said of them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bulk_kernel.h"

namespace attest::vm {
namespace {

TEST(Spinning, WhoWaitsForWhatIsSaid) {
  for (const BulkShape& shape : kBulkSchedules) {
    BulkShape many = shape;
    many.threads = 64;
    const std::string text = text_of(
        "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared::cta.b64 [%bar], 65; $made: bar.sync "
        "0; "
        "mbarrier.arrive.shared::cta.b64 _, [%bar]; " +
            spin(),
        many);
    EXPECT_NE(text.find("warp 0 lanes 0-31 test the mbarrier at shared offset 32768 (1 of 65 arrivals and 0 "
                        "bytes to come) in vain; warp 1 lanes 0-31 test"),
              std::string::npos)
        << text;
  }
}

TEST(Spinning, BlockedLanesAreNamedToo) {
  for (const BulkShape& shape : kBulkSchedules) {
    BulkShape many = shape;
    many.threads = 64;
    const std::string text = text_of(
        "setp.ne.u32 %p1, %t, 0; @%p1 bra $made; mbarrier.init.shared::cta.b64 [%bar], 1; $made: bar.sync 0; "
        "setp.ge.u32 %p2, %t, 32; @%p2 bra $other; " +
            spin() + "bra $done; $other: bar.sync 1; $done: ",
        many);
    EXPECT_NE(text.find("in vain"), std::string::npos) << text;
    EXPECT_NE(text.find("warp 1 lanes 0-31 wait at line"), std::string::npos) << text;
  }
}

TEST(Spinning, ABoundedSpinIsNoDeadlock) {
  // The loop gives up by itself: its counter changes, so the lanes are not stuck.
  const std::string body =
      kMakeBarrier +
      "mov.u32 %r1, 0; $again: mbarrier.test_wait.parity.shared::cta.b64 %p1, [%bar], 0; "
      "add.u32 %r1, %r1, 1; setp.lt.u32 %p2, %r1, 5000; @%p2 bra $again; "
      "st.global.b32 [%out], %r1;";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, shape);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.out[0], 5000u);
  }
}

TEST(Spinning, AFlagInGlobalMemoryMayStillChange) {
  // Every lane tests a barrier in vain, but leaves the loop when another block has set a flag.
  const std::string body =
      kMakeBarrier +
      "setp.eq.u32 %p1, %rank, 1; @%p1 bra $other; $again: "
      "mbarrier.test_wait.parity.shared::cta.b64 %p2, [%bar], 0; ld.acquire.gpu.global.b32 %r1, "
      "[%out]; setp.eq.u32 %p3, %r1, 0; @%p3 bra $again; st.global.b32 [%out+4], %r1; bra $done; "
      "$other: mov.u32 %r2, 0; $count: add.u32 %r2, %r2, 1; setp.lt.u32 %p4, %r2, 3000; @%p4 bra "
      "$count; st.release.gpu.global.b32 [%out], 7; $done: ";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, in_cluster(shape, 2));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    EXPECT_EQ(ran.out[1], 7u);
  }
}

TEST(Spinning, ABlockOfAClusterIsNamed) {
  for (const BulkShape& shape : kBulkSchedules) {
    const std::string text =
        text_of(kMakeBarrier + "setp.eq.u32 %p1, %rank, 0; @%p1 bra $done; " + spin() + "$done: ",
                in_cluster(shape, 2));
    EXPECT_NE(text.find("block 1 of the cluster: warp 0 lanes 0 test the mbarrier"), std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace attest::vm
