// Recursive descent over the tokens: directives first, then statements.
#include "jit/vm/parser.h"

#include <array>
#include <cctype>
#include <map>
#include <utility>

#include "jit/vm/lexer.h"
#include "jit/vm/parse_error.h"

namespace attest::vm {
namespace {

using syntax::Function;
using syntax::Initial;
using syntax::Module;
using syntax::Operand;
using syntax::Statement;
using syntax::Variable;

const std::map<std::string_view, Space> kSpaces = {{".global", Space::global},  {".shared", Space::shared},
                                                   {".local", Space::local},    {".param", Space::param},
                                                   {".const", Space::constant}, {".reg", Space::reg}};
constexpr int kMaxDepth = 32;

class Parser {
 public:
  explicit Parser(std::string_view ptx) : ptx_(ptx), tokens_(tokenise(ptx)) {}

  Module module() {
    Module module;
    while (peek().kind != Token::Kind::end) directive(module);
    if (module.version.empty()) fail("no .version directive: this is not a PTX module");
    return module;
  }

 private:
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Token next() {
    const Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is(std::string_view text) const {
    return peek().text == text &&
           (peek().kind == Token::Kind::punctuation || peek().kind == Token::Kind::word);
  }
  bool accept(std::string_view text) {
    if (!is(text)) return false;
    next();
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) fail("expected `" + std::string(text) + "`, found `" + std::string(peek().text) + "`");
  }
  [[noreturn]] void fail(const std::string& what) const { throw ParseError(peek().line, what); }
  std::string word(const char* what) {
    if (peek().kind != Token::Kind::word)
      fail(std::string("expected ") + what + ", found `" + std::string(peek().text) + "`");
    return std::string(next().text);
  }
  uint64_t integer(const char* what) {
    const bool negative = accept("-");
    if (peek().kind != Token::Kind::integer)
      fail(std::string("expected ") + what + ", found `" + std::string(peek().text) + "`");
    const uint64_t bits = next().bits;
    return negative ? uint64_t{0} - bits : bits;
  }

  void directive(Module& module) {
    if (accept(";")) return;
    const Token first = peek();
    if (first.kind != Token::Kind::word || first.text[0] != '.')
      fail("expected a directive, found `" + std::string(first.text) + "`");
    if (accept(".version")) {
      const Token number = next();
      module.version = std::string(number.text);
    } else if (accept(".target")) {
      do module.target += (module.target.empty() ? "" : ",") + word("a target");
      while (accept(","));
    } else if (accept(".address_size")) {
      if (integer("an address size") != 64) fail("only .address_size 64 is modelled");
    } else if (accept(".file")) {
      skip_file();
    } else if (accept(".pragma")) {
      skip_pragma();
    } else if (accept(".section")) {
      skip_section();
    } else if (accept(".alias")) {
      fail("directive .alias is not modelled");
    } else {
      declaration(module);
    }
  }

  // {.visible|.extern|.weak|.common} then a function or a variable.
  void declaration(Module& module) {
    bool is_extern = false;
    for (;;) {
      if (accept(".visible") || accept(".weak") || accept(".common")) continue;
      if (!accept(".extern")) break;
      is_extern = true;
    }
    if (is(".entry") || is(".func")) {
      function(module);
      return;
    }
    const auto space = kSpaces.find(peek().text);
    if (space == kSpaces.end() || space->second == Space::reg)
      fail("directive `" + std::string(peek().text) + "` is not modelled");
    for (Variable& variable : variables(is_extern)) module.variables.push_back(std::move(variable));
  }

  void function(Module& module) {
    Function function;
    function.line = peek().line;
    function.entry = next().text == ".entry";
    while (!function.entry && (is(".noreturn"))) next();
    if (!function.entry && accept(".attribute")) fail("directive .attribute is not modelled");
    if (!function.entry && is("(")) function.results = parameters();
    function.name = word("a function name");
    if (is("(")) function.parameters = parameters();
    function_directives(function);
    if (accept("{")) {
      function.defined = true;
      body(function.body, 0);
    } else {
      expect(";");
    }
    module.functions.push_back(std::move(function));
  }

  void function_directives(Function& function) {
    for (;;) {
      if (accept(".maxntid")) {
        function.maxntid = integers();
      } else if (accept(".reqntid")) {
        function.reqntid = integers();
      } else if (accept(".reqnctapercluster")) {
        function.reqnctapercluster = integers();
      } else if (accept(".maxclusterrank")) {
        function.maxclusterrank = integers();
      } else if (accept(".explicitcluster")) {
        function.explicit_cluster = true;
      } else if (accept(".minnctapersm") || accept(".maxnreg") || accept(".maxnctapersm")) {
        integers();
      } else if (accept(".noreturn") || accept(".blocksareclusters")) {
      } else if (accept(".abi_preserve") || accept(".abi_preserve_control")) {
        integers();
      } else if (accept(".pragma")) {
        skip_pragma();
      } else {
        return;
      }
    }
  }

