// The bound of reference/error_bounds.md, row by row: per-key relative errors of the weights first, then one
// pass over the values. Letters are those of that document.
#include "reference/error_bounds.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "reference/row_scores.h"
#include "reference/running_maximum.h"
#include "reference/words.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kU = 0x1p-24;    // unit roundoff of f32
constexpr double kW = 0x1p-126;   // smallest normal f32
constexpr double kEps = 0x1p-22;  // relative error of ex2.approx and lg2.approx (PTX ISA; to be calibrated)
constexpr double kReference = 0x1p-53;  // unit roundoff of the truth itself
constexpr double kLog2e = std::numbers::log2e_v<double>;
constexpr double kLn2 = std::numbers::ln2_v<double>;

std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", value);
  return buffer;
}

// Relative error of a sum of products in which every product passes through at most n f32 roundings:
//   computed = sum_i q_i k_i (1 + d_i),  |d_i| <= (1 + u)^n - 1 <= n u / (1 - n u) = gamma_n.
// A product is rounded once (or, fused, together with its first addition), and every addition that rounds
// merges at least one further term into it. So n is at most the number of terms, whatever the order: a chain
// of fma, or chains in 32 lanes that warp shuffles add up. A kernel that knows its longest chain declares the
// smaller number.
double gamma(Index roundings) {
  const double x = static_cast<double>(roundings) * kU;
  return x < 1 ? x / (1 - x) : kInfinity;
}

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
constexpr std::string_view kTermNames[kTerms] = {
    "score dot product", "exponent",    "running maximum", "split merge",    "probability rounding",
    "value sum",         "denominator", "underflow",       "output rounding"};

// What the plan says, as the numbers that the formulas use.
struct Arithmetic {
  bool tensor_core;
  double g;               // relative error of one tensor-core step
  double splits;          // S
  double merged;          // S if S > 1 else 0
  double probability;     // u_P
  double lost_weight;     // weight (relative to the largest) below which a probability may underflow
  double lost_quantum;    // absolute error of such a probability
  double underflow_unit;  // largest absolute error of one f32 operation that underflows
};

Arithmetic arithmetic_of(const ArithmeticPlan& plan) {
  Arithmetic a{};
  a.tensor_core = plan.dot == ArithmeticPlan::Dot::tensor_core;
  a.g = 17 * std::ldexp(1.0, -plan.fraction_bits) + 0x1p-23;
  a.splits = static_cast<double>(plan.splits);
  a.merged = plan.splits > 1 ? a.splits : 0;
  const bool rounds = plan.probability == Format::f16 || plan.probability == Format::bf16;
  a.probability = rounds ? info(plan.probability).unit_roundoff() : 0;
  const bool half = plan.probability == Format::f16;
  a.lost_weight = half ? 0x1p-14 : 0x1p-125;
  a.lost_quantum = half ? 0x1p-25 : 0x1p-133;
  a.underflow_unit = plan.flush_to_zero ? kW : 0x1p-149;
  return a;
}

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

// Everything about one row that its elements share.
struct Row {
  std::vector<double> magnitude;                    // [keys] A_j
  std::vector<double> low, high;                    // [keys] score minus and plus sig_j
  std::vector<double> score_error;                  // [keys] sig_j
  std::vector<double> weight_error;                 // [keys] Th_j
  std::vector<double> weight;                       // [keys] p_j
  std::vector<double> clamped_query, clamped_rope;  // max(|q|, W), 0 stays 0
  // [width] sums over keys: p Th |v - o|;  p (1 + Th) |v|;  of underflowing keys p |v - o| and |v|;  max |v|
  std::vector<double> centred, inflated, lost, lost_values, largest;
  double exponent_scale = 0;  // a u: coefficient of |s_j| + max |s| + 1
  double max_abs_score = 0;
  double z = 0;             // sum of exp(s_j - max s)
  double lambda_range = 0;  // Lam
  double changes = 0;       // N_m
  double merge_error = 0;   // om
  double total = 0;         // T
  double value_factor = 0;  // n_pv g, or gamma of the value chain
  double tiny = 0;
};

