// What a PTX file says, before any of it is given a meaning: variables, functions, instructions, operands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace attest::vm {

enum class Space : uint8_t { generic, global, shared, local, param, constant, reg };

}  // namespace attest::vm

namespace attest::vm::syntax {

// One operand as written. `kind` says which members count.
struct Operand {
  enum class Kind {
    name,        // %r1, sym, label, %tid.x, or sym+8 (`offset`)
    integer,     // 12, 0x7f, -3
    f32,         // 0f3F800000
    f64,         // 0d..., or a decimal literal
    address,     // [base+offset]; `name` empty for an absolute address. `parts` for [base, {coordinates}]
    vector,      // {a, b, ...} in `parts`
    pair,        // a|b in `parts`
    list,        // (a, b) in `parts`: arguments of a call
    underscore,  // _ : a result that nobody wants
  };
  Kind kind = Kind::name;
  std::string name;
  bool negated = false;  // !%p
  uint64_t bits = 0;     // of a literal
  int64_t offset = 0;
  std::vector<Operand> parts;
};

struct Instruction {
  int line = 0;
  std::string text;   // one line, blanks squeezed
  std::string guard;  // "%p1" or empty
  bool guard_negated = false;
  std::string opcode;                  // "ld"
  std::vector<std::string> modifiers;  // "global", "v4", "f32"
  std::vector<Operand> operands;
};

// A value in an initialiser: bits, or the address of a symbol plus an offset.
struct Initial {
  uint64_t bits = 0;
  std::string symbol;
  bool f64 = false;              // a double literal
  uint64_t mask = ~uint64_t{0};  // 0xFF(sym), 0xFF00(sym): one byte of the address
};

struct Variable {
  int line = 0;
  Space space = Space::global;
  std::string type;  // "b8", "f32", "pred", ...
  std::string name;
  uint64_t element_bytes = 0;
  uint64_t count = 1;  // elements, vector width included
  uint64_t align = 0;
  bool is_extern = false;
  bool unsized = false;  // extern .shared .b8 sm[];
  std::vector<Initial> initial;
  uint64_t bytes() const { return element_bytes * count; }
};

// A register name or a family %r<12>.
struct Register {
  int line = 0;
  std::string type;
  std::string name;
  std::optional<uint32_t> count;
};

// Label, declarations or an instruction, in the order of the text. `scope` opens and closes braces.
struct Statement {
  enum class Kind {
    instruction,
    label,
    registers,
    variable,
    branch_targets,
    call_targets,
    prototype,
    open,
    close
  };
  Kind kind = Kind::instruction;
  int line = 0;
  Instruction instruction;
  std::string label;  // of a label, a table or a prototype
  std::vector<Register> registers;
  Variable variable;
  std::vector<std::string> targets;  // of .branchtargets or .calltargets
  std::vector<Variable> results;     // of a prototype
  std::vector<Variable> parameters;
};

struct Function {
  int line = 0;
  bool entry = false;
  std::string name;
  std::vector<Variable> results;  // of .func; space reg or param
  std::vector<Variable> parameters;
  bool defined = false;
  std::vector<Statement> body;
  std::vector<uint32_t> maxntid, reqntid, reqnctapercluster, maxclusterrank;
  bool explicit_cluster = false;
};

struct Module {
  std::string version, target;
  std::vector<Variable> variables;
  std::vector<Function> functions;
};

}  // namespace attest::vm::syntax
