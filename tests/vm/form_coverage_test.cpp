// The gate of the form table: every row is in a device's record, or has a .ptx with a result worked out by
// hand, or is swept against an evaluator of its own. A row without any of these is named, and fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "form_sweep.h"
#include "jit/conformance/conformance.h"
#include "jit/conformance/kernel_text.h"
#include "jit/conformance/record.h"
#include "jit/vm/machine.h"
#include "jit/vm/program.h"
#include "jit/vm/program_data.h"

namespace attest::vm {
namespace {

namespace fs = std::filesystem;

// Rows whose expectation stands in a test of their own: what their names begin with, and the test, which runs
// each of them.
struct Elsewhere {
  const char* rows;
  const char* test;
};
constexpr Elsewhere kElsewhere[] = {
    {"trap", "FormCoverage.RowsWithoutAResultEndTheRun"},
    {"brkpt", "FormCoverage.RowsWithoutAResultEndTheRun"},
    {"wgmma.mma_async", "Wgmma.EveryRowOfTheFormTableMultiplies"},
    {"wgmma.", "WgmmaRegisters.TheUsualOrderIsClean"},
    {"setmaxnreg", "WgmmaWarps.SetmaxnregMeetsAndChangesNothing"},
};
bool elsewhere(const std::string& form) {
  return std::any_of(std::begin(kElsewhere), std::end(kElsewhere),
                     [&](const Elsewhere& each) { return starts(form, each.rows); });
}

using Family = Sweep (*)(const std::string&);
constexpr Family kFamilies[] = {sweep_comparison,  sweep_integer,     sweep_conversion, sweep_memory,
                                sweep_address,     sweep_matrix_move, sweep_copy,       sweep_mbarrier,
                                sweep_barrier,     sweep_hint,        sweep_bulk_copy,  sweep_bulk_reduction,
                                sweep_async_store, sweep_tensor};

Sweep sweep_of(const std::string& form) {
  for (const Family family : kFamilies) {
    Sweep sweep = family(form);
    if (!sweep.body.empty()) return sweep;
  }
  return {};
}

conformance::Form form_of(const Sweep& sweep) {
  conformance::Form form;
  form.text = sweep.covers;
  for (const std::string& type : parts_of(sweep.results, ','))
    form.results.push_back(conformance::parse_value_type(type));
  for (const std::string& type : parts_of(sweep.operands, ','))
    form.operands.push_back(conformance::parse_value_type(type));
  form.body = sweep.body;
  return form;
}

// Rows that a module's instructions belong to.
void collect(const std::string& ptx, std::set<std::string>& rows) {
  static const std::vector<FormInfo> table = supported_forms();
  const Program program = Program::parse(ptx);
  for (const auto& [name, code] : program.data().code)
    for (const Instruction& instruction : code.instructions) rows.insert(table[instruction.form].text);
}

std::set<std::string> recorded() {
  std::set<std::string> rows, accepted;
  for (const auto& entry : fs::directory_iterator(fs::path(ATTEST_SOURCE_DIR) / "tests/vm/records")) {
    if (entry.path().extension() != ".record") continue;
    for (const conformance::RecordedForm& form : conformance::read_record(entry.path().string()).forms)
      if (form.accepted) accepted.insert(form.text);
  }
  for (const conformance::Form& form : conformance::all_forms())
    if (accepted.count(form.text)) collect(conformance::module_text(form, 256), rows);
  return rows;
}

std::set<std::string> by_hand() {
  std::set<std::string> rows;
  for (const auto& entry : fs::directory_iterator(fs::path(ATTEST_SOURCE_DIR) / "tests/vm/forms")) {
    std::ifstream file(entry.path());
    collect({std::istreambuf_iterator<char>(file), {}}, rows);
  }
  return rows;
}

// Runs the sweep in a schedule; empty, or the first difference.
std::string difference(const Sweep& sweep, Schedule schedule) {
  const conformance::Form form = form_of(sweep);
  const uint64_t threads = uint64_t{conformance::kBlockThreads} * sweep.blocks;
  const std::string text = conformance::module_text(form, threads);
  std::set<std::string> rows;
  collect(text, rows);
  if (!rows.count(sweep.covers)) return "the kernel does not contain the row";
  const std::vector<uint64_t> in = conformance::operands_of(form, 7, threads);
  std::vector<uint64_t> out(form.results.size() * threads);
  const uint64_t scratch_bytes = threads * conformance::kScratchBytes;
  const std::vector<std::byte> scratch(scratch_bytes + kTensorMapBytes);
  Machine machine;
  const auto buffer = [&](const char* name, std::span<const std::byte> bytes) {
    const uint64_t address = machine.memory().allocate(bytes.size(), name);
    machine.memory().write(address, bytes);
    return address;
  };
  const uint64_t params[3] = {buffer("in", std::as_bytes(std::span(in))),
                              buffer("out", std::as_bytes(std::span(out))), buffer("scratch", scratch)};
  if (sweep.map) {
    TensorMap map = *sweep.map;
    map.address = params[2];
    machine.memory().write(params[2] + scratch_bytes, map.encode());
  }
  LaunchOptions options;
  options.grid.x = options.cluster.x = sweep.blocks;
  options.block.x = conformance::kBlockThreads;
  options.schedule = schedule;
  options.seed = 3;
  machine.launch(Program::parse(text), conformance::kEntry, options, std::as_bytes(std::span(params)));
  machine.memory().read(params[1], std::as_writable_bytes(std::span(out)));
  std::vector<uint64_t> expected(form.results.size());
  for (size_t thread = 0; thread < threads; ++thread) {
    const Thread view{in, threads, thread};
    sweep.evaluate(view, expected.data());
    for (size_t i = 0; i < expected.size(); ++i) {
      const int bits = form.results[i].bits;
      const uint64_t want = low_bits(expected[i], bits), got = low_bits(out[i * threads + thread], bits);
      if (want == got) continue;
      const conformance::Element element = form.results[i].element;
      if (element == conformance::Element::f64 &&  // the payload of a double is nobody's promise
          std::isnan(conformance::element_value(element, want)) &&
          std::isnan(conformance::element_value(element, got)))
        continue;
      char line[200];
      int length = std::snprintf(line, sizeof line,
                                 "thread %zu, result %zu: expected %llx, got %llx; operands", thread, i,
                                 static_cast<unsigned long long>(want), static_cast<unsigned long long>(got));
      std::string what(line, static_cast<size_t>(length));
      for (size_t k = 0; k < form.operands.size(); ++k) {
        std::snprintf(line, sizeof line, " %llx",
                      static_cast<unsigned long long>(low_bits(view(k), form.operands[k].bits)));
        what += line;
      }
      return what;
    }
  }
  return "";
}

TEST(FormCoverage, EveryRowHasAnExpectationFromElsewhere) {
  const std::set<std::string> devices = recorded(), hand = by_hand();
  size_t in_record = 0, in_files = 0, swept = 0, apart = 0, uncovered = 0;
  const std::vector<FormInfo> table = supported_forms();
  for (const FormInfo& row : table) {
    if (devices.count(row.text)) {
      ++in_record;
    } else if (hand.count(row.text)) {
      ++in_files;
    } else if (!sweep_of(row.text).body.empty()) {
      ++swept;
    } else if (elsewhere(row.text)) {
      ++apart;
    } else {
      ++uncovered;
      ADD_FAILURE() << row.text << " has no expectation: add it to the conformance kit's record, to "
                    << "tests/vm/forms, or to a family of form_sweep.h";
    }
  }
  std::printf(
      "  %zu rows: %zu in a device's record, %zu by hand, %zu swept, %zu in tests of their own, "
      "%zu without an expectation\n",
      table.size(), in_record, in_files, swept, apart, uncovered);
}

TEST(FormCoverage, TestsOfTheirOwnExistAndHaveRows) {
  const std::vector<FormInfo> table = supported_forms();
  for (const Elsewhere& each : kElsewhere) {
    EXPECT_TRUE(std::any_of(table.begin(), table.end(),
                            [&](const FormInfo& row) { return starts(row.text, each.rows); }))
        << each.rows << " names no row";
    const std::vector<std::string> name = parts_of(each.test, '.');
    bool found = false;
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i)
      for (int k = 0; k < all.GetTestSuite(i)->total_test_count(); ++k)
        found = found || (all.GetTestSuite(i)->name() == name[0] &&
                          all.GetTestSuite(i)->GetTestInfo(k)->name() == name[1]);
    EXPECT_TRUE(found) << "there is no test " << each.test;
  }
}

TEST(FormCoverage, SweepsAgreeWithTheirEvaluators) {
  size_t swept = 0;
  for (const FormInfo& row : supported_forms()) {
    const Sweep sweep = sweep_of(row.text);
    if (sweep.body.empty()) continue;
    ++swept;
    // Comparisons and conversions know nothing of schedules.
    for (const Schedule schedule : {Schedule::lockstep, Schedule::shuffled}) {
      if (schedule == Schedule::shuffled && (starts(row.text, "set") || starts(row.text, "cvt"))) continue;
      try {
        EXPECT_EQ(difference(sweep, schedule), "") << row.text << " in `" << sweep.body << "`";
      } catch (const std::exception& error) {
        ADD_FAILURE() << row.text << " in `" << sweep.body << "`: " << error.what();
      }
    }
  }
  std::printf("  %zu rows swept\n", swept);
  EXPECT_GE(swept, 5200u);
}

// A gate that cannot fail is none: an evaluator that is off by one bit is noticed, and so is a kernel without
// the row.
TEST(FormCoverage, AWrongExpectationIsNoticed) {
  Sweep sweep = sweep_of("setp.lt.and.s32");
  ASSERT_FALSE(sweep.body.empty());
  EXPECT_EQ(difference(sweep, Schedule::lockstep), "");
  const auto right = sweep.evaluate;
  sweep.evaluate = [right](const Thread& x, uint64_t* d) {
    right(x, d);
    if (x.index == 77) d[1] ^= 1;
  };
  EXPECT_NE(difference(sweep, Schedule::lockstep).find("thread 77, result 1"), std::string::npos);
  sweep.covers = "setp.lt.or.s32";
  EXPECT_EQ(difference(sweep, Schedule::lockstep), "the kernel does not contain the row");
  EXPECT_TRUE(sweep_of("frobnicate.u32").body.empty());
}

TEST(FormCoverage, RowsWithoutAResultEndTheRun) {
  for (const std::string row : {"trap", "brkpt"}) {
    const Program program = Program::parse(
        ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k() {\n" + row + ";\nret;\n}\n");
    Machine machine;
    try {
      machine.launch(program, "k", {}, {});
      ADD_FAILURE() << row << " did not end the run";
    } catch (const Trap& trap) {
      EXPECT_EQ(trap.rule, Rule::trap_instruction);
      EXPECT_EQ(trap.instruction, row);
      EXPECT_EQ(trap.ptx_line, 5);
    }
  }
}

}  // namespace
}  // namespace attest::vm
