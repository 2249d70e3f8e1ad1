// The gate of the form table: every row is in a device's record, or has a .ptx with a result worked out by
// hand, or an evaluator in the conformance kit. A row without any of these is named, and fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>

#include "jit/conformance/conformance.h"
#include "jit/conformance/executor_target.h"
#include "jit/conformance/kernel_text.h"
#include "jit/conformance/record.h"
#include "jit/conformance/sweep.h"
#include "jit/vm/machine.h"
#include "jit/vm/program.h"
#include "jit/vm/program_data.h"
#include "jit/vm_executor.h"

namespace attest::conformance {
namespace {

namespace fs = std::filesystem;

// What has no result to compare ends the run: FormCoverage.RowsWithoutAResultEndTheRun.
constexpr const char* kEnding[] = {"trap", "brkpt"};

// Rows that a module's instructions belong to.
std::set<std::string> rows_of(const std::string& ptx) {
  static const std::vector<vm::FormInfo> table = vm::supported_forms();
  std::set<std::string> rows;
  const vm::Program program = vm::Program::parse(ptx);
  for (const auto& [name, code] : program.data().code)
    for (const vm::Instruction& instruction : code.instructions) rows.insert(table[instruction.form].text);
  return rows;
}

struct Covered {
  std::set<std::string> recorded;   // a device's bits are in a record
  std::set<std::string> evaluated;  // an evaluator says what they give
};

// By the kit's forms. One that has an evaluator shows the row that it is called after.
Covered covered_by_forms() {
  std::set<std::string> accepted;
  for (const auto& entry : fs::directory_iterator(fs::path(ATTEST_SOURCE_DIR) / "tests/vm/records")) {
    if (entry.path().extension() != ".record") continue;
    for (const RecordedForm& form : read_record(entry.path().string()).forms)
      if (form.has_result()) accepted.insert(form.text);
  }
  Covered covered;
  for (const Form& form : all_forms()) {
    const std::set<std::string> rows = rows_of(module_text(form, 256));
    const std::string row = form.text.substr(0, form.text.find('/'));
    if (accepted.count(form.text)) covered.recorded.insert(rows.begin(), rows.end());
    if (!form.evaluate) continue;
    covered.evaluated.insert(row);
    EXPECT_TRUE(rows.count(row)) << form.text << " is not in its own kernel";
  }
  return covered;
}

std::set<std::string> by_hand() {
  std::set<std::string> rows;
  for (const auto& entry : fs::directory_iterator(fs::path(ATTEST_SOURCE_DIR) / "tests/vm/forms")) {
    std::ifstream file(entry.path());
    rows.merge(rows_of({std::istreambuf_iterator<char>(file), {}}));
  }
  return rows;
}

TEST(FormCoverage, EveryRowHasAnExpectationFromElsewhere) {
  const Covered forms = covered_by_forms();
  const std::set<std::string> hand = by_hand();
  size_t in_record = 0, in_files = 0, evaluated = 0, uncovered = 0;
  const std::vector<vm::FormInfo> table = vm::supported_forms();
  for (const vm::FormInfo& row : table) {
    if (forms.recorded.count(row.text)) {
      ++in_record;
    } else if (hand.count(row.text)) {
      ++in_files;
    } else if (forms.evaluated.count(row.text)) {
      ++evaluated;
    } else if (std::find(std::begin(kEnding), std::end(kEnding), row.text) == std::end(kEnding)) {
      ++uncovered;
      ADD_FAILURE() << row.text << " has no expectation: add it to the conformance kit's record, to "
                    << "tests/vm/forms, or to a family of jit/conformance/sweep.h";
    }
  }
  std::printf(
      "  %zu rows: %zu in a device's record, %zu by hand, %zu evaluated, %zu without an expectation\n",
      table.size(), in_record, in_files, evaluated, uncovered);
}

std::vector<Outputs> evaluated(const std::vector<Form>& forms, const Options& options) {
  Evaluators evaluators;
  std::vector<Outputs> outputs;
  run_forms(evaluators, forms, options, [&](size_t, Outputs out) { outputs.push_back(std::move(out)); });
  return outputs;
}

// Where the machine, in a schedule, differs from what is expected.
std::vector<FormResult> differences(const std::vector<Form>& forms, const Options& options,
                                    const std::vector<Outputs>& expected, vm::Schedule schedule) {
  VmExecutor machine;
  machine.options().schedule = schedule;
  machine.options().seed = 3;
  ExecutorTarget target(machine);
  std::vector<FormResult> differing;
  run_forms(target, forms, options, [&](size_t i, Outputs out) {
    FormResult result = compare(forms[i], options.seed, options.threads(forms[i]), expected[i], out);
    if (result.status != Status::agrees) differing.push_back(std::move(result));
  });
  return differing;
}

// The machine against the evaluators on the forms of which `chosen` holds; how many these are.
size_t expect_agreement(const std::function<bool(const Form&)>& chosen) {
  std::vector<Form> forms = all_forms();
  std::erase_if(forms, [&](const Form& form) { return !form.evaluate || !chosen(form); });
  const Options options = record_options(7);
  const std::vector<Outputs> expected = evaluated(forms, options);
  for (const vm::Schedule schedule : {vm::Schedule::lockstep, vm::Schedule::shuffled})
    for (const FormResult& form : differences(forms, options, expected, schedule))
      ADD_FAILURE() << form.form << " " << name(form.status) << " in " << form.differences << " of "
                    << form.results << ": " << form.example;
  std::printf("  %zu forms\n", forms.size());
  return forms.size();
}

bool is_wgmma(const Form& form) { return starts(form.text, "wgmma."); }

TEST(FormCoverage, TheMachineAgreesWithTheEvaluators) {
  EXPECT_GE(expect_agreement([](const Form& form) { return !is_wgmma(form); }), 4800u);
}

TEST(FormCoverage, TheMachineAgreesWithTheEvaluatorsOfWgmma) { EXPECT_GE(expect_agreement(is_wgmma), 600u); }

// A gate that cannot fail is none: an evaluator that is off by one bit is noticed.
TEST(FormCoverage, AWrongExpectationIsNoticed) {
  Form form = form_of(sweep_of("setp.lt.and.s32"));
  const Options options = record_options(7);
  EXPECT_TRUE(differences({form}, options, evaluated({form}, options), vm::Schedule::lockstep).empty());
  const auto right = form.evaluate;
  form.evaluate = [right](const Thread& x, uint64_t* d) {
    right(x, d);
    if (x.index == 77) d[1] ^= 1;
  };
  const std::vector<FormResult> found =
      differences({form}, options, evaluated({form}, options), vm::Schedule::lockstep);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].differences, 1u);
  EXPECT_NE(found[0].example.find("thread 77"), std::string::npos) << found[0].example;
  EXPECT_TRUE(sweep_of("frobnicate.u32").body.empty());
}

TEST(FormCoverage, RowsWithoutAResultEndTheRun) {
  for (const std::string row : kEnding) {
    const vm::Program program = vm::Program::parse(
        ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k() {\n" + row + ";\nret;\n}\n");
    vm::Machine machine;
    try {
      machine.launch(program, "k", {}, {});
      ADD_FAILURE() << row << " did not end the run";
    } catch (const vm::Trap& trap) {
      EXPECT_EQ(trap.rule, vm::Rule::trap_instruction);
      EXPECT_EQ(trap.instruction, row);
      EXPECT_EQ(trap.ptx_line, 5);
    }
  }
}

}  // namespace
}  // namespace attest::conformance
