// attest list, compile and doctor.
#include <gtest/gtest.h>

#include "tests/cli/run_attest.h"

namespace attest {
namespace {

TEST(ListCommand, ShowsEveryTable) {
  const std::vector<std::pair<std::string, std::string>> tables = {{"variants", "mlra-4-gated"},
                                                                   {"laws", "tensor-parallel-equivalence"},
                                                                   {"kernels", "decode_latent.cuh"},
                                                                   {"mutants", "empty-split"},
                                                                   {"forms", "fma.rn.f32"}};
  for (const auto& [table, word] : tables) {
    const Ran ran = run_attest({"list", table});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find(word), std::string::npos) << table;
  }
}

TEST(CompileCommand, EmitsPtxAndMachineCodeAndTheLog) {
  const std::string config = "grouped-h4-g2-k64-v64-bf16";
  const Ran ptx = run_attest({"compile", config});
  EXPECT_EQ(ptx.status, 0) << ptx.err;
  EXPECT_NE(ptx.out.find(".target sm_90"), std::string::npos);
  const Ran cubin = run_attest({"compile", config, "--arch", "sm_90a", "--emit", "cubin"});
  EXPECT_EQ(cubin.status, 0) << cubin.err;
  EXPECT_TRUE(
      cubin.out.starts_with("\x7f"
                            "ELF"));
  EXPECT_EQ(run_attest({"compile", config, "--emit", "log"}).status, 0);
}

TEST(CompileCommand, WritesToAFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("k.ptx");
  const Ran ran = run_attest({"compile", "latent-h4-l1-b1-c64-r32-bf16", "--output", path});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(read_all(path).find(".entry"), std::string::npos);
}

TEST(DoctorCommand, NamesEveryPart) {
  const Ran ran = run_attest({"doctor"});
  EXPECT_EQ(ran.status, 0) << ran.out;
  for (const std::string part : {"NVRTC", "GPU", "NCCL", "MPI", "ptxas", "kernel cache"}) {
    EXPECT_NE(ran.out.find("  " + part), std::string::npos) << ran.out;
  }
}

TEST(DoctorCommand, WithoutNvrtcSaysWhatToDo) {
  const Ran ran = run_attest({"doctor"}, {{"ATTEST_NVRTC", "/nonexistent"}});
  EXPECT_EQ(ran.status, 3);
  EXPECT_NE(ran.out.find("ATTEST_NVRTC"), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace attest
