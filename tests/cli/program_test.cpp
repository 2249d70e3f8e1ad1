// The program's frame: help, version, bad arguments, exit statuses.
#include <gtest/gtest.h>

#include "tests/cli/run_attest.h"

namespace attest {
namespace {

TEST(Program, SaysItsVersion) {
  const Ran ran = run_attest({"--version"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_TRUE(ran.out.starts_with("attest ")) << ran.out;
}

TEST(Program, HelpNamesEveryCommand) {
  const Ran ran = run_attest({"--help"});
  EXPECT_EQ(ran.status, 0);
  for (const std::string command :
       {"verify", "golden", "bench", "table", "compile", "list", "mutants", "doctor", "vm"}) {
    EXPECT_NE(ran.out.find("\n  " + command + " "), std::string::npos) << command << "\n" << ran.out;
  }
}

TEST(Program, WithoutArgumentsShowsHelpAndFails) {
  const Ran ran = run_attest({});
  EXPECT_EQ(ran.status, 2);
  EXPECT_NE(ran.out.find("verify"), std::string::npos);
}

TEST(Program, RefusesBadArgumentsInOneLine) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"bogus"},
           {"list"},
           {"list", "bogus"},
           {"verify", "--cases", "many"},
           {"verify", "--cases", "0"},
           {"verify", "--device", "tpu"},
           {"verify", "--variant", "mla-5"},
           {"verify", "--law", "no-such-law"},
           {"verify", "--repro", "not a repro line"},
           {"verify", "--kernels", "/nonexistent"},
           {"verify", "--json", "/nonexistent/report.json"},
           {"golden", "check"},
           {"golden", "check", "/nonexistent"},
           {"golden", "inspect", "/nonexistent"},
           {"table", "kv-cache", "--tp", "0"},
           {"compile", "latent-h6-l4"},
           {"compile", "grouped-h6-g4-k128-v128-bf16"},
           {"compile", "grouped-h8-g2-k64-v64-bf16", "--emit", "cubin"},
           {"vm", "run", "/nonexistent.ptx", "--launch", "/nonexistent.json"},
       }) {
    const Ran ran = run_attest(arguments);
    EXPECT_EQ(ran.status, 2) << testing::PrintToString(arguments) << ran.err;
    EXPECT_TRUE(is_one_line(ran.err)) << testing::PrintToString(arguments) << ": " << ran.err;
    EXPECT_TRUE(ran.err.starts_with("attest: ")) << ran.err;
  }
}

TEST(Program, AnUnknownVariantListsTheNames) {
  const Ran ran = run_attest({"verify", "--variant", "mlra-5"});
  EXPECT_EQ(ran.status, 2);
  EXPECT_NE(ran.err.find("mlra-5"), std::string::npos);
  EXPECT_NE(ran.err.find("mlra-4"), std::string::npos);
}

}  // namespace
}  // namespace attest
