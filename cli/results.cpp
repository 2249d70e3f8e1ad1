// One JSON row and one JUnit case for every result.
#include "cli/results.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace attest::cli {
namespace {

JunitCase::Status junit_status(RowStatus status) {
  switch (status) {
    case RowStatus::passed:
      return JunitCase::Status::passed;
    case RowStatus::skipped:
      return JunitCase::Status::skipped;
    case RowStatus::failed:
    case RowStatus::mistrusted:
      return JunitCase::Status::failed;
  }
  return JunitCase::Status::failed;
}

RowStatus row_status(Verdict verdict) {
  switch (verdict) {
    case Verdict::passed:
      return RowStatus::passed;
    case Verdict::mistrusted:
    case Verdict::inconclusive:
      return RowStatus::mistrusted;
    case Verdict::failed:
      return RowStatus::failed;
  }
  return RowStatus::failed;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

Results::Results(std::string device) : device_(std::move(device)) {}
Results::~Results() = default;
Results::Results(Results&&) noexcept = default;

void Results::add_row(RowStatus status, nlohmann::ordered_json row, JunitCase junit) {
  ++counts_[static_cast<std::size_t>(status)];
  rows_.push_back(std::move(row));
  cases_.push_back(std::move(junit));
}

void Results::add(const VerifyReport& report) {
  for (const VerifyRow& row : report.rows) {
    nlohmann::ordered_json json = {{"law", row.law},
                                   {"variant", row.variant},
                                   {"head_config", row.head_config},
                                   {"status", name(row.status)},
                                   {"cases", row.cases},
                                   {"worst_error_over_bound", row.worst_error_over_bound},
                                   {"repro", row.repro}};
    if (!row.text.empty()) json["text"] = row.text;
    add_row(row.status, std::move(json),
            {.suite = row.variant,
             .name = row.law,
             .status = junit_status(row.status),
             .message = first_line(row.text),
             .text = row.repro + "\n" + row.text,
             .seconds = row.seconds});
  }
}

void Results::add(const golden::GoldenReport& report) {
  for (const golden::GoldenRow& row : report.rows) {
    const RowStatus status = row_status(row.status);
    nlohmann::ordered_json json = {{"golden", row.golden},
                                   {"variant", row.variant},
                                   {"tensor", row.tensor},
                                   {"status", name(status)},
                                   {"max_abs_error", row.max_abs_error},
                                   {"max_rel_error", row.max_rel_error},
                                   {"bound", row.bound},
                                   {"worst_error_over_bound", row.worst_error_over_bound}};
    if (status != RowStatus::passed) json["text"] = row.text;
    add_row(status, std::move(json),
            {.suite = "golden " + row.golden,
             .name = row.tensor,
             .status = junit_status(status),
             .message = first_line(row.text),
             .text = row.text});
  }
}

ExitStatus Results::exit_status() const {
  return count(RowStatus::failed) + count(RowStatus::mistrusted) > 0 ? ExitStatus::violated
                                                                     : ExitStatus::holds;
}

std::string Results::json() const {
  const nlohmann::ordered_json document = {{"device", device_},
                                           {"passed", count(RowStatus::passed)},
                                           {"failed", count(RowStatus::failed)},
                                           {"skipped", count(RowStatus::skipped)},
                                           {"mistrusted", count(RowStatus::mistrusted)},
                                           {"results", rows_}};
  // Texts may quote bytes of a damaged file.
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace attest::cli
