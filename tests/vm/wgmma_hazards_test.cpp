// What wgmma demands of its warps, descriptors and registers: every rule broken once, and the repaired
// kernel.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "jit/vm/observer.h"
#include "jit/vm/parse_error.h"
#include "tests/vm/wgmma_kernel.h"

namespace attest::vm::wgmma {
namespace {

// bf16, m64n8k16: A in 8 KiB from 0 on, B in 1 KiB behind it, both K-major with 128-byte swizzle.
constexpr uint32_t kImage = 9216, kStartB = 8192;
const Tile kTileA = tile(kBf16, 128, false, 0, 64, 0), kTileB = tile(kBf16, 128, false, kStartB, 8, 0);

std::string number(uint64_t bits) { return std::to_string(static_cast<int64_t>(bits)); }
std::string descriptors(uint64_t a = kTileA.descriptor(), uint64_t b = kTileB.descriptor()) {
  return "mov.u64 %da, " + number(a) + ";\nmov.u64 %db, " + number(b) + ";\n";
}
const std::string kFence = "wgmma.fence.sync.aligned;\n", kCommit = "wgmma.commit_group.sync.aligned;\n",
                  kWait = "wgmma.wait_group.sync.aligned 0;\n", kWait1 = "wgmma.wait_group.sync.aligned 1;\n";
std::string multiply(int d = 0, bool a_in_registers = false, const char* scale = "%p1") {
  return "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 " + vector_of("d", 4, d) + ", " +
         (a_in_registers ? vector_of("a", 4) : "%da") + ", %db, " + scale + ", 1, 1, " +
         (a_in_registers ? "0;\n" : "0, 0;\n");
}
const std::string kMultiply = multiply();

// Registers %d0 to %d3 are D, %d4 to %d15 others.
Kernel kernel_of(const std::string& body) { return {kImage, 16, body}; }

Input ones() {
  Input input;
  input.image.resize(kImage);
  for (uint32_t i = 0; i < kImage; i += 2) {
    const uint16_t one = 0x3f80;
    std::memcpy(&input.image[i], &one, 2);
  }
  input.a.assign(512, 0x3f803f80);
  input.d.assign(2048, 0);
  return input;
}

std::optional<Trap> trap_of(const Kernel& kernel, const LaunchOptions& options = {}) {
  try {
    run(kernel, ones(), options);
  } catch (const Trap& trap) {
    return trap;
  }
  return std::nullopt;
}

// Trapped by this rule, with this in its text.
void expect_trap(const Kernel& kernel, Rule rule, const std::string& text,
                 const LaunchOptions& options = {}) {
  const std::optional<Trap> trap = trap_of(kernel, options);
  ASSERT_TRUE(trap) << "no trap, wanted: " << text << "\n" << kernel.body;
  EXPECT_EQ(rule_name(trap->rule), std::string(rule_name(rule))) << trap->what();
  EXPECT_NE(std::string(trap->what()).find(text), std::string::npos)
      << trap->what() << "\nlacks: " << text << "\n"
      << kernel.body;
}
void expect_trap(const std::string& body, Rule rule, const std::string& text) {
  for (Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled})
    expect_trap(kernel_of(body), rule, text, {.schedule = schedule, .seed = 5});
}
void expect_clean(const std::string& body) {
  for (Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled}) {
    const std::optional<Trap> trap = trap_of(kernel_of(body), {.schedule = schedule, .seed = 5});
    EXPECT_FALSE(trap) << trap->what() << "\n" << body;
  }
}

// --- rule R7 ---

TEST(WgmmaRegisters, TheUsualOrderIsClean) {
  expect_clean(descriptors() + kFence + kMultiply + kMultiply + kCommit + kWait + "add.f32 %d0, %d0, %d1;\n" +
               kFence + kMultiply + kCommit + kWait);
}

