// Tests the conformance kit: its table against ptxas, its patterns, its comparison, and records on disk.
#include "jit/conformance/conformance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "jit/conformance/kernel_text.h"
#include "jit/conformance/record.h"

namespace attest::conformance {
namespace {

namespace fs = std::filesystem;

const Form& form_of(const std::string& text) {
  for (const Form& form : all_forms()) {
    if (form.text == text) return form;
  }
  throw std::out_of_range(text);
}

// A target that answers with a rule instead of a machine.
class Rule : public Target {
 public:
  using Answer =
      std::function<std::vector<std::uint64_t>(const std::vector<std::uint64_t>&, std::uint64_t threads)>;
  Rule(std::string name, Answer answer) : name_(std::move(name)), answer_(std::move(answer)) {}
  std::string name() const override { return name_; }
  std::vector<std::uint64_t> run(const Form&, std::uint64_t threads,
                                 const std::vector<std::uint64_t>& operands) override {
    return answer_(operands, threads);
  }

 private:
  std::string name_;
  Answer answer_;
};

std::vector<std::uint64_t> sums(const std::vector<std::uint64_t>& operands, std::uint64_t threads) {
  std::vector<std::uint64_t> out(threads);
  for (std::uint64_t i = 0; i < threads; ++i) out[i] = (operands[i] + operands[threads + i]) & 0xffffffffu;
  return out;
}

Outputs outputs(std::vector<std::uint64_t> slots) {
  return {.loaded = true, .error = "", .slots = std::move(slots)};
}

TEST(ConformanceForms, BracesMultiplyOut) {
  EXPECT_EQ(expand_braces("a.{b,c}{,.d}.e"),
            (std::vector<std::string>{"a.b.e", "a.b.d.e", "a.c.e", "a.c.d.e"}));
  EXPECT_THROW(expand_braces("a.{b"), std::logic_error);
}

TEST(ConformanceForms, SignaturesFollowTheInstructionsTypes) {
  const Form& wide = form_of("mul.wide.u16");
  EXPECT_EQ(wide.results[0].name, "u32");
  EXPECT_EQ(wide.operands[1].name, "u16");
  EXPECT_EQ(wide.body, "mul.wide.u16 %d0, %x0, %x1;");
  const Form& conversion = form_of("cvt.rni.s64.f16");
  EXPECT_EQ(conversion.results[0].name, "s64");
  EXPECT_EQ(conversion.operands[0].element, Element::f16);
  const Form& matrix = form_of("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32");
  EXPECT_EQ(matrix.results.size(), 4u);
  EXPECT_EQ(matrix.operands.size(), 10u);
  EXPECT_EQ(matrix.operands[0].name, "matrix_a:bf16x2");
  EXPECT_NE(matrix.body.find("{%d0, %d1, %d2, %d3}, {%x0, %x1, %x2, %x3}, {%x4, %x5}, {%x6, %x7, %x8, %x9};"),
            std::string::npos);
}

TEST(ConformanceForms, EveryFormIsThereOnce) {
  std::set<std::string> texts;
  for (const Form& form : all_forms()) EXPECT_TRUE(texts.insert(form.text).second) << form.text;
  EXPECT_GT(texts.size(), 1500u);
}

TEST(ConformanceForms, PtxasAcceptsEveryForm) {
  const fs::path ptxas = "/usr/local/cuda/bin/ptxas";
  if (!fs::exists(ptxas)) GTEST_SKIP() << "ptxas is not on this machine";
  const fs::path folder = fs::temp_directory_path() / ("attest_conformance_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream file(folder / "all.ptx");
  file << module_header();
  std::size_t number = 0;
  for (const Form& form : all_forms())
    file << "// " << form.text << "\n"
         << entry_text(form, record_options().threads(form), "k" + std::to_string(number++));
  file.close();
  const std::string command = ptxas.string() + " -arch=sm_90a -O0 -o /dev/null " +
                              (folder / "all.ptx").string() + " > " + (folder / "log").string() + " 2>&1";
  const int status = std::system(command.c_str());
  std::ifstream log(folder / "log");
  std::stringstream text;
  text << log.rdbuf();
  EXPECT_EQ(status, 0) << text.str().substr(0, 4000);
  fs::remove_all(folder);
}

TEST(ConformancePatterns, AreTheSameEveryTimeAndDifferByOperandAndSeed) {
  const ValueType type = parse_value_type("u64");
  int same_operand = 0, same_seed = 0;
  for (std::uint64_t i = 0; i < 256; ++i) {
    EXPECT_EQ(pattern(type, 1, 0, i), pattern(type, 1, 0, i));
    same_operand += pattern(type, 1, 0, i) == pattern(type, 1, 1, i);
    same_seed += pattern(type, 1, 0, i) == pattern(type, 2, 0, i);
  }
  EXPECT_LT(same_operand, 32);
  EXPECT_LT(same_seed, 32);
  EXPECT_THROW(parse_value_type("u7"), std::invalid_argument);
}

TEST(ConformancePatterns, FloatsMeetEverySpecialKindInOneBlock) {
  for (const char* name : {"f32", "f64", "f16", "bf16"}) {
    const ValueType type = parse_value_type(name);
    int zeros = 0, negative_zeros = 0, subnormals = 0, infinities = 0, quiet = 0, signalling = 0, ones = 0,
        random = 0;
    const int fraction = type.bits == 64 ? 52 : type.bits == 32 ? 23 : type.element == Element::f16 ? 10 : 7;
    const double smallest = type.bits == 64 ? 0x1p-1022 : type.element == Element::f16 ? 0x1p-14 : 0x1p-126;
    for (std::uint64_t i = 0; i < kBlockThreads; ++i) {
      const std::uint64_t bits = pattern(type, 1, 0, i);
      const double value = element_value(type.element, bits);
      if (value == 0)
        ++(std::signbit(value) ? negative_zeros : zeros);
      else if (std::isnan(value))
        ++((bits >> (fraction - 1) & 1) != 0 ? quiet : signalling);
      else if (std::isinf(value))
        ++infinities;
      else if (std::abs(value) < smallest)
        ++subnormals;
      else if (std::abs(value) == 1)
        ++ones;
      else
        ++random;
    }
    EXPECT_GT(zeros, 0) << name;
    EXPECT_GT(negative_zeros, 0) << name;
    EXPECT_GT(subnormals, 0) << name;
    EXPECT_GT(infinities, 0) << name;
    EXPECT_GT(quiet, 0) << name;
    EXPECT_GT(signalling, 0) << name;
    EXPECT_GT(ones, 0) << name;
    EXPECT_GT(random, 64) << name;
  }
}

TEST(ConformancePatterns, NonzeroOperandsAreNeverZeroAndLanesStayBelow64) {
  for (std::uint64_t i = 0; i < 4096; ++i) {
    EXPECT_NE(pattern(parse_value_type("nonzero:u16"), 1, 0, i), 0u);
    EXPECT_LT(pattern(parse_value_type("lane:u32"), 1, 0, i), 64u);
  }
}

TEST(ConformancePatterns, SmallNumbersAreWholeFromMinusFourToFour) {
  for (const char* name :
       {"small:f32", "small:f16x2", "small:bf16x2", "small:tf32", "small:e4m3x4", "small:e5m2x4"}) {
    const ValueType type = parse_value_type(name);
    const int bits = type.bits / type.elements;
    std::set<double> values;
    for (std::uint64_t i = 0; i < 256; ++i)
      for (int element = 0; element < type.elements; ++element)
        values.insert(element_value(
            type.element, pattern(type, 1, 0, i) >> (element * bits) & ((std::uint64_t{1} << bits) - 1)));
    EXPECT_EQ(values, (std::set<double>{-4, -3, -2, -1, 0, 1, 2, 3, 4})) << name;
  }
}

TEST(ConformancePatterns, MatrixOperandsProbeZerosOverSmallAccumulators) {
  // Warp 5 of 8: A is zero, B of every size, C small.
  for (std::uint64_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(pattern(parse_value_type("matrix_a:bf16x2"), 1, 0, 160 + lane), 0u);
    const double c = element_value(Element::f32, pattern(parse_value_type("matrix_c:f32"), 1, 6, 160 + lane));
    EXPECT_LT(std::abs(c), 0x1p-20);
    EXPECT_GE(std::abs(c), 0x1p-126);
  }
}

TEST(ConformancePatterns, AFormOfOneHalfOperandMeetsEveryBitPattern) {
  const Form& form = form_of("cvt.f32.f16");
  const Options options;
  const std::uint64_t threads = options.threads(form);
  const std::vector<std::uint64_t> slots = operands_of(form, options.seed, threads);
  EXPECT_EQ(std::set<std::uint64_t>(slots.begin(), slots.end()).size(), 65536u);
}

TEST(ConformanceComparison, BitsMustAgree) {
  const Form& form = form_of("add.u32");
  const std::vector<std::uint64_t> right = sums(operands_of(form, 1, 256), 256);
  EXPECT_EQ(compare(form, 1, 256, outputs(right), outputs(right)).status, Status::agrees);
  std::vector<std::uint64_t> wrong = right;
  wrong[17] ^= 1;
  const FormResult result = compare(form, 1, 256, outputs(right), outputs(wrong));
  EXPECT_EQ(result.status, Status::differs);
  EXPECT_EQ(result.differences, 1u);
  EXPECT_NE(result.example.find("thread 17"), std::string::npos) << result.example;
}

TEST(ConformanceComparison, NanPayloadsAreCountedAndANanIsNoNumber) {
  const Form& form = form_of("add.f32");
  std::vector<std::uint64_t> expected(256, 0x3f800000u), actual = expected;
  expected[0] = 0x7fffffffu;
  actual[0] = 0x7fc00001u;
  FormResult result = compare(form, 1, 256, outputs(expected), outputs(actual));
  EXPECT_EQ(result.status, Status::agrees);
  EXPECT_EQ(result.nan_payloads, 1u);
  actual[0] = 0x3f800000u;
  EXPECT_EQ(compare(form, 1, 256, outputs(expected), outputs(actual)).status, Status::differs);
  EXPECT_EQ(compare(form, 1, 256, outputs(actual), outputs(expected)).status, Status::differs);
  // An instruction that moves bits has no such freedom.
  const Form& move = form_of("selp.f32");
  std::vector<std::uint64_t> other = expected;
  other[0] = 0x7fc00001u;
  EXPECT_EQ(compare(move, 1, 256, outputs(expected), outputs(other)).status, Status::differs);
}

TEST(ConformanceComparison, AnApproximateResultHasItsDocumentedErrorAndNoMore) {
  const Form& form = form_of("ex2.approx.ftz.f32");
  std::vector<std::uint64_t> expected(256, 0x3f800000u), actual = expected;
  actual[3] = 0x3f800002u;  // 2^-22 above 1
  FormResult result = compare(form, 1, 256, outputs(expected), outputs(actual));
  EXPECT_EQ(result.status, Status::agrees);
  EXPECT_EQ(result.approximate, 1u);
  EXPECT_NEAR(result.worst_relative, 0x1p-22, 0x1p-40);
  actual[3] = 0x3f800004u;
  EXPECT_EQ(compare(form, 1, 256, outputs(expected), outputs(actual)).status, Status::differs);
  actual[3] = 0x7f800000u;
  EXPECT_EQ(compare(form, 1, 256, outputs(expected), outputs(actual)).status, Status::differs);
  expected[3] = 0x7f800000u;
  actual[3] = 0xff800000u;
  EXPECT_EQ(compare(form, 1, 256, outputs(expected), outputs(actual)).status, Status::differs);
}

TEST(ConformanceComparison, PackedElementsAreComparedOneByOne) {
  const Form& form = form_of("add.f16x2");
  std::vector<std::uint64_t> expected(256, 0x7fff3c00u), actual(256, 0x7e003c00u);
  EXPECT_EQ(compare(form, 1, 256, outputs(expected), outputs(actual)).nan_payloads, 256u);
  actual[9] = 0x7e003c01u;
  EXPECT_EQ(compare(form, 1, 256, outputs(expected), outputs(actual)).differences, 1u);
}

TEST(ConformanceComparison, RefusalsAndFailuresAreNoAgreement) {
  const Form& form = form_of("add.u32");
  const Outputs good = outputs(sums(operands_of(form, 1, 256), 256));
  const Outputs refused{.loaded = false, .error = "unknown form", .slots = {}};
  const Outputs trapped{.loaded = true, .error = "out of bounds", .slots = {}};
  EXPECT_EQ(compare(form, 1, 256, refused, good).status, Status::rejected);
  EXPECT_EQ(compare(form, 1, 256, good, refused).status, Status::refused);
  EXPECT_EQ(compare(form, 1, 256, good, trapped).status, Status::failed);
  EXPECT_EQ(compare(form, 1, 256, good, refused).example, "unknown form");
  EXPECT_THROW(compare(form, 1, 256, good, outputs({1, 2})), std::invalid_argument);
}

TEST(Conformance, ReportsWhichMachineDiffersOnWhichForm) {
  Rule right("right", sums),
      wrong("wrong", [](const std::vector<std::uint64_t>&operands, std::uint64_t threads) {
        std::vector<std::uint64_t> out = sums(operands, threads);
        out[threads - 1] += 1;
        return out;
      });
  Options options;
  options.filter = "add.u32";
  options.patterns = 256;
  const Report agreeing = run_conformance(right, right, options);
  EXPECT_TRUE(agreeing.passed());
  EXPECT_GE(agreeing.forms.size(), 1u);
  const Report report = run_conformance(right, wrong, options);
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(report.count(Status::differs), report.forms.size());
  EXPECT_EQ(report.actual_name, "wrong");
}

struct RecordFile : testing::Test {
  fs::path path = fs::temp_directory_path() / ("attest_record_" + std::to_string(::getpid()));
  ~RecordFile() override { fs::remove(path); }
  Rule rule{"a rule", [](const std::vector<std::uint64_t>& operands, std::uint64_t threads) {
              if (operands.size() < 2 * threads) throw Refused("not an addition");
              return sums(operands, threads);
            }};
  Record make(const std::string& filter) {
    Options options = record_options();
    options.filter = filter;
    return make_record(rule, options, "13.0", "2026-11-23");
  }
};

TEST_F(RecordFile, ComesBackAsItWasWritten) {
  const Record record = make("add.u32");
  write_record(record, path.string());
  const Record read = read_record(path.string());
  EXPECT_EQ(read.device, "a rule");
  EXPECT_EQ(read.driver, "13.0");
  EXPECT_EQ(read.date, "2026-11-23");
  ASSERT_EQ(read.forms.size(), record.forms.size());
  for (std::size_t i = 0; i < read.forms.size(); ++i) {
    EXPECT_EQ(read.forms[i].text, record.forms[i].text);
    EXPECT_EQ(read.forms[i].verdict, record.forms[i].verdict);
    EXPECT_EQ(read.forms[i].slots, record.forms[i].slots);
  }
  EXPECT_TRUE(replay(read, rule).passed());
}

TEST_F(RecordFile, KeepsWhatTheDeviceRefused) {
  write_record(make("popc.b32"), path.string());
  const Record read = read_record(path.string());
  ASSERT_EQ(read.forms.size(), 1u);
  EXPECT_EQ(read.forms[0].verdict, Verdict::rejected);
  EXPECT_EQ(read.forms[0].note, "not an addition");
  EXPECT_EQ(replay(read, rule).forms[0].status, Status::rejected);
}

// A device that agrees with an evaluator needs no bits in the file.
TEST_F(RecordFile, KeepsAChecksumWhereADeviceAgreesWithAnEvaluator) {
  Evaluators right;
  Options options = record_options();
  options.filter = "popc.b32";  // without an evaluator
  EXPECT_EQ(make_record(right, options, "", "").forms[0].verdict, Verdict::rejected);
  options.filter = "set.lt.and.u32.s16";
  const Record record = make_record(right, options, "13.0", "2026-11-26");
  ASSERT_EQ(record.forms.size(), 1u);
  EXPECT_EQ(record.forms[0].verdict, Verdict::evaluated);
  EXPECT_TRUE(record.forms[0].slots.empty());
  write_record(record, path.string());
  EXPECT_LT(fs::file_size(path), 300u);
  Record read = read_record(path.string());
  EXPECT_EQ(read.forms[0].verdict, Verdict::evaluated);
  EXPECT_TRUE(replay(read, right).passed());
  Rule wrong("wrong", [&](const std::vector<std::uint64_t>& operands, std::uint64_t threads) {
    std::vector<std::uint64_t> out = right.run(form_of("set.lt.and.u32.s16"), threads, operands);
    out[17] ^= 1;
    return out;
  });
  EXPECT_FALSE(replay(read, wrong).passed());
  EXPECT_EQ(make_record(wrong, options, "13.0", "2026-11-26").forms[0].verdict, Verdict::accepted);
  read.forms[0].results ^= 1;  // as if the evaluator had changed since
  EXPECT_THROW(replay(read, right), RecordError);
}

// A kernel that fails ends a device's process: the record stops there, and another process goes on behind it.
TEST_F(RecordFile, StopsBehindAFailureAndGoesOn) {
  Options options = record_options();
  options.filter = "sub.u";
  const std::size_t all = selected_forms(options).size();
  ASSERT_GT(all, 2u);
  int left = 1;
  Rule failing("a rule", [&](const std::vector<std::uint64_t>& operands, std::uint64_t threads) {
    if (left-- == 0) throw std::runtime_error("an illegal address");
    return sums(operands, threads);
  });
  Record record = make_record(failing, options, "13.0", "2026-11-26");
  ASSERT_EQ(record.forms.size(), 2u);
  EXPECT_EQ(record.forms[1].verdict, Verdict::failed);
  EXPECT_FALSE(complete(record, options));
  write_record(record, path.string());
  record = read_record(path.string());
  continue_record(record, rule, options);
  EXPECT_TRUE(complete(record, options));
  EXPECT_EQ(record.forms.size(), all);
  EXPECT_EQ(replay(record, rule).count(Status::failed), 1u);
  // Another device's, another seed's, another list of forms: no.
  Rule other("another rule", sums);
  EXPECT_THROW(continue_record(record, other, options), RecordError);
  Options reseeded = options;
  reseeded.seed = 2;
  EXPECT_THROW(continue_record(record, rule, reseeded), RecordError);
  options.filter = "add.u";
  EXPECT_THROW(continue_record(record, rule, options), RecordError);
}

TEST_F(RecordFile, RefusesAVerdictThatItDoesNotKnow) {
  write_record(make("popc.b32"), path.string());
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  text.resize(text.rfind("\nchecksum "));
  text.replace(text.find(" rejected "), 10, " excellent ");
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a, as the file's own checksum
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL;
  std::ofstream(path, std::ios::binary) << text << "\nchecksum " << hash << "\n";
  try {
    read_record(path.string());
    ADD_FAILURE() << "accepted";
  } catch (const RecordError& error) {
    EXPECT_NE(std::string(error.what()).find("'excellent', expected accepted"), std::string::npos)
        << error.what();
  }
}

TEST_F(RecordFile, HoldsTheVirtualMachineToTheDevice) {
  write_record(make("add.u32"), path.string());
  Rule wrong("wrong", [](const std::vector<std::uint64_t>& operands, std::uint64_t threads) {
    std::vector<std::uint64_t> out = sums(operands, threads);
    out[0] ^= 0x80000000u;
    return out;
  });
  EXPECT_FALSE(replay(read_record(path.string()), wrong).passed());
}

TEST_F(RecordFile, RefusesAFileThatWasCutOrEdited) {
  write_record(make("add.u32"), path.string());
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  in.close();
  const auto put = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; };
  put(text.substr(0, text.size() - 40));
  EXPECT_THROW(read_record(path.string()), RecordError);
  std::string edited = text;
  edited[edited.size() / 2] = static_cast<char>(edited[edited.size() / 2] ^ 1);
  put(edited);
  EXPECT_THROW(read_record(path.string()), RecordError);
  put("");
  EXPECT_THROW(read_record(path.string()), RecordError);
  fs::remove(path);
  EXPECT_THROW(read_record(path.string()), RecordError);
}

TEST_F(RecordFile, RefusesOperandsThatAreDrawnOtherwise) {
  Record record = make("add.u32");
  record.seed = 2;
  EXPECT_THROW(replay(record, rule), RecordError);
}

}  // namespace
}  // namespace attest::conformance
