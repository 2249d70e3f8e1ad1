// A judge fails on NaN, keeps the worst verdict, and trusts agreement only where something was uncertain.
#include "properties/judge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace attest {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Tensor<double> row(const std::vector<double>& values) {
  Tensor<double> tensor{1, 1, 1, std::ssize(values)};
  std::copy(values.begin(), values.end(), tensor.data());
  return tensor;
}

TEST(Judge, PassesWithinTheBoundsAndReportsTheRatio) {
  Judge judge;
  judge.within("output", row({1.0, 2.0}), row({1.05, 2.0}), row({0.1, 0.1}), "");
  const LawOutcome outcome = judge.take();
  EXPECT_EQ(outcome.verdict, Verdict::passed);
  EXPECT_NEAR(outcome.worst_error_over_bound, 0.5, 1e-9);
  EXPECT_EQ(outcome.text, "");
}

TEST(Judge, FailsOnNanWhereverItStands) {
  for (const auto& [got, want, bound] : {std::tuple{kNan, 1.0, 1.0}, {1.0, kNan, 1.0}, {1.0, 1.5, kNan}}) {
    Judge judge;
    judge.within("output", row({got}), row({want}), row({bound}), "");
    EXPECT_EQ(judge.take().verdict, Verdict::failed);
  }
  Judge bits;
  bits.same_bits("output", row({kNan}), row({kNan}));
  EXPECT_EQ(bits.take().verdict, Verdict::failed);
}

TEST(Judge, NamesTheFirstCoordinateThatDiffers) {
  Judge judge;
  judge.within("output", row({1, 2, 5}), row({1, 2, 3}), row({0.1, 0.1, 0.1}), "because");
  const LawOutcome outcome = judge.take();
  EXPECT_NE(outcome.text.find("output[batch 0, query 0, row 0, element 2]: got 5, want 3, bound 1.00e-01"),
            std::string::npos)
      << outcome.text;
  EXPECT_NE(outcome.text.find("because"), std::string::npos);
}

TEST(Judge, FailsOnAnotherShape) {
  Judge judge;
  judge.within("output", row({1, 2}), row({1, 2, 3}), row({1, 1, 1}), "");
  EXPECT_EQ(judge.take().verdict, Verdict::failed);
}

TEST(Judge, DemandsEqualBits) {
  Judge judge;
  judge.same_bits("output", row({1.0}), row({std::nextafter(1.0, 2.0)}));
  EXPECT_TRUE(judge.failed());
  Judge equal;
  equal.same_bits("output", row({0.0, -kInfinity}), row({0.0, -kInfinity}));
  EXPECT_EQ(equal.take().verdict, Verdict::passed);
}

TEST(Judge, HoldsIdentitiesToTheLargestValue) {
  Judge close, far;
  close.identical_to(1e-12, "o", row({1000, 1 + 5e-10}), row({1000, 1}));
  EXPECT_FALSE(close.failed());
  far.identical_to(1e-12, "o", row({1000, 1 + 5e-9}), row({1000, 1}));
  EXPECT_TRUE(far.failed());
}

TEST(Judge, MistrustsBoundsWiderThanTheValues) {
  Judge judge;
  judge.within("output", row({0.1, 0.1}), row({0.1, 0.2}), row({1, 1}), "");
  EXPECT_EQ(judge.take().verdict, Verdict::mistrusted);
}

TEST(Judge, LooksPastRowsThatAreKnownExactly) {
  // Three rows of zeros with bound 0 saw nothing; the fourth decides.
  Judge judge;
  judge.within("output", row({0, 0, 0, 1.0}), row({0, 0, 0, 1.01}), row({0, 0, 0, 0.1}), "");
  EXPECT_EQ(judge.take().verdict, Verdict::passed);
  Judge nothing;
  nothing.within("output", row({0, 0}), row({0, 0}), row({0, 0}), "");
  EXPECT_EQ(nothing.take().verdict, Verdict::mistrusted);
  Judge wrong;
  wrong.within("output", row({0, 1e-300, 0, 1.0}), row({0, 0, 0, 1.0}), row({0, 0, 0, 0.1}), "");
  EXPECT_EQ(wrong.take().verdict, Verdict::failed);
}

TEST(Judge, KeepsTheWorstVerdictAndItsFirstText) {
  Judge judge;
  judge.mistrust("wide");
  judge.inconclusive("no bound");
  judge.require(true, "fine");
  judge.inconclusive("again");
  EXPECT_FALSE(judge.failed());
  judge.require(false, "broken");
  judge.require(false, "broken twice");
  const LawOutcome outcome = judge.take();
  EXPECT_EQ(outcome.verdict, Verdict::failed);
  EXPECT_EQ(outcome.text, "broken");
  EXPECT_EQ(outcome.worst_error_over_bound, kInfinity);
}

}  // namespace
}  // namespace attest