TEST(WgmmaRegisters, TheAccumulatorMayNotBeTouchedBeforeItIsWaitedFor) {
  const std::string before = descriptors() + kFence + kMultiply;
  for (const char* touch :
       {"mov.b32 %d5, %d2;\n", "mov.b32 %d2, 0;\n", "st.global.v2.b32 [%go], {%d4, %d2};\n",
        "ld.global.v2.b32 {%d2, %d4}, [%gd];\n", "shfl.sync.bfly.b32 %d5, %d2, 1, 31, -1;\n",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%d4,%d5,%d6,%d7}, {%a0,%a1,%a2,%a3}, "
        "{%a0,%a2}, "
        "{%d4,%d5,%d2,%d7};\n"}) {
    expect_trap(before + touch + kCommit + kWait, Rule::asynchronous,
                "R7: %d2 belongs to the accumulator of the wgmma in line");
    expect_trap(before + kCommit + touch + kWait, Rule::asynchronous, "(1 group pending)");
    expect_clean(before + kCommit + kWait + touch);
  }
  expect_trap(before + kMultiply + "mov.b32 %d5, %d0;\n" + kCommit + kWait, Rule::asynchronous,
              "0 groups pending, 2 wgmmas not committed");
  // A wait without a commit waits for nothing.
  expect_trap(before + kWait + "mov.b32 %d5, %d0;\n", Rule::asynchronous, "1 wgmma not committed");
}

TEST(WgmmaRegisters, AnInstructionThatItsGuardTurnsOffTouchesNothing) {
  const std::string before = descriptors() + "setp.ne.u32 %p3, %t, %t;\n" + kFence + kMultiply + kCommit;
  expect_clean(before + "@%p3 mov.b32 %d5, %d2;\n" + kWait);
  expect_trap(before + "@!%p3 mov.b32 %d5, %d2;\n" + kWait, Rule::asynchronous, "R7: %d2");
  // One lane is enough.
  expect_trap(before + "setp.eq.u32 %p4, %t, 77;\n@%p4 mov.b32 %d5, %d2;\n" + kWait, Rule::asynchronous,
              "warp 2 lane 13: R7: %d2");
}

TEST(WgmmaRegisters, AInRegistersMayNotBeTouchedEither) {
  const std::string before = descriptors() + kFence + multiply(0, true) + kCommit;
  expect_trap(before + "mov.b32 %a1, 0;\n" + kWait, Rule::asynchronous, "R7: %a1 belongs to A of the wgmma");
  expect_trap(before + "mov.b32 %d7, %a3;\n" + kWait, Rule::asynchronous,
              "R7: %a3 belongs to A of the wgmma");
  expect_clean(before + kWait + "mov.b32 %a1, 0;\nmov.b32 %d7, %a3;\n");
  // Two wgmma may read the same A.
  expect_clean(descriptors() + kFence + multiply(0, true) + multiply(4, true) + kCommit + kWait);
}

TEST(WgmmaRegisters, WaitingForAnOlderGroupFreesOnlyItsRegisters) {
  const std::string before = descriptors() + kFence + multiply(0) + kCommit + multiply(4) + kCommit + kWait1;
  expect_clean(before + "mov.b32 %d8, %d0;\n" + kWait + "mov.b32 %d9, %d4;\n");
  expect_trap(before + "mov.b32 %d8, %d4;\n" + kWait, Rule::asynchronous, "R7: %d4");
  // There is but one group: all of them may stay pending.
  expect_trap(descriptors() + kFence + multiply(0) + kCommit + kWait1 + "mov.b32 %d8, %d0;\n" + kWait,
              Rule::asynchronous, "R7: %d0");
  // An empty group counts as one.
  expect_clean(descriptors() + kFence + multiply(0) + kCommit + kCommit + kWait1 + "mov.b32 %d8, %d0;\n" +
               kWait);
  // The younger group still accumulates into the same registers.
  expect_trap(descriptors() + kFence + multiply(0) + kCommit + multiply(0) + kCommit + kWait1 +
                  "mov.b32 %d8, %d0;\n" + kWait,
              Rule::asynchronous, "R7: %d0");
}

