// From a row's key errors to the bound of every element of its result, and to what that bound can see.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "reference/key_errors.h"

namespace attest::rounding {

// The terms of one element's bound.
enum Term {
  kScore,
  kExponent,
  kMaximum,
  kMerge,
  kProbability,
  kValueSum,
  kDenominator,
  kUnderflow,
  kOutput,
  kTerms
};
using Terms = std::array<double, kTerms>;

class ValueErrors {
 public:
  // Everything referred to must outlive the object.
  ValueErrors(const DecodeInputs& inputs, const PlanArithmetic& arithmetic, const RowScores& scores,
              const KeyErrors& keys)
      : width_(inputs.heads.value_dim), a_(arithmetic), scores_(scores), keys_(keys) {}

  // Fills bound [value_dim] for the row that scores and keys hold. output: its truth. largest_value: of any
  // token of the sequence, seen or not. Returns the precondition that fails, or nothing.
  std::string compute(const double* output, double largest_value, double* bound);

  // Largest change of an element when one of up to 16 sampled keys is dropped, p |o - v| / (1 - p), over
  // twice its bound.
  double single_key(const double* output, const double* bound) const;

  // "probability rounding 62 %, score dot product 21 %, output rounding 15 %" of one element.
  std::string dominant_terms(Index element, double output) const;

 private:
  Terms terms(std::size_t element, double output) const;

  const Index width_;
  const PlanArithmetic& a_;
  const RowScores& scores_;
  const KeyErrors& keys_;
  double tiny_ = 0;
  // [width] sums over keys: p Th |v - o|;  p (1 + Th) |v|;  of underflowing keys p |v - o| and |v|;  max |v|
  std::vector<double> centred_, inflated_, lost_, lost_values_, largest_;
};

}  // namespace attest::rounding
