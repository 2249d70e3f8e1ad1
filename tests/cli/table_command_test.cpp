// attest table kv-cache against the published table.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/run_attest.h"

namespace attest {
namespace {

using nlohmann::json;

// KV cache loaded per token and device in head widths, for 1, 2, 4 and 8 devices: 64 query heads, 8 KV heads
// for GQA and GTA, TPA ranks 2 and 2, MFA heads of 256 (MLRA paper, arXiv 2603.02188, and its authors' blog;
// MQA, MFA, TPA and GLA-4 derived from the shapes).
const std::map<std::string, std::vector<double>> kPublished = {
    {"mha", {128, 64, 32, 16}},
    {"mqa", {2, 2, 2, 2}},
    {"gqa", {16, 8, 4, 2}},
    {"gta", {8.5, 4.5, 2.5, 1.5}},
    {"mfa", {4, 4, 4, 4}},
    {"tpa", {6, 5, 4.5, 4.25}},
    {"mla", {4.5, 4.5, 4.5, 4.5}},
    {"gla-2", {4.5, 2.5, 2.5, 2.5}},
    {"gla-4", {4.5, 2.5, 1.5, 1.5}},
    {"mlra-2", {4.5, 2.5, 1.5, 1.5}},
    {"mlra-4", {4.5, 2.5, 1.5, 1.5}},
};

TEST(TableCommand, KvCacheHasThePublishedNumbersAndKernelsLoadJustThese) {
  const TemporaryFolder folder;
  const std::string path = folder.file("table.json");
  const Ran ran = run_attest({"table", "kv-cache", "--tp", "1,2,4,8", "--json", path});
  ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
  const json rows = json::parse(read_all(path));
  std::map<std::string, std::vector<double>> formula;
  int counted = 0;
  for (const json& row : rows) {
    if (!row.contains("head_widths_per_token")) continue;
    formula[row["variant"]].push_back(row["head_widths_per_token"]);
    if (!row.contains("counted_elements_per_token")) continue;
    ++counted;
    if (row["variant"] == "mfa-kr")
      continue;  // its grouped kernel takes keys and values; the formula caches keys alone
    EXPECT_EQ(row["counted_elements_per_token"], row["elements_per_token"]) << row;
    EXPECT_GE(row["loads_of_each_element"].get<double>(), 1.0) << row;
  }
  for (const auto& [variant, widths] : kPublished) EXPECT_EQ(formula[variant], widths) << variant;
  EXPECT_GE(counted, 40) << "ten variants with kernels, four degrees";
}

TEST(TableCommand, KvCacheByFormulaNeedsNoCompiler) {
  const Ran ran = run_attest({"table", "kv-cache", "--formula-only"}, {{"ATTEST_NVRTC", "/nonexistent"}});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.out.find("mlra-4"), std::string::npos);
  EXPECT_EQ(ran.out.find("counted\n"), std::string::npos);
}

TEST(TableCommand, RefusesUnknownVariantsAndDegrees) {
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"--variant", "mlra-5"}, {"--tp", "0"}, {"--tp", "x"}}) {
    std::vector<std::string> arguments = {"table", "kv-cache"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Ran ran = run_attest(arguments);
    EXPECT_EQ(ran.status, 2);
    EXPECT_TRUE(is_one_line(ran.err)) << ran.err;
  }
}

TEST(TableCommand, RopeAnglesShowFloat32GettingWorseWithDistance) {
  const Ran ran = run_attest({"table", "rope-angles"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  for (const std::string position : {"131072", "1048576", "2097152"}) {
    EXPECT_NE(ran.out.find(position), std::string::npos) << ran.out;
  }
}

}  // namespace
}  // namespace attest