class Bounds {
 public:
  Bounds(const DecodeInputs& inputs, const DecodeOutputs& truth, const ArithmeticPlan& plan)
      : inputs_(inputs), truth_(truth), plan_(plan), a_(arithmetic_of(plan)), scores_(inputs) {
    const auto n = static_cast<double>(inputs.heads.key_dim + inputs.heads.rope_dim);
    products_ = n;
    if (a_.tensor_core) {
      const int k = plan.step_products;
      const auto steps = [k](int width) { return (width + k - 1) / k; };
      dot_factor_ = a_.g * (steps(inputs.heads.key_dim) + steps(inputs.heads.rope_dim));
    } else {
      dot_factor_ = gamma(plan.dot_chain > 0 ? plan.dot_chain : static_cast<Index>(n));
    }
    // Softmax takes max and exponent from the capped score, which is rounded before it is scaled by log2(e).
    row_.exponent_scale = (plan.fused_exponent && inputs.mask.softcap == 0 ? 4 : 6) * kU;
    scale_error_ = round_to(Format::f32, inputs.scale) == inputs.scale ? 0 : kU;
  }

  DecodeBounds run();

 private:
  std::string call_problem();
  std::string keys(Index place);
  std::string values(Index place, double* bound);
  double lse_bound(Index place, std::string& problem) const;
  double certificate(Index place, const double* bound) const;
  double magnitude(Index token) const;
  double flushed(Index token) const;
  void element(Index i, double output, double* terms) const;
  std::string dominant(Index place, Index element_index);

  const DecodeInputs& inputs_;
  const DecodeOutputs& truth_;
  const ArithmeticPlan& plan_;
  const Arithmetic a_;
  RowScores scores_;
  Row row_;
  double products_ = 0, dot_factor_ = 0, scale_error_ = 0;
  bool subnormal_operands_ = false;
  std::vector<double> largest_value_;  // [batch] of any token, seen or not
};

// A precondition on the whole call.
std::string Bounds::call_problem() {
  const Format storage = inputs_.heads.storage;
  if (storage == Format::f64) return "storage f64: the bound covers kernels that compute in f32";
  if (a_.tensor_core && storage == Format::f32) return "storage f32: tensor cores would round it to tf32";
  if (plan_.probability == Format::e4m3) return "probability e4m3: its scale is not part of a plan";
  if (plan_.output == Format::e4m3 || plan_.partial == Format::e4m3) {
    return "output or partial results e4m3: no bound is derived for them";
  }
  std::vector<const Tensor<double>*> parts = {&inputs_.queries, &inputs_.rope_queries};
  for (const SequenceCache& cache : inputs_.sequences) {
    parts.insert(parts.end(), {&cache.keys, &cache.values, &cache.rope_keys});
  }
  for (const Tensor<double>* part : parts) {
    for (double value : part->elements()) {
      // A padding token may hold anything; if a row sees a NaN, its truth is one.
      if (std::isfinite(value) && !is_stored(storage, value)) {
        return "input " + words::print(value) + " is not a number of the storage format " +
               std::string(name(storage));
      }
      subnormal_operands_ = subnormal_operands_ || (value != 0 && std::fabs(value) < kW);
    }
  }
  for (const SequenceCache& cache : inputs_.sequences) {
    const bool latent = inputs_.heads.family == Family::latent;
    double most = 0;
    for (double value : (latent ? cache.keys : cache.values).elements()) {
      if (std::isfinite(value)) most = std::max(most, std::fabs(value));
    }
    largest_value_.push_back(most);
  }
  return "";
}