  std::vector<uint32_t> integers() {
    std::vector<uint32_t> values;
    do values.push_back(static_cast<uint32_t>(integer("a number")));
    while (accept(","));
    return values;
  }

  std::vector<Variable> parameters() {
    expect("(");
    std::vector<Variable> list;
    while (!is(")")) {
      for (Variable& variable : variables(false, true)) list.push_back(std::move(variable));
      if (!accept(",")) break;
    }
    expect(")");
    return list;
  }

  // .space {.align n} {.vK} .type {.ptr {.space} {.align n}} name {[n]...} {= initial} {, name ...} ;
  std::vector<Variable> variables(bool is_extern, bool parameter = false) {
    const std::string space_word = word("a state space");
    const auto space = kSpaces.find(space_word);
    if (space == kSpaces.end()) fail("state space `" + space_word + "` is not modelled");
    Variable base;
    base.space = space->second;
    base.is_extern = is_extern;
    uint64_t vector = 1;
    while (peek().kind == Token::Kind::word && peek().text[0] == '.') {
      const std::string part = word("a type");
      if (part == ".align") {
        base.align = integer("an alignment");
        if (base.align == 0 || (base.align & (base.align - 1))) fail("an alignment must be a power of two");
      } else if (part == ".ptr") {
        // says where a kernel parameter points: no meaning for execution
        while (kSpaces.count(peek().text)) next();
        if (accept(".align")) integer("an alignment");
      } else if (part == ".v2" || part == ".v4") {
        vector = part == ".v2" ? 2 : 4;
      } else if (part == ".attribute") {
        fail("directive .attribute is not modelled");
      } else if (type_bytes(part.substr(1))) {
        base.type = part.substr(1);
        base.element_bytes = type_bytes(base.type);
      } else {
        fail("`" + part + "` is not modelled in a declaration");
      }
    }
    if (base.type.empty()) fail("a declaration without a type");
    if (base.align == 0) base.align = base.element_bytes * vector;
    std::vector<Variable> list;
    do {
      Variable variable = base;
      variable.line = peek().line;
      variable.name = word("a name");
      variable.count = vector;
      while (accept("[")) {
        if (is("]")) {
          variable.unsized = true;
          variable.count = 0;
        } else {
          const uint64_t count = integer("an array length");
          if (count > (uint64_t{1} << 32) / (variable.count ? variable.count : 1))
            fail("an array larger than 4 GiB");
          variable.count *= count;
        }
        expect("]");
      }
      if (accept("=")) {
        initial(variable.initial, 0);
        if (variable.unsized) variable.count = variable.initial.size();
        if (variable.initial.size() > variable.count)
          fail("more initial values than elements in '" + variable.name + "'");
      }
      list.push_back(std::move(variable));
    } while (!parameter && accept(","));
    if (!parameter) expect(";");
    return list;
  }

  void initial(std::vector<Initial>& values, int depth) {
    if (depth > kMaxDepth) fail("initial values nested too deeply");
    if (accept("{")) {
      if (!is("}")) do
          initial(values, depth + 1);
        while (accept(","));
      expect("}");
      return;
    }
    Initial value;
    if (peek().kind == Token::Kind::word) {
      value.symbol = word("a symbol");
      if (value.symbol == "generic") {
        expect("(");
        value.symbol = word("a symbol");
        expect(")");
      }
    } else {
      const bool negative = accept("-");
      if (peek().kind != Token::Kind::integer && peek().kind != Token::Kind::f32 &&
          peek().kind != Token::Kind::f64)
        fail("expected an initial value, found `" + std::string(peek().text) + "`");
      const Token token = next();
      value.bits = token.bits;
      value.f64 = token.kind == Token::Kind::f64;
      if (negative && token.kind == Token::Kind::f32) value.bits ^= 0x80000000u;
      if (negative && token.kind == Token::Kind::f64) value.bits ^= uint64_t{1} << 63;
      if (negative && token.kind == Token::Kind::integer) value.bits = uint64_t{0} - value.bits;
      if (accept("(")) {  // 0xFF00(symbol): a byte of its address
        value.mask = value.bits;
        value.bits = 0;
        value.symbol = word("a symbol");
        if (value.symbol == "generic") {
          expect("(");
          value.symbol = word("a symbol");
          expect(")");
        }
        expect(")");
      }
    }
    if (!value.symbol.empty() && (is("+") || is("-"))) {
      const bool minus = next().text == "-";
      const uint64_t offset = integer("an offset");
      value.bits = minus ? uint64_t{0} - offset : offset;
    }
    values.push_back(std::move(value));
  }

