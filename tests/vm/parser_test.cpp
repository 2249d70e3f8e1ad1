// What is not PTX, or not modelled, is refused with its line before anything runs.
#include <gtest/gtest.h>

#include "kernel_under_test.h"

namespace attest::vm {
namespace {

std::string refusal(const std::string& ptx) {
  try {
    Program::parse(ptx);
  } catch (const ParseError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Parser, RefusesAnUnknownFormWithItsLineAndText) {
  const std::string text = refusal(module_with("tex.2d.v4.f32.f32 {%f1, %f2, %f3, %f4}, [%d, {%f5, %f6}];"));
  EXPECT_NE(text.find("PTX line 15"), std::string::npos) << text;
  EXPECT_NE(text.find("tex.2d.v4.f32.f32"), std::string::npos) << text;
}
TEST(Parser, RefusesAnUnknownModifier) {
  EXPECT_NE(refusal(module_with("add.rx.f32 %f1, %f2, %f3;")).find("`add.rx.f32` is not modelled"),
            std::string::npos);
}
// Each is PTX's own grammar but for one part; ptxas of CUDA 13.0 refuses them for sm_90a.
TEST(Parser, RefusesWhatPtxasRefuses) {
  for (const char* body :
       {"cvt.sat.s32.s16 %r1, %h1;", "cvt.rn.sat.bf16.f32 %h1, %f1;", "cvt.rzi.u8.bf16 %r1, %h1;",
        "cvt.rm.relu.f16.f32 %h1, %f1;", "cvt.rp.satfinite.bf16.f32 %h1, %f1;",
        "set.eq.f32.f16 %f1, %h1, %h2;", "setp.eq.f16 %p1|%p2, %h1, %h2;", "selp.f16 %h1, %h2, %h3, %p1;",
        "mov.bf16 %h1, %h2;", "atom.global.add.s64 %rd1, [%d], %rd2;",
        "ld.global.v4.b64 {%rd1, %rd2, %rd3, %rd4}, [%d];",
        "ldu.global.v8.b32 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, [%d];"}) {
    const std::string text = refusal(module_with(".reg .b16 %h<4>;\n" + std::string(body)));
    EXPECT_NE(text, "accepted") << body;
    EXPECT_EQ(text.find("not declared"), std::string::npos) << text;
  }
  EXPECT_EQ(
      refusal(module_with(".reg .b16 %h<4>;\nsetp.eq.u16 %p1|%p2, %h1, %h2; setp.eq.f16 %p1, %h1, %h2;")),
      "accepted");
}
TEST(Parser, RefusesAnUndeclaredRegister) {
  EXPECT_NE(refusal(module_with("add.s32 %r1, %r2, %r16;")).find("`%r16` is not declared"),
            std::string::npos);
}
TEST(Parser, RefusesARegisterOfAnotherWidth) {
  EXPECT_NE(refusal(module_with("add.s32 %r1, %r2, %rd1;")).find("64 bits"), std::string::npos);
}
TEST(Parser, RefusesAMissingLabel) {
  EXPECT_NE(refusal(module_with("bra NOWHERE;")).find("NOWHERE"), std::string::npos);
}
TEST(Parser, RefusesAnUnknownDirective) {
  EXPECT_NE(refusal(module_with("", ".texref t;")).find("not modelled"), std::string::npos);
}
TEST(Parser, RefusesAFunctionWithoutABody) {
  EXPECT_NE(refusal(module_with("call f;", ".func f;")).find("no body"), std::string::npos);
}
TEST(Parser, RefusesAnEmptyText) { EXPECT_NE(refusal("").find(".version"), std::string::npos); }
TEST(Parser, RefusesEveryTruncationOfAModule) {
  const std::string whole = module_with("add.s32 %r1, %t, 1;\nst.global.u32 [%d+4], %r1;");
  ASSERT_EQ(refusal(whole), "accepted");
  for (size_t length = 0; length + 2 < whole.size(); ++length) {
    const std::string text = refusal(whole.substr(0, length));
    // Up to the entry's own text a prefix may be a whole module; none of them may crash.
    if (length > whole.find(".visible") + 8) {
      EXPECT_NE(text, "accepted") << length;
    }
  }
}
TEST(Parser, ReadsEntriesAndTheirParameters) {
  const Program program = Program::parse(
      ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry a(.param .u32 n, .param .align 8 .b8 "
      "s[24])\n"
      ".maxntid 128, 1, 1\n{ .shared .align 4 .b8 x[40]; .reg .b32 %r<2>; mov.u32 %r1, x; ret; }\n");
  ASSERT_EQ(program.entries(), std::vector<std::string>{"a"});
  const EntryInfo& info = program.entry("a");
  ASSERT_EQ(info.parameters.size(), 2u);
  EXPECT_EQ(info.parameters[1].offset, 8u);
  EXPECT_EQ(info.parameter_bytes, 32u);
  EXPECT_EQ(info.static_shared_bytes, 40u);
  EXPECT_EQ(info.maxntid, (std::vector<uint32_t>{128, 1, 1}));
  EXPECT_EQ(program.target(), "sm_90a");
  EXPECT_THROW(program.entry("b"), std::invalid_argument);
}
TEST(Parser, KeepsScopesOfInlineAssemblyApart) {
  const std::string body =
      "{ .reg .b32 x; mov.u32 x, 5; LOOP: sub.u32 x, x, 1; setp.ne.u32 %p1, x, 0; @%p1 bra LOOP; "
      "st.global.u32 [%d], x; }\n"
      "{ .reg .b32 x; mov.u32 x, 7; LOOP: sub.u32 x, x, 1; setp.ne.u32 %p1, x, 3; @%p1 bra LOOP; "
      "st.global.u32 [%d+4], x; }";
  const Ran ran = run_kernel(module_with(body), {9, 9}, {});
  EXPECT_EQ(ran.data, (std::vector<uint32_t>{0, 3}));
}
TEST(Parser, InitialisesGlobalVariablesAndPointersBetweenThem) {
  const std::string before =
      ".global .align 4 .u32 numbers[3] = {7, 8};\n.global .align 8 .u64 pointer = numbers+4;\n.const .align "
      "4 .f32 half = 0f3F000000;";
  const std::string body =
      "mov.u64 %rd1, pointer; ld.global.u64 %rd2, [%rd1]; ld.global.u32 %r1, [%rd2]; ld.global.u32 %r2, "
      "[numbers+8];\n"
      "ld.const.u32 %r3, [half]; st.global.u32 [%d], %r1; st.global.u32 [%d+4], %r2; st.global.u32 [%d+8], "
      "%r3;";
  const Ran ran = run_kernel(module_with(body, before), {1, 1, 1}, {});
  EXPECT_EQ(ran.data, (std::vector<uint32_t>{8, 0, 0x3F000000u}));
}

}  // namespace
}  // namespace attest::vm
