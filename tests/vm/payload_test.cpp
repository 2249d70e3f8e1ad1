// Payload arithmetic: the algebra against hand-made numbers and against one-pass attention, and the machine's
// forms against the algebra.
#include "jit/vm/payload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <random>

#include "jit/vm/payload_table.h"
#include "kernel_under_test.h"

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

// --- bit patterns ---

TEST(PayloadTable, NumbersStayThemselvesAndOtherElementsAreNames) {
  PayloadTable table;
  EXPECT_EQ(table.to_f32(payload_of(1)), 0x3F800000u);
  EXPECT_EQ(table.to_f32(payload_of(-1)), 0xBF800000u);
  EXPECT_EQ(table.to_f32(Payload{}), 0u);
  EXPECT_EQ(table.to_f32(payload_of(-INFINITY)), 0xFF800000u);
  EXPECT_EQ(table.to_f32(payload_of(NAN)), 0x7FFFFFFFu);
  EXPECT_EQ(table.values(), 0u);
  const Payload sum = payload_of(0.3) + payload_of(0.25);
  const uint32_t name = table.to_f32(sum);
  EXPECT_TRUE(PayloadTable::is_name(name));
  EXPECT_TRUE(agree(table.f32(name), sum));
  EXPECT_EQ(table.to_f32(payload_of(0.25) + payload_of(0.3)), name);
  EXPECT_EQ(table.to_f32(-sum), name | 0x80000000u);  // negation is the sign bit
  EXPECT_TRUE(agree(table.f32(name | 0x80000000u), -sum));
  EXPECT_EQ(table.values(), 1u);
  for (const uint32_t nan : {0x7FC00000u, 0x7FFFFFFFu, 0xFFFFFFFFu, 0x7FA00000u})  // usual NaNs stay NaNs
    EXPECT_EQ(table.f32(nan).kind, Payload::Kind::nan) << nan;
  EXPECT_THROW(table.f32(name + 1), CannotCheck);  // never given
}

TEST(PayloadTable, OtherWidthsNameTheSameElements) {
  PayloadTable table;
  const Payload sum = payload_of(0.3) + payload_of(0.25);
  const uint32_t name = table.to_f32(-sum);
  const uint64_t wide = table.widened_f64(name);
  EXPECT_TRUE(std::isnan(std::bit_cast<double>(wide)));
  EXPECT_TRUE(agree(table.f64(wide), -sum));
  EXPECT_EQ(table.narrowed_f64(wide), name);
  for (const MatrixFormat format : {MatrixFormat::f16, MatrixFormat::bf16}) {
    const uint16_t half = table.narrowed(format, name);
    EXPECT_TRUE(PayloadTable::is_reserved(format, half));
    EXPECT_EQ(table.narrowed(format, name), half);
    EXPECT_EQ(table.widened(format, half), name);
    const uint16_t inexact = table.narrowed(format, std::bit_cast<uint32_t>(0.3f));  // no number of 16 bits
    EXPECT_EQ(table.widened(format, inexact), std::bit_cast<uint32_t>(0.3f));
    const uint16_t exact = table.narrowed(format, std::bit_cast<uint32_t>(-0.375f));
    EXPECT_FALSE(PayloadTable::is_reserved(format, exact));
    EXPECT_EQ(table.widened(format, exact), std::bit_cast<uint32_t>(-0.375f));
    EXPECT_THROW(table.widened(format, static_cast<uint16_t>(half + 7)), CannotCheck);
  }
  EXPECT_TRUE(agree(table.f16(0x3400), table.bf16(0x3E80)));  // 0.25 is one number in every format
}

TEST(PayloadTable, AFullTableCannotCheck) {
  // f16: 1023 subnormals, 7168 numbers from 512 on, 1021 NaNs; bf16: the magnitudes below 2^-24 and from
  // 2^16.
  const std::pair<MatrixFormat, size_t> kCapacities[] = {{MatrixFormat::f16, 1023 + 7168 + 1021},
                                                         {MatrixFormat::bf16, 103 * 128 - 1 + 112 * 128}};
  for (const auto& each : kCapacities) {
    const MatrixFormat format = each.first;
    const size_t capacity = each.second;
    PayloadTable table;
    const auto give = [&](uint32_t n) {
      return table.narrowed(format, std::bit_cast<uint32_t>(1.0f) + 2 * n + 1);
    };
    for (uint32_t n = 0; n < capacity; ++n) give(n);
    EXPECT_EQ(table.narrow_values(format), capacity);
    EXPECT_THROW(give(static_cast<uint32_t>(capacity)), CannotCheck);
    for (const uint32_t n :
         {0u, 5000u, static_cast<uint32_t>(capacity) - 1})  // every name is still the one it was
      EXPECT_EQ(table.widened(format, give(n)), std::bit_cast<uint32_t>(1.0f) + 2 * n + 1);
  }
}