  // Statements up to the closing brace.
  void body(std::vector<Statement>& out, int depth) {
    if (depth > kMaxDepth) fail("blocks nested too deeply");
    while (!accept("}")) {
      if (peek().kind == Token::Kind::end) fail("a body that never ends");
      statement(out, depth);
    }
  }

  void statement(std::vector<Statement>& out, int depth) {
    Statement statement;
    statement.line = peek().line;
    if (accept(";")) return;
    if (accept("{")) {
      statement.kind = Statement::Kind::open;
      out.push_back(statement);
      body(out, depth + 1);
      statement.kind = Statement::Kind::close;
      out.push_back(statement);
      return;
    }
    if (accept(".loc")) return skip_loc();
    if (accept(".pragma")) return skip_pragma();
    if (accept(".file")) return skip_file();
    if (is(".reg")) {
      statement.kind = Statement::Kind::registers;
      registers(statement.registers);
      out.push_back(std::move(statement));
      return;
    }
    if (kSpaces.count(peek().text) || is(".extern")) {
      const bool is_extern = accept(".extern");
      for (Variable& variable : variables(is_extern)) {
        Statement each = statement;
        each.kind = Statement::Kind::variable;
        each.variable = std::move(variable);
        out.push_back(std::move(each));
      }
      return;
    }
    if (peek().kind == Token::Kind::word && peek(1).text == ":" && peek(1).kind == Token::Kind::punctuation) {
      label(out, std::move(statement));
      return;
    }
    if (peek().kind == Token::Kind::word && peek().text[0] == '.')
      fail("directive `" + std::string(peek().text) + "` is not modelled");
    statement.kind = Statement::Kind::instruction;
    instruction(statement.instruction);
    out.push_back(std::move(statement));
  }

  void label(std::vector<Statement>& out, Statement statement) {
    statement.label = word("a label");
    expect(":");
    statement.kind = Statement::Kind::label;
    if (is(".branchtargets") || is(".calltargets")) {
      statement.kind =
          next().text == ".branchtargets" ? Statement::Kind::branch_targets : Statement::Kind::call_targets;
      do statement.targets.push_back(word("a target"));
      while (accept(","));
      expect(";");
    } else if (accept(".callprototype")) {
      statement.kind = Statement::Kind::prototype;
      if (is("(")) statement.results = parameters();
      word("a prototype name");
      if (is("(")) statement.parameters = parameters();
      accept(".noreturn");
      expect(";");
    }
    out.push_back(std::move(statement));
  }

  void registers(std::vector<syntax::Register>& out) {
    expect(".reg");
    std::string type = word("a register type");
    if (type == ".v2" || type == ".v4") fail("vector registers are not modelled");
    if (type[0] != '.' || !type_bytes(type.substr(1))) fail("register type `" + type + "` is not modelled");
    do {
      syntax::Register each{
          .line = peek().line, .type = type.substr(1), .name = word("a register name"), .count = {}};
      if (accept("<")) {
        const uint64_t count = integer("a register count");
        if (count > 1'000'000) fail("more than a million registers");
        each.count = static_cast<uint32_t>(count);
        expect(">");
      }
      out.push_back(std::move(each));
    } while (accept(","));
    expect(";");
  }

  void instruction(syntax::Instruction& out) {
    const size_t begin = static_cast<size_t>(peek().text.data() - ptx_.data());
    out.line = peek().line;
    if (accept("@")) {
      out.guard_negated = accept("!");
      out.guard = word("a predicate");
    }
    const std::string full = word("an instruction");
    size_t start = 0;
    for (size_t dot = full.find('.'); start != std::string::npos; dot = full.find('.', start)) {
      const std::string part = full.substr(start, dot == std::string::npos ? dot : dot - start);
      if (part.empty()) fail("`" + full + "` is no instruction");
      if (out.opcode.empty())
        out.opcode = part;
      else
        out.modifiers.push_back(part);
      start = dot == std::string::npos ? dot : dot + 1;
    }
    while (!is(";")) {
      if (peek().kind == Token::Kind::end || is("}")) fail("expected `;` after `" + full + "`");
      out.operands.push_back(operand(0));
      if (!accept(",") && !is(";"))
        fail("expected `,` or `;` in `" + full + "`, found `" + std::string(peek().text) + "`");
    }
    const size_t end = static_cast<size_t>(peek().text.data() - ptx_.data());
    out.text = squeeze(ptx_.substr(begin, end - begin));
    expect(";");
  }

