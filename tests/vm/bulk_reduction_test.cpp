// Tests what bulk reductions do to elements, against results worked out by hand.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bulk_kernel.h"

namespace attest::vm {
namespace {

struct Reduced {
  const char* form;
  uint32_t before[4], with[4], after[4];
};
// Worked out by hand.
const Reduced kReduced[] = {
    {"add.u32", {1, 0xffffffff, 5, 7}, {2, 1, 0, 100}, {3, 0, 5, 107}},
    {"add.u64", {0xffffffff, 0, 1, 0}, {1, 0, 0, 1}, {0, 1, 1, 1}},
    {"min.u32", {1, 0xffffffff, 5, 7}, {2, 1, 0, 7}, {1, 1, 0, 7}},
    {"max.u32", {1, 0xffffffff, 5, 7}, {2, 1, 0, 7}, {2, 0xffffffff, 5, 7}},
    {"min.s32", {1, 0xffffffff, 5, 7}, {2, 1, 0, 7}, {1, 0xffffffff, 0, 7}},
    {"max.s32", {1, 0xffffffff, 5, 7}, {2, 1, 0, 7}, {2, 1, 5, 7}},
    {"min.s64", {0, 0xffffffff, 9, 0}, {1, 0, 8, 0}, {0, 0xffffffff, 8, 0}},
    {"max.u64", {0, 0xffffffff, 9, 0}, {1, 0, 8, 0}, {0, 0xffffffff, 9, 0}},
    {"inc.u32", {3, 4, 5, 0}, {4, 4, 4, 4}, {4, 0, 0, 1}},
    {"dec.u32", {3, 0, 5, 4}, {4, 4, 4, 4}, {2, 4, 4, 3}},
    {"and.b32", {12, 10, 0xff, 1}, {10, 12, 0x0f, 2}, {8, 8, 0x0f, 0}},
    {"or.b32", {12, 10, 0xf0, 1}, {10, 12, 0x0f, 2}, {14, 14, 0xff, 3}},
    {"xor.b64", {12, 10, 0xf0, 1}, {10, 12, 0x0f, 2}, {6, 6, 0xff, 3}},
    // 1.5 + 0.25, -2 + 2, 2^-149 flushed + 1, inf - inf
    {"add.f32",
     {0x3fc00000, 0xc0000000, 1, 0x7f800000},
     {0x3e800000, 0x40000000, 0x3f800000, 0xff800000},
     {0x3fe00000, 0, 0x3f800000, 0x7fffffff}},
    // halves: 1 + 1, 2048 + 1 (a tie to even), 65504 + 65504, 0.5 - 0.25
    {"add.noftz.f16",
     {0x68003c00, 0x38007bff, 0, 0},
     {0x3c003c00, 0xb4007bff, 0, 0},
     {0x68004000, 0x34007c00, 0, 0}},
    // bfloats: 1 + 1, 256 + 1 (a tie to even), 1 + 2^-7, 3 - 1
    {"add.noftz.bf16",
     {0x43803f80, 0x40403f80, 0, 0},
     {0x3f803f80, 0xbf803c00, 0, 0},
     {0x43804000, 0x40003f81, 0, 0}},
    // min(1, -2), min(NaN, 3), max not taken: min(-0, 0)
    {"min.f16",
     {0x7e003c00, 0x00008000, 0, 0},
     {0x4200c000, 0x00000000, 0, 0},
     {0x4200c000, 0x00008000, 0, 0}},
    {"max.bf16", {0x7fc03f80, 0x00008000, 0, 0}, {0x4040c000, 0x00000000, 0, 0}, {0x40403f80, 0, 0, 0}},
};

TEST(BulkReduce, IntoGlobalMemory) {
  for (const Reduced& row : kReduced) {
    for (const BulkShape& shape : kBulkSchedules) {
      std::string body;
      for (uint32_t i = 0; i < 4; ++i)
        body += "st.shared.b32 [%s+" + std::to_string(4 * i) + "], " + std::to_string(row.with[i]) + "; ";
      body += "cp.reduce.async.bulk.global.shared::cta.bulk_group." + std::string(row.form) +
              " [%out], [%s], 16; cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
      const BulkRan ran = run_bulk(body, shape, {}, {row.before, row.before + 4});
      ASSERT_FALSE(ran.trap) << row.form << ran.trap->what();
      for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(ran.out[i], row.after[i]) << row.form << " word " << i;
    }
  }
}

TEST(BulkReduce, ManyBlocksAddToTheSameWords) {
  const std::string body = fill_tile(64) +
                           "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [%s], 64; "
                           "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
  for (const BulkShape& shape : kBulkSchedules) {
    const BulkRan ran = run_bulk(body, in_cluster(shape, 4));
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(ran.out[i], 4 * (5000 + i));
    BulkShape wide = shape;
    wide.clusters = 24;
    wide.host_threads = 3;
    const BulkRan many = run_bulk(body, wide);
    ASSERT_FALSE(many.trap) << many.trap->what();
    for (uint32_t i = 0; i < 16; ++i) EXPECT_EQ(many.out[i], 24 * (5000 + i));
  }
}

TEST(BulkStore, BlocksOnSeveralHostThreads) {
  // Each of 24 blocks stores its 64 bytes; only the reads are waited for.
  const std::string body = fill_tile(64) +
                           "mov.u32 %r1, %ctaid.x; mul.lo.u32 %r2, %r1, 64; cvt.u64.u32 %rd1, %r2; add.u64 "
                           "%rd1, %rd1, %out; st.shared.b32 [%s], %r1; fence.proxy.async.shared::cta; "
                           "cp.async.bulk.global.shared::cta.bulk_group [%rd1], [%s], 64; "
                           "cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;";
  for (const BulkShape& shape : kBulkSchedules) {
    BulkShape wide = shape;
    wide.clusters = 24;
    wide.host_threads = 3;
    const BulkRan ran = run_bulk(body, wide);
    ASSERT_FALSE(ran.trap) << ran.trap->what();
    for (uint32_t block = 0; block < 24; ++block) {
      EXPECT_EQ(ran.out[16 * block], block);
      EXPECT_EQ(ran.out[16 * block + 15], 5015u);
    }
  }
}

}  // namespace
}  // namespace attest::vm