TEST(WgmmaRegisters, AFenceMustComeFirst) {
  expect_trap(descriptors() + kMultiply + kCommit + kWait, Rule::asynchronous,
              "R7: no wgmma.fence came before this first use of %d0");
  expect_trap(descriptors() + kFence + "mov.b32 %d3, 0;\n" + kMultiply + kCommit + kWait, Rule::asynchronous,
              "R7: %d3 of the accumulator was touched in line");
  expect_clean(descriptors() + "mov.b32 %d3, 0;\n" + kFence + kMultiply + kCommit + kWait);
  expect_trap(descriptors() + kFence + "mov.b32 %a2, 0;\n" + multiply(0, true) + kCommit + kWait,
              Rule::asynchronous, "R7: %a2 of A was touched in line");
  // Results that were read need a new fence before they are accumulated into again.
  const std::string once = descriptors() + kFence + kMultiply + kCommit + kWait;
  expect_trap(once + "mov.b32 %d8, %d1;\n" + kMultiply + kCommit + kWait, Rule::asynchronous,
              "`mov.b32 %d8, %d1` since the last wgmma.fence");
  expect_clean(once + "mov.b32 %d8, %d1;\n" + kFence + kMultiply + kCommit + kWait);
  expect_clean(once + kMultiply + kCommit + kWait);
  // Only warp 3 touches it.
  expect_trap(once + "setp.ge.u32 %p4, %t, 96;\n@%p4 mov.b32 %d8, %d1;\n" + kMultiply + kCommit + kWait,
              Rule::asynchronous, "warp 3 lanes 0-31: R7: %d1");
}

TEST(WgmmaRegisters, OnlyTheSameShapeMayAccumulateWithoutWaiting) {
  const std::string other = "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 " + vector_of("d", 8) +
                            ", %da, %dc, %p1, 1, 1, 0, 0;\n";
  const std::string start = descriptors() + "mov.u64 %dc, " +
                            number(tile(kBf16, 128, false, 0, 16, 0).descriptor()) + ";\n" + kFence;
  expect_trap(start + kMultiply + other + kCommit + kWait, Rule::asynchronous,
              "which has another shape and is in flight");
  expect_clean(start + kMultiply + kCommit + kWait + other + kCommit + kWait);
  // A's registers as an accumulator, and a result as A.
  const std::string into_a = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 " + vector_of("a", 4) +
                             ", %da, %db, %p1, 1, 1, 0, 0;\n";
  expect_trap(start + multiply(0, true) + into_a + kCommit + kWait, Rule::asynchronous,
              "R7: %a0 of the accumulator is read as A by the wgmma in line");
  expect_trap(start + into_a + multiply(0, true) + kCommit + kWait, Rule::asynchronous,
              "R7: %a0 of A is accumulated into by the wgmma in line");
  expect_clean(start + into_a + kCommit + kWait + kFence + multiply(0, true) + kCommit + kWait);
}

TEST(WgmmaRegisters, AKernelMayNotEndWithoutWaiting) {
  expect_trap(descriptors() + kFence + kMultiply + kCommit + "exit;\n", Rule::asynchronous,
              "its result was never waited for");
  expect_clean(descriptors() + kFence + kMultiply + kCommit + kWait + "exit;\n");
}

TEST(WgmmaRegisters, AFunctionThatTouchesTheAccumulatorIsSeen) {
  Kernel kernel = kernel_of(descriptors() + kFence + kMultiply +
                            "{ .param .b32 x; st.param.b32 [x], %d1; call look, (x); }\n" + kCommit + kWait);
  const auto text = [&] {
    std::string out = kernel.text();
    return out.insert(out.find(".visible"), ".func look(.param .b32 x) { ret; }\n");
  };
  Machine machine;
  const uint64_t data = machine.memory().allocate(1 << 16, "data");
  machine.memory().write(data, std::vector<std::byte>(1 << 16));
  const auto launch = [&] {
    machine.launch(Program::parse(text()), "k", {.block = {128, 1, 1}}, std::as_bytes(std::span(&data, 1)));
  };
  EXPECT_THROW(launch(), Trap);
  kernel.body = descriptors() + kFence + kMultiply + kCommit + kWait +
                "{ .param .b32 x; st.param.b32 [x], %d1; call look, (x); }\n";
  EXPECT_NO_THROW(launch());
}

// --- four warps ---