  static std::string squeeze(std::string_view text) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i, 2) == "//") {
        while (i < text.size() && text[i] != '\n') ++i;
      }
      const bool blank = i >= text.size() || std::isspace(static_cast<unsigned char>(text[i]));
      if (!blank)
        out += text[i];
      else if (!out.empty() && out.back() != ' ')
        out += ' ';
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
  }

  Operand operand(int depth) {
    if (depth > kMaxDepth) fail("operands nested too deeply");
    Operand out;
    if (accept("{")) {
      out.kind = Operand::Kind::vector;
      sequence(out.parts, "}", depth);
      return out;
    }
    if (accept("(")) {
      out.kind = Operand::Kind::list;
      sequence(out.parts, ")", depth);
      return out;
    }
    if (accept("[")) {
      out.kind = Operand::Kind::address;
      address(out, depth);
      return out;
    }
    out = scalar();
    if (accept("|")) {
      Operand pair;
      pair.kind = Operand::Kind::pair;
      pair.parts = {out, scalar()};
      return pair;
    }
    return out;
  }

  void sequence(std::vector<Operand>& parts, const char* close, int depth) {
    while (!is(close)) {
      parts.push_back(operand(depth + 1));
      if (!accept(",")) break;
    }
    expect(close);
  }

  // [name], [name+8], [name+-8], [8], [name, {a, b}]
  void address(Operand& out, int depth) {
    if (peek().kind == Token::Kind::word) {
      out.name = word("an address");
      offset(out);
    } else {
      out.offset = static_cast<int64_t>(integer("an address"));
    }
    while (accept(",")) out.parts.push_back(operand(depth + 1));
    expect("]");
  }

  void offset(Operand& out) {
    if (accept("+"))
      out.offset = static_cast<int64_t>(integer("an offset"));
    else if (is("-"))
      out.offset = static_cast<int64_t>(integer("an offset"));
  }

  Operand scalar() {
    Operand out;
    if (accept("!")) {
      out.negated = true;
      out.name = word("a predicate");
      return out;
    }
    const bool negative = accept("-");
    const bool inverted = !negative && accept("~");
    const Token token = next();
    switch (token.kind) {
      case Token::Kind::integer:
        out.kind = Operand::Kind::integer;
        break;
      case Token::Kind::f32:
        out.kind = Operand::Kind::f32;
        break;
      case Token::Kind::f64:
        out.kind = Operand::Kind::f64;
        break;
      case Token::Kind::word:
        if (negative || inverted) fail("a sign before a name");
        out.name = std::string(token.text);
        if (out.name == "_")
          out.kind = Operand::Kind::underscore;
        else
          offset(out);
        return out;
      default:
        fail("expected an operand, found `" + std::string(token.text) + "`");
    }
    out.bits = token.bits;
    if (inverted) out.bits = ~out.bits;
    if (negative) {
      if (token.kind == Token::Kind::integer) out.bits = uint64_t{0} - out.bits;
      if (token.kind == Token::Kind::f32) out.bits ^= 0x80000000u;
      if (token.kind == Token::Kind::f64) out.bits ^= uint64_t{1} << 63;
    }
    return out;
  }

  // .loc file line column {, function_name symbol {+ n} , inlined_at file line column}
  void skip_loc() {
    for (int i = 0; i < 3; ++i) integer("a location");
    while (accept(",")) {
      const std::string what = word("function_name or inlined_at");
      if (what == "function_name") {
        word("a label");
        if (accept("+")) integer("an offset");
      } else if (what == "inlined_at") {
        for (int i = 0; i < 3; ++i) integer("a location");
      } else {
        fail("`" + what + "` is not modelled in .loc");
      }
    }
    accept(";");
  }
  // .file n "name" {, time, size}
  void skip_file() {
    integer("a file number");
    if (next().kind != Token::Kind::string) fail("expected a file name");
    while (accept(",")) integer("a number");
  }
  void skip_pragma() {
    do
      if (next().kind != Token::Kind::string) fail("expected a pragma string");
    while (accept(","));
    expect(";");
  }
  // Debug sections only: .section .debug_str { ... }
  void skip_section() {
    const std::string name = word("a section name");
    expect("{");
    while (!accept("}")) {
      if (peek().kind == Token::Kind::end) fail("section " + name + " never ends");
      next();
    }
  }

  std::string_view ptx_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace

uint64_t type_bytes(std::string_view type) {
  static const std::map<std::string_view, uint64_t> table = {
      {"b8", 1},   {"u8", 1},  {"s8", 1},  {"b16", 2}, {"u16", 2},  {"s16", 2},   {"f16", 2},
      {"bf16", 2}, {"b32", 4}, {"u32", 4}, {"s32", 4}, {"f32", 4},  {"f16x2", 4}, {"bf16x2", 4},
      {"b64", 8},  {"u64", 8}, {"s64", 8}, {"f64", 8}, {"pred", 1}, {"b128", 16}};
  const auto found = table.find(type);
  return found == table.end() ? 0 : found->second;
}

syntax::Module parse_module(std::string_view ptx) { return Parser(ptx).module(); }

}  // namespace attest::vm
