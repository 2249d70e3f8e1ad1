// What passes, what fails and what is mistrusted, with the numbers that break careless comparisons.
#include "reference/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/reference/refusal.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

Comparison compare_all(const std::vector<double>& got, const std::vector<double>& want,
                       const Tolerance& tolerance) {
  const std::vector<Index> shape{static_cast<Index>(got.size())};
  return compare("x", got, want, shape, {"element"}, tolerance);
}
Verdict verdict(double got, double want, double bound) {
  return compare_all({got}, {want}, {.absolute = bound}).verdict;
}

TEST(Compare, AnErrorOfTheBoundPassesAndOneBeyondItFails) {
  EXPECT_EQ(verdict(1.25, 1.0, 0.25), Verdict::passed);
  EXPECT_EQ(verdict(0.75, 1.0, 0.25), Verdict::passed);
  EXPECT_EQ(verdict(std::nextafter(1.25, 2.0), 1.0, 0.25), Verdict::failed);
  EXPECT_EQ(verdict(1.0, 1.0, 0.0), Verdict::passed);
  EXPECT_EQ(verdict(std::nextafter(1.0, 2.0), 1.0, 0.0), Verdict::failed);
}

TEST(Compare, NanFailsWhereverItStands) {
  EXPECT_EQ(verdict(kNan, 1.0, 1e300), Verdict::failed);
  EXPECT_EQ(verdict(1.0, kNan, 1e300), Verdict::failed);
  EXPECT_EQ(verdict(kNan, kNan, 1e300), Verdict::failed);
  EXPECT_EQ(verdict(1.0, 1.0, kNan), Verdict::failed);
  EXPECT_EQ(verdict(kNan, kInfinity, 1.0), Verdict::failed);
  EXPECT_EQ(verdict(kNan, 1.0, kInfinity), Verdict::failed);
  const Comparison result = compare_all({kNan, 1.0}, {1.0, 1.0}, {.absolute = 0.5});
  EXPECT_EQ(result.failures, 1);
  EXPECT_EQ(result.first_failure, 0);
  EXPECT_EQ(result.worst_ratio, kInfinity);
  EXPECT_EQ(result.max_abs_error, kInfinity);
}

TEST(Compare, AnInfinityMatchesItselfOnly) {
  EXPECT_EQ(verdict(kInfinity, kInfinity, 0.0), Verdict::passed);
  EXPECT_EQ(verdict(-kInfinity, -kInfinity, 0.0), Verdict::passed);
  EXPECT_EQ(verdict(kInfinity, -kInfinity, 1.0), Verdict::failed);
  EXPECT_EQ(verdict(1e300, kInfinity, 1.0), Verdict::failed);
  EXPECT_EQ(verdict(kInfinity, 1.0, 1.0), Verdict::failed);
  EXPECT_EQ(verdict(kInfinity, 1.0, kInfinity), Verdict::failed);  // inf <= inf must not excuse it
  // A relative bound of an infinite value is infinite as well.
  EXPECT_EQ(compare_all({kInfinity}, {-kInfinity}, {.relative = 0.1}).verdict, Verdict::failed);
}

TEST(Compare, NothingProvesNothing) {
  const Comparison result = compare_all({}, {}, {.absolute = 1});
  EXPECT_EQ(result.verdict, Verdict::mistrusted);
  EXPECT_EQ(result.elements, 0);
  EXPECT_EQ(result.text, "x: no elements, so nothing is shown");
}

TEST(Compare, MostlyZerosAreMistrustedButAFailureAmongThemFails) {
  EXPECT_EQ(compare_all({0, 0, 1}, {0, 0, 1}, {.absolute = 1e-3}).verdict, Verdict::mistrusted);
  EXPECT_EQ(compare_all({0, 0, 1}, {0, 0, 1}, {.absolute = 0}).verdict, Verdict::mistrusted);
  EXPECT_EQ(compare_all({0, 0, 1, 1}, {0, 0, 1, 1}, {.absolute = 1e-3}).verdict, Verdict::passed);
  EXPECT_EQ(compare_all({0, 0.5, 1}, {0, 0, 1}, {.absolute = 1e-3}).verdict, Verdict::failed);
  EXPECT_EQ(compare_all({-0.0, 0, 1}, {0, -0.0, 1}, {.absolute = 0}).zeros, 2);
}