TEST(WgmmaWarps, AWarpgroupIsFourWholeWarps) {
  const std::string body = descriptors() + kFence + kMultiply + kCommit + kWait;
  Kernel kernel = kernel_of(body);
  for (uint32_t threads : {64u, 160u, 128u, 256u, 384u}) {
    kernel.threads = threads;
    const std::optional<Trap> trap = trap_of(kernel);
    EXPECT_EQ(trap.has_value(), threads % 128 != 0) << threads << (trap ? trap->what() : "");
  }
  kernel.threads = 64;
  expect_trap(kernel, Rule::divergent_barrier, "the block has only 2 from warp 0 on");
  kernel.threads = 160;
  expect_trap(kernel, Rule::divergent_barrier, "the block has only 1 from warp 4 on");
  kernel.threads = 120;
  expect_trap(kernel, Rule::divergent_barrier, "lanes 24-31 of warp 3 are missing");
}

TEST(WgmmaWarps, ADeadlockSaysWhoIsMissing) {
  const std::string rest = kFence + kMultiply + kCommit + kWait;
  expect_trap(descriptors() + "setp.eq.u32 %p3, %warp, 2;\n@%p3 bar.sync 1, 64;\n" + rest, Rule::deadlock,
              "for the rest of the warpgroup: lanes 0-31 of warp 2");
  expect_trap(descriptors() + "setp.lt.u32 %p3, %t, 40;\n@!%p3 " + rest.substr(0, rest.find('\n')) +
                  "\n@%p3 bar.warp.sync -1;\n" + rest,
              Rule::deadlock, "for the rest of the warpgroup: lanes 0-7 of warp 1");
  const std::optional<Trap> gone =
      trap_of(kernel_of(descriptors() + "setp.eq.u32 %p3, %warp, 3;\n@%p3 exit;\n" + rest));
  ASSERT_TRUE(gone);
  EXPECT_NE(std::string(gone->what()).find("warp 3"), std::string::npos) << gone->what();
  EXPECT_NE(std::string(gone->what()).find("exited"), std::string::npos) << gone->what();
}

TEST(WgmmaWarps, MustBeAtTheSameInstruction) {
  const std::string split = descriptors() + kFence + "setp.eq.u32 %p3, %warp, 1;\n@%p3 bra OTHER;\n" +
                            kMultiply + "bra JOIN;\nOTHER:\n" + kMultiply + "JOIN:\n" + kCommit + kWait;
  expect_trap(split, Rule::divergent_barrier, "the warps of a warpgroup must execute the same instruction");
}

TEST(WgmmaWarps, OperandsMustAgree) {
  const std::string rest = kFence + kMultiply + kCommit + kWait;
  expect_trap(descriptors() + "setp.eq.u32 %p3, %t, 70;\n@%p3 add.u64 %db, %db, 2;\n" + rest,
              Rule::divergent_operand,
              "warp 2 lane 6: the lanes of the warpgroup give different descriptors of B");
  expect_trap(descriptors() + "setp.ge.u32 %p3, %t, 96;\n@%p3 add.u64 %da, %da, 2;\n" + rest,
              Rule::divergent_operand, "different descriptors of A");
  expect_trap(descriptors() + "setp.ne.u32 %p1, %t, 127;\n" + rest, Rule::divergent_operand,
              "warp 3 lane 31: the lanes of the warpgroup give different values of scale-d");
}

TEST(WgmmaWarps, SetmaxnregMeetsAndChangesNothing) {
  expect_clean("setmaxnreg.dec.sync.aligned.u32 24;\nbar.sync 0;\nsetmaxnreg.inc.sync.aligned.u32 256;\n");
  expect_trap("setp.eq.u32 %p3, %warp, 2;\n@%p3 bar.sync 1, 64;\nsetmaxnreg.dec.sync.aligned.u32 24;\n",
              Rule::deadlock, "lanes 0-31 of warp 2");
  expect_trap("setp.eq.u32 %p3, %warp, 2;\n@%p3 exit;\nsetmaxnreg.dec.sync.aligned.u32 24;\n", Rule::deadlock,
              "for the rest of the warpgroup: warp 2, which has exited");
  Kernel small = kernel_of("setmaxnreg.dec.sync.aligned.u32 24;\n");
  small.threads = 40;  // as many warps as there are
  EXPECT_FALSE(trap_of(small));
}

