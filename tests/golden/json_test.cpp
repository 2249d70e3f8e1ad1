// The strict reader against nlohmann/json on texts good, bad and mutated, and on what only the strict one
// refuses.
#include "golden/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "file_builders.h"

namespace attest::golden {
namespace {

JsonValue parse(const std::string& text) {
  AllocationBudget budget("t.json");
  return parse_json(text, "t.json", budget);
}
std::string parse_error(const std::string& text) {
  return error_of([&] { parse(text); });
}

void expect_equal(const JsonValue& got, const nlohmann::json& want) {
  if (want.is_object()) {
    ASSERT_NE(got.object(), nullptr);
    ASSERT_EQ(got.object()->size(), want.size());
    for (const auto& [key, value] : want.items()) {
      ASSERT_NE(got.find(key), nullptr) << key;
      expect_equal(*got.find(key), value);
    }
  } else if (want.is_array()) {
    ASSERT_NE(got.array(), nullptr);
    ASSERT_EQ(got.array()->size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) expect_equal((*got.array())[i], want[i]);
  } else if (want.is_string()) {
    ASSERT_NE(got.string(), nullptr);
    EXPECT_EQ(*got.string(), want.get<std::string>());
  } else if (want.is_boolean()) {
    ASSERT_NE(got.boolean(), nullptr);
    EXPECT_EQ(*got.boolean(), want.get<bool>());
  } else if (want.is_number()) {
    ASSERT_NE(got.number(), nullptr);
    EXPECT_EQ(got.number()->value, want.get<double>());
    if (want.is_number_integer() && got.number()->integer) {
      EXPECT_EQ(*got.number()->integer, want.get<int64_t>());
    }
  } else {
    EXPECT_TRUE(got.null());
  }
}

// Whether any object names a key twice, which nlohmann/json allows; by its SAX events.
struct DuplicateFinder : nlohmann::json_sax<nlohmann::json> {
  std::vector<std::set<std::string>> keys;
  bool found = false;
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(size_t) override {
    keys.emplace_back();
    return true;
  }
  bool key(string_t& name) override {
    found |= !keys.back().insert(name).second;
    return true;
  }
  bool end_object() override {
    keys.pop_back();
    return true;
  }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) override { return false; }
};

void expect_same_verdict(const std::string& text) {
  const nlohmann::json want = nlohmann::json::parse(text, nullptr, false);
  DuplicateFinder duplicates;
  nlohmann::json::sax_parse(text, &duplicates);
  const bool bom = text.starts_with("\xEF\xBB\xBF");  // nlohmann skips it, RFC 8259 lets a parser refuse it
  const bool good = !want.is_discarded() && !duplicates.found && !bom;
  try {
    const JsonValue got = parse(text);
    EXPECT_TRUE(good) << text;
    if (good) expect_equal(got, want);
  } catch (const CheckpointError& error) {
    const bool overflow = std::string(error.what()).find("does not fit a double") != std::string::npos;
    EXPECT_TRUE(!good || overflow) << text << "\n" << error.what();
  }
}

const std::vector<std::string> kTexts{
    R"({})",
    R"([])",
    R"(  {"a": [1, 2.5, -3e2, 0, -0, 1E+5], "b": {"c": null, "d": true, "e": false}} )",
    R"("\u00e9\ud83d\ude00\n\"\\\/")",
    "\"\xC3\xA9\xF0\x9F\x98\x80\"",
    R"({"n_layer": 24, "rope_theta": 10000.0, "eps": 1e-06})",
    R"({"a":1,})",
    R"([1 2])",
    R"({"a" 1})",
    R"({a:1})",
    "nul",
    "",
    " ",
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "--1",
    "[1,]",
    "\"\\x\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\x01\"",
    "\"\xC0\x80\"",
    "\"\xED\xA0\x80\"",
    "\"\xF4\x90\x80\x80\"",
    "\"abc",
    "{\"a\":1}x",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "[[[[[]]]]]",
    "\"\\u12\"",
    "true",
    "1e308"};

TEST(Json, AgreesWithNlohmannOnGoodAndBadTexts) {
  for (const std::string& text : kTexts) expect_same_verdict(text);
}

TEST(Json, AgreesWithNlohmannOnMutatedTexts) {
  std::mt19937_64 random(20261123);
  const std::string alphabet = "{}[]\",:0123456789.eE+-\\u tfnabc\x7F\xC3\xA9\n";
  for (int round = 0; round < 20000; ++round) {
    std::string text = kTexts[random() % kTexts.size()];
    for (uint64_t edit = 1 + random() % 3; edit-- > 0;) {
      const size_t at = text.empty() ? 0 : random() % text.size();
      const char letter = alphabet[random() % alphabet.size()];
      if (random() % 3 == 0 && !text.empty()) {
        text.erase(at, 1);
      } else if (random() % 2 == 0 && !text.empty()) {
        text[at] = letter;
      } else {
        text.insert(at, 1, letter);
      }
    }
    expect_same_verdict(text);
    if (HasFailure()) return;
  }
}

TEST(Json, RefusesDuplicateKeysAndSaysWhere) {
  EXPECT_EQ(parse_error(R"({"a": 1, "a": 2})"), "t.json: byte 9: key 'a' occurs twice in one object");
  EXPECT_EQ(parse_error(R"({"a": 1, "\u0061": 2})"), "t.json: byte 9: key 'a' occurs twice in one object");
  EXPECT_NO_THROW(parse(R"({"a": {"a": 1}})"));
}

TEST(Json, RefusesDeepNesting) {
  EXPECT_NE(parse_error(std::string(100000, '[')).find("nested more than 64 levels"), std::string::npos);
}

TEST(Json, KeepsIntegersOnlyWhenWrittenAsIntegers) {
  EXPECT_EQ(parse("42").number()->integer, 42);
  EXPECT_EQ(parse("42.0").number()->integer, std::nullopt);
  EXPECT_EQ(parse("4e1").number()->integer, std::nullopt);
  EXPECT_EQ(parse("-0").number()->integer, std::nullopt);
  EXPECT_EQ(parse("9223372036854775808").number()->integer, std::nullopt);
}

TEST(Json, StopsBeforeATextOfManyValuesFillsTheMemory) {
  std::string text = "[0";
  for (int i = 0; i < 2'000'000; ++i) text += ",0";
  EXPECT_NE(parse_error(text + "]").find("needs more than 64 MiB"), std::string::npos);
}

TEST(Json, QuotesWhatAnotherParserReadsBack) {
  const std::string text = "a\"b\\c\n\x01 \xC3\xA9";
  EXPECT_EQ(nlohmann::json::parse(json_quoted(text)).get<std::string>(), text);
}

}  // namespace
}  // namespace attest::golden
