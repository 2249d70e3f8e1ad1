// Every golden directory against the reference.
#include "golden/golden_check.h"

#include <gtest/gtest.h>

#include <iostream>

#include "file_builders.h"

namespace attest::golden {
namespace {

std::vector<std::string> golden_directories() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(golden_data(""))) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenDirectory : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenDirectory, AgreesWithTheReference) {
  const GoldenReport report = check(golden_data(GetParam()));
  for (const GoldenRow& row : report.rows) {
    EXPECT_EQ(row.status, Verdict::passed) << row.text;
    RecordProperty(row.tensor, row.text);
  }
  EXPECT_TRUE(report.passed());
}

INSTANTIATE_TEST_SUITE_P(Data, GoldenDirectory, ::testing::ValuesIn(golden_directories()),
                         [](const auto& directory) { return directory.param; });

}  // namespace
}  // namespace attest::golden
