// One case a scaling law, as the papers and transformers' rope utilities state it.
#include "reference/naive/naive_rope.h"

#include <numbers>

namespace attest::naive {
namespace {

constexpr Real kPi = std::numbers::pi_v<Real>;

// Su et al. 2021: theta_i = b^(-2i / d)
Real theta(Real base, Index width, Index pair) {
  return std::pow(base, -2 * static_cast<Real>(pair) / static_cast<Real>(width));
}

// The base that NTK-aware scaling by `factor` puts in b's place.
Real stretched(Real base, Real factor, Index width) {
  const auto d = static_cast<Real>(width);
  return base * std::pow(factor, d / (d - 2));
}

// YaRN (Peng et al. 2023, released form): the share of pair i that is interpolated, rising between the pairs
// that make beta_fast and beta_slow turns within the trained context.
Real yarn_interpolated(const RopeSpec& spec, Index width, Index pair) {
  const auto d = static_cast<Real>(width);
  const auto pair_with = [&](Real turns) {
    return d * std::log(spec.original_tokens / (turns * 2 * kPi)) /
           (2 * std::log(static_cast<Real>(spec.base)));
  };
  Real first = std::floor(pair_with(spec.yarn_beta_fast)), last = std::ceil(pair_with(spec.yarn_beta_slow));
  if (first < 0) first = 0;
  if (last > d - 1) last = d - 1;
  if (first == last) last += 0.001;  // a double constant in the released code
  const Real share = (static_cast<Real>(pair) - first) / (last - first);
  return share < 0 ? 0 : share > 1 ? 1 : share;
}

// Llama 3.1: the pair's wavelength against the trained context M.
Real llama3(const RopeSpec& spec, Real plain) {
  const Real wave = 2 * kPi / plain, context = spec.original_tokens;
  if (wave < context / spec.llama3_high_freq_factor) return plain;
  if (wave > context / spec.llama3_low_freq_factor) return plain / spec.factor;
  const Real smooth = (context / wave - spec.llama3_low_freq_factor) /
                      (spec.llama3_high_freq_factor - spec.llama3_low_freq_factor);
  return smooth * plain + (1 - smooth) * (plain / spec.factor);
}

// Radians a token.
Real frequency(const RopeSpec& spec, Index width, Index pair, Index length) {
  const Real base = spec.base, factor = spec.factor, plain = theta(base, width, pair);
  switch (spec.scaling) {
    case RopeScaling::none:
      return plain;
    case RopeScaling::linear:  // Chen et al. 2023: positions are divided
      return plain / factor;
    case RopeScaling::ntk:
      return theta(stretched(base, factor, width), width, pair);
    case RopeScaling::dynamic_ntk: {
      const Real trained = spec.original_tokens, now = static_cast<Real>(length);
      const Real longest = now > trained ? now : trained;
      return theta(stretched(base, factor * longest / trained - (factor - 1), width), width, pair);
    }
    case RopeScaling::yarn: {
      const Real share = yarn_interpolated(spec, width, pair);
      return share * (plain / factor) + (1 - share) * plain;
    }
    case RopeScaling::longrope: {  // Ding et al. 2024
      const bool beyond = static_cast<Real>(length) > static_cast<Real>(spec.original_tokens);
      const Real stretch = (beyond ? spec.long_factors : spec.short_factors).at(at(pair));
      return 1 / (stretch * std::pow(base, 2 * static_cast<Real>(pair) / static_cast<Real>(width)));
    }
    case RopeScaling::llama3:
      return llama3(spec, plain);
    case RopeScaling::proportional: {  // Barbero et al. 2024: the slow pairs stand still
      const Real turning = std::floor(spec.rotated_fraction * static_cast<Real>(width) / 2);
      return static_cast<Real>(pair) < turning ? plain / factor : 0;
    }
  }
  throw std::invalid_argument("naive rope: unknown scaling law");
}

// M-RoPE: which of (time, height, width) the pair reads. Sections are laid out pair by pair.
Index axis_of(const RopeSpec& spec, Index pair, Index pairs) {
  if (spec.sections.empty()) return 0;
  std::vector<Index> axes;
  if (spec.sections_interleaved) {  // Qwen3-VL: T H W T H W .. while H and W last, then T
    axes.assign(at(pairs), 0);
    for (Index axis = 1; axis < 3; ++axis) {
      for (Index n = 0; n < spec.sections.at(at(axis)); ++n) axes.at(at(axis + 3 * n)) = axis;
    }
  } else {  // Qwen2-VL: a block of each
    for (Index axis = 0; axis < 3; ++axis) axes.insert(axes.end(), at(spec.sections.at(at(axis))), axis);
  }
  return axes.at(at(pair));
}

}  // namespace

Real rope_angle(const RopeSpec& spec, Index width, Index pair, const Place& place, Index length) {
  if (spec.table != Format::f64) throw std::invalid_argument("naive rope: a rounded table");
  return static_cast<Real>(place.at(at(axis_of(spec, pair, width / 2)))) *
         frequency(spec, width, pair, length);
}

Real rope_amplitude(const RopeSpec& spec) {
  if (spec.attention_factor != 0) return spec.attention_factor;
  const auto grown = [&](Real slope) {
    return spec.factor > 1 ? slope * std::log(static_cast<Real>(spec.factor)) / 10 + 1 : 1;
  };
  if (spec.scaling == RopeScaling::yarn) {
    const bool both = spec.yarn_mscale != 0 && spec.yarn_mscale_all_dim != 0;
    return both ? grown(spec.yarn_mscale) / grown(spec.yarn_mscale_all_dim) : grown(1);
  }
  if (spec.scaling == RopeScaling::longrope && spec.factor > 1) {
    return std::sqrt(1 + std::log(static_cast<Real>(spec.factor)) /
                             std::log(static_cast<Real>(spec.original_tokens)));
  }
  return 1;
}

Row rotated(const RopeSpec& spec, const Row& x, const Place& place, Index length) {
  const auto width = static_cast<Index>(x.size());
  const Real amplitude = rope_amplitude(spec);
  Row y = x;
  for (Index pair = 0; pair < width / 2; ++pair) {
    const Real angle = rope_angle(spec, width, pair, place, length);
    const Real cosine = amplitude * std::cos(angle), sine = amplitude * std::sin(angle);
    const bool adjacent = spec.pairing == RopePairing::interleaved;
    const std::size_t a = at(adjacent ? 2 * pair : pair), b = at(adjacent ? 2 * pair + 1 : pair + width / 2);
    y[a] = cosine * x[a] - sine * x[b];
    y[b] = cosine * x[b] + sine * x[a];
  }
  return y;
}

}  // namespace attest::naive
