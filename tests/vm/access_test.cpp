// Every way to misuse memory traps, and says where.
#include <gtest/gtest.h>

#include "kernel_under_test.h"

namespace attest::vm {
namespace {

void expect_trap(const Ran& ran, Rule rule, const std::string& part,
                 const std::vector<uint32_t>& lanes = {}) {
  ASSERT_TRUE(ran.trap) << "no trap, expected " << rule_name(rule);
  EXPECT_EQ(ran.trap->rule, rule) << ran.trap->what();
  EXPECT_NE(std::string(ran.trap->what()).find(part), std::string::npos) << ran.trap->what();
  if (!lanes.empty()) {
    EXPECT_EQ(ran.trap->lanes, lanes) << ran.trap->what();
  }
}
const LaunchOptions kWarp = {.block = {32, 1, 1}};
const std::string kOwnWord = "mul.wide.u32 %rd1, %t, 4;\nadd.u64 %rd1, %d, %rd1;\n";

TEST(Access, TrapsOneByteBehindABuffer) {
  const Ran ran = run_kernel(module_with("ld.global.u8 %r1, [%d+128];"), std::vector<uint32_t>(32), kWarp);
  expect_trap(ran, Rule::out_of_bounds, "buffer 'data' offset 128, which ends at 128");
  EXPECT_EQ(ran.trap->ptx_line, 15);
}
TEST(Access, TrapsOneByteBeforeABuffer) {
  expect_trap(run_kernel(module_with("st.global.u8 [%d+-1], %r1;"), {1}, {}), Rule::out_of_bounds,
              "before its first byte");
}
TEST(Access, NamesTheLanesThatLeaveTheBuffer) {
  const Ran ran =
      run_kernel(module_with(kOwnWord + "ld.global.u32 %r1, [%rd1];"), std::vector<uint32_t>(30), kWarp);
  expect_trap(ran, Rule::out_of_bounds, "lanes 30-31", {30, 31});
}
TEST(Access, AcceptsTheWholeBuffer) {
  const Ran ran =
      run_kernel(module_with(kOwnWord + "st.global.u32 [%rd1], %t;"), std::vector<uint32_t>(32), kWarp);
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(ran.data[i], i);
}
TEST(Access, TrapsAMisalignedVector) {
  expect_trap(run_kernel(module_with("ld.global.v2.u32 {%r1, %r2}, [%d+4];"), {1, 2, 3}, {}),
              Rule::misaligned, "aligned to 8");
}
TEST(Access, TrapsAWriteToAReadOnlyBuffer) {
  expect_trap(run_kernel(module_with("st.global.u32 [%d], %t;"), {1}, {}, {}, Access::read), Rule::permission,
              "read-only");
}
TEST(Access, TrapsAReadOfAWriteOnlyBuffer) {
  expect_trap(run_kernel(module_with("ld.global.u32 %r1, [%d];"), {1}, {}, {}, Access::write),
              Rule::permission, "write-only");
}
TEST(Access, TrapsANullPointer) {
  expect_trap(run_kernel(module_with("mov.u64 %rd1, 0; ld.u32 %r1, [%rd1];"), {1}, {}), Rule::out_of_bounds,
              "null pointer");
}
TEST(Access, TrapsASharedAddressUsedAsGlobal) {
  expect_trap(
      run_kernel(module_with("mov.u64 %rd1, s; cvta.shared.u64 %rd1, %rd1; ld.global.u32 %r1, [%rd1];",
                             ".shared .u32 s;"),
                 {1}, {}),
      Rule::out_of_bounds, "shared memory");
}
TEST(Access, TrapsAGlobalLoadOfConstantMemory) {
  expect_trap(
      run_kernel(module_with("mov.u64 %rd1, c; ld.global.u32 %r1, [%rd1];", ".const .u32 c = 5;"), {1}, {}),
      Rule::wrong_space, "constant memory");
}
TEST(Access, GenericLoadsReachEverySpace) {
  const std::string body =
      ".local .align 4 .b8 l[8]; mov.u64 %rd1, s; cvta.shared.u64 %rd1, %rd1; st.u32 [%rd1], 11; "
      "ld.shared.u32 %r1, [s];\n"
      "mov.u64 %rd2, l; cvta.local.u64 %rd2, %rd2; st.u32 [%rd2+4], 22; ld.local.u32 %r2, [l+4];\n"
      "mov.u64 %rd3, c; cvta.const.u64 %rd3, %rd3; ld.u32 %r3, [%rd3];\n"
      "mov.b64 %rd4, data; cvta.param.u64 %rd4, %rd4; ld.u64 %rd5, [%rd4];\n"
      "st.u32 [%rd5], %r1; st.u32 [%rd5+4], %r2; st.u32 [%rd5+8], %r3;";
  const Ran ran = run_kernel(module_with(body, ".shared .u32 s;\n.const .u32 c = 33;"), {0, 0, 0}, {});
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data, (std::vector<uint32_t>{11, 22, 33}));
}
TEST(Access, GenericAccessMaySplitBetweenSpaces) {
  const std::string body =
      "st.shared.u32 [s], 5; mov.u64 %rd1, s; cvta.shared.u64 %rd1, %rd1; setp.lt.u32 %p1, %t, 16; selp.b64 "
      "%rd2, %rd1, %d, %p1;\n"
      "ld.u32 %r1, [%rd2]; mul.wide.u32 %rd3, %t, 4; add.u64 %rd3, %d, %rd3; bar.sync 0; st.global.u32 "
      "[%rd3], %r1;";
  std::vector<uint32_t> words(32, 9);
  const Ran ran = run_kernel(module_with(body, ".shared .u32 s;"), words, kWarp);
  ASSERT_FALSE(ran.trap) << ran.trap->what();
  EXPECT_EQ(ran.data[15], 5u);
  EXPECT_EQ(ran.data[16], 9u);
}
TEST(Access, TrapsUninitialisedSharedMemory) {
  const std::string body =
      "st.shared.u8 [s], %t; st.shared.u8 [s+1], %t; st.shared.u8 [s+2], %t; ld.shared.u32 %r1, [s];";
  expect_trap(run_kernel(module_with(body, ".shared .align 4 .b8 s[8];"), {1}, {}), Rule::uninitialised,
              "byte 3 was never written");
}
TEST(Access, TrapsUninitialisedLocalMemory) {
  expect_trap(
      run_kernel(module_with(".local .align 4 .b8 l[8]; st.local.u32 [l], 1; ld.local.u32 %r1, [l+4];"), {1},
                 {}),
      Rule::uninitialised, "never written");
}
TEST(Access, UninitialisedReadsAreAllowedWithoutMemoryChecks) {
  const std::string body = "ld.shared.u32 %r1, [s];";
  EXPECT_FALSE(
      run_kernel(module_with(body, ".shared .align 4 .b8 s[8];"), {1}, {.check_memory = false}).trap);
}
TEST(Access, TrapsSharedMemoryPastTheLaunchedSize) {
  const std::string body = "st.shared.u32 [s+64], %t;";
  const std::string before = ".extern .shared .align 16 .b8 s[];";
  expect_trap(run_kernel(module_with(body, before), {1}, {.dynamic_shared_bytes = 64}), Rule::out_of_bounds,
              "ends at 64");
  EXPECT_FALSE(run_kernel(module_with(body, before), {1}, {.dynamic_shared_bytes = 68}).trap);
}
TEST(Access, TrapsUninitialisedGlobalMemoryAndUseAfterFree) {
  const Program program = Program::parse(module_with("ld.global.u32 %r1, [%d+4];"));
  Machine machine;
  const uint64_t data = machine.memory().allocate(8, "fresh");
  const uint32_t word = 1;
  machine.memory().write(data, std::as_bytes(std::span(&word, 1)));
  const auto launch = [&] { machine.launch(program, "k", {}, std::as_bytes(std::span(&data, 1))); };
  const auto rule_of = [&] {
    try {
      launch();
    } catch (const Trap& trap) {
      return trap.rule;
    }
    return Rule::other;
  };
  EXPECT_EQ(rule_of(), Rule::uninitialised);
  machine.memory().write(data + 4, std::as_bytes(std::span(&word, 1)));
  EXPECT_NO_THROW(launch());
  machine.memory().free(data);
  EXPECT_EQ(rule_of(), Rule::use_after_free);
}
TEST(Access, KernelStoresInitialiseTheirBytesOnly) {
  const Program program = Program::parse(module_with("st.global.u16 [%d+2], 7;"));
  Machine machine;
  const uint64_t data = machine.memory().allocate(8, "out");
  machine.launch(program, "k", {}, std::as_bytes(std::span(&data, 1)));
  EXPECT_FALSE(machine.memory().initialised(data, 2));
  EXPECT_TRUE(machine.memory().initialised(data + 2, 2));
  EXPECT_FALSE(machine.memory().initialised(data + 4, 1));
}
TEST(Access, DiscardedBytesCountAsNeverWritten) {
  const std::vector<uint32_t> words(64, 7);
  const std::string body = "discard.global.L2 [%d+128], 128; ";
  EXPECT_FALSE(run_kernel(module_with(body + "ld.global.u32 %r1, [%d+124];"), words, {}).trap);
  EXPECT_FALSE(
      run_kernel(module_with(body + "st.global.u32 [%d+128], 1; ld.global.u32 %r1, [%d+128];"), words, {})
          .trap);
  expect_trap(run_kernel(module_with(body + "ld.global.u32 %r1, [%d+128];"), words, {}), Rule::uninitialised,
              "byte 128 was never written");
  expect_trap(run_kernel(module_with("discard.L2 [%d+64], 128;"), words, {}), Rule::misaligned, "128");
  expect_trap(run_kernel(module_with("discard.L2 [%d+256], 128;"), words, {}), Rule::out_of_bounds,
              "ends at 256");
  expect_trap(run_kernel(module_with("discard.L2 [%d], 128;"), words, {}, {}, vm::Access::read),
              Rule::permission, "read-only");
}
TEST(Memory, RefusesHostCopiesOutsideABuffer) {
  Memory memory;
  const uint64_t address = memory.allocate(4, "four");
  std::byte bytes[8] = {};
  EXPECT_THROW(memory.write(address, bytes), std::invalid_argument);
  EXPECT_THROW(memory.read(address + 1, std::span(bytes, 4)), std::invalid_argument);
  EXPECT_THROW(memory.free(address + 1), std::invalid_argument);
  EXPECT_THROW(memory.write(12, std::span(bytes, 1)), std::invalid_argument);
  memory.read(address, std::span(bytes, 4));
  EXPECT_EQ(bytes[3], std::byte{0xAB});
}

}  // namespace
}  // namespace attest::vm
