// One pass over the values gathers five sums an element; the rest is arithmetic on them.
#include "reference/value_errors.h"

#include <algorithm>
#include <cmath>

#include "reference/words.h"

namespace attest::rounding {
namespace {

constexpr std::string_view kTermNames[kTerms] = {
    "score dot product", "exponent",    "running maximum", "split merge",    "probability rounding",
    "value sum",         "denominator", "underflow",       "output rounding"};

}  // namespace

std::string ValueErrors::compute(const double* output, double largest_value, double* bound) {
  const auto width = static_cast<std::size_t>(width_);
  for (std::vector<double>* part : {&centred_, &inflated_, &lost_, &lost_values_, &largest_}) {
    part->assign(width, 0.0);
  }
  for (std::size_t j = 0; j < scores_.keys.size(); ++j) {
    const double* value = scores_.value_row(scores_.keys[j]);
    const double p = keys_.weight[j], moved = p * keys_.weight_error[j], inflated = p + moved;
    double *centred = centred_.data(), *sum = inflated_.data(), *largest = largest_.data();
    for (std::size_t i = 0; i < width; ++i) {
      const double size = std::fabs(value[i]);
      centred[i] += moved * std::fabs(value[i] - output[i]);
      sum[i] += inflated * size;
      largest[i] = largest[i] < size ? size : largest[i];
    }
    if (p * keys_.z < a_.lost_weight) {
      for (std::size_t i = 0; i < width; ++i) {
        lost_[i] += p * std::fabs(value[i] - output[i]);
        lost_values_[i] += std::fabs(value[i]);
      }
    }
  }
  const double most = *std::max_element(largest_.begin(), largest_.end());
  if (!(static_cast<double>(scores_.keys.size()) * most < 0x1p127)) {
    return std::to_string(scores_.keys.size()) + " keys with values up to " + short_text(most) +
           ": their sum may leave f32";
  }
  if (!(most <= info(a_.plan.partial).largest) && a_.plan.splits > 1) {
    return "values up to " + short_text(most) + ": partial results may leave " +
           std::string(name(a_.plan.partial));
  }
  tiny_ = keys_.tiny;
  if (a_.tensor_core) {
    // A step may align its products, those of masked and padding rows included, with the exponent of a zero
    // weight (the smallest) times the largest value; it is not measured that hardware does not.
    tiny_ += keys_.steps * std::ldexp(largest_value, 4 - a_.plan.fraction_bits - 126);
  }
  for (std::size_t i = 0; i < width; ++i) {
    bound[i] = 0;
    for (double term : terms(i, output[i])) bound[i] += term;
    if (!(std::fabs(output[i]) + bound[i] <= info(a_.plan.output).largest)) {
      return "result " + short_text(output[i]) + " may leave " + std::string(name(a_.plan.output));
    }
  }
  return "";
}

// The bound of one element, term by term. The centred sum is all under kScore; dominant_terms() divides it.
Terms ValueErrors::terms(std::size_t i, double output) const {
  const auto n = static_cast<double>(scores_.keys.size());
  const double g_l = a_.denominator_error(n, keys_.changes), lambda = g_l / (1 - g_l);
  const double probability = a_.plan.sum_of_rounded_probability ? 0 : a_.probability;
  const double scaling = std::expm1((keys_.changes + 6 + a_.merged) * std::log1p(kU));
  const double eta = (1 + probability) * (1 + keys_.value_factor) * (1 + scaling) - 1;
  const double first_order = probability + keys_.value_factor + scaling;

  const double centred = centred_[i] / (1 - keys_.total);    // E_th
  const double inflated = inflated_[i] / (1 - keys_.total);  // B'
  const double sums = eta * inflated / (1 - lambda);
  const double lost = lost_[i] + a_.lost_quantum / keys_.z * lost_values_[i];
  Terms terms{};
  terms[kScore] = centred;
  terms[kProbability] = sums * probability / first_order;
  terms[kValueSum] = sums * keys_.value_factor / first_order + (n + 4) * kReference * inflated;
  terms[kMerge] = sums * scaling / first_order;
  terms[kDenominator] = lambda * (std::fabs(output) + centred) / (1 - lambda);
  terms[kUnderflow] = 1.01 / (1 - keys_.total) * lost + tiny_;
  if (a_.plan.splits > 1 && a_.plan.partial != Format::f32 && a_.plan.partial != Format::f64) {
    const FormatInfo& partial = info(a_.plan.partial);
    terms[kMerge] += 1.01 * (partial.unit_roundoff() * inflated + partial.smallest_subnormal() / 2);
  }
  double before = 0;  // D_i
  for (double term : terms) before += term;
  const FormatInfo& format = info(a_.plan.output);
  terms[kOutput] =
      std::max(format.unit_roundoff() * (std::fabs(output) + before), format.smallest_subnormal() / 2);
  return terms;
}

double ValueErrors::single_key(const double* output, const double* bound) const {
  constexpr std::size_t kSampled = 16;
  const std::size_t count = scores_.keys.size();
  double largest = 0;
  for (std::size_t sample = 0; sample < std::min(count, kSampled); ++sample) {
    const std::size_t j = count <= kSampled ? sample : sample * (count - 1) / (kSampled - 1);
    const double p = keys_.weight[j];
    if (p >= 1) return kInfinity;  // without it nothing is left
    const double* value = scores_.value_row(scores_.keys[j]);
    for (Index i = 0; i < width_; ++i) {
      largest = std::max(largest, p / (1 - p) * std::fabs(output[i] - value[i]) / (2 * bound[i]));
    }
  }
  return largest;
}

std::string ValueErrors::dominant_terms(Index element, double output) const {
  Terms terms = this->terms(static_cast<std::size_t>(element), output);
  // The centred sum in proportion to what the keys' errors are made of.
  Terms parts{};
  for (std::size_t j = 0; j < scores_.keys.size(); ++j) {
    const double value = scores_.value_row(scores_.keys[j])[element];
    const double weight = keys_.weight[j] * std::fabs(value - output);
    parts[kScore] += weight * keys_.score_error[j];
    parts[kExponent] += weight * (kEps + a_.exponent_error(scores_.scores[j], keys_.max_abs_score));
    parts[kMaximum] += weight * a_.maximum_error(keys_.changes);
    parts[kMerge] += weight * keys_.merge_error;
    parts[kProbability] += weight * (a_.plan.sum_of_rounded_probability ? a_.probability : 0);
  }
  double whole = 0;
  for (double part : parts) whole += part;
  const double centred = terms[kScore];
  terms[kScore] = 0;
  double sum = 0;
  for (std::size_t term = 0; term < kTerms; ++term) {
    if (whole > 0) terms[term] += centred * parts[term] / whole;
    sum += terms[term];
  }
  std::string text;
  for (int shown = 0; shown < 3; ++shown) {
    const auto largest = std::max_element(terms.begin(), terms.end());
    if (shown > 0 && !(*largest >= 0.01 * sum)) break;
    words::append(text, std::string(kTermNames[largest - terms.begin()]) + " " +
                            std::to_string(std::lround(100 * *largest / sum)) + " %");
    *largest = -1;
  }
  return text;
}

}  // namespace attest::rounding
