// Recursive descent over one string; depth is capped, so recursion is too.
#include "golden/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <unordered_set>

namespace attest::golden {
namespace {

constexpr int kMaxDepth = 64;

class Parser {
 public:
  Parser(std::string_view text, const std::string& path, AllocationBudget& budget, uint64_t base_offset)
      : text_(text), path_(path), budget_(budget), base_(base_offset) {}

  JsonValue document() {
    JsonValue value = parse_value(0);
    skip_space();
    if (at_ != text_.size()) fail("expected the end of the JSON text");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw CheckpointError(path_, "byte " + std::to_string(base_ + at_) + ": " + problem);
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool take(char expected) {
    if (at_ >= text_.size() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  JsonValue parse_value(int depth) {
    if (depth > kMaxDepth) fail("nested more than " + std::to_string(kMaxDepth) + " levels deep");
    skip_space();
    if (at_ >= text_.size()) fail("the text ends where a value was expected");
    if (take('{')) return parse_object(depth);
    if (take('[')) return parse_array(depth);
    if (text_[at_] == '"') return {parse_string()};
    if (take_word("true")) return {true};
    if (take_word("false")) return {false};
    if (take_word("null")) return {};
    return {parse_number()};
  }

  // A vector that grows by doubling holds up to twice its elements, and while it moves a third time as much.
  void charge_element(uint64_t bytes) { budget_.charge(3 * bytes); }

  JsonValue parse_array(int depth) {
    JsonArray items;
    skip_space();
    if (take(']')) return {std::move(items)};
    do {
      charge_element(sizeof(JsonValue));
      items.push_back(parse_value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("expected ',' or ']' in an array");
    return {std::move(items)};
  }

  JsonValue parse_object(int depth) {
    JsonObject members;
    std::unordered_set<std::string> seen;
    skip_space();
    if (take('}')) return {std::move(members)};
    do {
      skip_space();
      const size_t key_at = at_;
      if (at_ >= text_.size() || text_[at_] != '"') fail("expected a quoted key");
      charge_element(sizeof(JsonMember));
      std::string key = parse_string();
      budget_.charge(key.size() + 96);  // the copy in `seen` with its node and bucket
      if (!seen.insert(key).second) {
        at_ = key_at;
        fail("key " + in_quotes(key) + " occurs twice in one object");
      }
      skip_space();
      if (!take(':')) fail("expected ':' after key " + in_quotes(key));
      JsonValue value = parse_value(depth + 1);
      members.push_back({std::move(key), std::move(value)});
      skip_space();
    } while (take(','));
    if (!take('}')) fail("expected ',' or '}' in an object");
    return {std::move(members)};
  }

  JsonNumber parse_number() {
    const size_t begin = at_;
    take('-');
    const bool leading_zero = take('0');
    if (!leading_zero && !digit()) fail("expected a value");
    if (leading_zero && digit()) fail("a number must not begin with 0");
    while (digit()) ++at_;
    bool whole = true;
    if (take('.')) {
      whole = false;
      if (!digit()) fail("expected a digit after '.'");
      while (digit()) ++at_;
    }
    if (take('e') || take('E')) {
      whole = false;
      if (!take('+')) take('-');
      if (!digit()) fail("expected a digit in the exponent");
      while (digit()) ++at_;
    }
    JsonNumber number;
    const char* first = text_.data() + begin;
    const char* last = text_.data() + at_;
    const auto result = std::from_chars(first, last, number.value);
    if (result.ec != std::errc() || result.ptr != last) {
      at_ = begin;
      fail("number " + std::string(first, std::min(last, first + 40)) + " does not fit a double");
    }
    int64_t integer = 0;
    if (whole && std::from_chars(first, last, integer).ec == std::errc()) number.integer = integer;
    if (whole && number.integer == 0 && *first == '-') number.integer.reset();  // "-0" is not a count
    return number;
  }

  unsigned parse_hex4() {
    unsigned value = 0;
    if (text_.size() - at_ < 4) fail("the text ends inside a \\u escape");
    const char* first = text_.data() + at_;
    const auto result = std::from_chars(first, first + 4, value, 16);
    if (result.ec != std::errc() || result.ptr != first + 4)
      fail("expected four hexadecimal digits after \\u");
    at_ += 4;
    return value;
  }

  void append_code_point(std::string& out, unsigned code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | (code >> 6));
      out += static_cast<char>(0x80 | (code & 63));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | (code >> 12));
      out += static_cast<char>(0x80 | ((code >> 6) & 63));
      out += static_cast<char>(0x80 | (code & 63));
    } else {
      out += static_cast<char>(0xF0 | (code >> 18));
      out += static_cast<char>(0x80 | ((code >> 12) & 63));
      out += static_cast<char>(0x80 | ((code >> 6) & 63));
      out += static_cast<char>(0x80 | (code & 63));
    }
  }

  void parse_escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (at_ >= text_.size()) fail("the text ends inside an escape");
    if (take('u')) {
      unsigned code = parse_hex4();
      if (code >= 0xDC00 && code <= 0xDFFF) fail("a low surrogate without a high one before it");
      if (code >= 0xD800 && code <= 0xDBFF) {
        if (!take_word("\\u")) fail("a high surrogate without a low one after it");
        const unsigned low = parse_hex4();
        if (low < 0xDC00 || low > 0xDFFF) fail("a high surrogate without a low one after it");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      append_code_point(out, code);
      return;
    }
    const size_t which = kLetters.find(text_[at_]);
    if (which == std::string_view::npos) fail("unknown escape in a string");
    out += kMeanings[which];
    ++at_;
  }

  // Copies one UTF-8 sequence, refusing overlong forms, surrogates and values beyond U+10FFFF.
  void copy_utf8(std::string& out) {
    const auto byte = [&](size_t ahead) {
      return at_ + ahead < text_.size() ? static_cast<unsigned char>(text_[at_ + ahead]) : 0u;
    };
    const unsigned lead = byte(0);
    struct Row {
      unsigned first, last, second_min, second_max;
      size_t length;
    };
    // Unicode standard, table 3-7 (well-formed UTF-8 byte sequences)
    constexpr std::array<Row, 8> kRows{{{0x20, 0x7F, 0, 0, 1},
                                        {0xC2, 0xDF, 0x80, 0xBF, 2},
                                        {0xE0, 0xE0, 0xA0, 0xBF, 3},
                                        {0xE1, 0xEC, 0x80, 0xBF, 3},
                                        {0xED, 0xED, 0x80, 0x9F, 3},
                                        {0xEE, 0xEF, 0x80, 0xBF, 3},
                                        {0xF0, 0xF0, 0x90, 0xBF, 4},
                                        {0xF1, 0xF4, 0x80, 0xBF, 4}}};
    for (const Row& row : kRows) {
      if (lead < row.first || lead > row.last) continue;
      const unsigned second_max = lead == 0xF4 ? 0x8F : row.second_max;
      bool good = row.length == 1 || (byte(1) >= row.second_min && byte(1) <= second_max);
      for (size_t i = 2; i < row.length; ++i) good = good && byte(i) >= 0x80 && byte(i) <= 0xBF;
      if (!good) break;
      out += text_.substr(at_, row.length);
      at_ += row.length;
      return;
    }
    fail(lead < 0x20 ? "a control character inside a string" : "the text is not valid UTF-8");
  }

  std::string parse_string() {
    ++at_;  // the opening quote
    size_t end = at_;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail("the text ends inside a string that begins here");
    budget_.charge(end - at_);  // no escape is shorter than what it stands for
    std::string out;
    out.reserve(end - at_);
    while (text_[at_] != '"') {
      if (take('\\')) {
        parse_escape(out);
      } else {
        copy_utf8(out);
      }
    }
    ++at_;
    return out;
  }

  std::string_view text_;
  const std::string& path_;
  AllocationBudget& budget_;
  uint64_t base_;
  size_t at_ = 0;
};

}  // namespace

std::string_view JsonValue::kind() const {
  constexpr std::array<std::string_view, 6> kNames{"null",     "a boolean", "a number",
                                                   "a string", "an array",  "an object"};
  return kNames[value.index()];
}

const JsonValue* JsonValue::find(std::string_view key) const {
  const JsonObject* members = object();
  if (members == nullptr) return nullptr;
  const auto member =
      std::find_if(members->begin(), members->end(), [&](const auto& entry) { return entry.key == key; });
  return member == members->end() ? nullptr : &member->value;
}

JsonValue parse_json(std::string_view text, const std::string& path, AllocationBudget& budget,
                     uint64_t base_offset) {
  return Parser(text, path, budget, base_offset).document();
}

std::string json_quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace attest::golden