TEST(WgmmaWarps, ScaleDMayBeALiteralOrNegated) {
  for (const auto& [scale, sum] :
       {std::pair{"1", 17.0f}, std::pair{"0", 16.0f}, std::pair{"%p1", 17.0f}, std::pair{"!%p1", 16.0f}}) {
    Input input = ones();
    input.d.assign(2048, 0x3f800000);
    const std::string body = descriptors() + kFence + multiply(0, false, scale) + kCommit + kWait;
    EXPECT_EQ(std::bit_cast<float>(run(kernel_of(body), input, {})[0]), sum) << scale;
  }
}

// --- shared memory ---

TEST(WgmmaMemory, IllegalDescriptorsAreRefused) {
  const std::string rest = kFence + kMultiply + kCommit + kWait;
  for (int bit : {14, 15, 30, 31, 46, 48, 52, 61})
    expect_trap(descriptors(kTileA.descriptor() | uint64_t{1} << bit) + rest, Rule::other,
                "the descriptor of A: bits 14-15, 30-31, 46-48 and 52-61 must be 0");
  expect_trap(descriptors(kTileA.descriptor(), kTileB.descriptor() | uint64_t{5} << 49) + rest, Rule::other,
              "the descriptor of B: base offset 5 is not modelled");
  expect_clean(descriptors() + rest);
}

TEST(WgmmaMemory, ReadsStayInsideSharedMemory) {
  Tile far = kTileA;
  far.start += 2048;  // rows 48 on are behind the 9216 bytes, swizzled or not
  expect_trap(descriptors(far.descriptor()) + kFence + kMultiply + kCommit + kWait, Rule::out_of_bounds,
              "row 56, k 0 of A would be at shared address 9216");
  Tile past = kTileB;
  past.start += 1024;
  expect_trap(descriptors(kTileA.descriptor(), past.descriptor()) + kFence + kMultiply + kCommit + kWait,
              Rule::out_of_bounds, "column 0, k 0 of B");
}

TEST(WgmmaMemory, BytesThatNobodyWroteAreNamed) {
  Kernel kernel = kernel_of(descriptors() + kFence + kMultiply + kCommit + kWait);
  kernel.written_bytes = kStartB + 640;  // rows 0 to 4 of B; row 5 has its first k in the sixth piece
  expect_trap(kernel, Rule::uninitialised, "column 5, k 0 of B, at shared address 8912: nobody wrote it");
  LaunchOptions unchecked;
  unchecked.check_memory = false;
  EXPECT_FALSE(trap_of(kernel, unchecked));
  kernel.written_bytes = kStartB + 1024;
  EXPECT_FALSE(trap_of(kernel));
}

// --- refused when parsed ---