TEST(Compare, ABoundWiderThanTheSignalIsMistrusted) {
  EXPECT_EQ(compare_all({1, 2, 0.1}, {1, 2, 0.1}, {.absolute = 0.5}).verdict, Verdict::passed);
  EXPECT_EQ(compare_all({1, 0.2, 0.1}, {1, 0.2, 0.1}, {.absolute = 0.5}).verdict, Verdict::mistrusted);
  EXPECT_EQ(verdict(1.0, 1.0, kInfinity), Verdict::mistrusted);
}

TEST(Compare, BoundsMayDifferByElement) {
  const std::vector<double> bounds{0.1, 0.3};
  EXPECT_EQ(compare_all({1.2, 1.2}, {1, 1}, {.bounds = bounds}).first_failure, 0);
  EXPECT_EQ(compare_all({1.05, 1.2}, {1, 1}, {.bounds = bounds}).verdict, Verdict::passed);
}

TEST(Compare, TheTextNamesTheFirstFailureByItsAxes) {
  std::vector<double> want(2 * 3 * 4, 1.0), got = want;
  got[1 * 12 + 2 * 4 + 3] = 1.5;
  got[1 * 12 + 2 * 4 + 1] = 0.75;
  const std::vector<Index> shape{2, 3, 4};
  const Comparison result = compare("output", got, want, shape, {"batch", "row", "element"},
                                    {.absolute = 0.125, .source = "a guess"});
  EXPECT_EQ(
      result.text,
      "output[batch 1, row 2, element 1]: got 0.75, want 1, bound 1.25e-01 (2x); 2 of 24 differ; tolerance: "
      "a guess");
  EXPECT_EQ(result.first_failure, 21);
  EXPECT_EQ(result.worst_index, 23);
  EXPECT_EQ(result.worst_ratio, 4);
  EXPECT_EQ(result.max_abs_error, 0.5);
  EXPECT_EQ(result.got, 0.75);
}

TEST(Compare, APassShowsTheWorstElement) {
  const Comparison result = compare_all({1.0, 1.0625, 1.0}, {1, 1, 1}, {.absolute = 0.125});
  EXPECT_EQ(result.text, "x[element 1]: got 1.0625, want 1, bound 1.25e-01 (0.5x, the worst of 3)");
  EXPECT_EQ(result.worst_ratio, 0.5);
}

TEST(Compare, ArgumentsThatDoNotFitAreRefused) {
  const std::vector<double> two{1, 2}, three{1, 2, 3};
  const std::vector<Index> shape2{2}, shape3{3};
  EXPECT_EQ(refusal([&] { compare("x", two, three, shape2, {"i"}, {}); }), "compare x: 2 values against 3");
  EXPECT_EQ(refusal([&] { compare("x", two, two, shape3, {"i"}, {}); }),
            "compare x: 2 values do not have the shape [3]");
  EXPECT_EQ(refusal([&] {
              compare("x", two, two, shape2, {"i", "j"}, {});
            }),
            "compare x: 2 axis names for the shape [2]");
  EXPECT_EQ(refusal([&] { compare("x", two, two, shape2, {"i"}, {.bounds = three}); }),
            "compare x: 3 bounds for 2 values");
  EXPECT_EQ(refusal([&] { compare("x", two, two, shape2, {"i"}, {.bounds = two, .relative = 1}); }),
            "compare x: both a bound an element and an absolute or relative tolerance");
}

TEST(Compare, VerdictsHaveNames) {
  EXPECT_EQ(name(Verdict::passed), "passed");
  EXPECT_EQ(name(Verdict::failed), "failed");
  EXPECT_EQ(name(Verdict::mistrusted), "mistrusted");
  EXPECT_EQ(name(Verdict::inconclusive), "inconclusive");
}

}  // namespace
}  // namespace attest