// --- forms on the machine ---

struct Outcome {
  std::vector<uint32_t> data;
  std::string refusal;  // of CannotCheck
};
Outcome run(PayloadTable& table, const std::string& body, std::vector<uint32_t> words, uint32_t threads = 1,
            const std::string& registers = "") {
  LaunchOptions options{.block = {threads, 1, 1}, .arithmetic = Arithmetic::payload, .payload = &table};
  Outcome outcome;
  try {
    Ran ran = run_kernel(module_with(registers + body), std::move(words), options);
    if (ran.trap) ADD_FAILURE() << ran.trap->what();
    outcome.data = ran.data;
  } catch (const CannotCheck& error) {
    outcome.refusal = error.what();
  }
  return outcome;
}
uint32_t word(float value) { return std::bit_cast<uint32_t>(value); }

constexpr const char* kLoad3 =
    "ld.global.f32 %f1, [%d];\nld.global.f32 %f2, [%d+4];\nld.global.f32 %f3, [%d+8];\n";

TEST(PayloadForms, F32ArithmeticIsTheAlgebras) {
  const Payload a = payload_of(0.75), b = payload_of(-2.5), c = payload_of(3.25);
  const struct {
    const char* text;
    Payload want;
  } kCases[] = {
      {"add.rn.f32 %f4, %f1, %f2;", a + b},
      {"sub.ftz.f32 %f4, %f1, %f2;", a - b},
      {"mul.f32 %f4, %f1, %f2;", a * b},
      {"fma.rn.f32 %f4, %f1, %f2, %f3;", a * b + c},
      {"mad.rn.f32 %f4, %f1, %f2, %f3;", a * b + c},
      {"div.rn.f32 %f4, %f1, %f2;", a / b},
      {"div.full.ftz.f32 %f4, %f1, %f2;", a / b},
      {"div.approx.f32 %f4, %f1, %f2;", a / b},
      {"rcp.approx.ftz.f32 %f4, %f1;", payload_of(1) / a},
      {"rcp.rn.f32 %f4, %f1;", payload_of(1) / a},
      {"sqrt.rn.f32 %f4, %f1;", sqrt(a)},
      {"rsqrt.approx.f32 %f4, %f1;", payload_of(1) / sqrt(a)},
      {"ex2.approx.ftz.f32 %f4, %f2;", exp2(b)},
      {"lg2.approx.f32 %f4, %f1;", log2(a)},
      {"neg.f32 %f4, %f1;", -a},
      {"abs.f32 %f4, %f2;", -b},
      {"max.f32 %f4, %f1, %f2;", a},
      {"min.NaN.f32 %f4, %f1, %f2;", b},
      {"max.f32 %f4, %f1, 0f7FFFFFFF;", a},
      {"max.NaN.f32 %f4, %f1, 0f7FFFFFFF;", payload_of(NAN)},
      {"copysign.f32 %f4, %f2, %f1;", -a},
      {"setp.lt.and.f32 %p1, %f2, %f1, 1; selp.f32 %f4, %f3, %f1, %p1;", c},
      {"setp.gtu.f32 %p1, %f2, %f1; selp.f32 %f4, %f3, %f1, %p1;", a},
      {"set.ne.f32.f32 %f4, %f2, %f1;", payload_of(1)},
      {"cvt.rn.bf16.f32 %h1, %f2; cvt.f32.bf16 %f4, %h1;", b},
      {"cvt.f64.f32 %g1, %f1; add.f64 %g1, %g1, %g1; cvt.rn.f32.f64 %f4, %g1;", a + a},
      {"cvt.rna.tf32.f32 %r1, %f1; mov.b32 %f4, %r1;", a},
      {"cvt.rzi.s32.f32 %r1, %f3; cvt.rn.f32.s32 %f4, %r1;", payload_of(3)},
      {"add.f32 %f5, %f1, %f2; mov.b32 %r1, %f5; xor.b32 %r1, %r1, 0x80000000; mov.b32 %f4, %r1;", -(a + b)},
  };
  for (const auto& each : kCases) {
    PayloadTable table;
    const Outcome got =
        run(table, std::string(kLoad3) + each.text + "\nst.global.f32 [%d], %f4;",
            {word(0.75f), word(-2.5f), word(3.25f)}, 1, ".reg .b16 %h<4>;\n.reg .f64 %g<4>;\n");
    ASSERT_EQ(got.refusal, "") << each.text;
    EXPECT_TRUE(agree(table.f32(got.data[0]), each.want)) << each.text;
    if (each.want.kind == Payload::Kind::finite) {
      EXPECT_NEAR(table.f32(got.data[0]).shadow, each.want.shadow, 1e-12) << each.text;
    }
  }
}

