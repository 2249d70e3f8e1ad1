// Tables of golden rows.
#include "cli/golden_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <ostream>

#include "cli/verify_report.h"

namespace attest::cli {
namespace {

bool is_float32(const golden::GoldenRow& row) { return row.tensor.starts_with("shipped_fp32."); }

Colour colour(Verdict verdict) {
  if (verdict == Verdict::passed) return Colour::good;
  return verdict == Verdict::failed ? Colour::bad : Colour::doubtful;
}

std::string directory_name(const std::string& directory) {
  const std::filesystem::path path = std::filesystem::path(directory).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

TextTable::Cell error_cell(bool any, double error) {
  return any ? TextTable::Cell{fmt::format("{:.1e}", error)} : TextTable::Cell{"-", Colour::quiet};
}

}  // namespace

void print_golden_summary(const Console& console, const std::vector<golden::GoldenReport>& reports) {
  TextTable table({"golden", "variant", "tensors", "float64 error", "float32 error/bound", "status"});
  table.align(1, TextTable::Align::left);
  for (const golden::GoldenReport& report : reports) {
    double exact = 0, shipped = 0;
    bool any_exact = false, any_shipped = false;
    Verdict verdict = Verdict::passed;
    for (const golden::GoldenRow& row : report.rows) {
      if (row.status != Verdict::passed && verdict != Verdict::failed) verdict = row.status;
      (is_float32(row) ? any_shipped : any_exact) = true;
      double& worst = is_float32(row) ? shipped : exact;
      worst = std::max(worst, is_float32(row) ? row.worst_error_over_bound : row.max_rel_error);
    }
    const bool empty = report.rows.empty();
    table.add({{empty ? "?" : directory_name(report.rows.front().golden), Colour::strong},
               {empty ? "?" : report.rows.front().variant},
               {std::to_string(report.rows.size())},
               error_cell(any_exact, exact),
               any_shipped ? TextTable::Cell{ratio_text(shipped)} : TextTable::Cell{"-", Colour::quiet},
               {report.passed() ? "passed" : std::string(name(verdict)),
                report.passed() ? Colour::good : colour(verdict)}});
  }
  table.print(console);
  for (const golden::GoldenReport& report : reports) {
    for (const golden::GoldenRow& row : report.rows) {
      if (row.status == Verdict::passed) continue;
      console.out << fmt::format("\n  {} {} {}\n    {}\n",
                                 console.paint(colour(row.status), name(row.status)), row.golden, row.tensor,
                                 row.text);
    }
  }
}

void print_golden_tensors(const Console& console, const golden::GoldenReport& report) {
  TextTable table({"tensor", "max error", "relative", "bound", "error/bound", "status"});
  for (const golden::GoldenRow& row : report.rows) {
    table.add({{row.tensor},
               {fmt::format("{:.2e}", row.max_abs_error)},
               {fmt::format("{:.2e}", row.max_rel_error)},
               {fmt::format("{:.2e}", row.bound)},
               {ratio_text(row.worst_error_over_bound)},
               {std::string(name(row.status)), colour(row.status)}});
  }
  table.print(console);
}

}  // namespace attest::cli
