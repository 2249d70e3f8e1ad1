// Compiling kernels: every family and format, readable errors, and what happens without NVRTC.
#include "jit/compile.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "jit/errors.h"

namespace attest {
namespace {

const Nvrtc& nvrtc() {
  static const std::shared_ptr<const Nvrtc> opened = Nvrtc::open();
  return *opened;
}

// One compile a row; all widths differ where the family allows it.
const char* const kHeads[] = {
    "grouped-h4-g2-k16-v24-bf16",   "grouped-h8-g1-k128-v128-f16",  "grouped-h3-g3-k40-v16-f32",
    "latent-h4-l1-b1-c32-r16-bf16", "latent-h4-l4-b4-c128-r64-f16", "latent-h16-l1-b1-c512-r64-bf16",
};

TEST(Compile, GivesPtxWithTheEntryForEveryFamilyAndFormat) {
  for (const char* name : kHeads) {
    const KernelSpec spec = decode_kernel(parse_head_config(name), KernelSource::embedded(), "compute_90");
    const CompiledKernel kernel = compile(spec, nvrtc());
    EXPECT_NE(kernel.ptx.find(".entry " + kernel.entry + "("), std::string::npos) << name;
    EXPECT_TRUE(kernel.cubin.empty()) << name;
    EXPECT_EQ(kernel.log, "") << name;  // not even a warning
  }
}

TEST(Compile, GivesMachineCodeWithoutSpillsForANamedArchitecture) {
  for (const char* name : kHeads) {
    const HeadConfig heads = parse_head_config(name);
    const KernelSource source = KernelSource::embedded();
    std::vector<KernelSpec> specs = {decode_kernel(heads, source, "sm_90a"),
                                     merge_kernel(heads, source, "sm_90a")};
    if (heads.storage != Format::f32 && heads.value_dim % 16 == 0) {
      specs.push_back(decode_kernel(heads, source, "sm_90a", "fast"));
      specs.push_back(merge_kernel(heads, source, "sm_90a", "fast"));
    }
    for (KernelSpec& spec : specs) {
      spec.options.push_back("--ptxas-options=-v");
      const CompiledKernel kernel = compile(spec, nvrtc());
      EXPECT_EQ(kernel.cubin.substr(0, 4),
                "\x7f"
                "ELF")
          << name;
      EXPECT_NE(kernel.log.find("0 bytes spill stores, 0 bytes spill loads"), std::string::npos)
          << kernel.log;
    }
  }
}

TEST(Compile, ReportsEntryOptionsAndLogWhenTheSourceIsWrong) {
  const KernelSource broken = KernelSource::embedded().with_edit(
      "paged_cache.cuh", "const long long page =", "const long page size =");
  const KernelSpec spec = decode_kernel(parse_head_config(kHeads[0]), broken, "compute_90");
  try {
    compile(spec, nvrtc());
    FAIL() << "compiled";
  } catch (const CompileError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(spec.entry), std::string::npos) << text;
    EXPECT_NE(text.find("--gpu-architecture=compute_90"), std::string::npos) << text;
    EXPECT_NE(text.find("paged_cache.cuh("), std::string::npos) << text;  // file and line of the mistake
    EXPECT_NE(error.log.find("error"), std::string::npos);
  }
}

TEST(Compile, RefusesAnUnknownArchitectureWithTheCompilersReason) {
  const KernelSpec spec = decode_kernel(parse_head_config(kHeads[0]), KernelSource::embedded(), "compute_1");
  try {
    compile(spec, nvrtc());
    FAIL() << "compiled";
  } catch (const CompileError& error) {
    EXPECT_NE(std::string(error.what()).find("compute_1"), std::string::npos);
    EXPECT_FALSE(error.log.empty());
  }
}

TEST(Compile, RefusesDeviceCodeWhoseLayoutOrShapeDiffersFromTheHosts) {
  const struct {
    const char* file;
    const char* before;
    const char* after;
  } edits[] = {
      {"decode_args.cuh", "int kv_heads;", "int kv_heads[2];"},
      {"decode_args.cuh", "  PagedArgs keys;  ", "  long long more; PagedArgs keys;  "},
      {"block_work.cuh", "kTileTokens = 32", "kTileTokens = 16"},
      {"block_work.cuh", "kRows > 12 ? 4", "kRows > 0 ? 1"},
  };
  for (const auto& edit : edits) {
    const KernelSource changed = KernelSource::embedded().with_edit(edit.file, edit.before, edit.after);
    try {
      compile(decode_kernel(parse_head_config(kHeads[1]), changed, "compute_90"), nvrtc());
      ADD_FAILURE() << edit.after << " compiled";
    } catch (const CompileError& error) {
      EXPECT_NE(error.log.find("host and kernel differ"), std::string::npos) << error.log;
    }
  }
}

TEST(Nvrtc, MissingLibraryIsATypedErrorThatSaysWhatWasTriedAndHowToGetIt) {
  try {
    Nvrtc::open({"/nonexistent/libnvrtc.so"});
    FAIL() << "opened";
  } catch (const NotAvailable& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("/nonexistent/libnvrtc.so"), std::string::npos) << text;
    EXPECT_NE(text.find("nvidia-cuda-nvrtc"), std::string::npos) << text;
    EXPECT_NE(text.find("ATTEST_NVRTC"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
}

TEST(Nvrtc, EnvironmentVariableIsTheOnlyCandidateWhenSet) {
  const char* before = std::getenv("ATTEST_NVRTC");
  const std::string saved = before ? before : "";
  setenv("ATTEST_NVRTC", "/nonexistent", 1);
  const std::vector<std::string> candidates = Nvrtc::default_candidates();
  if (before) {
    setenv("ATTEST_NVRTC", saved.c_str(), 1);
  } else {
    unsetenv("ATTEST_NVRTC");
  }
  EXPECT_EQ(candidates, std::vector<std::string>{"/nonexistent"});
}

TEST(Nvrtc, ALibraryThatIsNotNvrtcIsNamedWithWhatItLacks) {
  try {
    Nvrtc::open({"libm.so.6"});
    FAIL() << "opened";
  } catch (const NotAvailable& error) {
    EXPECT_NE(std::string(error.what()).find("libm.so.6 has no function nvrtcGetErrorString"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace attest