// A_j = sum_i max(|q_i|, W) max(|k_i|, W) over non-zero products.
double Bounds::magnitude(Index token) const {
  const auto piece = [](const double* query, const double* key, Index width) {
    constexpr Index kLanes = 8;
    double sums[kLanes] = {};
    const auto add = [&](Index lane, Index i) {
      const double size = std::fabs(key[i]);
      sums[lane] += query[i] * (size == 0 ? 0.0 : size < kW ? kW : size);
    };
    Index i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      for (Index lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
    }
    for (Index lane = 0; i < width; ++i, ++lane) add(lane, i);
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
  };
  double sum = piece(row_.clamped_query.data(), scores_.key_row(token), inputs_.heads.key_dim);
  if (inputs_.heads.rope_dim > 0) {
    sum += piece(row_.clamped_rope.data(), scores_.rope_key_row(token), inputs_.heads.rope_dim);
  }
  return sum;
}

// Products with a subnormal operand, which .ftz instructions take for zero.
double Bounds::flushed(Index token) const {
  const auto piece = [](const double* query, const double* key, Index width) {
    double sum = 0;
    for (Index i = 0; i < width; ++i) {
      if (std::fabs(query[i]) < kW || std::fabs(key[i]) < kW) sum += std::fabs(query[i] * key[i]);
    }
    return sum;
  };
  double sum = piece(scores_.query_row(), scores_.key_row(token), inputs_.heads.key_dim);
  if (inputs_.heads.rope_dim > 0) {
    sum += piece(scores_.rope_query_row(), scores_.rope_key_row(token), inputs_.heads.rope_dim);
  }
  return sum;
}

// Fills what hangs on the keys alone; returns the precondition that fails, or nothing.
std::string Bounds::keys(Index place) {
  const std::size_t count = scores_.keys.size();
  const auto n = static_cast<double>(count);
  const double cap = inputs_.mask.softcap, scale = inputs_.scale;
  if (!std::isfinite(truth_.lse.data()[place])) return "the truth itself is not finite";

  const auto clamp = [](std::vector<double>& out, const double* in, int width) {
    out.resize(static_cast<std::size_t>(width));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = in[i] == 0 ? 0 : std::max(std::fabs(in[i]), kW);
  };
  clamp(row_.clamped_query, scores_.query_row(), inputs_.heads.key_dim);
  if (inputs_.heads.rope_dim > 0) clamp(row_.clamped_rope, scores_.rope_query_row(), inputs_.heads.rope_dim);

  for (std::vector<double>* part :
       {&row_.magnitude, &row_.low, &row_.high, &row_.score_error, &row_.weight_error, &row_.weight}) {
    part->resize(count);
  }
  row_.max_abs_score = 0;
  row_.z = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const double size = magnitude(scores_.keys[j]), scaled = std::fabs(scores_.scaled[j]);
    if (!(size < 0x1p127)) return "sum |q k| = " + text(size) + " of a key, expected less than 2^127";
    if (!(scaled * kLog2e < 0x1p127)) return "score " + text(scaled) + ", expected less than 2^127 / log2(e)";
    double error = scale * dot_factor_ * (size + kW);
    if (!a_.tensor_core) {
      // Each of the additions, at most two a product, may underflow.
      error += scale * 2 * products_ * a_.underflow_unit * (1 + dot_factor_);
      if (plan_.flush_to_zero && subnormal_operands_) error += scale * flushed(scores_.keys[j]);
    }
    error += (products_ + 4) * kReference * (size * scale + scaled) + scale_error_ * scaled;
    if (cap > 0) {
      // cap * tanh(s / cap): tanh is 1-Lipschitz; argument and product together round six times.
      error += cap * plan_.tanh_error + 6 * kU * std::min(scaled, cap);
    }
    row_.magnitude[j] = size;
    row_.score_error[j] = error;
    row_.low[j] = scores_.scores[j] - error;
    row_.high[j] = scores_.scores[j] + error;
    row_.max_abs_score = std::max(row_.max_abs_score, std::fabs(scores_.scores[j]));
    row_.weight[j] = std::exp(scores_.scores[j] - scores_.maximum);
    row_.z += row_.weight[j];
  }

  const Index span = scores_.keys.back() - scores_.keys.front() + 1;
  const Index tile = plan_.tile_tokens;
  const Index tiles = scores_.tokens() <= tile ? 1 : (span + tile - 1) / tile + 1;
  Index changes = std::min<Index>(tiles, static_cast<Index>(count)) - 1;
  if (plan_.contiguous_splits && changes > 0) {
    changes = std::min(changes, maximum_changes(row_.low, row_.high, plan_.splits > 1));
  }
  row_.changes = static_cast<double>(changes);
  row_.lambda_range = row_.max_abs_score * kLog2e + std::log2(std::max(2.0, n)) + 1;
  row_.merge_error = plan_.splits > 1 ? kLn2 * (8 * kU * row_.lambda_range + kEps * std::log2(n)) + kEps : 0;

  const double common = kEps + row_.changes * (kEps + 2 * kU);
  row_.total = 0;
  for (std::size_t j = 0; j < count; ++j) {
    const double exponent = row_.exponent_scale * (std::fabs(scores_.scores[j]) + row_.max_abs_score + 1);
    double error = std::expm1(row_.score_error[j] + exponent + common + row_.merge_error);
    if (plan_.sum_of_rounded_probability) error = (1 + error) * (1 + a_.probability) - 1;
    row_.weight[j] /= row_.z;
    row_.weight_error[j] = error;
    row_.total += row_.weight[j] * error;
  }
  if (!(row_.total <= 0.25))
    return "T = " + text(row_.total) + " (error of the weights), expected at most 0.25";

  const Index k = plan_.step_products;
  const Index steps_a_tile = (std::min(tile, scores_.tokens()) + k - 1) / k;
  const Index steps = std::min<Index>(static_cast<Index>(count), steps_a_tile * tiles);
  const double chain =
      static_cast<double>(plan_.value_chain > 0 ? plan_.value_chain : static_cast<Index>(count));
  row_.value_factor = a_.tensor_core ? static_cast<double>(steps) * a_.g : gamma(static_cast<Index>(chain));
  row_.tiny = 2 * row_.value_factor * kW + 2 * (2 + a_.splits) * a_.underflow_unit;
  if (!a_.tensor_core) row_.tiny += (n + row_.changes) * a_.underflow_unit;
  return "";
}

