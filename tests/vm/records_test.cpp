// Holds the virtual machine to every device record in tests/vm/records: the bits that a GPU gave for each
// form.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "jit/conformance/executor_target.h"
#include "jit/conformance/record.h"
#include "jit/vm_executor.h"

namespace attest::conformance {
namespace {

namespace fs = std::filesystem;

const fs::path kRecords = fs::path(ATTEST_SOURCE_DIR) / "tests/vm/records";

std::vector<fs::path> record_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(kRecords)) {
    if (entry.path().extension() == ".record") files.push_back(entry.path());
  }
  return files;
}

// Forms whose difference from a device is known, one a line with the reason: "form: reason". It may only
// shrink: a form that agrees must not stand here.
std::set<std::string> known_differences() {
  std::ifstream file(kRecords / "known_differences.txt");
  std::set<std::string> forms;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') forms.insert(line.substr(0, line.find(": ")));
  }
  return forms;
}

TEST(Records, TheVirtualMachineGivesTheDevicesBits) {
  const std::vector<fs::path> files = record_files();
  ASSERT_FALSE(files.empty());
  const std::set<std::string> known = known_differences();
  for (const fs::path& path : files) {
    VmExecutor machine;
    ExecutorTarget target(machine);
    const Report report = replay(read_record(path.string()), target);
    EXPECT_GT(report.count(Status::agrees), 1000u) << path;
    std::set<std::string> differing;
    for (const FormResult& form : report.forms) {
      if (form.status == Status::agrees || form.status == Status::rejected) continue;
      differing.insert(form.form);
      EXPECT_TRUE(known.count(form.form))
          << path.filename() << ": " << form.form << " " << name(form.status) << " in " << form.differences
          << " of " << form.results << ": " << form.example;
    }
    for (const std::string& form : known) {
      EXPECT_TRUE(differing.count(form)) << form << " agrees now: take it out of known_differences.txt";
    }
  }
}

// What the other forms rest on: where an evaluator's form is in a record, the device gave the same.
TEST(Records, TheEvaluatorsGiveTheDevicesBits) {
  for (const fs::path& path : record_files()) {
    Evaluators evaluators;
    const Report report = replay(read_record(path.string()), evaluators);
    for (const FormResult& form : report.forms)
      EXPECT_TRUE(form.status == Status::agrees || form.status == Status::refused)
          << path.filename() << ": " << form.form << ": " << form.example;
    std::printf("  %s: %llu forms\n", path.filename().c_str(),
                static_cast<unsigned long long>(report.count(Status::agrees)));
    EXPECT_GE(report.count(Status::agrees), 900u);
  }
}

// A form that the machine refuses is listed; none may trap or give up at run time.
TEST(Records, EveryConformanceFormIsTakenByTheVirtualMachine) {
  VmExecutor machine;
  ExecutorTarget target(machine);
  const Options options = record_options();
  const std::vector<Form> forms = all_forms();
  std::size_t taken = 0;
  run_forms(target, forms, options, [&](std::size_t i, Outputs outputs) {
    EXPECT_TRUE(!outputs.loaded || outputs.error.empty()) << forms[i].text << ": " << outputs.error;
    taken += outputs.loaded;
    if (!outputs.loaded) std::printf("cannot check %s\n", forms[i].text.c_str());
  });
  EXPECT_GE(taken, 1830u);
}

// Forms of one record have different numbers of threads: patterns, fragments, a cluster's.
TEST(Records, EachFormIsReplayedWithItsOwnNumberOfThreads) {
  VmExecutor machine;
  ExecutorTarget target(machine);
  Options options = record_options();
  for (const char* filter :
       {"wgmma.mma_async.sync.aligned.m64n64k8.f32.tf32.tf32/random", "barrier.cluster.wait.acquire",
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32",
        "cp.async.bulk.tensor.1d.global.shared::cta.bulk_group", "add.u32"}) {
    options.filter = filter;
    const Record record = make_record(target, options, "", "");
    ASSERT_GE(record.forms.size(), 1u) << filter;
    const Report report = replay(record, target);
    EXPECT_EQ(report.count(Status::agrees), record.forms.size()) << filter << ": " << report.forms[0].example;
  }
}

}  // namespace
}  // namespace attest::conformance
