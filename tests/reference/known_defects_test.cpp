// Every known defect is seen by the law that is said to refute it, and the right form passes the same law.
#include "reference/known_defects.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "tests/reference/layer_case.h"

namespace attest {
namespace {

using Decode =
    std::function<Tensor<double>(const AttentionConfig&, const Weights&, std::span<const Projected>)>;

struct Case {
  AttentionConfig config;
  Weights weights;
  Tokens tokens;
};
Case any_case(const KnownDefect& defect) {
  const AttentionConfig config = defect.shown_by();
  return {
      config, random_weights(config, 11), {.hidden = random_tensor({7, config.hidden}, 12), .positions = {}}};
}

// |decode(x) - materialised(x)| at the last token
double absorption_error(const Case& c, const Decode& decode) {
  const Projected p = project(c.config, c.weights, c.tokens);
  const Tensor<double> whole = materialised_layer(c.config, c.weights, c.tokens);
  return distance(entry(decode(c.config, c.weights, {&p, 1}), 0), some_rows(whole, 6, 1));
}

// |decode(9 padding tokens, x) - decode(x)| at the last token
double translation_error(const Case& c, const Decode& decode) {
  const Projected p = project(c.config, c.weights, c.tokens);
  Tokens padded;
  padded.hidden = random_tensor({9 + 7, c.config.hidden}, 13);
  std::copy_n(c.tokens.hidden.data(), c.tokens.hidden.count(), padded.hidden.data() + 9 * c.config.hidden);
  padded.left_padding = 9;
  const Projected q = project(c.config, c.weights, padded);
  return distance(decode(c.config, c.weights, {&q, 1}), decode(c.config, c.weights, {&p, 1}));
}

TEST(KnownDefects, EveryOneIsRefutedByItsLawAndTheRightFormIsNot) {
  for (const KnownDefect& defect : known_defects()) {
    const Case c = any_case(defect);
    const Decode wrong = [&](const AttentionConfig& config, const Weights& weights,
                             std::span<const Projected> p) {
      return defect.decode(config, weights, p, 1, {});
    };
    const Decode right = [&](const AttentionConfig& config, const Weights& weights,
                             std::span<const Projected> p) {
      return decode_projected(config, weights, p, 1);
    };
    ASSERT_TRUE(defect.law == "absorption-equivalence" || defect.law == "translation-equivariance")
        << defect.name;
    const auto error = defect.law == "absorption-equivalence" ? absorption_error : translation_error;
    EXPECT_LE(error(c, right), kExact) << defect.name;
    EXPECT_GE(error(c, wrong), 1e-3) << defect.name;
  }
}

TEST(KnownDefects, DefaultScaleIsRightWhenTheLatentIsAsWideAsAHead) {
  // Why the released code passes its own tests: (dr + latent)^(-1/2) = (dn + dr)^(-1/2) for latent = dn.
  for (const KnownDefect& defect : known_defects()) {
    if (defect.name != "default-scale") continue;
    Case c = any_case(defect);
    c.config.latent_dim = c.config.nope_dim;
    c.weights = random_weights(c.config, 11);
    const Projected p = project(c.config, c.weights, c.tokens);
    EXPECT_LE(distance(defect.decode(c.config, c.weights, {&p, 1}, 1, {}),
                       decode_projected(c.config, c.weights, {&p, 1}, 1)),
              kExact);
  }
}

TEST(KnownDefects, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const KnownDefect& defect : known_defects())
    EXPECT_TRUE(names.insert(defect.name).second) << defect.name;
  EXPECT_EQ(names.size(), 6U);
}

}  // namespace
}  // namespace attest
