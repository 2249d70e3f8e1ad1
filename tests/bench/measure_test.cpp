// bench/measure, the one command for a machine with a GPU, with a program in place of attest that says what
// it was asked and fails where a device would.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/cli/temporary_folder.h"

namespace attest {
namespace {

namespace fs = std::filesystem;

class Measure : public testing::Test {
 protected:
  // `body`: a shell function's, of the arguments "$*" and $log, the folder's file of all calls.
  int run(const std::string& body) {
    const std::string program = folder_.write("attest", "#!/usr/bin/env bash\nlog=" + folder_.file("log") +
                                                            "\necho \"$*\" >>\"$log\"\n" + body + "\n");
    fs::permissions(program, fs::perms::owner_all);
    const std::string command = "cd " ATTEST_SOURCE_DIR " && PROGRAM=" + program + " bench/measure " +
                                folder_.file("out") + " >" + folder_.file("told") + " 2>&1";
    return std::system(command.c_str());
  }
  std::string file(const std::string& name) const { return read_all(folder_.path() / name); }
  static std::size_t count(const std::string& text, const std::string& what) {
    std::size_t times = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++times;
    return times;
  }

  TemporaryFolder folder_;
};

TEST_F(Measure, AsksForEverythingOnTheGpu) {
  EXPECT_EQ(run("echo fine"), 0) << file("told");
  const std::string log = file("log");
  EXPECT_EQ(count(log, "vm conformance --device cuda --record"), 1u) << log;
  EXPECT_EQ(count(log, "vm conformance --device vm --against"), 1u) << log;
  EXPECT_EQ(count(log, "--against tests/vm/records/h100.record"), 1u) << log;
  EXPECT_EQ(count(log, "verify --device cuda --cases 48 --json"), 1u) << log;
  EXPECT_EQ(count(log, "bench --device cuda"), 1u) << log;
  EXPECT_EQ(file("out/verify.txt"), "fine\n");
}

TEST_F(Measure, GoesOnBehindAFormThatFailedAndBehindAStepThatFailed) {
  // Two kernels fail, each ends its process; and so do the laws.
  EXPECT_NE(run("[[ $* == *--record* ]] && (($(grep -c -e --record \"$log\") < 3)) && exit 1\n"
                "[[ $1 == verify ]] && { echo 'a law is broken'; exit 1; }\nexit 0"),
            0);
  const std::string log = file("log");
  EXPECT_EQ(count(log, "--resume"), 3u) << log;
  EXPECT_EQ(count(log, "bench --device cuda"), 1u) << log;
  const std::string told = file("told");
  EXPECT_NE(told.find("verify           exit 1"), std::string::npos) << told;
  EXPECT_NE(told.find("a law is broken"), std::string::npos) << told;
  EXPECT_NE(told.find("record           exit 0"), std::string::npos) << told;
}

TEST_F(Measure, GivesUpOnADeviceThatFailsForEver) {
  EXPECT_NE(run("[[ $* != *--record* ]]"), 0);
  EXPECT_EQ(count(file("log"), "--resume"), 20u);
}

}  // namespace
}  // namespace attest
