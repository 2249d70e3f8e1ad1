// What CountingObserver counts of asynchronous operations, matrix instructions and barriers; plain accesses
// are in machine_test.cpp.
#include "jit/vm/counters.h"

#include <gtest/gtest.h>

#include <array>

#include "jit/vm/machine.h"

namespace attest::vm {
namespace {

// One block of `threads`; %g is a buffer of 4096 zero bytes, %s the shared address of a tile of 2048.
Counters count(const std::string& body, uint32_t threads) {
  const std::string text =
      ".version 8.4\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 p)\n{\n"
      ".reg .b32 %t, %s, %bar, %a<8>, %d<8>; .reg .b64 %g, %x; .reg .pred %p, %q;\n"
      ".shared .align 1024 .b8 tile[2048];\n.shared .align 8 .b8 barriers[16];\n"
      "ld.param.u64 %g, [p];\nmov.u32 %t, %tid.x;\nmov.u32 %s, tile;\nmov.u32 %bar, barriers;\n"
      "setp.eq.u32 %p, %t, 0;\n" +
      body + "ret;\n}\n";
  const Program program = Program::parse(text);
  Machine machine;
  const uint64_t buffer = machine.memory().allocate(4096, "data");
  machine.memory().write(buffer, std::vector<std::byte>(4096));
  CountingObserver observer;
  Observer* const observers[] = {&observer};
  LaunchOptions options;
  options.block.x = threads;
  machine.launch(program, "k", options, std::as_bytes(std::span(&buffer, 1)), observers);
  return observer.counters();
}

TEST(Counters, BulkCopiesAreTheBytesThatTheyMove) {
  const Counters counters = count(R"(
mbarrier.init.shared.b64 [%bar], 1;
mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 208;
cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%g+16], 128, [%bar];
cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s+128], [%g+96], 80, [%bar];
$wait: mbarrier.try_wait.parity.shared.b64 %q, [%bar], 0;
@!%q bra $wait;
fence.proxy.async;
cp.async.bulk.global.shared::cta.bulk_group [%g+1024], [%s], 64;
cp.async.bulk.commit_group;
cp.async.bulk.wait_group 0;
)",
                                  1);
  EXPECT_EQ(counters.global_load_bytes, 208u);
  EXPECT_EQ(counters.distinct_global_load_bytes, 160u);  // bytes 16 to 175
  EXPECT_EQ(counters.global_load_accesses, 2u);
  EXPECT_EQ(counters.global_load_sectors, 5u + 3u);  // bytes 16 to 143, 96 to 175
  EXPECT_EQ(counters.global_store_bytes, 64u);
  EXPECT_EQ(counters.global_store_sectors, 2u);
  EXPECT_EQ(counters.buffers.at("data").distinct_stored_bytes, 64u);
  EXPECT_GE(counters.shared_store_bytes, 208u);  // and the barrier's own
  EXPECT_GE(counters.shared_load_bytes, 64u);
}

TEST(Counters, MatrixInstructionsAreTwoOperationsAProduct) {
  const std::string zeros =
      "mov.b32 %a0, 0; mov.b32 %a1, 0; mov.b32 %a2, 0; mov.b32 %a3, 0;\n"
      "mov.b32 %d0, 0; mov.b32 %d1, 0; mov.b32 %d2, 0; mov.b32 %d3, 0;\n";
  EXPECT_EQ(count(zeros + "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%d0, %d1, %d2, %d3}, "
                          "{%a0, %a1, %a2, %a3}, {%a0, %a1}, {%d0, %d1, %d2, %d3};\n",
                  64)
                .matrix_flops,
            2u * 2 * 16 * 8 * 16);
  const Counters wgmma = count(zeros + R"(
mad.lo.u32 %a4, %t, 16, %s;
st.shared.v4.b32 [%a4], {%a0, %a0, %a0, %a0};
fence.proxy.async;
bar.sync 0;
mov.b64 %x, 0x0000000800080000;
wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, %x, 0, 1, 1, 0;
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;
)",
                               128);
  EXPECT_EQ(wgmma.matrix_flops, 2u * 64 * 8 * 16);
  EXPECT_EQ(wgmma.shared_load_bytes, 4u * 8 * 16 * 2);  // each of the four warps reads B
}

TEST(Counters, ArrivalsAreToldFromWaits) {
  const Counters counters = count(
      "setp.lt.u32 %q, %t, 32;\n@%q bra $first;\nbar.sync 1, 64;\nbra $end;\n"
      "$first: bar.arrive 1, 64;\n$end: bar.sync 0;\n",
      64);
  EXPECT_EQ(counters.barrier_arrivals, 4u);
  EXPECT_EQ(counters.barrier_waits, 3u);
}

}  // namespace
}  // namespace attest::vm
