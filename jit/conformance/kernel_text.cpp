// Writes the PTX of a form's kernel: load the operands, execute the form, store the results.
#include "jit/conformance/kernel_text.h"

namespace attest::conformance {
namespace {

// Registers have the width of their type; 8-bit values live in 16-bit registers, as cvt allows.
std::string register_type(const ValueType& type) {
  if (type.predicate()) return ".pred";
  return ".b" + std::to_string(type.bits < 16 ? 16 : type.bits);
}
std::string address(const std::string& base, std::size_t number, std::uint64_t threads) {
  return "[%" + base + "+" + std::to_string(number * threads * kSlotBytes) + "]";
}

}  // namespace

// PTX 9.0 has every form of the machine, and wgmma is a matter of sm_90a.
std::string module_header() { return ".version 9.0\n.target sm_90a\n.address_size 64\n\n"; }

std::string entry_text(const Form& form, std::uint64_t threads, const std::string& name) {
  const bool uses_memory = form.body.find("%memory") != std::string::npos;
  const bool uses_shared = form.body.find("%shared") != std::string::npos;
  std::string text =
      ".visible .entry " + name + "(.param .u64 p_in, .param .u64 p_out, .param .u64 p_scratch)\n{\n";
  for (std::size_t i = 0; i < form.operands.size(); ++i) {
    text += "  .reg " + register_type(form.operands[i]) + " %x" + std::to_string(i) + ";\n";
  }
  for (std::size_t i = 0; i < form.results.size(); ++i) {
    text += "  .reg " + register_type(form.results[i]) + " %d" + std::to_string(i) + ";\n";
  }
  text += "  .reg .b32 %thread, %block, %index, %bit;\n  .reg .b64 %in, %out, %offset;\n";
  if (uses_memory) text += "  .reg .b64 %memory;\n";
  if (uses_shared) {
    text += "  .reg .b32 %shared;\n  .shared .align 16 .b8 tile_" + name + "[" +
            std::to_string(kBlockThreads * kScratchBytes) + "];\n";
  }
  text +=
      "  ld.param.u64 %in, [p_in];\n  ld.param.u64 %out, [p_out];\n"
      "  mov.u32 %thread, %tid.x;\n  mov.u32 %block, %ctaid.x;\n"
      "  mad.lo.u32 %index, %block, " +
      std::to_string(kBlockThreads) +
      ", %thread;\n"
      "  mul.wide.u32 %offset, %index, 8;\n  add.u64 %in, %in, %offset;\n  add.u64 %out, %out, %offset;\n";
  if (uses_memory) {
    text +=
        "  ld.param.u64 %memory, [p_scratch];\n  mul.wide.u32 %offset, %index, 16;\n  add.u64 %memory, "
        "%memory, %offset;\n";
  }
  if (uses_shared) {
    text += "  mov.u32 %shared, tile_" + name + ";\n  mad.lo.u32 %shared, %thread, 16, %shared;\n";
  }
  for (std::size_t i = 0; i < form.operands.size(); ++i) {
    const std::string x = "%x" + std::to_string(i), from = address("in", i, threads);
    if (form.operands[i].predicate()) {
      text += "  ld.global.b32 %bit, " + from + ";\n  setp.ne.u32 " + x + ", %bit, 0;\n";
    } else {
      text += "  ld.global" + register_type(form.operands[i]) + " " + x + ", " + from + ";\n";
    }
  }
  text += "  " + form.body + "\n";
  for (std::size_t i = 0; i < form.results.size(); ++i) {
    const std::string d = "%d" + std::to_string(i), to = address("out", i, threads);
    if (form.results[i].predicate()) {
      text += "  selp.u32 %bit, 1, 0, " + d + ";\n  st.global.b32 " + to + ", %bit;\n";
    } else {
      text += "  st.global" + register_type(form.results[i]) + " " + to + ", " + d + ";\n";
    }
  }
  return text + "  ret;\n}\n";
}

std::string module_text(const Form& form, std::uint64_t threads) {
  return module_header() + entry_text(form, threads);
}

}  // namespace attest::conformance