// Fills the bound of every element of the row; returns the precondition that fails, or nothing.
std::string Bounds::values(Index place, double* bound) {
  const auto width = static_cast<std::size_t>(inputs_.heads.value_dim);
  const double* output = truth_.output.data() + place * inputs_.heads.value_dim;
  for (std::vector<double>* part :
       {&row_.centred, &row_.inflated, &row_.lost, &row_.lost_values, &row_.largest}) {
    part->assign(width, 0.0);
  }
  for (std::size_t j = 0; j < scores_.keys.size(); ++j) {
    const double* value = scores_.value_row(scores_.keys[j]);
    const double p = row_.weight[j], moved = p * row_.weight_error[j], inflated = p + moved;
    double *centred = row_.centred.data(), *sum = row_.inflated.data(), *largest = row_.largest.data();
    for (std::size_t i = 0; i < width; ++i) {
      const double size = std::fabs(value[i]);
      centred[i] += moved * std::fabs(value[i] - output[i]);
      sum[i] += inflated * size;
      largest[i] = largest[i] < size ? size : largest[i];
    }
    if (p * row_.z < a_.lost_weight) {
      for (std::size_t i = 0; i < width; ++i) {
        row_.lost[i] += p * std::fabs(value[i] - output[i]);
        row_.lost_values[i] += std::fabs(value[i]);
      }
    }
  }
  const double most = *std::max_element(row_.largest.begin(), row_.largest.end());
  if (!(static_cast<double>(scores_.keys.size()) * most < 0x1p127)) {
    return std::to_string(scores_.keys.size()) + " keys with values up to " + text(most) +
           ": their sum may leave f32";
  }
  if (!(most <= info(plan_.partial).largest) && plan_.splits > 1) {
    return "values up to " + text(most) + ": partial results may leave " + std::string(name(plan_.partial));
  }
  if (a_.tensor_core) {
    // A step may align its products, those of masked and padding rows included, with the exponent of a zero
    // weight (the smallest) times the largest value; it is not measured that hardware does not.
    const Index batch = place / inputs_.heads.rows() / inputs_.query_tokens;
    const double aligned =
        std::ldexp(largest_value_[static_cast<std::size_t>(batch)], 4 - plan_.fraction_bits - 126);
    row_.tiny += row_.value_factor / a_.g * aligned;
  }

  double terms[kTerms];
  for (std::size_t i = 0; i < width; ++i) {
    element(static_cast<Index>(i), output[i], terms);
    bound[i] = 0;
    for (double term : terms) bound[i] += term;
    if (!(std::fabs(output[i]) + bound[i] <= info(plan_.output).largest)) {
      return "result " + text(output[i]) + " may leave " + std::string(name(plan_.output));
    }
  }
  return "";
}

