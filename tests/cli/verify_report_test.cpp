// The matrix, the violations and the machine-readable rows of a verification.
#include "cli/verify_report.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/results.h"

namespace attest::cli {
namespace {

VerifyReport report() {
  VerifyReport result;
  result.device = "vm";
  result.rows = {
      {.law = "a-law",
       .variant = "mha",
       .status = RowStatus::passed,
       .cases = 5,
       .worst_error_over_bound = 0.25},
      {.law = "b-law",
       .variant = "mha",
       .status = RowStatus::failed,
       .cases = 3,
       .worst_error_over_bound = std::numeric_limits<double>::infinity(),
       .repro = "law=b-law x=1",
       .text = "output[0]: got 1\nwant 2"},
      {.law = "a-law", .variant = "mqa", .status = RowStatus::mistrusted, .cases = 1, .text = "mostly zeros"},
      {.law = "c-law", .variant = "mqa", .status = RowStatus::skipped, .text = "no degree"}};
  return result;
}

struct Captured {
  std::ostringstream out, notes;
  Console console{out, notes};
};

TEST(VerifyReport, MatrixHasARowALawAndAColumnAVariant) {
  Captured c;
  print_matrix(c.console, report());
  EXPECT_EQ(c.out.str(),
            "  law     mha    mqa\n"
            "  a-law  0.25  doubt\n"
            "  b-law  FAIL      .\n"
            "  c-law     .   skip\n");
}

TEST(VerifyReport, ViolationsShowTextAndTheCommandThatRepeatsThem) {
  Captured c;
  print_violations(c.console, report());
  EXPECT_NE(c.out.str().find("FAILED b-law on mha\n    output[0]: got 1\n    want 2\n"
                             "    repeat: ./attest verify --repro 'law=b-law x=1'\n"),
            std::string::npos)
      << c.out.str();
  EXPECT_NE(c.out.str().find("MISTRUSTED a-law on mqa"), std::string::npos);
}

TEST(VerifyReport, OnlyTheFirstViolationsAreShownWhole) {
  Captured c;
  print_violations(c.console, report(), 0);
  EXPECT_EQ(c.out.str().find("got 1"), std::string::npos);
  EXPECT_NE(c.out.str().find("--repro"), std::string::npos);
}

TEST(VerifyReport, SkipsSayWhy) {
  Captured c;
  print_skips(c.console, report());
  EXPECT_EQ(c.out.str(), "\n  skipped: c-law on mqa: no degree\n");
}

TEST(VerifyReport, RatiosAreShort) {
  EXPECT_EQ(ratio_text(0), "0");
  EXPECT_EQ(ratio_text(0.0001), "<.001");
  EXPECT_EQ(ratio_text(0.0042), "0.004");
  EXPECT_EQ(ratio_text(0.317), "0.32");
  EXPECT_EQ(ratio_text(157.2), "157");
  EXPECT_EQ(ratio_text(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(ratio_text(std::numeric_limits<double>::quiet_NaN()), "inf");
}

TEST(Results, CountRowsAndFailWhenOneFailsOrIsOnlyMistrusted) {
  Results results("vm");
  EXPECT_EQ(results.exit_status(), ExitStatus::holds);
  results.add(report());
  EXPECT_EQ(results.exit_status(), ExitStatus::violated);
  const auto json = nlohmann::json::parse(results.json());
  EXPECT_EQ(json["device"], "vm");
  EXPECT_EQ(json["passed"], 1);
  EXPECT_EQ(json["failed"], 1);
  EXPECT_EQ(json["skipped"], 1);
  EXPECT_EQ(json["mistrusted"], 1);
  EXPECT_EQ(json["results"][1]["status"], "failed");
  EXPECT_TRUE(json["results"][1]["worst_error_over_bound"].is_null()) << "infinite";
  EXPECT_EQ(json["results"][1]["repro"], "law=b-law x=1");

  Results mistrusted("vm");
  VerifyReport one = report();
  one.rows = {one.rows[2]};
  mistrusted.add(one);
  EXPECT_EQ(mistrusted.exit_status(), ExitStatus::violated);
}

TEST(Results, GoldenRowsKeepTheirErrors) {
  Results results("reference");
  golden::GoldenReport goldens;
  goldens.rows = {{.golden = "d",
                   .variant = "mha",
                   .tensor = "logits",
                   .status = Verdict::passed,
                   .max_abs_error = 1e-15,
                   .max_rel_error = 2e-15,
                   .bound = 1e-12,
                   .worst_error_over_bound = 0.001,
                   .text = ""}};
  results.add(goldens);
  const auto row = nlohmann::json::parse(results.json())["results"][0];
  EXPECT_EQ(row["golden"], "d");
  EXPECT_EQ(row["tensor"], "logits");
  EXPECT_EQ(row["status"], "passed");
  EXPECT_EQ(row["max_rel_error"], 2e-15);
  EXPECT_EQ(row["bound"], 1e-12);
}

}  // namespace
}  // namespace attest::cli
