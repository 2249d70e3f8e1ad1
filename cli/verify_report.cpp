// Rows become a matrix, violations and reasons.
#include "cli/verify_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>

namespace attest::cli {
namespace {

// Values of a column in order of first appearance.
std::vector<std::string> distinct(const VerifyReport& report, std::string VerifyRow::*column) {
  std::vector<std::string> values;
  for (const VerifyRow& row : report.rows) {
    if (std::find(values.begin(), values.end(), row.*column) == values.end()) values.push_back(row.*column);
  }
  return values;
}

TextTable::Cell cell(const VerifyRow& row) {
  switch (row.status) {
    case RowStatus::passed:
      return {ratio_text(row.worst_error_over_bound), Colour::good};
    case RowStatus::failed:
      return {"FAIL", Colour::bad};
    case RowStatus::mistrusted:
      return {"doubt", Colour::doubtful};
    case RowStatus::skipped:
      return {"skip", Colour::quiet};
  }
  return {};
}

std::string indented(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 5)
    text.replace(at, 1, "\n    ");
  return "    " + text + "\n";
}

}  // namespace

std::string ratio_text(double ratio) {
  if (!(ratio < 1e6)) return "inf";
  if (ratio == 0) return "0";
  if (ratio >= 10) return fmt::format("{:.0f}", ratio);
  if (ratio >= 0.01) return fmt::format("{:.2f}", ratio);
  return ratio >= 0.001 ? fmt::format("{:.3f}", ratio) : "<.001";
}

void print_matrix(const Console& console, const VerifyReport& report) {
  const std::vector<std::string> variants = distinct(report, &VerifyRow::variant);
  std::vector<std::string> laws = distinct(report, &VerifyRow::law);
  std::map<std::pair<std::string, std::string>, const VerifyRow*> rows;
  for (const VerifyRow& row : report.rows) rows[{row.law, row.variant}] = &row;

  std::vector<std::string> header = {"law"};
  header.insert(header.end(), variants.begin(), variants.end());
  TextTable table(std::move(header));
  for (const std::string& law : laws) {
    std::vector<TextTable::Cell> cells = {{law, Colour::strong}};
    for (const std::string& variant : variants) {
      const auto found = rows.find({law, variant});
      cells.push_back(found == rows.end() ? TextTable::Cell{".", Colour::quiet} : cell(*found->second));
    }
    table.add(std::move(cells));
  }
  table.print(console, TextTable::Split::columns);
}

void print_violations(const Console& console, const VerifyReport& report, int whole) {
  int shown = 0;
  for (const VerifyRow& row : report.rows) {
    if (row.status != RowStatus::failed && row.status != RowStatus::mistrusted) continue;
    const bool failed = row.status == RowStatus::failed;
    console.out << fmt::format(
        "\n  {} {} on {}{}\n",
        console.paint(failed ? Colour::bad : Colour::doubtful, failed ? "FAILED" : "MISTRUSTED"), row.law,
        row.variant, row.head_config.empty() ? "" : ", " + row.head_config);
    if (shown++ < whole) console.out << indented(row.text);
    if (!row.repro.empty())
      console.out << fmt::format("    repeat: ./attest verify --repro '{}'\n", row.repro);
  }
}

void print_skips(const Console& console, const VerifyReport& report) {
  std::map<std::string, std::string> pairs;  // by reason
  for (const VerifyRow& row : report.rows) {
    if (row.status != RowStatus::skipped) continue;
    std::string& list = pairs[row.text];
    list += (list.empty() ? "" : ", ") + row.law + " on " + row.variant;
  }
  if (!pairs.empty()) console.out << '\n';
  for (const auto& [reason, list] : pairs) console.out << "  skipped: " << list << ": " << reason << '\n';
}

}  // namespace attest::cli
