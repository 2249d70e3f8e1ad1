// Exchanges the handlers of a decoded kernel.
#include "jit/vm/arithmetic_mode.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "jit/vm/forms.h"
#include "jit/vm/payload.h"
#include "jit/vm/warp.h"

namespace attest::vm {

Code with_replacements(const Code& code, const Replacements& forms) {
  Code result = code;
  const FormTable& table = FormTable::instance();
  for (Instruction& each : result.instructions) {
    const Form& form = table.row(static_cast<int>(each.form));
    const Replacement& other = forms[each.form];
    const bool helper = each.run != form.run;
    if (other.run && (!helper || other.run == refuse_in_mode)) each.run = other.run;
    if (other.evaluate && each.evaluate == form.evaluate) each.evaluate = other.evaluate;
  }
  return result;
}

std::vector<std::string> words_of(const std::string& form) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= form.size();) {
    const size_t end = std::min(form.find('.', at), form.size());
    words.push_back(form.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

void refuse_in_mode(Warp& warp, const Instruction& instruction) {
  const bool payload = warp.launch->options->arithmetic == Arithmetic::payload;
  throw CannotCheck("PTX line " + std::to_string(instruction.line) + ": `" +
                    FormTable::instance().row(static_cast<int>(instruction.form)).name +
                    "` has no meaning in " + (payload ? "payload" : "perturbed") + " arithmetic");
}

}  // namespace attest::vm
