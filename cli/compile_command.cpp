// attest compile: one head configuration's kernel as PTX, as machine code, or as the compiler's report.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/report_file.h"
#include "jit/compile.h"
#include "jit/kernel_spec.h"
#include "reference/head_config.h"

namespace attest::cli {
namespace {

struct CompileOptions {
  std::string config;
  std::string architecture = "compute_90";
  std::string emit = "ptx";
  std::string kernel = "naive";
  std::string part = "decode";
  std::string kernels_folder;
  std::string output;
};

ExitStatus compile_kernel(const Console& console, const CompileOptions& options) {
  const HeadConfig heads = parse_head_config(options.config);
  const KernelSource source = options.kernels_folder.empty()
                                  ? KernelSource::embedded()
                                  : KernelSource::from_folder(options.kernels_folder);
  const KernelSpec spec = options.part == "merge"
                              ? merge_kernel(heads, source, options.architecture, options.kernel)
                              : decode_kernel(heads, source, options.architecture, options.kernel);
  if (options.emit == "cubin" && !spec.cubin()) {
    throw std::invalid_argument(fmt::format(
        "--emit cubin needs a real architecture such as --arch sm_90a; {} is virtual", options.architecture));
  }
  std::optional<ReportFile> file;
  if (!options.output.empty()) file.emplace(options.output);
  const CompiledKernel compiled = compile(spec, *Nvrtc::open());
  const std::string& text = options.emit == "cubin" ? compiled.cubin
                            : options.emit == "log" ? compiled.log
                                                    : compiled.ptx;
  if (file) {
    file->publish(text);
  } else {
    console.out << text;
  }
  return ExitStatus::holds;
}

}  // namespace

void add_compile_command(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<CompileOptions>();
  CLI::App* command =
      program.add_subcommand("compile", "Compile one head configuration's kernel, without a GPU");
  command
      ->add_option("CONFIG", options->config,
                   "grouped-h32-g8-k128-v128-bf16, latent-h64-l4-b4-c128-r64-bf16, ...")
      ->required();
  command->add_option("--arch", options->architecture, "compute_90 (PTX), sm_90a (PTX and machine code), ...")
      ->capture_default_str();
  command->add_option("--emit", options->emit, "ptx, cubin or log (the compiler's report)")
      ->check(CLI::IsMember({"ptx", "cubin", "log"}))
      ->capture_default_str();
  command->add_option("--kernel", options->kernel, "naive or fast; see list kernels")
      ->check(CLI::IsMember({"naive", "fast"}))
      ->capture_default_str();
  command->add_option("--part", options->part, "decode, or the merge of its splits")
      ->check(CLI::IsMember({"decode", "merge"}))
      ->capture_default_str();
  command->add_option("--kernels", options->kernels_folder, "Read the kernel sources from this folder");
  command->add_option("-o,--output", options->output, "Write to this file instead of stdout");
  command->callback([&chosen, options] {
    chosen = [options](const Console& console) { return compile_kernel(console, *options); };
  });
}

}  // namespace attest::cli
