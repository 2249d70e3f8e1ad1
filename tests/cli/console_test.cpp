// Tables align, split by width, and take colours only where they are allowed.
#include "cli/console.h"

#include <gtest/gtest.h>

#include <sstream>

namespace attest::cli {
namespace {

TEST(TextTable, AlignsTheFirstColumnLeftAndTheOthersRight) {
  std::ostringstream out, notes;
  TextTable table({"name", "n"});
  table.add({{"mha"}, {"1"}});
  table.add({{"mlra-4"}, {"20"}});
  table.print(Console{out, notes});
  EXPECT_EQ(out.str(), "  name     n\n  mha      1\n  mlra-4  20\n");
}

TEST(TextTable, SplitsColumnsThatDoNotFitAndRepeatsTheFirst) {
  std::ostringstream out, notes;
  TextTable table({"law", "aaaa", "bbbb", "cccc"});
  table.add({{"x"}, {"1"}, {"2"}, {"3"}});
  table.print(Console{out, notes, false, false, 17}, TextTable::Split::columns);
  EXPECT_EQ(out.str(), "  law  aaaa  bbbb\n  x       1     2\n\n  law  cccc\n  x       3\n");
}

TEST(TextTable, PrintsAColumnThatIsWiderThanTheTerminal) {
  std::ostringstream out, notes;
  TextTable table({"law", "a column wider than all"});
  table.add({{"x"}, {"1"}});
  table.print(Console{out, notes, false, false, 10}, TextTable::Split::columns);
  EXPECT_NE(out.str().find("a column wider than all"), std::string::npos);
}

TEST(TextTable, RefusesARowOfAnotherLength) {
  TextTable table({"a", "b"});
  EXPECT_THROW(table.add({{"only one"}}), std::invalid_argument);
}

TEST(Console, PaintsOnlyWhereColoursAreAllowed) {
  std::ostringstream out, notes;
  EXPECT_EQ((Console{out, notes, false}).paint(Colour::bad, "x"), "x");
  EXPECT_EQ((Console{out, notes, true}).paint(Colour::bad, "x"), "\x1b[1;31mx\x1b[0m");
  EXPECT_EQ((Console{out, notes, true}).paint(Colour::plain, "x"), "x");
}

}  // namespace
}  // namespace attest::cli