TEST(PayloadForms, TrigonometryIsATagAndItsShadowTheValue) {
  PayloadTable table;
  const Outcome got =
      run(table,
          std::string(kLoad3) +
              "sin.approx.f32 %f4, %f1;\nst.global.f32 [%d], %f4;\ncos.approx.f32 %f4, %f1;\n"
              "st.global.f32 [%d+4], %f4;\ntanh.approx.f32 %f4, %f1;\nst.global.f32 [%d+8], %f4;",
          {word(0.75f), 0, 0});
  ASSERT_EQ(got.refusal, "");
  EXPECT_NEAR(table.f32(got.data[0]).shadow, 0.68163876, 1e-8);
  EXPECT_NEAR(table.f32(got.data[1]).shadow, 0.73168887, 1e-8);
  EXPECT_NEAR(table.f32(got.data[2]).shadow, 0.63514895, 1e-8);
  EXPECT_FALSE(agree(table.f32(got.data[0]), table.f32(got.data[1])));
}

TEST(PayloadForms, PairsOfHalvesAreTwoElements) {
  for (const bool bf16 : {false, true}) {
    PayloadTable table;
    const std::string type = bf16 ? "bf16x2" : "f16x2";
    const Outcome got = run(table,
                            std::string(kLoad3) + "cvt.rn." + type + ".f32 %r1, %f1, %f2;\nfma.rn." + type +
                                " %r2, %r1, %r1, %r1;\nst.global.u32 [%d], %r2;",
                            {word(0.75f), word(-2.5f), 0});
    ASSERT_EQ(got.refusal, "");
    const auto half = [&](uint32_t bits) {
      return bf16 ? table.bf16(static_cast<uint16_t>(bits)) : table.f16(static_cast<uint16_t>(bits));
    };
    const Payload a = payload_of(0.75), b = payload_of(-2.5);
    EXPECT_TRUE(agree(half(got.data[0] >> 16), a * a + a));
    EXPECT_TRUE(agree(half(got.data[0]), b * b + b));
  }
}

TEST(PayloadForms, RefuseByNameAndLineWhenTheyAreReached) {
  const struct {
    const char *text, *names;
  } kCases[] = {
      {"add.sat.f32 %f4, %f1, %f2;", "`add.sat.f32` has no meaning in payload arithmetic"},
      {"fma.rm.f32 %f4, %f1, %f2, %f3;", "`fma.rm.f32` has no meaning"},
      {"atom.global.add.f32 %f4, [%d], %f1;", "`atom.add.f32` has no meaning"},
      {"cvt.rn.satfinite.e4m3x2.f32 %h1, %f1, %f2;", "`cvt.rn.satfinite.e4m3x2.f32` has no meaning"},
      {"testp.finite.f32 %p1, %f1;", "`testp.finite.f32` has no meaning"},
      {"add.f32 %f4, %f1, %f2; cvt.rni.s32.f32 %r1, %f4;", "a computed value has no integer part"},
      {"sub.f32 %f4, %f1, %f1; rcp.rn.f32 %f4, %f4;", "of which no bit is known"},
      {"add.f32 %f4, %f1, %f2; mov.b32 %r1, %f4; add.s32 %r1, %r1, 5; mov.b32 %f4, %r1; add.f32 %f4, %f4, "
       "%f1;",
       "are the name of no value"},
  };
  for (const auto& each : kCases) {
    PayloadTable table;
    const Outcome got = run(table, std::string(kLoad3) + each.text, {word(0.75f), word(-2.5f), word(3.25f)},
                            1, ".reg .b16 %h<4>;\n");
    EXPECT_NE(got.refusal.find(each.names), std::string::npos) << each.text << ": " << got.refusal;
    EXPECT_NE(got.refusal.find("PTX line 1"), std::string::npos)
        << got.refusal;  // the body begins at line 15
    const Outcome unreached =
        run(table, std::string("bra DONE;\n") + each.text + "\nDONE:", {0, 0, 0}, 1, ".reg .b16 %h<4>;\n");
    EXPECT_EQ(unreached.refusal, "") << each.text;
  }
}