// The bound of one element, term by term. The centred sum is one number; keys() knows its parts only as
// proportions, which is what a breakdown needs.
void Bounds::element(Index index, double output, double* terms) const {
  const auto i = static_cast<std::size_t>(index);
  const auto n = static_cast<double>(scores_.keys.size());
  const double sum_chain = plan_.sum_chain > 0 ? static_cast<double>(plan_.sum_chain) : n;
  const double g_l = (sum_chain + 2 * row_.changes + a_.merged) * kU;
  const double lambda = g_l / (1 - g_l);
  const double probability = plan_.sum_of_rounded_probability ? 0 : a_.probability;
  const double scaling = std::expm1((row_.changes + 6 + a_.merged) * std::log1p(kU));
  const double eta = (1 + probability) * (1 + row_.value_factor) * (1 + scaling) - 1;

  const double centred = row_.centred[i] / (1 - row_.total);
  const double inflated = row_.inflated[i] / (1 - row_.total);
  const double sums = eta * inflated / (1 - lambda);
  const double first_order = probability + row_.value_factor + scaling;
  for (int term = 0; term < kTerms; ++term) terms[term] = 0;
  terms[kScore] = centred;  // split further by dominant()
  terms[kProbability] = sums * probability / first_order;
  terms[kValueSum] = sums * row_.value_factor / first_order + (n + 4) * kReference * inflated;
  terms[kMerge] = sums * scaling / first_order;
  terms[kDenominator] = lambda * (std::fabs(output) + centred) / (1 - lambda);
  terms[kUnderflow] =
      1.01 / (1 - row_.total) * (row_.lost[i] + a_.lost_quantum / row_.z * row_.lost_values[i]) + row_.tiny;
  if (plan_.splits > 1 && plan_.partial != Format::f32 && plan_.partial != Format::f64) {
    const FormatInfo& partial = info(plan_.partial);
    terms[kMerge] += 1.01 * (partial.unit_roundoff() * inflated + partial.smallest_subnormal() / 2);
  }
  double before = 0;
  for (int term = 0; term < kTerms; ++term) before += terms[term];
  const FormatInfo& format = info(plan_.output);
  terms[kOutput] =
      std::max(format.unit_roundoff() * (std::fabs(output) + before), format.smallest_subnormal() / 2);
}

