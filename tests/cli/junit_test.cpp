// JUnit documents, counted and escaped.
#include "cli/junit.h"

#include <gtest/gtest.h>

namespace attest::cli {
namespace {

using enum JunitCase::Status;

TEST(Junit, GroupsCasesBySuiteAndCountsThem) {
  const std::string xml = junit_xml({{"mha", "a-law", passed, "", "", 0.5},
                                     {"mqa", "a-law", skipped, "no such degree", ""},
                                     {"mha", "b-law", failed, "violated", "line 1\nline 2", 0.25}});
  EXPECT_NE(xml.find(R"(<testsuite name="mha" tests="2" failures="1" skipped="0" time="0.750">)"),
            std::string::npos)
      << xml;
  EXPECT_NE(xml.find(R"(<testsuite name="mqa" tests="1" failures="0" skipped="1" time="0.000">)"),
            std::string::npos);
  EXPECT_NE(xml.find(R"(<failure message="violated">line 1&#10;line 2</failure>)"), std::string::npos);
  EXPECT_NE(xml.find(R"(<skipped message="no such degree"/>)"), std::string::npos);
}

TEST(Junit, EscapesWhatXmlCannotHold) {
  const std::string xml = junit_xml({{"s", "<&\">\x01", passed, "", ""}});
  EXPECT_NE(xml.find("name=\"&lt;&amp;&quot;&gt;?\""), std::string::npos) << xml;
}

}  // namespace
}  // namespace attest::cli
