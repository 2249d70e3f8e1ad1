// Tables in the documentation say what the code says. With ATTEST_UPDATE_DOCUMENTS=1 these tests write the
// tables instead.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
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

// Forms of one mnemonic and meaning in one row: how many they are, and the parts of which they are made.
struct FormGroup {
  std::string mnemonic, section, meaning;
  int forms = 0;
  std::vector<std::string> parts;  // ".rn", in order of first appearance
};

std::vector<FormGroup> form_groups() {
  std::vector<FormGroup> groups;
  for (const vm::FormInfo& form : vm::supported_forms()) {
    const std::string mnemonic = form.text.substr(0, form.text.find('.'));
    auto group = std::find_if(groups.begin(), groups.end(), [&](const FormGroup& g) {
      return g.mnemonic == mnemonic && g.section == form.section && g.meaning == form.meaning;
    });
    if (group == groups.end())
      group = groups.insert(groups.end(), {mnemonic, form.section, form.meaning, 0, {}});
    ++group->forms;
    for (std::size_t at = form.text.find('.'); at != std::string::npos;) {
      const std::size_t next = form.text.find('.', at + 1);
      const std::string part = form.text.substr(at, next - at);
      if (std::find(group->parts.begin(), group->parts.end(), part) == group->parts.end())
        group->parts.push_back(part);
      at = next;
    }
  }
  return groups;
}

TEST(Documents, FormsListEveryInstructionFormThatTheMachineRuns) {
  int total = 0;
  std::string rows;
  for (const FormGroup& group : form_groups()) {
    std::string parts;
    for (const std::string& part : group.parts) parts += (parts.empty() ? "`" : " ") + part;
    if (!parts.empty()) parts += "`";
    rows += fmt::format("| `{}` | {} | {} | {} | {} |\n", group.mnemonic, group.forms, parts, group.meaning,
                        group.section);
    total += group.forms;
  }
  const std::string text = fmt::format(
      "# PTX instruction forms that the virtual machine runs\n\n"
      "{} forms, in rows of one mnemonic and meaning each, with the parts that they are made of; `attest "
      "list forms` prints every form.\n"
      "Written from the table in the code by tests/cli/documents_test.cpp. Anything else is refused when the "
      "PTX is parsed.\n\n"
      "| instruction | forms | made of | meaning | section of the PTX ISA |\n|---|---|---|---|---|\n{}",
      total, rows);
  const fs::path document = fs::path(ATTEST_SOURCE_DIR) / "jit" / "vm" / "FORMS.md";
  if (updating()) std::ofstream(document) << text;
  EXPECT_TRUE(read_all(document) == text)
      << document << " is out of date; run this test with ATTEST_UPDATE_DOCUMENTS=1";
  EXPECT_GT(total, 1000);
}

}  // namespace
}  // namespace attest