// |lse - truth| in natural units.
double Bounds::lse_bound(Index place, std::string& problem) const {
  const auto n = static_cast<double>(scores_.keys.size());
  const double sum_chain = plan_.sum_chain > 0 ? static_cast<double>(plan_.sum_chain) : n;
  const double g_l = (sum_chain + 2 * row_.changes + a_.merged) * kU;
  if (!(g_l <= 0.01)) {
    problem = "g_l = " + text(g_l) + " (additions in the denominator), expected at most 0.01";
    return kInfinity;
  }
  const double rounded = plan_.sum_of_rounded_probability ? 1.01 * a_.probability : 0;
  const double common = kEps + row_.changes * (kEps + 2 * kU) + row_.merge_error + g_l + rounded;
  double total = 0;
  for (std::size_t j = 0; j < scores_.keys.size(); ++j) {
    const double exponent = row_.exponent_scale * (std::fabs(scores_.scores[j]) + row_.max_abs_score + 1);
    total += row_.weight[j] * std::expm1(row_.score_error[j] + exponent + common);
  }
  if (!(total <= 0.25)) {
    problem = "T_L = " + text(total) + " (error of the log-sum-exp), expected at most 0.25";
    return kInfinity;
  }
  const double lse2 = std::fabs(truth_.lse.data()[place]) * kLog2e;
  const double logarithms = (plan_.splits > 1 ? 2 : 1) * kEps * std::log2(std::max(2.0, n));
  const double bits =
      -kLog2e * std::log1p(-total) + logarithms + 4 * kU * (lse2 + row_.lambda_range) + n * kW;
  return kLn2 * bits + (n + 4) * kReference;
}

// Largest change of an element when a sampled key is dropped, p |o - v| / (1 - p), over twice its bound.
double Bounds::certificate(Index place, const double* bound) const {
  constexpr std::size_t kSampled = 16;
  const std::size_t count = scores_.keys.size();
  const double* output = truth_.output.data() + place * inputs_.heads.value_dim;
  double largest = 0;
  for (std::size_t sample = 0; sample < std::min(count, kSampled); ++sample) {
    const std::size_t j = count <= kSampled ? sample : sample * (count - 1) / (kSampled - 1);
    const double p = row_.weight[j];
    if (p >= 1) return kInfinity;  // without it nothing is left
    const double* value = scores_.value_row(scores_.keys[j]);
    for (Index i = 0; i < inputs_.heads.value_dim; ++i) {
      largest = std::max(largest, p / (1 - p) * std::fabs(output[i] - value[i]) / (2 * bound[i]));
    }
  }
  return largest;
}

// "probability rounding 62 %, score dot product 21 %, output rounding 15 %" of one element.
std::string Bounds::dominant(Index place, Index element_index) {
  const Index rows = inputs_.heads.rows(), width = inputs_.heads.value_dim;
  scores_.read(place / rows / inputs_.query_tokens, place / rows % inputs_.query_tokens, place % rows);
  std::vector<double> bound(static_cast<std::size_t>(width));
  if (!keys(place).empty() || !values(place, bound.data()).empty()) return "";
  double terms[kTerms];
  element(element_index, truth_.output.data()[place * width + element_index], terms);
  // The centred sum's parts, key by key.
  const double centred = terms[kScore];
  double parts[kTerms] = {};
  double whole = 0;
  for (std::size_t j = 0; j < scores_.keys.size(); ++j) {
    const double value = scores_.value_row(scores_.keys[j])[element_index];
    const double weight =
        row_.weight[j] * std::fabs(value - truth_.output.data()[place * width + element_index]);
    const double maximum = row_.changes * (kEps + 2 * kU);
    const double exponent =
        kEps + row_.exponent_scale * (std::fabs(scores_.scores[j]) + row_.max_abs_score + 1);
    const double rounded = plan_.sum_of_rounded_probability ? a_.probability : 0;
    parts[kScore] += weight * row_.score_error[j];
    parts[kExponent] += weight * exponent;
    parts[kMaximum] += weight * maximum;
    parts[kMerge] += weight * row_.merge_error;
    parts[kProbability] += weight * rounded;
  }
  for (double part : parts) whole += part;
  terms[kScore] = 0;
  double sum = 0;
  for (int term = 0; term < kTerms; ++term) {
    if (whole > 0) terms[term] += centred * parts[term] / whole;
    sum += terms[term];
  }
  std::string shares;
  for (int shown = 0; shown < 3; ++shown) {
    double* largest = std::max_element(terms, terms + kTerms);
    if (shown > 0 && !(*largest >= 0.01 * sum)) break;
    words::append(shares, std::string(kTermNames[largest - terms]) + " " +
                              std::to_string(std::lround(100 * *largest / sum)) + " %");
    *largest = -1;
  }
  return shares;
}

