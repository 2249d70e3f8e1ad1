// Which folder may include what: the table of allowed dependencies, held against every #include line of the
// project.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace attest {
namespace {

namespace fs = std::filesystem;

// The values that every folder shares: std only, no attention.
const std::vector<std::string> kVocabulary = {
    "reference/attention_config.h", "reference/compare.h",   "reference/decode_call.h",
    "reference/head_config.h",      "reference/mask_spec.h", "reference/problem.h",
    "reference/number_formats.h",   "reference/random.h",    "reference/rope_spec.h",
    "reference/tensor.h",           "reference/words.h",
};

// Libraries that a folder must be allowed to use by name; what is not listed here is the standard or the C
// library.
const std::vector<std::string> kLibraries = {"Eigen/",     "nlohmann/", "rapidcheck", "fmt/",     "CLI/",
                                             "benchmark/", "gtest/",    "gmock/",     "xxhash.h", "nvrtc.h",
                                             "cuda.h",     "cuda_",     "nccl.h"};

// One row a folder; the longest matching folder rules a file. An entry ends in '/' for a folder, else it is a
// file.
struct Row {
  std::string folder;
  std::vector<std::string> project;    // quoted includes it may use
  std::vector<std::string> libraries;  // of kLibraries
  bool vocabulary;                     // may use kVocabulary
};
const std::vector<Row> kTable = {
    {"reference/", {"reference/"}, {"Eigen/", "nlohmann/"}, true},
    // The second reference: values of the vocabulary, and the values of a factored call.
    {"reference/naive/", {"reference/naive/", "reference/factored_call.h"}, {}, true},
    {"golden/", {"golden/", "reference/"}, {"nlohmann/", "Eigen/"}, true},
    {"jit/vm/", {"jit/vm/"}, {}, false},
    {"jit/vm/vm_benchmark.cpp", {"jit/"}, {"benchmark/"}, true},      // a program of its own
    {"jit/vm/matrix_benchmark.cpp", {"jit/"}, {"benchmark/"}, true},  // and its matrix rows
    {"jit/", {"jit/"}, {"xxhash.h", "nvrtc.h", "cuda.h", "nccl.h"}, true},
    {"properties/", {"properties/", "reference/", "jit/", "golden/"}, {"rapidcheck"}, true},
    {"bench/", {"bench/", "reference/", "jit/", "golden/"}, {"benchmark/", "nlohmann/", "fmt/"}, true},
    {"cli/",
     {"cli/", "bench/", "properties/", "reference/", "jit/", "golden/"},
     {"CLI/", "nlohmann/", "fmt/"},
     true},
    {"tests/", {""}, kLibraries, true},
};

struct Include {
  std::string file;  // relative to the source folder
  std::string target;
  bool quoted = false;
};

bool starts_with_any(std::string_view text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& p) { return text.starts_with(p); });
}

std::vector<Include> includes_of(const std::string& file, std::istream& text) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)re");
  std::vector<Include> found;
  for (std::string line; std::getline(text, line);) {
    std::smatch match;
    if (std::regex_match(line, match, pattern)) found.push_back({file, match[2], match[1] == "\""});
  }
  return found;
}

const Row& row_of(const std::string& file) {
  const Row* best = nullptr;
  for (const Row& row : kTable) {
    if (file.starts_with(row.folder) && (best == nullptr || row.folder.size() > best->folder.size()))
      best = &row;
  }
  if (best == nullptr) throw std::invalid_argument(file + " is in a folder without a row");
  return *best;
}

// Why the table forbids this include; empty when it allows it.
std::string violation(const Include& include) {
  const Row& row = row_of(include.file);
  const bool is_vocabulary =
      std::find(kVocabulary.begin(), kVocabulary.end(), include.target) != kVocabulary.end();
  const std::string said = include.file + " includes " + include.target;
  if (std::find(kVocabulary.begin(), kVocabulary.end(), include.file) != kVocabulary.end() &&
      include.quoted) {
    return is_vocabulary ? "" : said + ", but the vocabulary uses only itself and the standard library";
  }
  if (include.quoted) {
    return starts_with_any(include.target, row.project) || (row.vocabulary && is_vocabulary)
               ? ""
               : said + ", which " + row.folder + " may not";
  }
  return !starts_with_any(include.target, kLibraries) || starts_with_any(include.target, row.libraries)
             ? ""
             : said + ", a library that " + row.folder + " may not use";
}

