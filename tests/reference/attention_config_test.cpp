// Variants, their names and words, what each needs, and the kernel that decodes each.
#include "reference/attention_config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "tests/reference/refusal.h"

namespace attest {
namespace {

TEST(AttentionConfig, TheTableHasTheVariantsInTheOrderOfTheEnumeration) {
  const std::string names[] = {"mha",    "mqa", "gqa",  "mla",  "gla-2", "gla-4",  "gta",   "mfa",
                               "mfa-kr", "tpa", "tpla", "mtla", "lrkv",  "mlra-2", "mlra-4"};
  ASSERT_EQ(variants().size(), std::size(names));
  for (std::size_t i = 0; i < std::size(names); ++i) {
    EXPECT_EQ(variants()[i].name, names[i]);
    EXPECT_EQ(static_cast<std::size_t>(variants()[i].variant), i);
    EXPECT_EQ(&info(variants()[i].variant), &variants()[i]);
    EXPECT_FALSE(variants()[i].source.empty());
  }
}

TEST(AttentionConfig, GatedAndUnscaledNamesAreThoseOfTheReleasedCode) {
  std::set<std::string> extra;
  for (const std::string& name : variant_names()) {
    AttentionConfig config;
    set_variant(config, name);
    EXPECT_EQ(config.variant_name(), name);
    if (config.gated || config.unscaled) extra.insert(name);
  }
  EXPECT_EQ(extra,
            (std::set<std::string>{"gqa-gated", "mla-gated", "gla-2-gated", "mlra-2-gated", "mlra-4-gated",
                                   "mla-no-scale", "gla-2-no-scale", "mlra-2-no-scale"}));
}

TEST(AttentionConfig, AnUnknownVariantIsRefusedWithTheKnownOnes) {
  AttentionConfig config;
  const auto why = [&](std::string_view name) { return refusal([&] { set_variant(config, name); }); };
  EXPECT_EQ(why("mlra-3").rfind("variant 'mlra-3': expected one of mha, mqa, gqa, gqa-gated, mla,", 0), 0u);
  EXPECT_NE(why("mha-gated").find("expected one of"), std::string::npos);
  EXPECT_NE(why("mla-gated-no-scale").find("expected one of"), std::string::npos);
  EXPECT_EQ(config, AttentionConfig());
}

TEST(AttentionConfig, SmallConfigsAreValidTellTheirAxesApartAndSpeakTheirWords) {
  for (const std::string& name : variant_names()) {
    const AttentionConfig config = small_config(name);
    EXPECT_TRUE(config.problems().empty()) << name << ": " << config.problems()[0];
    EXPECT_EQ(config.variant_name(), name);
    EXPECT_EQ(parse_attention_config(to_words(config)), config) << to_words(config);
    const HeadConfig heads = head_config(config, Format::bf16);
    EXPECT_TRUE(heads.problems().empty()) << name;
    EXPECT_EQ(parse_head_config(heads.name()), heads);
    // A kernel that mixes up two of these reads something else.
    std::multiset<int> axes{config.hidden, heads.key_dim, heads.query_heads};
    if (heads.family == Family::latent) axes.insert({heads.rope_dim, config.nope_dim, heads.kv_heads});
    const bool tied = config.variant == Variant::mfa_kr;
    if (heads.family != Family::latent && !tied) axes.insert(heads.value_dim);
    std::set<int> different(axes.begin(), axes.end());
    const bool heads_are_rope = heads.family == Family::latent && heads.query_heads == heads.rope_dim;
    EXPECT_EQ(different.size(), axes.size() - (heads_are_rope ? 1 : 0)) << name;
  }
}

TEST(AttentionConfig, KernelsOfTheReleasedWidthsAreThePublishedOnes) {
  // The 2.9 B models have 24 heads; the kernels of the papers' benchmarks are these shapes.
  AttentionConfig mla{.hidden = 3072,
                      .query_heads = 24,
                      .kv_heads = 1,
                      .nope_dim = 128,
                      .rope_dim = 64,
                      .value_dim = 128,
                      .latent_heads = 1,
                      .latent_dim = 512,
                      .query_rank = 1536};
  set_variant(mla, "mla");
  EXPECT_EQ(head_config(mla, Format::bf16).name(), "latent-h24-l1-b1-c512-r64-bf16");
  AttentionConfig mlra_2 = mla;
  set_variant(mlra_2, "mlra-2");
  mlra_2.latent_heads = 4;
  mlra_2.latent_dim = 128;
  EXPECT_EQ(head_config(mlra_2, Format::bf16).name(), "latent-h24-l4-b2-c128-r64-bf16");
  AttentionConfig mlra_4 = mlra_2;
  set_variant(mlra_4, "mlra-4");
  EXPECT_EQ(head_config(mlra_4, Format::f16).name(), "latent-h24-l4-b4-c128-r64-f16");
  AttentionConfig tpla = mla;
  set_variant(tpla, "tpla");
  tpla.latent_heads = 2;
  tpla.latent_dim = 256;
  EXPECT_EQ(head_config(tpla, Format::bf16).name(),
            "latent-h24-l2-b2-c256-r64-bf16");  // every head, each shard
  AttentionConfig gla{mla};
  set_variant(gla, "gla-2");
  gla.latent_heads = 2;
  gla.latent_dim = 256;
  EXPECT_EQ(head_config(gla, Format::bf16).name(), "latent-h24-l2-b1-c256-r64-bf16");
  AttentionConfig gta{
      .hidden = 3072, .query_heads = 24, .kv_heads = 6, .nope_dim = 64, .rope_dim = 64, .value_dim = 128};
  set_variant(gta, "gta");
  EXPECT_EQ(head_config(gta, Format::bf16).name(), "latent-h24-l6-b1-c128-r64-bf16");
  AttentionConfig tpa{.hidden = 3072,
                      .query_heads = 24,
                      .kv_heads = 24,
                      .rope_dim = 128,
                      .value_dim = 128,
                      .query_rank = 6,
                      .key_rank = 2,
                      .value_rank = 2};
  set_variant(tpa, "tpa");
  EXPECT_EQ(head_config(tpa, Format::bf16).name(), "factored-h24-g24-k128-v128-kr2-vr2-bf16");
}

TEST(AttentionConfig, TheScaleIsTheReleasedOneUnlessGiven) {
  AttentionConfig config = small_config("mla");  // position-free 16, rotated 8
  EXPECT_DOUBLE_EQ(config.scale(), 1 / std::sqrt(24.0));
  config.softmax_scale = 0.25;
  EXPECT_EQ(config.scale(), 0.25);
  // DeepSeek-V3: (128 + 64)^-1/2 times the square of 0.1 ln 40 + 1; V2: mscale_all_dim 0.707.
  AttentionConfig v3{.variant = Variant::mla, .nope_dim = 128, .rope_dim = 64};
  v3.rope = {.scaling = RopeScaling::yarn, .factor = 40, .original_tokens = 4096, .yarn_mscale_all_dim = 1};
  EXPECT_NEAR(v3.scale(), 0.1352337789, 1e-10);
  v3.rope.yarn_mscale_all_dim = 0.707;
  EXPECT_NEAR(v3.scale(), 0.1147213868, 1e-10);
  v3.rope.yarn_mscale_all_dim = 0;
  EXPECT_DOUBLE_EQ(v3.scale(), 1 / std::sqrt(192.0));
}

TEST(AttentionConfig, BranchesAreThoseThatAreSummedPerHead) {
  EXPECT_EQ(small_config("mlra-2").branches(), 2);
  EXPECT_EQ(small_config("mlra-4").branches(), 4);
  EXPECT_EQ(small_config("tpla").branches(), 2);
  EXPECT_EQ(small_config("gla-4").branches(), 1);
  EXPECT_EQ(small_config("mha").branches(), 1);
}

// One field of a valid configuration is spoilt at a time; the sentence must name it.
struct Spoilt {
  std::string variant;
  std::function<void(AttentionConfig&)> spoil;
  std::string sentence;
};
const Spoilt kSpoilt[] = {
    {"mha", [](AttentionConfig& c) { c.hidden = 0; }, "mha: hidden 0: expected 1 to 1048576"},
    {"mqa", [](AttentionConfig& c) { c.query_heads = 0; }, "mqa: heads 0: expected 1 to 16384"},
    {"mha", [](AttentionConfig& c) { c.value_dim = -3; }, "mha: value -3: expected 1 to 65536"},
    {"mha", [](AttentionConfig& c) { c.nope_dim = -2; }, "mha: nope -2: expected 0 to 65536"},
    {"mha", [](AttentionConfig& c) { c.kv_heads = 2; }, "mha: kv_heads 2: expected as many as heads, 4"},
    {"mqa", [](AttentionConfig& c) { c.kv_heads = 2; }, "mqa: kv_heads 2: expected 1"},
    {"gqa", [](AttentionConfig& c) { c.kv_heads = 3; }, "gqa: kv_heads 3: expected a divisor of heads, 8"},
    {"gqa", [](AttentionConfig& c) { c.kv_heads = 0; }, "gqa: kv_heads 0: expected a divisor of heads, 8"},
    {"mha", [](AttentionConfig& c) { c.rope_dim = 0; },
     "mha: nope and rope 0: expected a key at least one element wide"},
    {"mha", [](AttentionConfig& c) { c.rope_dim = 15; },
     "mha: rope width 15: expected an even number, 0 or more"},
    {"mla", [](AttentionConfig& c) { c.rope_dim = 0; }, "mla: rope 0: expected 2 to 65536"},
    {"mla", [](AttentionConfig& c) { c.nope_dim = 0; }, "mla: nope 0: expected 1 to 65536"},
    {"mla", [](AttentionConfig& c) { c.latent_heads = 2; }, "mla: latents 2: expected 1"},
    {"mla", [](AttentionConfig& c) { c.latent_dim = 0; }, "mla: latent 0: expected 1 to 65536"},
    {"mla", [](AttentionConfig& c) { c.query_rank = -1; }, "mla: query_rank -1: expected 0 to 65536"},
    {"mla", [](AttentionConfig& c) { c.kv_heads = 4; }, "mla: kv_heads 4: expected 1"},
    {"mha", [](AttentionConfig& c) { c.latent_heads = 1; }, "mha: latents 1: expected 0"},
    {"mha", [](AttentionConfig& c) { c.latent_dim = 8; },
     "mha: latent 8: expected 0, as the variant has none"},
    {"mha", [](AttentionConfig& c) { c.query_rank = 8; },
     "mha: query_rank 8: expected 0, as the variant has none"},
    {"mha", [](AttentionConfig& c) { c.key_rank = 8; },
     "mha: key_rank 8: expected 0, as the variant has none"},
    {"mha", [](AttentionConfig& c) { c.value_rank = 8; },
     "mha: value_rank 8: expected 0, as the variant has none"},
    {"tpa", [](AttentionConfig& c) { c.key_rank = 0; }, "tpa: key_rank 0: expected 1 to 65536"},
    {"tpa", [](AttentionConfig& c) { c.query_rank = 0; }, "tpa: query_rank 0: expected 1 to 65536"},
    {"lrkv", [](AttentionConfig& c) { c.value_rank = -1; }, "lrkv: value_rank -1: expected 0 to 65536"},
    {"gla-4", [](AttentionConfig& c) { c.query_heads = 6; }, "gla-4: heads 6: expected a multiple of 4"},
    {"mlra-2", [](AttentionConfig& c) { c.query_heads = 7; }, "mlra-2: heads 7: expected a multiple of 2"},
    {"tpla", [](AttentionConfig& c) { c.latent_heads = 0; }, "tpla: latents 0: expected 1 to 1024"},
    {"gta", [](AttentionConfig& c) { c.value_dim = 32; },
     "gta: value 32: expected 24, a key's width, as keys are values"},
    {"mfa-kr", [](AttentionConfig& c) { c.value_dim = 32; },
     "mfa-kr: value 32: expected 16, a key's width, as keys are values"},
    {"mtla", [](AttentionConfig& c) { c.stride = 0; }, "mtla: stride 0: expected 1 to 65536"},
    {"mla", [](AttentionConfig& c) { c.stride = 2; },
     "mla: stride 2: expected 1, as the variant merges no tokens"},
    {"mla", [](AttentionConfig& c) { c.qk_norm = true; }, "mla: qk_norm yes: expected no"},
    {"mla", [](AttentionConfig& c) { c.qkv_bias = true; }, "mla: qkv_bias yes: expected no"},
    {"mha", [](AttentionConfig& c) { c.gated = true; },
     "mha-gated: gated yes: expected no, as there is no released gated form"},
    {"mlra-4", [](AttentionConfig& c) { c.unscaled = true; },
     "mlra-4-no-scale: no-scale yes: expected no, as there is no released no-scale form"},
    {"mla-gated", [](AttentionConfig& c) { c.unscaled = true; },
     "mla-gated-no-scale: gated and no-scale yes: expected one of them at most"},
    {"mha", [](AttentionConfig& c) { c.norm_epsilon = std::nan(""); },
     "mha: epsilon nan: expected 0 or a positive finite number"},
    {"mha", [](AttentionConfig& c) { c.softmax_scale = -1; },
     "mha: scale -1: expected 0 (the released one) or a positive finite number"},
    {"mha", [](AttentionConfig& c) { c.rope.base = 0; },
     "mha: rope base 0: expected a finite number above 1"},
};

TEST(AttentionConfig, EveryGuardTripsWithOneSentence) {
  for (const Spoilt& spoilt : kSpoilt) {
    AttentionConfig config = small_config(spoilt.variant);
    spoilt.spoil(config);
    const std::vector<std::string> found = config.problems();
    const bool among = std::find(found.begin(), found.end(), spoilt.sentence) != found.end();
    EXPECT_TRUE(among) << "expected: " << spoilt.sentence
                       << "\nfound: " << (found.empty() ? "nothing" : found[0]);
    EXPECT_NE(refusal([&] { head_config(config, Format::bf16); }).find(spoilt.sentence), std::string::npos);
  }
}

TEST(AttentionConfig, WrongWordsAreRefused) {
  const auto why = [](std::string_view words) { return refusal([&] { parse_attention_config(words); }); };
  EXPECT_EQ(why("variant=mha variant=mqa"), "attention configuration: 'variant' is given twice");
  EXPECT_EQ(why("variant=mha heads=4x"),
            "attention configuration: heads '4x': expected a whole number of 31 bits");
  EXPECT_EQ(why("heads"), "attention configuration: word 'heads': expected key=value");
  EXPECT_NE(why("head=4").find("'head': expected one of variant, hidden, heads"), std::string::npos);
  EXPECT_EQ(parse_attention_config(""), AttentionConfig());
}

}  // namespace
}  // namespace attest