DecodeBounds Bounds::run() {
  const auto batch = static_cast<Index>(inputs_.sequences.size());
  const Index queries = inputs_.query_tokens, rows = inputs_.heads.rows(), width = inputs_.heads.value_dim;
  DecodeBounds bounds{Tensor<double>{batch, queries, rows, width}, Tensor<double>{batch, queries, rows},
                      Tensor<double>{batch, queries, rows}, call_problem(), ""};
  const auto give_up = [&](Index place) {
    std::fill_n(bounds.output.data() + place * width, width, kInfinity);
    bounds.lse.data()[place] = kInfinity;
    bounds.single_key.data()[place] = 0;
  };
  const bool hopeless = !bounds.inconclusive.empty();
  double widest = -1;
  Index widest_place = -1, widest_element = 0;
  for (Index place = 0; place < batch * queries * rows; ++place) {
    if (hopeless) {
      give_up(place);
      continue;
    }
    scores_.read(place / rows / queries, place / rows % queries, place % rows);
    if (scores_.keys.empty()) continue;  // zeros and -infinity, exactly: bounds of zero
    double* bound = bounds.output.data() + place * width;
    std::string problem = keys(place);
    if (problem.empty()) bounds.lse.data()[place] = lse_bound(place, problem);
    if (problem.empty()) problem = values(place, bound);
    if (!problem.empty()) {
      give_up(place);
      if (bounds.inconclusive.empty()) {
        bounds.inconclusive = "batch " + std::to_string(place / rows / queries) + ", query " +
                              std::to_string(place / rows % queries) + ", row " +
                              std::to_string(place % rows) + ": " + problem;
      }
      continue;
    }
    bounds.single_key.data()[place] = certificate(place, bound);
    for (Index i = 0; i < width; ++i) {
      const double size = std::fabs(truth_.output.data()[place * width + i]);
      if (size > 0 && bound[i] / size > widest) {
        widest = bound[i] / size;
        widest_place = place;
        widest_element = i;
      }
    }
  }
  if (widest_place >= 0) bounds.dominant_term = dominant(widest_place, widest_element);
  return bounds;
}

void check(const DecodeInputs& inputs, const DecodeOutputs& truth, const ArithmeticPlan& plan) {
  std::vector<std::string> found = inputs.problems();
  const auto at_least = [&](const std::string& what, double value, double least) {
    if (!(value >= least) || std::isinf(value)) {
      found.push_back("plan: " + what + " " + words::print(value) + ": expected " + words::print(least) +
                      " or more");
    }
  };
  at_least("splits", static_cast<double>(plan.splits), 1);
  at_least("tile_tokens", static_cast<double>(plan.tile_tokens), 1);
  at_least("sum_chain", static_cast<double>(plan.sum_chain), 0);
  at_least("dot_chain", static_cast<double>(plan.dot_chain), 0);
  at_least("value_chain", static_cast<double>(plan.value_chain), 0);
  at_least("fraction_bits", plan.fraction_bits, 1);
  at_least("step_products", plan.step_products, 1);
  at_least("tanh_error", plan.tanh_error, 0);
  if (found.empty()) {
    const auto batch = static_cast<Index>(inputs.sequences.size());
    const std::vector<Index> rows = {batch, inputs.query_tokens, inputs.heads.rows()};
    const std::vector<Index> elements = {batch, inputs.query_tokens, inputs.heads.rows(),
                                         inputs.heads.value_dim};
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
  check(inputs, truth, plan);
  return Bounds(inputs, truth, plan).run();
}

}  // namespace attest
