// Groups cases by suite and escapes text.
#include "cli/junit.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace attest::cli {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\n':
        result += "&#10;";
        break;
      case '\t':
        result += ' ';
        break;
      default:
        result += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  return result;
}

void append_case(std::string& xml, const JunitCase& row) {
  fmt::format_to(std::back_inserter(xml), R"(    <testcase classname="{}" name="{}" time="{:.3f}")",
                 escaped(row.suite), escaped(row.name), row.seconds);
  switch (row.status) {
    case JunitCase::Status::passed:
      xml += "/>\n";
      return;
    case JunitCase::Status::skipped:
      xml += fmt::format("><skipped message=\"{}\"/></testcase>\n", escaped(row.message));
      return;
    case JunitCase::Status::failed:
      xml += fmt::format("><failure message=\"{}\">{}</failure></testcase>\n", escaped(row.message),
                         escaped(row.text));
      return;
  }
}

}  // namespace

std::string junit_xml(const std::vector<JunitCase>& cases) {
  std::vector<std::string> suites;
  for (const JunitCase& row : cases) {
    if (std::find(suites.begin(), suites.end(), row.suite) == suites.end()) suites.push_back(row.suite);
  }
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"attest\">\n";
  for (const std::string& suite : suites) {
    std::string body;
    std::size_t count = 0, failures = 0, skipped = 0;
    double seconds = 0;
    for (const JunitCase& row : cases) {
      if (row.suite != suite) continue;
      ++count;
      failures += row.status == JunitCase::Status::failed ? 1 : 0;
      skipped += row.status == JunitCase::Status::skipped ? 1 : 0;
      seconds += row.seconds;
      append_case(body, row);
    }
    xml += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n{}  "
        "</testsuite>\n",
        escaped(suite), count, failures, skipped, seconds, body);
  }
  return xml + "</testsuites>\n";
}

}  // namespace attest::cli
