// What a waiting person is told.
#include "cli/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace attest::cli {
namespace {

TEST(Progress, SaysCountRateAndTimeLeft) {
  EXPECT_EQ(progress_text(50, 200, "cases", 10, "mha"), "[ 50/200 cases]  5.0 cases/s  0:30 left  mha");
  EXPECT_EQ(progress_text(200, 200, "cases", 10, "mha"), "[200/200 cases]  20 cases/s  mha");
  EXPECT_EQ(progress_text(0, 200, "cases", 0, "mha"), "[  0/200 cases]  mha");
}

TEST(Progress, WritesTimesAsClocksDo) {
  EXPECT_EQ(clock_text(7.4), "0:07");
  EXPECT_EQ(clock_text(754), "12:34");
  EXPECT_EQ(clock_text(3723), "1:02:03");
  EXPECT_EQ(clock_text(-1), "0:00");
}

TEST(Progress, PrintsPlainLinesWhereThereIsNoTerminalAndOneAtTheEnd) {
  std::ostringstream out, notes;
  const Console console{out, notes};
  {
    Progress progress(console, 10, "cases");
    progress.update(1, "a");
    progress.update(10, "b");
    progress.update(10, "b");
  }
  EXPECT_TRUE(notes.str().starts_with("[10/10 cases]"))
      << "nothing is due in the first five seconds: " << notes.str();
  EXPECT_EQ(notes.str().find('\n'), notes.str().size() - 1) << "one line";
  EXPECT_EQ(notes.str().find('\r'), std::string::npos);
}

TEST(Progress, RewritesItsLineOnATerminalAndLeavesNothing) {
  std::ostringstream out, notes;
  const Console console{out, notes, false, true, 30};
  {
    Progress progress(console, 10, "cases");
    progress.update(10, "a name that is longer than the terminal is wide");
    EXPECT_EQ(notes.str().find('\n'), std::string::npos);
    EXPECT_LE(notes.str().size(), 1 + 29 + std::string("\x1b[K").size());
  }
  EXPECT_TRUE(notes.str().ends_with("\r\x1b[K"));
}

}  // namespace
}  // namespace attest::cli
