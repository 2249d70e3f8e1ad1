// attest verify as scripts and readers see it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/run_attest.h"

namespace attest {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::vector<std::string> kSmall = {"verify",  "--variant", "mqa",      "--law", "split-invariance",
                                         "--cases", "4",         "--device", "vm"};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(VerifyCommand, PassesAndSaysWhatItChecked) {
  const TemporaryFolder folder;
  const std::string path = folder.file("report.json"), junit = folder.file("junit.xml");
  const Ran ran = run_attest(with(kSmall, {"--json", path, "--junit", junit}));
  ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
  for (const std::string word :
       {"vm", "mqa", "split-invariance", "4 cases", "seed 1", "worst error over bound"}) {
    EXPECT_NE(ran.out.find(word), std::string::npos) << word << "\n" << ran.out;
  }
  const json report = json::parse(read_all(path));
  EXPECT_EQ(report["device"], "vm");
  EXPECT_EQ(report["passed"], 1);
  EXPECT_EQ(report["failed"], 0);
  EXPECT_EQ(report["skipped"], 0);
  EXPECT_EQ(report["mistrusted"], 0);
  ASSERT_EQ(report["results"].size(), 1U);
  const json& row = report["results"][0];
  EXPECT_EQ(row["law"], "split-invariance");
  EXPECT_EQ(row["variant"], "mqa");
  EXPECT_EQ(row["status"], "passed");
  EXPECT_GE(row["cases"].get<int>(), 1);
  EXPECT_LT(row["worst_error_over_bound"].get<double>(), 1.0);
  EXPECT_TRUE(row["head_config"].get<std::string>().starts_with("grouped-")) << row;
  EXPECT_TRUE(row.contains("repro"));
  EXPECT_NE(read_all(junit).find(R"(<testcase classname="mqa" name="split-invariance")"), std::string::npos);
}

TEST(VerifyCommand, TheSameSeedGivesTheSameReport) {
  const TemporaryFolder folder;
  const std::string first = folder.file("1"), second = folder.file("2"), third = folder.file("3");
  run_attest(with(kSmall, {"--seed", "5", "--json", first}));
  run_attest(with(kSmall, {"--seed", "5", "--jobs", "1", "--json", second}));
  run_attest(with(kSmall, {"--seed", "6", "--json", third}));
  EXPECT_EQ(read_all(first), read_all(second));
  EXPECT_NE(read_all(first), read_all(third));
}

// A copy of the kernels with one edit.
std::string broken_kernels(const TemporaryFolder& folder, const std::string& file, const std::string& before,
                           const std::string& after) {
  fs::copy(std::string(ATTEST_SOURCE_DIR) + "/jit/kernels", folder.path() / "kernels");
  const std::string path = folder.file("kernels/" + file);
  std::string text = read_all(path);
  const std::size_t at = text.find(before);
  if (at == std::string::npos) throw std::runtime_error(file + " does not hold: " + before);
  folder.write("kernels/" + file, text.replace(at, before.size(), after));
  return folder.file("kernels");
}

TEST(VerifyCommand, ABrokenKernelFailsWithALineThatFailsAgainByItself) {
  const TemporaryFolder folder;
  const std::string kernels =
      broken_kernels(folder, "merge_splits.cuh", "if (lse == kNegativeInfinity) continue;", "");
  const std::string path = folder.file("report.json");
  const Ran ran = run_attest({"verify", "--variant", "mqa", "--law", "split-invariance", "--device", "vm",
                              "--cases", "60", "--kernels", kernels, "--json", path});
  ASSERT_EQ(ran.status, 1) << ran.out << ran.err;
  EXPECT_NE(ran.out.find("FAILED"), std::string::npos);
  const std::string repro = json::parse(read_all(path))["results"][0]["repro"];
  EXPECT_NE(ran.out.find("--repro '" + repro + "'"), std::string::npos) << ran.out;
  EXPECT_EQ(run_attest({"verify", "--device", "vm", "--repro", repro, "--kernels", kernels}).status, 1);
  // The smallest case may prove nothing of the shipped kernel, but that does not fail.
  run_attest({"verify", "--device", "vm", "--repro", repro, "--json", path});
  EXPECT_EQ(json::parse(read_all(path))["failed"], 0);
}

TEST(VerifyCommand, KernelsThatDoNotCompileAreBadInput) {
  const TemporaryFolder folder;
  const std::string kernels =
      broken_kernels(folder, "merge_splits.cuh", "namespace attest {", "namespace attest { this is not C++;");
  const Ran ran = run_attest(with(kSmall, {"--kernels", kernels}));
  EXPECT_EQ(ran.status, 2) << ran.out << ran.err;
  EXPECT_NE(ran.err.find("merge_splits"), std::string::npos) << ran.err;
}

TEST(VerifyCommand, AFolderThatLacksKernelsNamesThem) {
  const TemporaryFolder folder;
  const Ran ran = run_attest(with(kSmall, {"--kernels", folder.path().string()}));
  EXPECT_EQ(ran.status, 2);
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  EXPECT_NE(ran.err.find(".cuh"), std::string::npos) << ran.err;
}

TEST(VerifyCommand, WithoutNvrtcSaysSoInOneLine) {
  const Ran ran = run_attest(kSmall, {{"ATTEST_NVRTC", "/nonexistent/libnvrtc.so"}});
  EXPECT_EQ(ran.status, 3) << ran.out;
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  EXPECT_NE(ran.err.find("/nonexistent/libnvrtc.so"), std::string::npos) << ran.err;
}

TEST(VerifyCommand, AFullDiskUnderTheReportKeepsTheConsoleReport) {
  const Ran ran = run_attest(with(kSmall, {"--json", "/dev/full"}));
  EXPECT_EQ(ran.status, 3);
  EXPECT_NE(ran.out.find("all holds"), std::string::npos) << ran.out;
  EXPECT_NE(ran.err.find("No space left"), std::string::npos) << ran.err;
}

// A limit on the size of files acts as a disk that is full.
TEST(VerifyCommand, AFullDiskUnderTheKernelCacheIsOneClearLine) {
  const TemporaryFolder folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto old_handler =
      std::signal(SIGXFSZ, SIG_IGN);  // inherited: writes fail instead of killing the program
  const rlimit small = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const Ran ran = run_attest(kSmall, {{"ATTEST_CACHE", folder.file("cache")}});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(ran.status, 3) << ran.out << ran.err;
  EXPECT_NE(ran.err.find("attest: "), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("cache"), std::string::npos) << ran.err;
}

TEST(VerifyCommand, CudaWithoutAGpuIsNotAvailable) {
  if (run_attest({"doctor"}).out.find("GPU           found") != std::string::npos)
    GTEST_SKIP() << "this machine has a GPU";
  const Ran ran = run_attest({"verify", "--device", "cuda"});
  EXPECT_EQ(ran.status, 3) << ran.out;
  EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
}

// Runs on a terminal of its own, both streams.
std::string on_terminal(const std::vector<std::string>& arguments, const std::string& no_color) {
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child < 0) throw std::runtime_error("forkpty failed");
  if (child == 0) {
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", no_color.c_str(), 1);
    std::vector<char*> argv = {const_cast<char*>(ATTEST_PROGRAM)};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(terminal, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  return text;
}

TEST(VerifyCommand, ColoursATerminalUnlessToldNotTo) {
  EXPECT_NE(on_terminal(kSmall, "").find("\x1b[32m"), std::string::npos);
  EXPECT_EQ(on_terminal(kSmall, "1").find("\x1b[32m"), std::string::npos);
  EXPECT_EQ(run_attest(kSmall).out.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace attest