TEST(PayloadForms, LaunchesNeedATableAndOneHostThread) {
  PayloadTable table;
  LaunchOptions options{.arithmetic = Arithmetic::payload};
  EXPECT_THROW(run_kernel(module_with(""), {0}, options), std::invalid_argument);
  options.payload = &table;
  EXPECT_NO_THROW(run_kernel(module_with(""), {0}, options));
  options.host_threads = 2;
  EXPECT_THROW(run_kernel(module_with(""), {0}, options), std::invalid_argument);
}

TEST(PayloadForms, ShufflesSharedMemoryAndVectorsCarryElements) {
  PayloadTable table;
  std::vector<uint32_t> words(32);
  for (uint32_t i = 0; i < 32; ++i) words[i] = word(0.5f + static_cast<float>(i));
  // Sum over the warp in a tree; every lane gets it.
  std::string body = "mul.wide.u32 %rd1, %t, 4;\nadd.s64 %rd2, %d, %rd1;\nld.global.f32 %f1, [%rd2];\n";
  for (const char* step : {"16", "8", "4", "2", "1"})
    body += std::string("shfl.sync.bfly.b32 %f2, %f1, ") + step + ", 31, -1;\nadd.f32 %f1, %f1, %f2;\n";
  body += "st.global.f32 [%rd2], %f1;";
  const Outcome got = run(table, body, words, 32);
  ASSERT_EQ(got.refusal, "");
  Payload want;
  for (const uint32_t each : words) want = want + payload_of(static_cast<double>(std::bit_cast<float>(each)));
  for (const uint32_t each : got.data) EXPECT_TRUE(agree(table.f32(each), want));
}

// D = A B + C of one warp, from the layout of the PTX ISA: lane 4 g + t holds A (g, 2t), (g, 2t + 1), (g + 8,
// ..), then the same 8 columns on; B (2t, g), (2t + 1, g), then 8 rows down; C (g, 2t), (g, 2t + 1), (g + 8,
// ..).
TEST(PayloadForms, TensorCoresSumProductsOfElements) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  PayloadTable table;
  std::vector<uint32_t> words(32 * 10);
  const auto half = [&](uint32_t number) {  // every third element is a name
    const float value = std::bit_cast<float>(std::bit_cast<uint32_t>(normal(random)) & 0xFFFF0000u);
    if (number % 3) return std::bit_cast<uint32_t>(value) >> 16;
    return uint32_t{table.narrowed(MatrixFormat::bf16,
                                   table.to_f32(payload_of(static_cast<double>(value)) + payload_of(0.5)))};
  };
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (uint32_t i = 0; i < 6; ++i) words[lane * 10 + i] = half(lane + i) | half(lane + i + 1) << 16;
    for (uint32_t i = 6; i < 10; ++i) words[lane * 10 + i] = word(normal(random));
  }
  std::string body = "mul.wide.u32 %rd1, %t, 40;\nadd.s64 %rd2, %d, %rd1;\n";
  for (int i = 0; i < 6; ++i)
    body += "ld.global.u32 %r" + std::to_string(i) + ", [%rd2+" + std::to_string(4 * i) + "];\n";
  for (int i = 0; i < 4; ++i)
    body += "ld.global.f32 %f" + std::to_string(i) + ", [%rd2+" + std::to_string(24 + 4 * i) + "];\n";
  body +=
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r0,%r1,%r2,%r3}, {%r4,%r5}, "
      "{%f0,%f1,%f2,%f3};\n";
  for (int i = 0; i < 4; ++i)
    body += "st.global.f32 [%rd2+" + std::to_string(24 + 4 * i) + "], %f" + std::to_string(i) + ";\n";
  const Outcome got = run(table, body, words, 32);
  ASSERT_EQ(got.refusal, "");
  const auto element = [&](uint32_t lane, uint32_t reg, uint32_t part) {
    return table.bf16(static_cast<uint16_t>(words[lane * 10 + reg] >> (16 * part)));
  };
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t column = 0; column < 8; ++column) {
      const uint32_t c = row / 8 * 2 + column % 2, lane = row % 8 * 4 + column / 2;
      Payload want = table.f32(words[lane * 10 + 6 + c]);
      for (uint32_t k = 0; k < 16; ++k)
        want = want + element(row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2, k % 2) *
                          element(column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
      EXPECT_TRUE(agree(table.f32(got.data[lane * 10 + 6 + c]), want)) << row << ", " << column;
    }
  }
}

}  // namespace
}  // namespace attest::vm
