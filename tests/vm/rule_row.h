// A rule that kernels are held to, as a kernel that breaks it and its repaired twin.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/program.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {

// Lines that begin with '-' are only in the broken kernel, with '+' only in the repaired one; '>' (also
// behind '-') marks the line that the report must name (one of them, where a loop has several).
// %t = tid, %b = ctaid, %d = 4096 bytes of zeros, %w = its word of this thread of the grid, %c = 256
// read-only bytes, %s = shared tile of 512 bytes, %desc = wgmma descriptor of rows that all lie in its first
// 128, %m = this thread's word of it, %n = the word of thread t ^ 32, %bar = mbarriers.
struct Row {
  const char* rule;
  const char* name;
  Rule report;  // Rule::race: by the race observer
  uint32_t blocks, threads;
  bool cluster;  // the blocks are one
  const char* text;
};

struct Kernel {
  std::string ptx;
  std::set<int> marked;  // lines
};

inline Kernel kernel_of(const Row& row, bool broken) {
  Kernel kernel;
  kernel.ptx =
      ".version 8.4\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 data, .param .u64 "
      "fixed) "
      "{\n"
      ".reg .b32 %r<10>, %t, %b, %s, %m, %n, %bar; .reg .b64 %d, %w, %c, %rd<6>; .reg .pred %p<5>; .reg .f32 "
      "%f<4>; .reg .b64 %desc;\n"
      ".shared .align 16 .b8 tile[512];\n.shared .align 8 .b8 barriers[64];\n"
      "ld.param.u64 %d, [data]; ld.param.u64 %c, [fixed]; mov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x;\n"
      "mov.u32 %s, tile; cvt.u64.u32 %desc, %s; shr.u64 %desc, %desc, 4; mov.u32 %bar, barriers; mad.lo.u32 "
      "%m, %t, 4, %s; xor.b32 %n, %t, 32; mad.lo.u32 "
      "%n, "
      "%n, 4, %s;\n"
      "mov.u32 %r0, %ntid.x; mad.lo.u32 %r0, %b, %r0, %t; mul.wide.u32 %w, %r0, 4; add.u64 %w, %w, %d;\n";
  int line = 1 + static_cast<int>(std::count(kernel.ptx.begin(), kernel.ptx.end(), '\n'));
  std::istringstream text(row.text);
  for (std::string each; std::getline(text, each);) {
    if (each.empty() || each[0] == (broken ? '+' : '-')) continue;
    if (each[0] == '+' || each[0] == '-') each.erase(0, 1);
    if (each[0] == '>') {
      each.erase(0, 1);
      kernel.marked.insert(line);
    }
    kernel.ptx += each + "\n";
    ++line;
  }
  kernel.ptx += "ret;\n}\n";
  return kernel;
}

struct Report {
  bool reported = false;
  Rule rule = Rule::other;
  std::set<int> lines;
  std::string text;
};

inline Report report_of(const Row& row, const Kernel& kernel, Schedule schedule, uint64_t seed) {
  Machine machine;
  const uint64_t data = machine.memory().allocate(4096, "data");
  const uint64_t fixed = machine.memory().allocate(256, "fixed", Access::read);
  machine.memory().write(data, std::vector<std::byte>(4096));
  machine.memory().write(fixed, std::vector<std::byte>(256));
  const uint64_t params[2] = {data, fixed};
  LaunchOptions options;
  options.grid.x = row.blocks;
  options.cluster.x = row.cluster ? row.blocks : 1;
  options.block.x = row.threads;
  options.schedule = schedule;
  options.seed = seed;
  options.instruction_budget = 1u << 24;
  RaceObserver races;
  Observer* const observers[] = {&races};
  try {
    machine.launch(Program::parse(kernel.ptx), "k", options, std::as_bytes(std::span(params)), observers);
  } catch (const Trap& trap) {
    return {true, trap.rule, {trap.ptx_line}, trap.what()};
  }
  const std::vector<Race> found = races.races();
  if (found.empty()) return {};
  return {true, Rule::race, {found[0].earlier.line, found[0].later.line}, found[0].text()};
}

// The broken kernel: reported by its rule at its line in lockstep and serial order, and in `seeds` shuffled
// ones.
inline void expect_reported(const Row& row, uint64_t seeds = 0) {
  const Kernel kernel = kernel_of(row, true);
  ASSERT_FALSE(kernel.marked.empty()) << row.name;
  const auto check = [&](Schedule schedule, uint64_t seed) {
    const Report report = report_of(row, kernel, schedule, seed);
    EXPECT_TRUE(report.reported) << row.rule << ", " << row.name << ": not reported";
    if (!report.reported) return;
    EXPECT_EQ(rule_name(report.rule), std::string(rule_name(row.report))) << row.name << ": " << report.text;
    if (row.rule == std::string("R6")) {  // and no other race
      EXPECT_NE(report.text.find("fence.proxy.async"), std::string::npos) << report.text;
    }
    const bool named = std::any_of(report.lines.begin(), report.lines.end(),
                                   [&](int line) { return kernel.marked.count(line) > 0; });
    EXPECT_TRUE(named) << row.name << ": line " << *kernel.marked.begin() << " is wrong, but the report is "
                       << report.text;
    if (schedule == Schedule::lockstep)
      std::printf("  %-4s %-52s %.140s\n", row.rule, row.name, report.text.c_str());
  };
  check(Schedule::lockstep, 0);
  check(Schedule::serial, 0);
  for (uint64_t seed = 0; seed < seeds; ++seed) check(Schedule::shuffled, seed);
}

// The repaired kernel: clean in every schedule.
inline void expect_clean(const Row& row) {
  const Kernel kernel = kernel_of(row, false);
  for (const Schedule schedule : {Schedule::lockstep, Schedule::serial})
    EXPECT_EQ(report_of(row, kernel, schedule, 0).text, "") << row.name;
  for (uint64_t seed = 0; seed < 30; ++seed)
    EXPECT_EQ(report_of(row, kernel, Schedule::shuffled, seed).text, "") << row.name << ", seed " << seed;
}

}  // namespace attest::vm
