// Mask names and their guards.
#include "reference/mask_spec.h"

#include <gtest/gtest.h>

#include "tests/reference/refusal.h"

namespace attest {
namespace {

TEST(MaskSpec, NamesParseBack) {
  const MaskSpec masks[] = {{},
                            {.causal = false},
                            {.window = 128, .sink_tokens = 4, .softcap = 50},
                            {.causal = false, .window = 1, .softcap = 0.1}};
  const std::string names[] = {"causal", "full", "causal/window=128/sinks=4/softcap=50",
                               "full/window=1/softcap=0.1"};
  for (std::size_t i = 0; i < std::size(masks); ++i) {
    EXPECT_EQ(masks[i].name(), names[i]);
    EXPECT_EQ(parse_mask_spec(names[i]), masks[i]);
  }
}

TEST(MaskSpec, WrongNamesAndValuesAreRefused) {
  const auto why = [](std::string_view name) { return refusal([&] { parse_mask_spec(name); }); };
  EXPECT_EQ(why("casual"), "mask 'casual': 'casual': expected causal or full");
  EXPECT_EQ(why("causal/window"), "mask 'causal/window': part 'window': expected key=value");
  EXPECT_EQ(why("causal/width=3"), "mask 'causal/width=3': 'width': expected window, sinks or softcap");
  EXPECT_EQ(why("causal/window=1/window=2"), "mask 'causal/window=1/window=2': 'window' is given twice");
  EXPECT_EQ(why("causal/window=x"), "mask 'causal/window=x': window 'x': expected a whole number of 63 bits");
  EXPECT_EQ(why("causal/window=-1"), "mask 'causal/window=-1': mask window -1: expected 0 (all) or more");
  EXPECT_EQ(why("causal/sinks=-1"), "mask 'causal/sinks=-1': mask sinks -1: expected 0 or more");
  EXPECT_EQ(why("causal/softcap=-1"),
            "mask 'causal/softcap=-1': mask softcap -1: expected 0 (none) or a positive finite number");
  EXPECT_EQ(why("causal/softcap=nan"), "mask 'causal/softcap=nan': softcap 'nan': expected a finite number");
}

}  // namespace
}  // namespace attest
