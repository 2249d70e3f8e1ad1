// RoPE names: pairing, scaling law, base, then the fields that are set, through one table of fields.
#include "reference/rope_spec.h"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "reference/words.h"

namespace attest {
namespace {

struct PairingName {
  RopePairing pairing;
  std::string_view name;
};
constexpr PairingName kPairings[] = {{RopePairing::half_split, "half-split"},
                                     {RopePairing::interleaved, "interleaved"}};

struct ScalingName {
  RopeScaling scaling;
  std::string_view name;
};
constexpr ScalingName kScalings[] = {
    {RopeScaling::none, "none"},     {RopeScaling::linear, "linear"},
    {RopeScaling::ntk, "ntk"},       {RopeScaling::dynamic_ntk, "dynamic-ntk"},
    {RopeScaling::yarn, "yarn"},     {RopeScaling::longrope, "longrope"},
    {RopeScaling::llama3, "llama3"}, {RopeScaling::proportional, "proportional"},
};

struct Field {
  std::string_view name;
  std::string (*print)(const RopeSpec&);
  void (*parse)(RopeSpec&, std::string_view what, std::string_view text);
  bool (*is_default)(const RopeSpec&);
};
template <auto kMember>
constexpr Field field(std::string_view name) {
  return {name, [](const RopeSpec& spec) { return words::print(spec.*kMember); },
          [](RopeSpec& spec, std::string_view what, std::string_view text) {
            words::parse(what, text, spec.*kMember);
          },
          [](const RopeSpec& spec) { return spec.*kMember == RopeSpec().*kMember; }};
}
constexpr Field kFields[] = {
    field<&RopeSpec::base>("base"),
    field<&RopeSpec::factor>("factor"),
    field<&RopeSpec::original_tokens>("original"),
    field<&RopeSpec::yarn_beta_fast>("beta-fast"),
    field<&RopeSpec::yarn_beta_slow>("beta-slow"),
    field<&RopeSpec::yarn_mscale>("mscale"),
    field<&RopeSpec::yarn_mscale_all_dim>("mscale-all-dim"),
    field<&RopeSpec::attention_factor>("attention-factor"),
    field<&RopeSpec::llama3_low_freq_factor>("low"),
    field<&RopeSpec::llama3_high_freq_factor>("high"),
    field<&RopeSpec::rotated_fraction>("rotated"),
    field<&RopeSpec::long_factors>("long"),
    field<&RopeSpec::short_factors>("short"),
    field<&RopeSpec::sections>("sections"),
    field<&RopeSpec::sections_interleaved>("sections-interleaved"),
    {"table", [](const RopeSpec& spec) { return std::string(name(spec.table)); },
     [](RopeSpec& spec, std::string_view, std::string_view text) { spec.table = parse_format(text); },
     [](const RopeSpec& spec) { return spec.table == RopeSpec().table; }},
};

bool positive(double value) { return value > 0 && std::isfinite(value); }

bool needs_original(RopeScaling scaling) {
  return scaling == RopeScaling::dynamic_ntk || scaling == RopeScaling::yarn ||
         scaling == RopeScaling::longrope || scaling == RopeScaling::llama3;
}

}  // namespace

std::vector<std::string> RopeSpec::problems(int rope_dim) const {
  std::vector<std::string> found;
  const auto refuse = [&](const std::string& what, double value, const std::string& expected) {
    found.push_back("rope " + what + " " + words::print(value) + ": expected " + expected);
  };
  const int pairs = rope_dim / 2;
  if (rope_dim < 0 || rope_dim % 2 != 0) refuse("width", rope_dim, "an even number, 0 or more");
  if (!(base > 1) || !std::isfinite(base)) refuse("base", base, "a finite number above 1");
  if (!(factor >= 1) || !std::isfinite(factor)) refuse("factor", factor, "a finite number, 1 or more");
  if (!(original_tokens >= 0) || !std::isfinite(original_tokens)) {
    refuse("original", original_tokens, "0 (none) or a positive number of tokens");
  } else if (needs_original(scaling) && !(original_tokens > 1)) {
    refuse("original", original_tokens, "the trained context length, more than 1 token, for this scaling");
  }
  if (!(attention_factor >= 0) || !std::isfinite(attention_factor)) {
    refuse("attention-factor", attention_factor, "0 (as the scaling says) or a positive number");
  }
  if ((scaling == RopeScaling::ntk || scaling == RopeScaling::dynamic_ntk) && rope_dim == 2) {
    refuse("width", rope_dim, "0 or more than 2, as NTK scaling raises to width / (width - 2)");
  }
  if (scaling == RopeScaling::yarn) {
    if (!positive(yarn_beta_slow)) refuse("beta-slow", yarn_beta_slow, "a positive number");
    if (!positive(yarn_beta_fast)) refuse("beta-fast", yarn_beta_fast, "a positive number");
    if (yarn_beta_fast < yarn_beta_slow) {
      refuse("beta-fast", yarn_beta_fast, "at least beta-slow " + words::print(yarn_beta_slow));
    }
    if (!(yarn_mscale >= 0) || !std::isfinite(yarn_mscale)) refuse("mscale", yarn_mscale, "0 or more");
    if (!(yarn_mscale_all_dim >= 0) || !std::isfinite(yarn_mscale_all_dim)) {
      refuse("mscale-all-dim", yarn_mscale_all_dim, "0 or more");
    }
  }
  if (scaling == RopeScaling::llama3) {
    if (!positive(llama3_low_freq_factor)) refuse("low", llama3_low_freq_factor, "a positive number");
    if (!(llama3_high_freq_factor > llama3_low_freq_factor) || !std::isfinite(llama3_high_freq_factor)) {
      refuse("high", llama3_high_freq_factor, "a number above low " + words::print(llama3_low_freq_factor));
    }
  }
  if (scaling == RopeScaling::longrope) {
    for (const std::vector<double>* factors : {&long_factors, &short_factors}) {
      const std::string which = factors == &long_factors ? "long" : "short";
      if (std::cmp_not_equal(factors->size(), pairs)) {
        refuse(which + " factors", static_cast<double>(factors->size()),
               "one a pair, " + std::to_string(pairs));
      }
      for (double value : *factors) {
        if (!positive(value)) refuse(which + " factor", value, "a positive number");
      }
    }
  }
  if (scaling == RopeScaling::proportional && !(rotated_fraction >= 0 && rotated_fraction <= 1)) {
    refuse("rotated", rotated_fraction, "a share from 0 to 1");
  }
  if (!sections.empty()) {
    std::int64_t sum = 0;
    for (int size : sections) {
      if (size < 0) refuse("section", size, "0 or more pairs");
      sum += size;
    }
    if (sections.size() != 3) {
      refuse("sections", static_cast<double>(sections.size()), "three: time, height, width");
    }
    if (sum != pairs) refuse("sections' sum", static_cast<double>(sum), std::to_string(pairs) + " pairs");
    // Axis a takes pairs a, a + 3, ... so the last one, a + 3 (size - 1), must exist.
    for (int axis = 1; sections_interleaved && axis < 3 && sections.size() == 3; ++axis) {
      const int size = sections[static_cast<std::size_t>(axis)];
      if (size > 0 && axis + 3 * (size - 1) >= pairs) {
        refuse("interleaved section", size, "room for every third pair among " + std::to_string(pairs));
      }
    }
  } else if (sections_interleaved) {
    found.push_back("rope sections-interleaved yes: expected sections to interleave");
  }
  if (table != Format::f64 && table != Format::f32 && table != Format::bf16) {
    found.push_back("rope table " + std::string(attest::name(table)) + ": expected f64, f32 or bf16");
  }
  return found;
}

std::string RopeSpec::name() const {
  std::string text;
  for (const PairingName& row : kPairings) {
    if (row.pairing == pairing) text += row.name;
  }
  for (const ScalingName& row : kScalings) {
    if (row.scaling == scaling && scaling != RopeScaling::none) text += "/" + std::string(row.name);
  }
  for (const Field& row : kFields) {
    if (row.name == "base" || !row.is_default(*this))
      text += "/" + std::string(row.name) + "=" + row.print(*this);
  }
  return text;
}

RopeSpec parse_rope_spec(std::string_view text) {
  const std::string what = "rope '" + std::string(text) + "'";
  RopeSpec spec;
  const std::vector<std::string_view> parts = words::split(text, '/');
  bool known = false;
  std::string expected;
  for (const PairingName& row : kPairings) {
    if (row.name == parts[0]) {
      spec.pairing = row.pairing;
      known = true;
    }
    words::append(expected, row.name, " or ");
  }
  if (!known) {
    throw std::invalid_argument(what + ": pairing '" + std::string(parts[0]) + "': expected " + expected);
  }
  std::size_t next = 1;
  if (parts.size() > 1 && parts[1].find('=') == std::string_view::npos) {
    known = false;
    expected.clear();
    for (const ScalingName& row : kScalings) {
      if (row.name == parts[1]) {
        spec.scaling = row.scaling;
        known = true;
      }
      words::append(expected, row.name);
    }
    if (!known) {
      throw std::invalid_argument(what + ": scaling '" + std::string(parts[1]) + "': expected one of " +
                                  expected);
    }
    next = 2;
  }
  std::vector<std::string_view> seen;
  for (; next < parts.size(); ++next) {
    const auto [key, value] = words::key_value(what + ": part", parts[next]);
    for (std::string_view other : seen) {
      if (other == key) throw std::invalid_argument(what + ": '" + std::string(key) + "' is given twice");
    }
    seen.push_back(key);
    known = false;
    expected.clear();
    for (const Field& row : kFields) {
      if (row.name == key) {
        row.parse(spec, what + ": " + std::string(key), value);
        known = true;
      }
      words::append(expected, row.name);
    }
    if (!known) {
      throw std::invalid_argument(what + ": '" + std::string(key) + "': expected one of " + expected);
    }
  }
  return spec;
}

}  // namespace attest
