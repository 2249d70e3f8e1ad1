// What was checked, row by row: counted for exit status and totals, written as JSON for scripts and as JUnit
// for CI servers.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/exit_status.h"
#include "cli/junit.h"
#include "golden/golden_check.h"
#include "properties/verify.h"

namespace attest::cli {

class Results {
 public:
  explicit Results(std::string device);
  ~Results();
  Results(Results&&) noexcept;

  // Rows of laws: law, variant, head_config, status, cases, worst_error_over_bound (null: infinite), repro.
  void add(const VerifyReport& report);
  // Rows of golden tensors: golden, tensor, status, max_abs_error, max_rel_error, bound. An inconclusive
  // bound is mistrusted.
  void add(const golden::GoldenReport& report);

  int count(RowStatus status) const { return counts_[static_cast<std::size_t>(status)]; }
  // violated when a row failed or was only mistrusted.
  ExitStatus exit_status() const;
  // {"device", "passed", "failed", "skipped", "mistrusted", "results": [...]}
  std::string json() const;
  std::string junit() const { return junit_xml(cases_); }

 private:
  void add_row(RowStatus status, nlohmann::ordered_json row, JunitCase junit);

  std::string device_;
  int counts_[4] = {};
  std::vector<nlohmann::ordered_json> rows_;
  std::vector<JunitCase> cases_;
};

}  // namespace attest::cli