TEST(WgmmaForms, AreRefusedWhenTheyAreNotLegal) {
  const std::string head = "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 ";
  const auto refused = [](const std::string& body, const std::string& text, const char* target = "sm_90a") {
    Kernel kernel = kernel_of(body);
    kernel.target = target;
    try {
      Program::parse(kernel.text());
      ADD_FAILURE() << "accepted: " << body;
    } catch (const ParseError& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  refused(head + "{%d0,%d1,%d2}, %da, %db, %p1, 1, 1, 0, 0;", "matrix D must be a vector of 4 registers");
  refused(head + "{%d0,%d1,%d2,%d3}, {%a0,%a1}, %db, %p1, 1, 1, 0;",
          "matrix A must be a vector of 4 registers");
  refused(head + "{%d0,%d1,%d2,%d2}, %da, %db, %p1, 1, 1, 0, 0;", "occurs twice");
  refused(head + "{%d0,%d1,%d2,%d3}, {%d0,%a1,%a2,%a3}, %db, %p1, 1, 1, 0;", "occurs twice");
  refused(head + "{%d0,%d1,%d2,%x}, %da, %db, %p1, 1, 1, 0, 0;", "must have 32 bits");
  refused(head + "{%d0,%d1,%d2,%d3}, {%a0,%a1,%a2,0}, %db, %p1, 1, 1, 0;", "no register");
  refused(head + "{%d0,%d1,%d2,%d3}, %da, %db, %p1, 0, 1, 0, 0;", "imm-scale-a must be -1 or 1");
  refused(head + "{%d0,%d1,%d2,%d3}, %da, %db, %p1, 1, 2, 0, 0;", "imm-scale-b must be -1 or 1");
  refused(head + "{%d0,%d1,%d2,%d3}, %da, %db, %p1, 1, 1, 2, 0;", "imm-trans-a must be 0 or 1");
  refused(head + "{%d0,%d1,%d2,%d3}, %da, %db, %p1, 1, 1, 0, %r1;", "imm-trans-b must be 0 or 1");
  refused(head + "{%d0,%d1,%d2,%d3}, %da, %db, %p1, 1, 1, 0;", "expected 8");
  refused(head + "{%d0,%d1,%d2,%d3}, {%a0,%a1,%a2,%a3}, %db, %p1, 1, 1, 0, 0;", "expected 7");
  refused(head + "{%d0,%d1,%d2,%d3}, %d4, %db, %p1, 1, 1, 0, 0;", "64 bits");
  refused("wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8 {%d0,%d1,%d2,%d3}, %da, %db, %p1, 1, 1;",
          "expected 4");
  refused("wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 " + vector_of("d", 20) + ", %da, %db, %p1;",
          "not modelled");
  refused("wgmma.mma_async.sync.aligned.m64n8k16.f16.bf16.bf16 {%d0,%d1}, %da, %db, %p1, 1, 1, 0, 0;",
          "not modelled");
  refused(
      "wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.bf16.bf16 {%d0,%d1,%d2,%d3}, %da, %db, %a0, 0, %p1, 1, "
      "1, "
      "0, 0;",
      "not modelled");
  refused("wgmma.wait_group.sync.aligned -1;", "an integer from 0 on");
  refused("wgmma.wait_group.sync.aligned %r1;", "an integer from 0 on");
  refused("wgmma.fence.sync.aligned 0;", "no operands");
  refused("wgmma.fence.sync.aligned;", "needs .target sm_90a, the module has sm_90", "sm_90");
  for (const char* count : {"16", "20", "28", "264", "%r1"})
    refused(std::string("setmaxnreg.inc.sync.aligned.u32 ") + count + ";", "a multiple of 8 from 24 to 256");
}

// --- early and late ---

// D0 of thread 0 when B is doubled after the wgmma was issued, before or after it is waited for.
float overwritten(bool before_wait, Schedule schedule, uint64_t seed) {
  const std::string twice =
      "mov.u32 %r2, " + std::to_string(kStartB) +
      ";\nmad.lo.u32 %r2, %t, 8, %r2;\nst.shared.v2.b32 [%r2], {1073758208, 1073758208};\n"
      "bar.sync 0;\n";
  const std::string body =
      descriptors() + kFence + kMultiply + kCommit + (before_wait ? twice + kWait : kWait + twice);
  return std::bit_cast<float>(run(kernel_of(body), ones(), {.schedule = schedule, .seed = seed})[0]);
}

TEST(WgmmaTiming, SharedMemoryIsReadEarlyOrLate) {
  EXPECT_EQ(overwritten(false, Schedule::lockstep, 0), 16);
  EXPECT_EQ(overwritten(true, Schedule::lockstep, 0), 32);  // as late as is legal
  EXPECT_EQ(overwritten(true, Schedule::serial, 0), 16);    // as early
  std::set<float> seen;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(overwritten(false, Schedule::shuffled, seed), 16);
    seen.insert(overwritten(true, Schedule::shuffled, seed));
  }
  EXPECT_EQ(seen, (std::set<float>{16, 32}));
}

// As late as is legal is also when bytes are looked at that somebody else is about to write.
TEST(WgmmaTiming, ATileThatACopyOverwritesBeforeTheWaitIsReported) {
  const std::string copy =
      "cp.async.ca.shared.global [" + std::to_string(kStartB) + "], [%g], 16;\ncp.async.commit_group;\n";
  const std::string start = descriptors() + kFence + kMultiply + kCommit, end = "cp.async.wait_all;\n";
  expect_trap(kernel_of(start + copy + kWait + end), Rule::uninitialised, "column 0, k 0 of B");
  EXPECT_FALSE(trap_of(kernel_of(start + kWait + copy + end)));
}

TEST(WgmmaTiming, ACorrectPipelineGivesTheSameBitsInEverySchedule) {
  // Three groups in flight on two accumulators, A from both places, tiles replaced behind waits.
  const std::string refill =
      "bar.sync 0;\nmad.lo.u32 %r2, %t, 64, 0;\nld.shared.b32 %r3, [%r2+4];\nadd.u32 %r3, %r3, 65537;\n"
      "st.shared.b32 [%r2], %r3;\nbar.sync 0;\n";
  const std::string body = descriptors() + kFence + multiply(0) + kCommit + multiply(4, true) + kCommit +
                           multiply(0) + kCommit + kWait1 + "mov.b32 %d8, %d4;\n" + kWait + refill +
                           "mov.b32 %d9, %d0;\n" + kFence + multiply(0) + multiply(4) + kCommit + kWait;
  Input input = ones();
  for (size_t i = 0; i < input.image.size(); i += 2) {
    const auto value = static_cast<uint16_t>(0x3f00 + i * 37 % 251);
    std::memcpy(&input.image[i], &value, 2);
  }
  for (Arithmetic arithmetic : {Arithmetic::hw, Arithmetic::wide}) {
    const auto result = [&](Schedule schedule, uint64_t seed) {
      LaunchOptions options{.schedule = schedule, .seed = seed, .arithmetic = arithmetic};
      options.grid.x = 3;  // blocks with the same result
      return run(kernel_of(body), input, options);
    };
    const std::vector<uint32_t> expected = result(Schedule::lockstep, 0);
    EXPECT_GT(std::bit_cast<float>(expected[0]), 1);
    EXPECT_EQ(result(Schedule::serial, 0), expected);
    for (uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(result(Schedule::shuffled, seed), expected) << seed;
  }
}

// --- what observers learn ---

struct Recorder : Observer {
  struct Actor {
    uint32_t begun_by = 99, ended_by = 99, lanes = 0;
    std::set<uint64_t> read;  // byte addresses
    size_t ranges = 0;
    bool before_begin = false, after_end = false;
  };
  std::map<uint64_t, Actor> actors;
  void async_begin(const AsyncBeginEvent& event) override { actors[event.actor].begun_by = event.site.warp; }
  void async_access(const AsyncAccessEvent& event) override {
    Actor& actor = actors[event.actor];
    actor.before_begin |= actor.begun_by == 99;
    actor.after_end |= actor.ended_by != 99;
    EXPECT_EQ(event.space, Space::shared);
    EXPECT_EQ(event.touch, Touch::load);
    EXPECT_TRUE(event.async_proxy);
    ++actor.ranges;
    for (uint64_t i = 0; i < event.bytes; ++i) EXPECT_TRUE(actor.read.insert(event.address + i).second);
  }
  void async_end(const AsyncEndEvent& event) override {
    EXPECT_FALSE(event.barrier || event.reads_only);
    actors[event.actor].ended_by = event.site.warp;
    actors[event.actor].lanes = event.site.lanes;
  }
};

TEST(WgmmaObservers, EachWarpHasAnActorThatReadsItsRowsAndAllOfB) {
  for (bool in_registers : {false, true}) {
    Recorder recorder;
    Observer* const observers[] = {&recorder};
    run(kernel_of(descriptors() + kFence + multiply(0, in_registers) + kCommit + kWait), ones(), {},
        observers);
    ASSERT_EQ(recorder.actors.size(), 4u);
    uint32_t warp = 0;
    for (const auto& [number, actor] : recorder.actors) {
      EXPECT_EQ(number, warp + 1);
      EXPECT_EQ(actor.begun_by, warp);
      EXPECT_EQ(actor.ended_by, warp);
      EXPECT_EQ(actor.lanes, ~0u);
      EXPECT_FALSE(actor.before_begin || actor.after_end);
      std::set<uint64_t> expected;
      for (uint32_t k = 0; k < 16; ++k) {
        for (uint32_t byte = 0; byte < 2; ++byte) {
          for (uint32_t row = 16 * warp; !in_registers && row < 16 * warp + 16; ++row)
            expected.insert(kTileA.address(row, k) + byte);
          for (uint32_t column = 0; column < 8; ++column) expected.insert(kTileB.address(column, k) + byte);
        }
      }
      EXPECT_EQ(actor.read, expected);
      EXPECT_LE(actor.ranges, expected.size() / 16);
      ++warp;
    }
  }
}

}  // namespace
}  // namespace attest::vm::wgmma
