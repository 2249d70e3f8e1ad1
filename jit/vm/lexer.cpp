// A hand-written scanner: PTX has few kinds of words.
#include "jit/vm/lexer.h"

#include <bit>
#include <cctype>
#include <charconv>

#include "jit/vm/parse_error.h"

namespace attest::vm {
namespace {

bool word_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}
bool word_part(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' || c == '.';
}
bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// 0f3F800000, 0d..., 0x1F, 0b101, 017, 12, 12U, 1.5, 1e-3
Token number(std::string_view text, size_t& at, int line) {
  Token token{.kind = Token::Kind::integer, .line = line, .text = {}, .bits = 0};
  const size_t begin = at;
  const auto fail = [&](const std::string& what) {
    throw ParseError(line, what + " in number `" + std::string(text.substr(begin, 24)) + "`");
  };
  const auto based = [&](size_t skip, int base, size_t exact) {
    size_t end = at + skip;
    const size_t first = end;
    while (end < text.size() && std::isxdigit(static_cast<unsigned char>(text[end]))) ++end;
    if (exact && end - first != exact) fail("expected " + std::to_string(exact) + " hexadecimal digits");
    const auto [stop, error] = std::from_chars(text.data() + first, text.data() + end, token.bits, base);
    if (error != std::errc{} || stop != text.data() + end) fail("bad digits");
    at = end;
  };
  const char marker =
      at + 1 < text.size() ? static_cast<char>(std::tolower(static_cast<unsigned char>(text[at + 1]))) : ' ';
  if (text[at] == '0' && marker == 'x') {
    based(2, 16, 0);
  } else if (text[at] == '0' && marker == 'f') {
    token.kind = Token::Kind::f32;
    based(2, 16, 8);
  } else if (text[at] == '0' && marker == 'd') {
    token.kind = Token::Kind::f64;
    based(2, 16, 16);
  } else if (text[at] == '0' && marker == 'b') {
    based(2, 2, 0);
  } else {
    size_t end = at;
    while (end < text.size() && digit(text[end])) ++end;
    const bool real = end < text.size() && (text[end] == '.' || text[end] == 'e' || text[end] == 'E');
    if (real) {
      double value = 0;
      const auto [stop, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
      if (error != std::errc{}) fail("bad decimal");
      token.kind = Token::Kind::f64;
      token.bits = std::bit_cast<uint64_t>(value);
      at = static_cast<size_t>(stop - text.data());
    } else {
      based(0, text[at] == '0' && end - at > 1 ? 8 : 10, 0);
    }
  }
  if (token.kind == Token::Kind::integer && at < text.size() && text[at] == 'U') ++at;
  if (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_'))
    fail("unexpected character");
  token.text = text.substr(begin, at - begin);
  return token;
}

}  // namespace

std::vector<Token> tokenise(std::string_view ptx) {
  std::vector<Token> tokens;
  int line = 1;
  size_t at = 0;
  while (at < ptx.size()) {
    const char c = ptx[at];
    if (c == '\n') {
      ++line;
      ++at;
    } else if (std::isspace(static_cast<unsigned char>(c))) {
      ++at;
    } else if (ptx.substr(at, 2) == "//") {
      while (at < ptx.size() && ptx[at] != '\n') ++at;
    } else if (ptx.substr(at, 2) == "/*") {
      const size_t end = ptx.find("*/", at + 2);
      if (end == std::string_view::npos) throw ParseError(line, "a comment that never ends");
      for (; at < end + 2; ++at) line += ptx[at] == '\n';
    } else if (digit(c)) {
      tokens.push_back(number(ptx, at, line));
    } else if (c == '"') {
      const size_t end = ptx.find_first_of("\"\n", at + 1);
      if (end == std::string_view::npos || ptx[end] == '\n')
        throw ParseError(line, "a string that never ends");
      tokens.push_back({Token::Kind::string, line, ptx.substr(at + 1, end - at - 1), 0});
      at = end + 1;
    } else if (word_start(c)) {
      size_t end = at + 1;
      const bool directive = c == '.';  // `.reg.b32` is two words
      while (end < ptx.size() && (word_part(ptx[end]) || (ptx.substr(end, 2) == "::" && ++end)) &&
             !(directive && ptx[end] == '.'))
        ++end;
      tokens.push_back({Token::Kind::word, line, ptx.substr(at, end - at), 0});
      at = end;
    } else if (std::string_view("{}[]()<>,;:|!@=+-*/~&^?").find(c) != std::string_view::npos) {
      tokens.push_back({Token::Kind::punctuation, line, ptx.substr(at, 1), 0});
      ++at;
    } else {
      throw ParseError(line, "unexpected character code " + std::to_string(static_cast<unsigned char>(c)));
    }
  }
  tokens.push_back({Token::Kind::end, line, "", 0});
  return tokens;
}

}  // namespace attest::vm
