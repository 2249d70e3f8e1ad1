// Tables in the documentation say what the code says. With ATTEST_UPDATE_DOCUMENTS=1 these tests write the
// tables instead.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "golden/checkpoint.h"
#include "golden/released_model.h"
#include "jit/vm/program.h"
#include "reference/cache.h"
#include "reference/shard.h"
#include "tests/cli/run_attest.h"

namespace attest {
namespace {

namespace fs = std::filesystem;

bool updating() { return std::getenv("ATTEST_UPDATE_DOCUMENTS") != nullptr; }

// `text` is what stands between the lines `begin` and `end` of a document.
void expect_section(const fs::path& document, const std::string& begin, const std::string& end,
                    const std::string& text) {
  std::string all = read_all(document);
  const std::size_t from = all.find(begin), to = all.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos && from < to)
      << document << " lost its markers";
  const std::size_t first = all.find('\n', from) + 1;
  if (updating()) {
    std::ofstream(document) << all.replace(first, to - first, text);
    return;
  }
  EXPECT_EQ(all.substr(first, to - first), text)
      << document << " is out of date; run this test with ATTEST_UPDATE_DOCUMENTS=1";
}

// Names of the shipped golden directories of each variant, gated and no-scale forms with their variant.
std::map<Variant, std::string> golden_directories() {
  std::map<Variant, std::set<std::string>> names;
  for (const auto& entry : fs::directory_iterator(fs::path(ATTEST_SOURCE_DIR) / "golden" / "data")) {
    if (!entry.is_directory()) continue;
    const auto checkpoint = golden::Checkpoint::open(entry.path().string());
    const auto model = golden::recognise((entry.path() / "config.json").string(), checkpoint);
    names[model.config.attention.variant].insert(entry.path().filename().string());
  }
  std::map<Variant, std::string> lines;
  for (const auto& [variant, set] : names) {
    for (const std::string& name : set) lines[variant] += (lines[variant].empty() ? "" : ", ") + name;
  }
  return lines;
}

TEST(Documents, ReadmeListsEveryVariant) {
  const std::map<Variant, std::string> directories = golden_directories();
  std::string text =
      "| variant | kernels | equivariance | source, and the released code that it follows | cached elements "
      "| each of four "
      "devices | golden directories |\n|---|---|---|---|---|---|---|\n";
  const char* const equivariance[] = {"full", "semi", "none"};
  for (const VariantInfo& row : variants()) {
    const AttentionConfig config = published_config(std::string(row.name));
    const bool shared = shard_refusal(config, 4).empty();
    const auto found = directories.find(row.variant);
    text +=
        fmt::format("| {}{}{} | {} | {} | {} | {:g} | {} | {} |\n", row.name,
                    row.can_be_gated ? ", -gated" : "", row.can_be_unscaled ? ", -no-scale" : "",
                    name(row.family), equivariance[static_cast<std::size_t>(row.equivariance)], row.source,
                    cached_elements_per_token(config),
                    shared ? fmt::format("{:g}", cached_elements_per_token(config, 4)) : "cannot be shared",
                    found == directories.end() ? "none" : found->second);
  }
  expect_section(fs::path(ATTEST_SOURCE_DIR) / "README.md", "<!-- variants:", "<!-- end of variants -->",
                 text);
}

TEST(Documents, FormsListEveryInstructionFormThatTheMachineRuns) {
  const std::vector<vm::FormInfo> forms = vm::supported_forms();
  std::string text =
      "# PTX instruction forms that the virtual machine runs\n\n"
      "Written from the table in the code. Anything else is refused when the PTX is parsed.\n\n"
      "| form | section of the PTX ISA | meaning |\n|---|---|---|\n";
  for (const vm::FormInfo& form : forms)
    text += fmt::format("| `{}` | {} | {} |\n", form.text, form.section, form.meaning);
  const fs::path document = fs::path(ATTEST_SOURCE_DIR) / "jit" / "vm" / "FORMS.md";
  if (updating()) std::ofstream(document) << text;
  EXPECT_EQ(read_all(document), text) << "out of date; run this test with ATTEST_UPDATE_DOCUMENTS=1";
  EXPECT_GT(forms.size(), 100U);
}

}  // namespace
}  // namespace attest
