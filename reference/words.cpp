// Prints and parses through std::to_chars and std::from_chars: no locale, and doubles come back exactly.
#include "reference/words.h"

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace attest::words {
namespace {

template <class T>
std::string shortest(T value) {
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
  return std::string(buffer, end.ptr);
}

template <class T>
void parse_number(std::string_view what, std::string_view text, T& value, std::string_view expected) {
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) {
    throw std::invalid_argument(std::string(what) + " '" + std::string(text) + "': expected " +
                                std::string(expected));
  }
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> split_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t start = text.find_first_not_of(kBlanks);
    if (start == std::string_view::npos) return parts;
    text.remove_prefix(start);
    const std::string_view part = text.substr(0, text.find_first_of(kBlanks));
    parts.push_back(part);
    text.remove_prefix(part.size());
  }
}

void append(std::string& text, std::string_view item, std::string_view separator) {
  if (!text.empty()) text += separator;
  text += item;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) append(text, part, separator);
  return text;
}

std::string print(bool value) { return value ? "yes" : "no"; }
std::string print(int value) { return shortest(value); }
std::string print(std::int64_t value) { return shortest(value); }
std::string print(std::uint64_t value) { return shortest(value); }
std::string print(double value) { return shortest(value); }

void parse(std::string_view what, std::string_view text, bool& value) {
  if (text != "yes" && text != "no") {
    throw std::invalid_argument(std::string(what) + " '" + std::string(text) + "': expected yes or no");
  }
  value = text == "yes";
}
void parse(std::string_view what, std::string_view text, int& value) {
  parse_number(what, text, value, "a whole number of 31 bits");
}
void parse(std::string_view what, std::string_view text, std::int64_t& value) {
  parse_number(what, text, value, "a whole number of 63 bits");
}
void parse(std::string_view what, std::string_view text, std::uint64_t& value) {
  parse_number(what, text, value, "a whole number from 0 to 2^64 - 1");
}
void parse(std::string_view what, std::string_view text, double& value) {
  parse_number(what, text, value, "a finite number");
  if (!std::isfinite(value)) {
    throw std::invalid_argument(std::string(what) + " '" + std::string(text) + "': expected a finite number");
  }
}

KeyValue key_value(std::string_view what, std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) {
    throw std::invalid_argument(std::string(what) + " '" + std::string(word) + "': expected key=value");
  }
  return {word.substr(0, equals), word.substr(equals + 1)};
}

}  // namespace attest::words
