// The bound of error_bounds.md: preconditions of the whole call here, keys and values of a row in their own
// files.
#include "reference/error_bounds.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "reference/value_errors.h"
#include "reference/words.h"

namespace attest {
namespace {

using rounding::kInfinity;

bool is_stored(Format format, double value) {
  const auto single = static_cast<float>(value);
  if (static_cast<double>(single) != value) return false;
  if (format == Format::bf16) return (std::bit_cast<std::uint32_t>(single) & 0xffff) == 0;
  // f16 keeps 10 fraction bits, and multiples of 2^-24 below its normal numbers.
  const double size = std::fabs(value);
  if (format == Format::f16 && size >= 0x1p-14) {
    return size <= 65504 && (std::bit_cast<std::uint64_t>(value) & ((std::uint64_t{1} << 42) - 1)) == 0;
  }
  return format == Format::f32 || round_to(format, value) == value;
}

// What one look at all inputs tells.
struct Survey {
  std::string problem;  // a precondition on the whole call that fails
  bool subnormal_operands = false;
  std::vector<double> largest_value;  // [batch] of any token, seen or not
};

Survey survey_of(const DecodeInputs& inputs, const ArithmeticPlan& plan) {
  Survey survey;
  const Format storage = inputs.heads.storage;
  if (storage == Format::f64) {
    survey.problem = "storage f64: the bound covers kernels that compute in f32";
  } else if (plan.dot == ArithmeticPlan::Dot::tensor_core && storage == Format::f32) {
    survey.problem = "storage f32: tensor cores would round it to tf32";
  } else if (plan.probability == Format::e4m3) {
    survey.problem = "probability e4m3: its scale is not part of a plan";
  } else if (plan.output == Format::e4m3 || plan.partial == Format::e4m3) {
    survey.problem = "output or partial results e4m3: no bound is derived for them";
  }
  std::vector<const Tensor<double>*> parts = {&inputs.queries, &inputs.rope_queries};
  for (const SequenceCache& cache : inputs.sequences) {
    parts.insert(parts.end(), {&cache.keys, &cache.values, &cache.rope_keys});
    double most = 0;
    for (double value : (inputs.heads.family == Family::latent ? cache.keys : cache.values).elements()) {
      if (std::isfinite(value)) most = std::max(most, std::fabs(value));
    }
    survey.largest_value.push_back(most);
  }
  for (const Tensor<double>* part : parts) {
    for (double value : part->elements()) {
      if (!survey.problem.empty()) return survey;
      // A padding token may hold anything; if a row sees a NaN, its truth is one.
      if (std::isfinite(value) && !is_stored(storage, value)) {
        survey.problem = "input " + words::print(value) + " is not a number of the storage format " +
                         std::string(name(storage));
      }
      survey.subnormal_operands |= value != 0 && std::fabs(value) < rounding::kW;
    }
  }
  return survey;
}

void check(const DecodeInputs& inputs, const DecodeOutputs& truth) {
  std::vector<std::string> found = inputs.problems();
  if (found.empty()) {
    const std::vector<Index> rows = {static_cast<Index>(inputs.sequences.size()), inputs.query_tokens,
                                     inputs.heads.rows()};
    std::vector<Index> elements = rows;
    elements.push_back(inputs.heads.value_dim);
    if (truth.lse.shape() != rows || truth.output.shape() != elements) {
      found.push_back("truth: shape " + shape_text(truth.output.shape()) + ", expected " +
                      shape_text(elements));
    }
  }
  if (!found.empty()) throw std::invalid_argument("error_bounds: " + words::join(found, "; "));
}

}  // namespace

DecodeBounds error_bounds(const DecodeInputs& inputs, const DecodeOutputs& truth,
                          const ArithmeticPlan& plan) {
  check(inputs, truth);
  const rounding::PlanArithmetic arithmetic = rounding::plan_arithmetic(plan, inputs);
  const Survey survey = survey_of(inputs, plan);
  const auto batch = static_cast<Index>(inputs.sequences.size());
  const Index queries = inputs.query_tokens, rows = inputs.heads.rows(), width = inputs.heads.value_dim;
  DecodeBounds bounds{Tensor<double>{batch, queries, rows, width}, Tensor<double>{batch, queries, rows},
                      Tensor<double>{batch, queries, rows}, survey.problem, ""};
  if (!survey.problem.empty()) {
    std::fill_n(bounds.output.data(), bounds.output.count(), kInfinity);
    std::fill_n(bounds.lse.data(), bounds.lse.count(), kInfinity);
    return bounds;
  }

  RowScores scores(inputs);
  rounding::KeyErrors keys(inputs, arithmetic, scores, survey.subnormal_operands);
  rounding::ValueErrors values(inputs, arithmetic, scores, keys);
  double widest = 0;  // largest bound relative to its value so far
  for (Index place = 0; place < batch * queries * rows; ++place) {
    const Index b = place / rows / queries, query = place / rows % queries, row = place % rows;
    scores.read(b, query, row);
    if (scores.keys.empty()) continue;  // zeros and -infinity, exactly: bounds of zero
    const double* output = truth.output.data() + place * width;
    double* bound = bounds.output.data() + place * width;
    const double lse = truth.lse.data()[place];
    std::string problem = std::isfinite(lse) ? keys.compute() : "the truth itself is not finite";
    if (problem.empty()) bounds.lse.data()[place] = keys.log_sum_exp(lse, problem);
    if (problem.empty()) {
      problem = values.compute(output, survey.largest_value[static_cast<std::size_t>(b)], bound);
    }
    if (!problem.empty()) {
      std::fill_n(bound, width, kInfinity);
      bounds.lse.data()[place] = kInfinity;
      if (bounds.inconclusive.empty()) {
        bounds.inconclusive = "batch " + std::to_string(b) + ", query " + std::to_string(query) + ", row " +
                              std::to_string(row) + ": " + problem;
      }
      continue;
    }
    bounds.single_key.data()[place] = values.single_key(output, bound);
    Index widest_here = -1;
    for (Index i = 0; i < width; ++i) {
      if (output[i] == 0 || !(bound[i] / std::fabs(output[i]) > widest)) continue;
      widest = bound[i] / std::fabs(output[i]);
      widest_here = i;
    }
    if (widest_here >= 0) bounds.dominant_term = values.dominant_terms(widest_here, output[widest_here]);
  }
  return bounds;
}

}  // namespace attest
