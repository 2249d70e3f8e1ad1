// What the bound knows of one row before it looks at values: how far every key's weight may be off.
#pragma once

#include <string>
#include <vector>

#include "reference/plan_arithmetic.h"
#include "reference/row_scores.h"

namespace attest::rounding {

// compute() fills the public fields for the row that `scores` holds and reuses their memory.
class KeyErrors {
 public:
  // Everything referred to must outlive the object. subnormal_operands: queries or keys hold subnormal
  // floats.
  KeyErrors(const DecodeInputs& inputs, const PlanArithmetic& arithmetic, const RowScores& scores,
            bool subnormal_operands)
      : inputs_(inputs), a_(arithmetic), scores_(scores), subnormal_operands_(subnormal_operands) {}

  // Returns the precondition that fails, in words with its numbers, or nothing.
  std::string compute();

  // Bound on |lse - truth_lse| in natural units; fills `problem` and returns infinity where a precondition
  // fails.
  double log_sum_exp(double truth_lse, std::string& problem) const;

  std::vector<double> score_error;   // [keys] sig_j
  std::vector<double> weight;        // [keys] p_j
  std::vector<double> weight_error;  // [keys] Th_j
  double max_abs_score = 0;
  double z = 0;             // sum of exp(s_j - max s)
  double changes = 0;       // N_m
  double merge_error = 0;   // om
  double total = 0;         // T
  double value_factor = 0;  // n_pv g, or gamma of the value chain
  double tiny = 0;          // but for what tensor cores lose by aligning with the largest value
  double steps = 0;         // n_pv

 private:
  double magnitude(Index token) const;
  double flushed(Index token) const;
  std::string score_errors();
  void count_changes();

  const DecodeInputs& inputs_;
  const PlanArithmetic& a_;
  const RowScores& scores_;
  const bool subnormal_operands_;
  std::vector<double> clamped_query_, clamped_rope_;  // max(|q|, W); zeros stay
  std::vector<double> low_, high_;                    // [keys] score minus and plus its error
  double lambda_range_ = 0;                           // Lam
};

}  // namespace attest::rounding
