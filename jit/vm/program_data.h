// What a Program holds: the decoded entries and the module's variables.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "jit/vm/code.h"
#include "jit/vm/program.h"
#include "jit/vm/syntax.h"

namespace attest::vm {

struct ProgramData {
  std::string target;
  std::vector<std::string> order;  // entries as they stand in the text
  std::map<std::string, EntryInfo, std::less<>> entries;
  std::map<std::string, Code, std::less<>> code;
  std::vector<syntax::Variable> variables;                 // module scope, every space
  std::map<std::string, uint32_t, std::less<>> names;      // of variables
  std::map<std::string, uint32_t, std::less<>> functions;  // number of each function, for its address
};

}  // namespace attest::vm
