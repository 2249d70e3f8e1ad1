// What a compiled kernel depends on, and which configurations have a kernel.
#include "jit/kernel_spec.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace attest {
namespace {

KernelSpec spec_of(const char* heads) {
  return decode_kernel(parse_head_config(heads), KernelSource::embedded(), "compute_90");
}

// Runs `call` and gives the text of the std::invalid_argument that it throws.
template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(KernelSpec, KeyChangesWithEverythingThatTheCompiledKernelDependsOn) {
  const KernelSpec spec = spec_of("grouped-h4-g2-k16-v24-bf16");
  std::set<std::string> keys = {spec.key("13.0"), spec.key("13.1")};
  KernelSpec other = spec;
  other.architecture = "compute_80";
  keys.insert(other.key("13.0"));
  other = spec;
  other.options.push_back("--use_fast_math");
  keys.insert(other.key("13.0"));
  other = spec;
  other.unit += "// more\n";
  keys.insert(other.key("13.0"));
  other = spec;
  other.source = spec.source.with_edit("merge_splits.cuh", "// Grid:", "// The grid:");
  keys.insert(other.key("13.0"));
  for (const char* heads :
       {"grouped-h4-g2-k16-v24-f16", "grouped-h4-g2-k24-v24-bf16", "grouped-h4-g2-k16-v16-bf16",
        "grouped-h4-g1-k16-v24-bf16", "latent-h2-l1-b1-c16-r24-bf16"}) {
    keys.insert(spec_of(heads).key("13.0"));
  }
  EXPECT_EQ(keys.size(), 11u);
  EXPECT_EQ(spec.key("13.0").size(), 32u);
  EXPECT_EQ(spec.key("13.0"), spec_of("grouped-h4-g2-k16-v24-bf16").key("13.0"));
}

TEST(KernelSpec, TextMovedFromOneFileToAnotherChangesTheKey) {
  KernelSpec a = spec_of("grouped-h4-g2-k16-v24-bf16"), b = a;
  std::vector<KernelFile> files = a.source.files();
  files[0].text += "x";
  a.source = KernelSource::from_files(files, "a");
  files = b.source.files();
  files[1].text = "x" + files[1].text;
  b.source = KernelSource::from_files(files, "b");
  EXPECT_NE(a.key("13.0"), b.key("13.0"));
}

TEST(KernelSpec, NumberOfKvHeadsDoesNotChangeTheKernel) {
  EXPECT_EQ(spec_of("grouped-h4-g2-k16-v24-bf16").key("13.0"),
            spec_of("grouped-h12-g6-k16-v24-bf16").key("13.0"));
}

TEST(KernelSpec, NameIsAFileName) {
  EXPECT_EQ(spec_of("grouped-h4-g2-k16-v24-bf16").name, "decode_grouped-Bf16-16-24-2");
}

TEST(KernelSpec, RefusesWhatNoKernelServesAndSaysWhy) {
  const auto text = [](const char* heads) { return refusal([&] { spec_of(heads); }); };
  EXPECT_NE(text("grouped-h4-g2-k16-v24-f64").find("bf16 f16 f32, not f64"), std::string::npos)
      << text("grouped-h4-g2-k16-v24-f64");
  EXPECT_NE(text("grouped-h4-g2-k16-v24-e4m3").find("not e4m3"), std::string::npos);
  HeadConfig heads = parse_head_config("grouped-h4-g2-k16-v24-bf16");
  heads.kv_heads = 3;
  EXPECT_NE(refusal([&] { block_shape(heads); }), "");
}

TEST(KernelSource, FolderMustHoldEveryFileAndTheErrorNamesTheMissingOnes) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "attest-kernel-source";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  for (const KernelFile& file : embedded_kernel_files()) std::ofstream(folder / file.name) << file.text;
  EXPECT_EQ(KernelSource::from_folder(folder).text("element.cuh"),
            KernelSource::embedded().text("element.cuh"));
  std::filesystem::remove(folder / "element.cuh");
  std::filesystem::remove(folder / "merge_splits.cuh");
  const std::string text = refusal([&] { KernelSource::from_folder(folder); });
  EXPECT_NE(text.find("missing element.cuh, merge_splits.cuh"), std::string::npos) << text;
  std::filesystem::remove_all(folder);
  EXPECT_NE(refusal([&] { KernelSource::from_folder(folder); }).find("No such file"), std::string::npos);
}

TEST(KernelSource, EmbeddedTextIsTheFilesText) {
  for (const KernelFile& file : embedded_kernel_files()) {
    std::ifstream stream(std::string(ATTEST_SOURCE_DIR) + "/jit/kernels/" + file.name);
    EXPECT_EQ(file.text, (std::string{std::istreambuf_iterator<char>(stream), {}})) << file.name;
  }
}

TEST(KernelSource, EditMustNameATextThatOccursOnce) {
  const KernelSource source = KernelSource::embedded();
  EXPECT_NE(refusal([&] { source.with_edit("element.cuh", "no such text", ""); }), "");
  EXPECT_NE(refusal([&] { source.with_edit("element.cuh", "float", "double"); }), "");
  EXPECT_NE(refusal([&] { source.with_edit("no_such.cuh", "float", "double"); }), "");
}

}  // namespace
}  // namespace attest
