// Payload arithmetic's algebra: against numbers worked out by hand, and online attention against one pass.
#include "jit/vm/payload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <random>

namespace attest::vm {
namespace {

constexpr int kEnough = 32;  // bits: agreement by chance in one of 4e9 comparisons

bool agree(const Payload& a, const Payload& b) {
  const Agreement found = agreement(a, b);
  EXPECT_GE(found.bits, kEnough) << "inconclusive";
  return found.equal;
}

Payload integer(int64_t value) {
  Payload result;
  result.number = padic(value);
  result.shadow = static_cast<double>(value);
  return result;
}

TEST(Padic, AddsAndMultipliesIntegersAndFractions) {
  // 12 and 20 are known modulo 2^66, so is 32 = 2^5.
  EXPECT_EQ(padic(12) + padic(20), (Padic{.unit = 1, .valuation = 5, .precision = 61}));
  EXPECT_EQ(padic(12) + padic(0), padic(12));
  EXPECT_EQ(padic(-3) * padic(8), padic(-24));
  EXPECT_EQ(padic(3) * inverse(padic(3)), padic(1));
  const Padic quarter = inverse(padic(4));
  EXPECT_EQ(quarter.valuation, -2);
  EXPECT_EQ(padic(8) * quarter, padic(2));
  EXPECT_TRUE((padic(0) * padic(7)).exact_zero());
}

TEST(Padic, KnowsHowManyBitsItKnows) {
  // 3 is known modulo 2^64, 3 * 2^10 modulo 2^74: their sum modulo 2^64.
  EXPECT_EQ((padic(3) + padic(3 << 10)).end(), 64);
  const Padic unknown = padic(5) + padic(-5);  // 0 modulo 2^64, not zero
  EXPECT_FALSE(unknown.exact_zero());
  EXPECT_EQ(unknown.unit, 0u);
  EXPECT_EQ(unknown.valuation, 64);
  EXPECT_THROW(inverse(unknown), CannotCheck);
  EXPECT_THROW(inverse(Padic{}), CannotCheck);
  EXPECT_EQ((padic(1) + padic(-1025)).precision, 54);  // -2^10: ten bits are gone
  Padic squared = padic(2);
  for (int i = 0; i < 24; ++i) squared = squared * squared;
  EXPECT_EQ(squared.valuation, 1 << 24);
  EXPECT_THROW(squared * squared, CannotCheck);  // before the valuation overflows
}

TEST(Padic, LogarithmsUndoPowersOfFive) {
  bool negative = false;
  EXPECT_EQ(power_of_five(padic(3)), padic(125));
  Padic log = log_five(padic(-125 * 4), negative);
  EXPECT_TRUE(negative);
  EXPECT_EQ(log.unit, 3u);
  EXPECT_EQ(log.valuation, 0);
  EXPECT_EQ(log.end(), 62);  // exponents count modulo 2^62
  EXPECT_EQ(
      power_of_five(inverse(padic(3))) * power_of_five(inverse(padic(3))) * power_of_five(inverse(padic(3))),
      padic(5));  // the third root of 5
  EXPECT_THROW(power_of_five(inverse(padic(2))), CannotCheck);
  Padic short_one = padic(1);
  short_one.precision = 2;
  EXPECT_THROW(log_five(short_one, negative), CannotCheck);
}

TEST(Payload, LiteralsKeepZeroOneSignsAndThePairsThatCancel) {
  EXPECT_TRUE(payload_of(0.0).zero());
  EXPECT_EQ(payload_of(1.0).number, padic(1));
  EXPECT_EQ((payload_of(0.37) + payload_of(-0.37)).number.unit, 0u);
  for (const double x : {0.37, -0.37, 2.0, 1e-30}) EXPECT_EQ(payload_of(x).number.unit & 1, 1u) << x;
  EXPECT_FALSE(agree(payload_of(0.37), payload_of(0.371)));
  EXPECT_TRUE(agree(payload_of(std::numbers::log2e) * payload_of(std::numbers::ln2), payload_of(1)));
  EXPECT_TRUE(agree(payload_of(static_cast<double>(std::bit_cast<float>(0x3FB8AA3Bu))) *
                        payload_of(static_cast<double>(std::bit_cast<float>(0x3F317218u))),
                    payload_of(1)));
  EXPECT_TRUE(agree(payload_of(std::log2(10.0)) * payload_of(std::log10(2.0)), payload_of(1)));
}

TEST(Payload, ExponentialsTurnSumsIntoProductsAndLogarithmsTurnThemBack) {
  const Payload a = payload_of(0.3), b = payload_of(-1.7), l = payload_of(5.5) + payload_of(2.25);
  EXPECT_TRUE(agree(exp2(a + b), exp2(a) * exp2(b)));
  EXPECT_TRUE(agree(exp2(log2(l)), l));
  EXPECT_TRUE(agree(log2(exp2(a)), a));
  EXPECT_TRUE(agree(exp2(log2(l) - log2(payload_of(5.5))), l / payload_of(5.5)));
  // Through natural logarithms: exp2(log2(e) * (ln(2) * log2(l))).
  EXPECT_TRUE(agree(exp2(payload_of(std::numbers::log2e) * (payload_of(std::numbers::ln2) * log2(l))), l));
  // The conversion forgotten: of an odd number another element, of an even one a power of two that is none.
  const Payload odd = l + payload_of(1.5);
  EXPECT_FALSE(agree(exp2(payload_of(std::numbers::log2e) * log2(odd)), odd));
  EXPECT_THROW(exp2(payload_of(std::numbers::log2e) * log2(l)), CannotCheck);
  EXPECT_TRUE(agree(log2(integer(12)), log2(integer(3)) + log2(integer(4))));
  EXPECT_TRUE(agree(exp2(Payload{} - log2(integer(6))), integer(1) / integer(6)));
}

TEST(Payload, SpecialValuesAreThoseOfFloats) {
  const Payload infinite = payload_of(INFINITY), nan = payload_of(NAN), zero;
  const auto kind = [](const Payload& value) { return value.kind; };
  EXPECT_TRUE(exp2(-infinite).zero());
  EXPECT_EQ(kind(log2(zero)), Payload::Kind::infinite);
  EXPECT_LT(log2(zero).shadow, 0);
  EXPECT_EQ(kind(log2(payload_of(-1))), Payload::Kind::nan);
  EXPECT_EQ(kind(infinite - infinite), Payload::Kind::nan);
  EXPECT_EQ(kind(infinite * zero), Payload::Kind::nan);
  EXPECT_EQ(kind(zero / zero), Payload::Kind::nan);
  EXPECT_EQ(kind(payload_of(-2.5) / zero), Payload::Kind::infinite);
  EXPECT_LT((payload_of(-2.5) / zero).shadow, 0);
  EXPECT_TRUE((payload_of(3) / infinite).zero());
  EXPECT_EQ(kind(nan + zero), Payload::Kind::nan);
  EXPECT_EQ(kind(infinite * payload_of(-2)), Payload::Kind::infinite);
  EXPECT_LT((infinite * payload_of(-2)).shadow, 0);
}

TEST(Payload, RefusesWhatTheAlgebraHasNoAnswerFor) {
  const Payload l = payload_of(5.5) + payload_of(2.25);  // even: its logarithm has a power of two
  EXPECT_THROW(log2(l) * log2(l), CannotCheck);
  EXPECT_THROW(payload_of(1) / log2(l), CannotCheck);
  EXPECT_THROW(log2(log2(l)), CannotCheck);
  EXPECT_THROW(exp2(payload_of(1) / l), CannotCheck);                              // no 2-adic integer
  EXPECT_THROW(payload_of(1) / (payload_of(0.3) - payload_of(0.3)), CannotCheck);  // nothing known of it
  EXPECT_THROW(exp2(log2(l) * payload_of(0.3)), CannotCheck);                      // 2^0.3 is no element
  EXPECT_THROW(log2(payload_of(0.3) - payload_of(0.3)), CannotCheck);
}

TEST(Payload, OtherFunctionsAreTaggedByTheirArgument) {
  const auto sine = [](const Payload& a) {
    return tagged(
        3, a, [](double x) { return std::sin(x); }, true);
  };
  const Payload a = payload_of(0.3) + payload_of(0.5), again = payload_of(0.5) + payload_of(0.3);
  EXPECT_TRUE(agree(sine(a), sine(again)));
  EXPECT_TRUE(agree(sine(-a), -sine(a)));
  EXPECT_FALSE(agree(sine(a), sine(payload_of(0.3))));
  EXPECT_TRUE(sine(Payload{}).zero());
  EXPECT_TRUE(agree(sqrt(payload_of(1)), payload_of(1)));
  EXPECT_EQ(sqrt(payload_of(-4)).kind, Payload::Kind::nan);
  EXPECT_FALSE(agree(sqrt(a), sine(a)));
}

TEST(Payload, AgreementSaysHowMuchItCompared) {
  const Payload a = payload_of(0.3), b = payload_of(-1.7), l = payload_of(5.5) + payload_of(2.25);
  EXPECT_EQ(agreement(a + b, b + a).bits, 64);
  EXPECT_LT(agreement(a / l, a / l).bits, 64);  // l is even: a bit of it is not known
  Payload vague = a;
  vague.number.precision = 7;
  vague.number.unit &= 127;
  EXPECT_TRUE(agreement(a, vague).equal);
  EXPECT_EQ(agreement(a, vague).bits, 7);
  vague.number.unit ^= 64;
  EXPECT_FALSE(agreement(a, vague).equal);
  EXPECT_FALSE(agreement(payload_of(INFINITY), payload_of(-INFINITY)).equal);
  EXPECT_FALSE(agreement(payload_of(INFINITY), a).equal);
  EXPECT_TRUE(agreement(payload_of(NAN), payload_of(NAN)).equal);
  EXPECT_FALSE(agreement(Payload{}, a).equal);
  EXPECT_FALSE(agreement(exp2(a), -exp2(a)).equal);
}

TEST(Payload, DigestsAreThoseOfWhatAgrees) {
  const Payload a = payload_of(0.3), b = payload_of(-1.7), l = payload_of(5.5) + payload_of(2.25);
  EXPECT_EQ(digest(a + b), digest(b + a));
  EXPECT_EQ(digest(a * b / l), digest(a / l * b));
  EXPECT_EQ(digest(exp2(log2(l))), digest(l));
  EXPECT_EQ(digest(l + (a - a)), digest(l));  // fewer bits known of one
  EXPECT_NE(digest(a), digest(b));
  EXPECT_NE(digest(a), digest(-a));
  EXPECT_NE(digest(a / l), digest(a));
  EXPECT_NE(digest(log2(l)), digest(log2(-(-l) * payload_of(1) + payload_of(1))));
  EXPECT_NE(digest(payload_of(INFINITY)), digest(payload_of(-INFINITY)));
  Payload vague = integer(5);
  vague.number.precision = 31;
  EXPECT_THROW(digest(vague), CannotCheck);
}

// --- attention, as the kernels compute it and as it is defined ---

struct Problem {
  std::vector<Payload> queries;
  std::vector<std::vector<Payload>> keys, values;
  Payload scale;
};

Payload dot(const std::vector<Payload>& a, const std::vector<Payload>& b) {
  Payload sum;
  for (size_t i = 0; i < a.size(); ++i) sum = sum + a[i] * b[i];
  return sum;
}

std::vector<Payload> one_pass(const Problem& problem) {
  std::vector<Payload> result(problem.values[0].size());
  Payload denominator;
  for (size_t j = 0; j < problem.keys.size(); ++j) {
    const Payload p = exp2(dot(problem.queries, problem.keys[j]) * problem.scale);
    denominator = denominator + p;
    for (size_t e = 0; e < result.size(); ++e) result[e] = result[e] + p * problem.values[j][e];
  }
  for (Payload& element : result) element = element / denominator;
  return result;
}

enum class Bug { none, result_rescale, sum_rescale };

// Splits of random tokens, tiles with a running maximum, log-sum-exps, then a merge.
std::vector<Payload> in_parts(const Problem& problem, size_t tile, size_t splits, std::mt19937_64& random,
                              Bug bug = Bug::none, bool shuffled = true) {
  std::vector<size_t> order(problem.keys.size());
  for (size_t j = 0; j < order.size(); ++j) order[j] = j;
  if (shuffled) std::shuffle(order.begin(), order.end(), random);
  const size_t width = problem.values[0].size(), per_split = (order.size() + splits - 1) / splits;
  Payload sum_of_weights;
  std::vector<Payload> merged(width);
  std::vector<std::pair<std::vector<Payload>, Payload>> parts;
  for (size_t begin = 0; begin < order.size(); begin += per_split) {
    Payload maximum = payload_of(-INFINITY), sum;
    std::vector<Payload> result(width);
    const size_t end = std::min(begin + per_split, order.size());
    for (size_t from = begin; from < end; from += tile) {
      const size_t to = std::min(from + tile, end);
      std::vector<Payload> scores;
      Payload highest = maximum;
      for (size_t i = from; i < to; ++i) {
        scores.push_back(dot(problem.queries, problem.keys[order[i]]) * problem.scale);
        if (scores.back().shadow > highest.shadow) highest = scores.back();
      }
      const Payload rescale = exp2(maximum - highest);
      if (bug != Bug::sum_rescale) sum = sum * rescale;
      if (bug != Bug::result_rescale)
        for (Payload& element : result) element = element * rescale;
      maximum = highest;
      for (size_t i = from; i < to; ++i) {
        const Payload p = exp2(scores[i - from] - maximum);
        sum = sum + p;
        for (size_t e = 0; e < width; ++e) result[e] = result[e] + p * problem.values[order[i]][e];
      }
    }
    for (Payload& element : result) element = element / sum;
    parts.emplace_back(result, maximum + log2(sum));
  }
  const Payload reference = parts.front().second;
  for (const auto& [result, lse] : parts) {
    const Payload weight = exp2(lse - reference);
    sum_of_weights = sum_of_weights + weight;
    for (size_t e = 0; e < width; ++e) merged[e] = merged[e] + weight * result[e];
  }
  for (Payload& element : merged) element = element / sum_of_weights;
  return merged;
}

Problem random_problem(std::mt19937_64& random, bool rising = false) {
  std::normal_distribution<double> normal;
  const auto vector = [&](size_t n) {
    std::vector<Payload> values;
    for (size_t i = 0; i < n; ++i) values.push_back(payload_of(normal(random)));
    return values;
  };
  Problem problem;
  problem.queries = vector(4);
  problem.scale = payload_of(0.5);
  const size_t n = 2 + random() % 39;
  for (size_t j = 0; j < n; ++j) {
    problem.keys.push_back(vector(4));
    problem.values.push_back(vector(3));
  }
  if (rising)
    std::sort(problem.keys.begin(), problem.keys.end(), [&](const auto& a, const auto& b) {
      return dot(problem.queries, a).shadow < dot(problem.queries, b).shadow;
    });
  return problem;
}

bool same(const std::vector<Payload>& a, const std::vector<Payload>& b) {
  bool equal = true;
  for (size_t e = 0; e < a.size(); ++e) equal = agree(a[e], b[e]) && equal;
  return equal;
}

TEST(PayloadAttention, AnyTilesOrderSplitsAndMergeGiveTheOnePassResult) {
  std::mt19937_64 random(3);
  int fewest_bits = 64;
  for (int trial = 0; trial < 60; ++trial) {
    const Problem problem = random_problem(random);
    const std::vector<Payload> want = one_pass(problem);
    const std::vector<Payload> got = in_parts(problem, 1 + random() % 8, 1 + random() % 4, random);
    EXPECT_TRUE(same(want, got)) << "trial " << trial;
    for (size_t e = 0; e < want.size(); ++e)
      fewest_bits = std::min(fewest_bits, agreement(want[e], got[e]).bits);
  }
  std::printf("60 problems; fewest bits that were compared: %d of 64\n", fewest_bits);
}

TEST(PayloadAttention, MissingRescalesDroppedKeysAndSwappedValuesDiffer) {
  std::mt19937_64 random(4);
  for (int trial = 0; trial < 60; ++trial) {
    const Problem problem = random_problem(random, true);  // every tile raises the maximum
    const std::vector<Payload> want = one_pass(problem);
    EXPECT_TRUE(same(want, in_parts(problem, 1, 1, random, Bug::none, false)));
    EXPECT_FALSE(same(want, in_parts(problem, 1, 1, random, Bug::sum_rescale, false)));
    EXPECT_FALSE(same(want, in_parts(problem, 1, 1, random, Bug::result_rescale, false)));
    Problem dropped = problem;
    dropped.keys.pop_back();
    EXPECT_FALSE(same(want, one_pass(dropped)));
    Problem swapped = problem;
    std::swap(swapped.values.front(), swapped.values.back());
    EXPECT_FALSE(same(want, one_pass(swapped)));
  }
}

TEST(PayloadAttention, LengthsOfThousandsLeaveEnoughBits) {
  std::mt19937_64 random(5);
  Problem problem = random_problem(random);
  while (problem.keys.size() < 4096) {
    problem.keys.push_back({payload_of(static_cast<double>(random() % 1000) / 1000), payload_of(0.5),
                            payload_of(-0.25), payload_of(static_cast<double>(random() % 100) / 100)});
    problem.values.push_back(problem.keys.back());
    problem.values.back().pop_back();
  }
  EXPECT_TRUE(same(one_pass(problem), in_parts(problem, 64, 7, random)));
}

}  // namespace
}  // namespace attest::vm
