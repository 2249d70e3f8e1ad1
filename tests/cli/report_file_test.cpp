// Reports appear whole or not at all.
#include "cli/report_file.h"

#include <gtest/gtest.h>

#include "tests/cli/temporary_folder.h"

namespace attest::cli {
namespace {

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(ReportFile, ReplacesAnEarlierReport) {
  const TemporaryFolder folder;
  const std::string path = folder.write("report.json", "old");
  ReportFile report(path);
  report.publish("new");
  EXPECT_EQ(read_all(path), "new");
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(ReportFile, KeepsTheEarlierReportUntilItIsPublished) {
  const TemporaryFolder folder;
  const std::string path = folder.write("report.json", "old");
  { ReportFile report(path); }
  EXPECT_EQ(read_all(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1U) << "the temporary file stayed";
}

TEST(ReportFile, RefusesAFolderThatDoesNotExistBeforeTheWork) {
  const TemporaryFolder folder;
  try {
    ReportFile report(folder.file("absent/report.json"));
    FAIL() << "opened";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("absent/report.json: cannot open it: No such file"),
              std::string::npos)
        << error.what();
  }
}

TEST(ReportFile, RefusesAFolderAsFile) {
  const TemporaryFolder folder;
  EXPECT_THROW(ReportFile report(folder.path()), std::invalid_argument);
}

TEST(ReportFile, SaysThatTheDiskIsFull) {
  ReportFile report("/dev/full");
  try {
    report.publish("text");
    FAIL() << "published";
  } catch (const ReportError& error) {
    EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace attest::cli
