// One function a scaling law, each operation followed by its rounding.
#include "golden/float32_rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

namespace attest::golden {
namespace {

using Frequencies = std::vector<double>;

// The arithmetic of one table. Constants are rounded where they meet a float32 tensor, once for all pairs.
struct Rounding {
  Float32Noise& noise;

  double operator()(double x) const { return x * (1 + Float32Noise::kUnit * noise.normal()); }
  double function(double x) const { return x * (1 + Float32Noise::kFunction * noise.normal()); }
  double constant(double x) const { return static_cast<double>(static_cast<float>(x)) == x ? x : (*this)(x); }
};

// base^(2i/d): the exponent is exact when d is a power of two, else rounded, which the power multiplies by
// exponent * ln(base).
double power(double base, int dim, int pair, const Rounding& rounded) {
  const bool power_of_two = (dim & (dim - 1)) == 0;
  const double exponent = 2.0 * pair / dim;
  return rounded.function(std::pow(base, power_of_two ? exponent : rounded(exponent)));
}

// 1 / base^(2i/d) for all pairs
Frequencies plain(double base, int dim, const Rounding& rounded) {
  const double as_float = rounded.constant(base);
  Frequencies f;
  for (int i = 0; i < dim / 2; ++i) f.push_back(rounded(1 / power(as_float, dim, i, rounded)));
  return f;
}

Frequencies unscaled(const RopeSpec& spec, int dim, Index, const Rounding& rounded) {
  return plain(spec.base, dim, rounded);
}

// inv_freq /= factor. Torch may multiply by the factor's reciprocal, whose rounding is one more.
Frequencies linear(const RopeSpec& spec, int dim, Index, const Rounding& rounded) {
  Frequencies f = plain(spec.base, dim, rounded);
  const double factor = rounded(spec.factor);
  for (double& x : f) x = rounded(x / factor);
  return f;
}

// base * factor^(d / (d - 2)), in doubles
Frequencies ntk(const RopeSpec& spec, int dim, Index, const Rounding& rounded) {
  return plain(spec.base * std::pow(spec.factor, dim / (dim - 2.0)), dim, rounded);
}

// base * (factor L / M - (factor - 1))^(d / (d - 2)) with the sequence's length L, a tensor, so all of it in
// float32; within the trained context nothing is recomputed.
Frequencies dynamic_ntk(const RopeSpec& spec, int dim, Index tokens, const Rounding& rounded) {
  const auto length = static_cast<double>(tokens);
  if (length <= spec.original_tokens) return plain(spec.base, dim, rounded);
  const double grown = rounded(rounded(rounded.constant(spec.factor) * length) / spec.original_tokens);
  const double ratio = rounded(grown - rounded.constant(spec.factor - 1));
  const double stretch = rounded.function(std::pow(ratio, rounded.constant(dim / (dim - 2.0))));
  const double base = rounded(rounded.constant(spec.base) * stretch);
  Frequencies f;
  for (int i = 0; i < dim / 2; ++i) f.push_back(rounded(1 / power(base, dim, i, rounded)));
  return f;
}

// interpolated (1 - e) + plain e, where e = 1 - ramp is 1 for fast pairs; the ramp's ends are Python's.
Frequencies yarn(const RopeSpec& spec, int dim, Index, const Rounding& rounded) {
  const auto pair_of = [&](double turns) {
    return dim * std::log(spec.original_tokens / (turns * 2 * std::numbers::pi)) / (2 * std::log(spec.base));
  };
  const double low = std::max(std::floor(pair_of(spec.yarn_beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of(spec.yarn_beta_slow)), dim - 1.0);
  if (low == high) high += 0.001;
  const double base = rounded.constant(spec.base), factor = rounded.constant(spec.factor),
               width = rounded.constant(high - low);
  Frequencies f;
  for (int i = 0; i < dim / 2; ++i) {
    const double step = power(base, dim, i, rounded);
    const double kept = rounded(1 / step), interpolated = rounded(1 / rounded(factor * step));
    const double ramp = std::clamp(rounded((i - low) / width), 0.0, 1.0);
    const double share = rounded(1 - ramp);  // of what is kept
    f.push_back(rounded(rounded(interpolated * rounded(1 - share)) + rounded(kept * share)));
  }
  return f;
}

// 1 / (ext_i base^(2i/d))
Frequencies longrope(const RopeSpec& spec, int dim, Index tokens, const Rounding& rounded) {
  const bool is_long = static_cast<double>(tokens) > spec.original_tokens;
  const std::vector<double>& stretch = is_long ? spec.long_factors : spec.short_factors;
  const double base = rounded.constant(spec.base);
  Frequencies f;
  for (int i = 0; i < dim / 2; ++i) {
    const double ext = rounded.constant(stretch.at(static_cast<size_t>(i)));
    f.push_back(rounded(1 / rounded(ext * power(base, dim, i, rounded))));
  }
  return f;
}

// By wavelength. The blend is continuous at both of its ends, so which side a rounded wavelength falls on
// does not matter.
Frequencies llama3(const RopeSpec& spec, int dim, Index, const Rounding& rounded) {
  const double context = spec.original_tokens, low = spec.llama3_low_freq_factor,
               high = spec.llama3_high_freq_factor;
  const double turn = rounded.constant(2 * std::numbers::pi), factor = rounded(spec.factor),
               range = rounded(high - low);
  Frequencies f = plain(spec.base, dim, rounded);
  for (double& x : f) {
    const double wavelength = rounded(turn / x);
    if (wavelength > context / low) {
      x = rounded(x / factor);
    } else if (wavelength >= context / high) {
      const double smooth = rounded(rounded(rounded(context / wavelength) - low) / range);
      const double slow = rounded(rounded(rounded(1 - smooth) * x) / factor);
      x = rounded(slow + rounded(smooth * x));
    }
  }
  return f;
}

// The first pairs as they are without scaling, zeros, and all divided by the factor.
Frequencies proportional(const RopeSpec& spec, int dim, Index tokens, const Rounding& rounded) {
  Frequencies f = linear(spec, dim, tokens, rounded);
  const auto turning = static_cast<size_t>(spec.rotated_fraction * dim / 2);
  std::fill(f.begin() + static_cast<std::ptrdiff_t>(std::min(turning, f.size())), f.end(), 0.0);
  return f;
}

struct LawRow {
  RopeScaling scaling;
  Frequencies (*frequencies)(const RopeSpec&, int dim, Index tokens, const Rounding&);
};
constexpr LawRow kLaws[] = {
    {RopeScaling::none, unscaled}, {RopeScaling::linear, linear},
    {RopeScaling::ntk, ntk},       {RopeScaling::dynamic_ntk, dynamic_ntk},
    {RopeScaling::yarn, yarn},     {RopeScaling::longrope, longrope},
    {RopeScaling::llama3, llama3}, {RopeScaling::proportional, proportional},
};

}  // namespace

std::vector<double> float32_frequencies(const RopeSpec& spec, int dim, Index tokens, Float32Noise& noise) {
  const std::vector<std::string> problems = spec.problems(dim);
  if (!problems.empty()) throw std::invalid_argument(problems.front());
  for (const LawRow& law : kLaws) {
    if (law.scaling == spec.scaling) return law.frequencies(spec, dim, tokens, Rounding{noise});
  }
  throw std::invalid_argument("float32 rotary table: unknown scaling law");
}

double float32_magnitude(const RopeSpec& spec) {
  if (spec.attention_factor != 0) return spec.attention_factor;
  const auto get_mscale = [&](double mscale) {
    return spec.factor <= 1 ? 1 : 0.1 * mscale * std::log(spec.factor) + 1;
  };
  if (spec.scaling == RopeScaling::yarn) {
    const bool both = spec.yarn_mscale != 0 && spec.yarn_mscale_all_dim != 0;
    return both ? get_mscale(spec.yarn_mscale) / get_mscale(spec.yarn_mscale_all_dim) : get_mscale(1);
  }
  if (spec.scaling == RopeScaling::longrope && spec.factor > 1) {
    return std::sqrt(1 + std::log(spec.factor) / std::log(spec.original_tokens));
  }
  return 1;
}

// The angle is a product of float32s; cosine and sine have their function's error; the magnitude is a
// constant and its product rounds, unless it is 1.
Float32Rope float32_rope(const RopeSpec& spec, int dim, Index tokens, Float32Noise& noise) {
  const Rounding rounded{noise};
  const std::vector<double> frequencies = float32_frequencies(spec, dim, tokens, noise);
  const double magnitude = rounded.constant(float32_magnitude(spec));
  const auto scaled = [&](double x) { return magnitude == 1 ? x : rounded(magnitude * x); };
  const Index pairs = dim / 2;
  Float32Rope rope{Matrix(tokens, pairs), Matrix(tokens, pairs), {}};
  for (Index i = 0; i < pairs; ++i) {
    const bool half_split = spec.pairing == RopePairing::half_split;
    rope.pairs.emplace_back(half_split ? i : 2 * i, half_split ? i + pairs : 2 * i + 1);
    for (Index t = 0; t < tokens; ++t) {
      const double angle = rounded(static_cast<double>(t) * frequencies[static_cast<size_t>(i)]);
      rope.cosine(t, i) = scaled(std::cos(angle) + Float32Noise::kFunction * noise.normal());
      rope.sine(t, i) = scaled(std::sin(angle) + Float32Noise::kFunction * noise.normal());
    }
  }
  return rope;
}

}  // namespace attest::golden