std::vector<Include> all_includes() {
  std::vector<Include> found;
  const fs::path top = ATTEST_SOURCE_DIR;
  for (const char* folder : {"bench", "cli", "golden", "jit", "properties", "reference", "tests"}) {
    for (const auto& entry : fs::recursive_directory_iterator(top / folder)) {
      const std::string file = fs::relative(entry.path(), top).string();
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp") continue;
      std::ifstream text(entry.path());
      std::ranges::move(includes_of(file, text), std::back_inserter(found));
    }
  }
  return found;
}

TEST(Includes, FollowTheTableOfDependencies) {
  const std::vector<Include> includes = all_includes();
  EXPECT_GT(includes.size(), 300U) << "the scan did not find the project";
  for (const Include& include : includes) EXPECT_EQ(violation(include), "");
}

TEST(Includes, OfForeignCudaHeadersStandInOneFileEach) {
  for (const std::string header : {"nvrtc.h", "cuda.h", "nccl.h"}) {
    std::vector<std::string> files;
    for (const Include& include : all_includes()) {
      if (include.target == header) files.push_back(include.file);
    }
    EXPECT_LE(files.size(), 1U) << header << " is included by " << testing::PrintToString(files);
  }
}

TEST(Includes, ThatBreakTheTableAreNamed) {
  EXPECT_EQ(violation({"jit/decode.cpp", "reference/attend.h", true}),
            "jit/decode.cpp includes reference/attend.h, which jit/ may not");
  EXPECT_NE(violation({"jit/vm/machine.cpp", "jit/compile.h", true}), "");
  EXPECT_NE(violation({"jit/vm/machine.cpp", "reference/tensor.h", true}), "");
  EXPECT_NE(violation({"jit/decode.cpp", "Eigen/Dense", false}), "");
  EXPECT_NE(violation({"reference/layer.cpp", "jit/decode.h", true}), "");
  EXPECT_NE(violation({"reference/tensor.h", "reference/attend.h", true}), "");
  EXPECT_NE(violation({"golden/checkpoint.cpp", "rapidcheck.h", false}), "");
  EXPECT_EQ(violation({"jit/decode.cpp", "reference/head_config.h", true}), "");
  EXPECT_EQ(violation({"reference/layer.cpp", "Eigen/Dense", false}), "");
  EXPECT_EQ(violation({"jit/vm/machine.cpp", "vector", false}), "");
  EXPECT_EQ(violation({"reference/naive/naive_layer.h", "reference/tensor.h", true}), "");
  for (const char* header : {"reference/layer.h", "reference/rope.h", "reference/mask.h",
                             "reference/matrix.h", "reference/variants/steps.h"}) {
    EXPECT_NE(violation({"reference/naive/naive_layer.cpp", header, true}), "") << header;
  }
  EXPECT_NE(violation({"reference/naive/naive_layer.cpp", "Eigen/Core", false}), "");
}

// Values of the vocabulary can also be asked what follows from them, which would be an answer shared by both
// references.
bool asks_the_vocabulary(const std::string& line) {
  static const std::regex pattern(
      R"re([.>](scale|branches|rank_latent_width)\(\)|\b(head_config|info|sees|capped)\()re");
  return std::regex_search(line, pattern);
}

TEST(Includes, TheSecondReferenceTakesNoAnswerFromTheVocabulary) {
  EXPECT_TRUE(asks_the_vocabulary("Real s = config.scale();"));
  EXPECT_TRUE(asks_the_vocabulary("for (; b < layer->branches(); ++b)"));
  EXPECT_TRUE(asks_the_vocabulary("if (info(c.variant).family == Family::latent)"));
  EXPECT_FALSE(asks_the_vocabulary("parts.scale = latent_scale(c);"));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(ATTEST_SOURCE_DIR) / "reference/naive")) {
    std::ifstream text(entry.path());
    ++files;
    for (std::string line; std::getline(text, line);) {
      EXPECT_FALSE(asks_the_vocabulary(line)) << entry.path() << ": " << line;
    }
  }
  EXPECT_GE(files, 10) << "the scan did not find the second reference";
}

}  // namespace
}  // namespace attest
