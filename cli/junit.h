// Results as JUnit XML, for CI servers.
#pragma once

#include <string>
#include <vector>

namespace attest::cli {

struct JunitCase {
  enum class Status { passed, failed, skipped };
  std::string suite;  // "mlra-4", "golden mlra_4"
  std::string name;   // "absorption-equivalence", "logits"
  Status status = Status::passed;
  std::string message;  // one line: why it failed or was skipped
  std::string text;     // details of a failure
  double seconds = 0;
};

// A document of one <testsuites> with one <testsuite> a suite, in order of first appearance. Characters that
// XML 1.0 cannot hold become
// '?'.
std::string junit_xml(const std::vector<JunitCase>& cases);

}  // namespace attest::cli
