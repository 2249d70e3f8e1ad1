// Rotary position embedding: one function a scaling law, then tables and rotation.
#include "reference/rope.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <stdexcept>

namespace attest {
namespace {

using Frequencies = std::vector<double>;

// f_i = b^(-2i/d)
Frequencies plain(double base, int dim) {
  Frequencies f(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < f.size(); ++i) f[i] = std::pow(base, -2.0 * static_cast<double>(i) / dim);
  return f;
}

// Position interpolation: f_i = b^(-2i/d) / factor.
RopeFrequencies linear(const RopeSpec& spec, int dim, Index) {
  Frequencies f = plain(spec.base, dim);
  for (double& x : f) x /= spec.factor;
  return {f, 1};
}

// NTK-aware: b' = b factor^(d/(d-2)), so that the slowest pair is slowed by `factor` and the fastest not at
// all.
double ntk_base(const RopeSpec& spec, int dim, double factor) {
  return spec.base * std::pow(factor, dim / (dim - 2.0));
}
RopeFrequencies ntk(const RopeSpec& spec, int dim, Index) {
  return {plain(ntk_base(spec, dim, spec.factor), dim), 1};
}

// Dynamic NTK: the factor grows with the sequence, factor L/M - (factor - 1) with M trained tokens and L =
// max(tokens, M).
RopeFrequencies dynamic_ntk(const RopeSpec& spec, int dim, Index tokens) {
  const double length = std::max(static_cast<double>(tokens), spec.original_tokens);
  const double factor = spec.factor * length / spec.original_tokens - (spec.factor - 1);
  return {plain(ntk_base(spec, dim, factor), dim), 1};
}

// YaRN: fast pairs keep their frequency, slow ones are interpolated, a linear ramp between. The ramp runs
// from the pair that turns beta_fast times in the trained context to the one that turns beta_slow times.
RopeFrequencies yarn(const RopeSpec& spec, int dim, Index) {
  const auto pair_of_turns = [&](double turns) {
    return dim * std::log(spec.original_tokens / (2 * std::numbers::pi * turns)) / (2 * std::log(spec.base));
  };
  const double low = std::max(std::floor(pair_of_turns(spec.yarn_beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of_turns(spec.yarn_beta_slow)), dim - 1.0);
  if (low == high) high += 0.001;  // as released: no division by zero
  Frequencies f = plain(spec.base, dim);
  for (std::size_t i = 0; i < f.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    f[i] = f[i] / spec.factor * ramp + f[i] * (1 - ramp);
  }
  const bool both = spec.yarn_mscale != 0 && spec.yarn_mscale_all_dim != 0;
  const double magnitude = both ? yarn_magnitude(spec.factor, spec.yarn_mscale) /
                                      yarn_magnitude(spec.factor, spec.yarn_mscale_all_dim)
                                : yarn_magnitude(spec.factor, 1);
  return {f, magnitude};
}

// LongRoPE: f_i = 1 / (e_i b^(2i/d)) with long or short factors e by the whole sequence's length; A = sqrt(1
// + ln factor / ln M).
RopeFrequencies longrope(const RopeSpec& spec, int dim, Index tokens) {
  const bool is_long = static_cast<double>(tokens) > spec.original_tokens;
  const std::vector<double>& factors = is_long ? spec.long_factors : spec.short_factors;
  Frequencies f = plain(spec.base, dim);
  for (std::size_t i = 0; i < f.size(); ++i) f[i] /= factors[i];
  const double magnitude =
      spec.factor <= 1 ? 1 : std::sqrt(1 + std::log(spec.factor) / std::log(spec.original_tokens));
  return {f, magnitude};
}

// Llama 3.1: wavelengths longer than M / low are interpolated, shorter than M / high kept, a smooth blend
// between.
RopeFrequencies llama3(const RopeSpec& spec, int dim, Index) {
  Frequencies f = plain(spec.base, dim);
  const double low = spec.llama3_low_freq_factor, high = spec.llama3_high_freq_factor;
  for (double& x : f) {
    const double wavelength = 2 * std::numbers::pi / x;
    if (wavelength > spec.original_tokens / low) {
      x /= spec.factor;
    } else if (wavelength >= spec.original_tokens / high) {
      const double smooth = (spec.original_tokens / wavelength - low) / (high - low);
      x = (1 - smooth) * x / spec.factor + smooth * x;
    }
  }
  return {f, 1};
}

// p-RoPE: only the fastest share of the pairs rotates; exponents are over the full width.
RopeFrequencies proportional(const RopeSpec& spec, int dim, Index) {
  Frequencies f = plain(spec.base, dim);
  const auto rotating = static_cast<std::size_t>(spec.rotated_fraction * dim / 2);
  for (std::size_t i = 0; i < f.size(); ++i) f[i] = i < rotating ? f[i] / spec.factor : 0;
  return {f, 1};
}

RopeFrequencies unscaled(const RopeSpec& spec, int dim, Index) { return {plain(spec.base, dim), 1}; }

struct LawRow {
  RopeScaling scaling;
  RopeFrequencies (*frequencies)(const RopeSpec&, int, Index);
};
constexpr LawRow kLaws[] = {
    {RopeScaling::none, unscaled}, {RopeScaling::linear, linear},
    {RopeScaling::ntk, ntk},       {RopeScaling::dynamic_ntk, dynamic_ntk},
    {RopeScaling::yarn, yarn},     {RopeScaling::longrope, longrope},
    {RopeScaling::llama3, llama3}, {RopeScaling::proportional, proportional},
};

// Pair i's frequency as the released code has it in float32: 1 / base^(2i/d), quotient, power and reciprocal
// rounded one by one; scaled laws are rounded once from double.
float float_frequency(const RopeSpec& spec, int dim, Index pair, double exact) {
  if (spec.scaling != RopeScaling::none) return static_cast<float>(exact);
  const float exponent = static_cast<float>(2 * pair) / static_cast<float>(dim);
  const double power =
      std::pow(static_cast<double>(static_cast<float>(spec.base)), static_cast<double>(exponent));
  return 1.0F / static_cast<float>(power);
}

// Cosine and sine of pair i at a position, in the table's precision. Float32: the position times the
// frequency is rounded to float, and so are the cosine and sine of that.
struct Turn {
  double cosine, sine, angle;
};
Turn turn(const RopeSpec& spec, int dim, const RopeFrequencies& frequencies, Index pair, Index position) {
  const double exact = frequencies.inverse[static_cast<std::size_t>(pair)], magnitude = frequencies.magnitude;
  if (spec.table == Format::f64) {
    const double angle = static_cast<double>(position) * exact;
    return {magnitude * std::cos(angle), magnitude * std::sin(angle), angle};
  }
  const double angle = static_cast<float>(position) * float_frequency(spec, dim, pair, exact);
  const auto entry = [&](double value) {
    const float f32 = static_cast<float>(value) * static_cast<float>(magnitude);
    return round_to(spec.table, static_cast<double>(f32));
  };
  return {entry(std::cos(angle)), entry(std::sin(angle)), angle};
}

}  // namespace

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

RopeFrequencies rope_frequencies(const RopeSpec& spec, int dim, Index tokens) {
  const std::vector<std::string> problems = spec.problems(dim);
  if (!problems.empty()) throw std::invalid_argument("rope: " + problems.front());
  for (const LawRow& law : kLaws) {
    if (law.scaling != spec.scaling) continue;
    RopeFrequencies result = law.frequencies(spec, dim, tokens);
    if (spec.attention_factor != 0) result.magnitude = spec.attention_factor;
    return result;
  }
  throw std::invalid_argument("rope: unknown scaling law");
}

int rope_axis(const RopeSpec& spec, int pair) {
  if (spec.sections.empty()) return 0;
  const int axes = static_cast<int>(spec.sections.size());
  if (spec.sections_interleaved) {  // time everywhere, but every third pair from 1 and 2 while the section
                                    // lasts
    const int axis = pair % 3;
    return axis != 0 && axis < axes && pair < 3 * spec.sections[static_cast<std::size_t>(axis)] ? axis : 0;
  }
  int end = 0;
  for (int axis = 0; axis < axes; ++axis) {
    end += spec.sections[static_cast<std::size_t>(axis)];
    if (pair < end) return axis;
  }
  throw std::invalid_argument("rope: pair " + std::to_string(pair) + " lies behind the " +
                              std::to_string(end) + " pairs of all sections");
}

RopeTable rope_table(const RopeSpec& spec, int dim, std::span<const Position> positions, Index tokens) {
  if (tokens == 0) {
    for (const Position& at : positions)
      tokens = std::max(tokens, *std::max_element(at.begin(), at.end()) + 1);
  }
  const RopeFrequencies frequencies = rope_frequencies(spec, dim, tokens);
  const Index length = static_cast<Index>(positions.size()), pairs = dim / 2;
  RopeTable table{spec.pairing, Tensor<double>{length, pairs}, Tensor<double>{length, pairs}};
  for (Index i = 0; i < pairs; ++i) {
    const auto axis = static_cast<std::size_t>(rope_axis(spec, static_cast<int>(i)));
    for (Index token = 0; token < length; ++token) {
      const Index at = positions[static_cast<std::size_t>(token)][axis];
      const Turn entry = turn(spec, dim, frequencies, i, at);
      table.cosine(token, i) = entry.cosine;
      table.sine(token, i) = entry.sine;
    }
  }
  return table;
}

void rotate(const RopeTable& table, Tensor<double>& x) {
  const Index tokens = table.cosine.size(0), pairs = table.cosine.size(1);
  if (x.shape().size() != 3 || x.size(0) != tokens || x.size(2) != 2 * pairs) {
    throw std::invalid_argument("rotate: tensor " + shape_text(x.shape()) + " against a table of " +
                                std::to_string(tokens) + " tokens and " + std::to_string(pairs) + " pairs");
  }
  double* row = x.data();
  for (Index token = 0; token < tokens; ++token) {
    const double* cosine = table.cosine.data() + token * pairs;
    const double* sine = table.sine.data() + token * pairs;
    for (Index head = 0; head < x.size(1); ++head, row += 2 * pairs) {
      for (Index i = 0; i < pairs; ++i) {
        const auto [first, second] = rope_pair(table.pairing, 2 * pairs, i);
        const double x1 = row[first], x2 = row[second];
        row[first] = x1 * cosine[i] - x2 * sine[i];
        row[second] = x2 * cosine[i] + x1 * sine[i];
      }
    }
  }
}

RopePrecision rope_precision(const RopeSpec& spec, int dim, Index position) {
  const RopeFrequencies frequencies = rope_frequencies(spec, dim, position + 1);
  const double magnitude = frequencies.magnitude;
  std::vector<Index> keys = {0};
  for (Index distance = 1; distance <= position; distance *= 2) keys.push_back(position - distance);
  RopeSpec exact = spec;
  exact.table = Format::f64;
  RopePrecision worst{.position = position};
  for (Index i = 0; i < dim / 2; ++i) {
    const Turn query = turn(spec, dim, frequencies, i, position);
    const Turn exact_query = turn(exact, dim, frequencies, i, position);
    worst.angle_error = std::max(worst.angle_error, std::abs(query.angle - exact_query.angle));
    worst.table_error = std::max({worst.table_error, std::abs(query.cosine - exact_query.cosine),
                                  std::abs(query.sine - exact_query.sine)});
    for (const Index at : keys) {
      // A pair's score is x^T [[e, o], [-o, e]] y: the error matrix of that form has spectral norm |(e, o)|.
      const Turn key = turn(spec, dim, frequencies, i, at);
      const double angle =
          static_cast<double>(position - at) * frequencies.inverse[static_cast<std::size_t>(i)];
      const double even =
          query.cosine * key.cosine + query.sine * key.sine - magnitude * magnitude * std::cos(angle);
      const double odd =
          query.sine * key.cosine - query.cosine * key.sine - magnitude * magnitude * std::sin(angle);
      worst.score_error = std::max(worst.score_error, std::hypot(even, odd));
    }
  }
  return worst;
}

std::string rope_precision_report(RopeSpec spec, int dim, std::span<const Index> positions) {
  std::string text = "position  table  angle error (rad)  cos, sin error  score error / (|q| |k|)\n";
  for (const Index position : positions) {
    for (const Format table : {Format::f64, Format::f32, Format::bf16}) {
      spec.table = table;
      const RopePrecision cost = rope_precision(spec, dim, position);
      char line[160];
      std::snprintf(line, sizeof line, "%8lld  %-5s  %17.2e  %14.2e  %23.2e\n",
                    static_cast<long long>(position), std::string(name(table)).c_str(), cost.angle_error,
                    cost.table_error, cost.score_error);
      text += line;
    }
  }
  return text;
}

}  // namespace attest
