// Text forms of plain values, so that every name and repro line prints and parses them the same way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace attest::words {

// The parts between separators; an empty text is one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);
// The words of a line; any run of blanks separates.
std::vector<std::string_view> split_blanks(std::string_view text);
// Appends item, after a separator unless the text is empty.
void append(std::string& text, std::string_view item, std::string_view separator = ", ");
// "a, b, c"
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// Shortest text that parses back to the same value.
std::string print(bool value);  // "yes", "no"
std::string print(int value);
std::string print(std::int64_t value);
std::string print(std::uint64_t value);
std::string print(double value);
template <class T>
std::string print(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) append(text, print(value), ",");
  return text;
}

// Inverse of print: the whole text must be consumed, else std::invalid_argument "WHAT 'TEXT': expected ...".
void parse(std::string_view what, std::string_view text, bool& value);
void parse(std::string_view what, std::string_view text, int& value);
void parse(std::string_view what, std::string_view text, std::int64_t& value);
void parse(std::string_view what, std::string_view text, std::uint64_t& value);
void parse(std::string_view what, std::string_view text, double& value);  // finite
template <class T>
void parse(std::string_view what, std::string_view text, std::vector<T>& values) {
  values.clear();
  for (std::string_view part : split(text, ',')) {
    T value{};
    parse(what, part, value);
    values.push_back(value);
  }
}

// "key=value" at its first '='; throws std::invalid_argument when there is none.
struct KeyValue {
  std::string_view key;
  std::string_view value;
};
KeyValue key_value(std::string_view what, std::string_view word);

}  // namespace attest::words
