// Hands a specification to NVRTC.
#include "jit/compile.h"

#include "jit/errors.h"

namespace attest {

CompiledKernel compile(const KernelSpec& spec, const Nvrtc& nvrtc) {
  NvrtcInput input{.name = spec.name + ".cu",
                   .source = spec.unit,
                   .headers = {},
                   .options = spec.all_options(),
                   .entry = spec.entry,
                   .cubin = spec.cubin()};
  for (const KernelFile& file : spec.source.files()) input.headers.emplace_back(file.name, file.text);
  NvrtcOutput output = nvrtc.compile(input);
  if (!output.compiled) {
    std::string options;
    for (const std::string& option : input.options) options += (options.empty() ? "" : " ") + option;
    throw CompileError("kernel " + spec.entry + " (sources: " + spec.source.origin() + ", NVRTC " +
                           nvrtc.version() + " " + options + ") does not compile:\n" + output.log,
                       spec.entry, options, output.log);
  }
  return {.name = spec.name,
          .key = spec.key(nvrtc.version()),
          .entry = std::move(output.lowered_entry),
          .ptx = std::move(output.ptx),
          .cubin = std::move(output.cubin),
          .log = std::move(output.log)};
}

}  // namespace attest
