// Names of rotary embeddings parse back, and each scaling law's guards trip.
#include "reference/rope_spec.h"

#include <gtest/gtest.h>

#include "tests/reference/refusal.h"

namespace attest {
namespace {

RopeSpec yarn() {
  return {.pairing = RopePairing::interleaved,
          .scaling = RopeScaling::yarn,
          .factor = 40,
          .original_tokens = 4096,
          .yarn_mscale_all_dim = 1};
}

TEST(RopeSpec, NamesParseBack) {
  const RopeSpec longrope{.scaling = RopeScaling::longrope,
                          .factor = 32,
                          .original_tokens = 4096,
                          .long_factors = {1.5, 0.1},
                          .short_factors = {1, 1}};
  const RopeSpec sectioned{
      .base = 1e6, .sections = {2, 1, 1}, .sections_interleaved = true, .table = Format::bf16};
  const RopeSpec partial{.scaling = RopeScaling::proportional, .rotated_fraction = 0.25};
  const RopeSpec llama{.scaling = RopeScaling::llama3, .base = 5e5, .factor = 8, .original_tokens = 8192};
  for (const RopeSpec& spec : {RopeSpec(), yarn(), longrope, sectioned, partial, llama}) {
    EXPECT_EQ(parse_rope_spec(spec.name()), spec) << spec.name();
  }
  EXPECT_EQ(RopeSpec().name(), "half-split/base=10000");
  EXPECT_EQ(yarn().name(), "interleaved/yarn/base=10000/factor=40/original=4096/mscale-all-dim=1");
  EXPECT_EQ(longrope.name(), "half-split/longrope/base=10000/factor=32/original=4096/long=1.5,0.1/short=1,1");
}

TEST(RopeSpec, WrongNamesAreRefused) {
  const auto why = [](std::string_view name) { return refusal([&] { parse_rope_spec(name); }); };
  EXPECT_EQ(why("rotate-half"),
            "rope 'rotate-half': pairing 'rotate-half': expected half-split or interleaved");
  EXPECT_EQ(why("half-split/yarm"),
            "rope 'half-split/yarm': scaling 'yarm': expected one of none, linear, ntk, dynamic-ntk, yarn, "
            "longrope, "
            "llama3, proportional");
  EXPECT_NE(why("half-split/bass=1").find("'bass': expected one of base, factor"), std::string::npos);
  EXPECT_NE(why("half-split/base=1/base=2").find("'base' is given twice"), std::string::npos);
  EXPECT_NE(why("half-split/base=").find("base '': expected a finite number"), std::string::npos);
  EXPECT_NE(why("half-split/table=f8").find("number format 'f8'"), std::string::npos);
  EXPECT_NE(why("half-split/sections-interleaved=1").find("expected yes or no"), std::string::npos);
}

TEST(RopeSpec, EveryGuardTrips) {
  const auto only = [](const RopeSpec& spec, int width = 8) {
    const std::vector<std::string> found = spec.problems(width);
    return found.size() == 1 ? found[0] : std::to_string(found.size()) + " problems";
  };
  EXPECT_TRUE(RopeSpec().problems(8).empty());
  EXPECT_TRUE(yarn().problems(64).empty());
  EXPECT_EQ(only({}, 7), "rope width 7: expected an even number, 0 or more");
  EXPECT_EQ(only({.base = 1}), "rope base 1: expected a finite number above 1");
  EXPECT_EQ(only({.factor = 0.5}), "rope factor 0.5: expected a finite number, 1 or more");
  EXPECT_EQ(only({.original_tokens = -1}),
            "rope original -1: expected 0 (none) or a positive number of tokens");
  EXPECT_EQ(only({.attention_factor = -1}),
            "rope attention-factor -1: expected 0 (as the scaling says) or a positive number");
  for (RopeScaling scaling : {RopeScaling::dynamic_ntk, RopeScaling::yarn, RopeScaling::llama3}) {
    EXPECT_EQ(only({.scaling = scaling}),
              "rope original 0: expected the trained context length, more than 1 token, for this scaling");
  }
  EXPECT_NE(only({.scaling = RopeScaling::ntk}, 2).find("width 2"), std::string::npos);
  RopeSpec spec = yarn();
  spec.yarn_beta_fast = 0.5;
  EXPECT_EQ(only(spec), "rope beta-fast 0.5: expected at least beta-slow 1");
  spec = yarn();
  spec.yarn_beta_slow = 0;
  EXPECT_EQ(only(spec), "rope beta-slow 0: expected a positive number");
  spec = yarn();
  spec.yarn_mscale = -1;
  EXPECT_EQ(only(spec), "rope mscale -1: expected 0 or more");
  spec = yarn();
  spec.yarn_mscale_all_dim = -1;
  EXPECT_EQ(only(spec), "rope mscale-all-dim -1: expected 0 or more");
  EXPECT_EQ(only({.scaling = RopeScaling::llama3, .original_tokens = 8192, .llama3_high_freq_factor = 1}),
            "rope high 1: expected a number above low 1");
  EXPECT_EQ(only({.scaling = RopeScaling::llama3, .original_tokens = 8192, .llama3_low_freq_factor = 0}),
            "rope low 0: expected a positive number");
  RopeSpec longrope{.scaling = RopeScaling::longrope,
                    .factor = 2,
                    .original_tokens = 64,
                    .long_factors = {1, 1, 1, 1},
                    .short_factors = {1, 1, 1}};
  EXPECT_EQ(only(longrope), "rope short factors 3: expected one a pair, 4");
  longrope.short_factors = {1, 1, 1, 0};
  EXPECT_EQ(only(longrope), "rope short factor 0: expected a positive number");
  EXPECT_EQ(only({.scaling = RopeScaling::proportional, .rotated_fraction = 1.5}),
            "rope rotated 1.5: expected a share from 0 to 1");
  EXPECT_EQ(only({.sections = {2, 2}}), "rope sections 2: expected three: time, height, width");
  EXPECT_EQ(only({.sections = {2, 1, 2}}), "rope sections' sum 5: expected 4 pairs");
  EXPECT_EQ(only({.sections = {-1, 3, 2}}), "rope section -1: expected 0 or more pairs");
  EXPECT_EQ(only({.sections = {1, 1, 2}, .sections_interleaved = true}),
            "rope interleaved section 2: expected room for every third pair among 4");
  EXPECT_EQ(only({.sections_interleaved = true}),
            "rope sections-interleaved yes: expected sections to interleave");
  EXPECT_EQ(only({.table = Format::f16}), "rope table f16: expected f64, f32 or bf16");
}

}  // namespace
}  // namespace attest
