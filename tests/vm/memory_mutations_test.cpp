// Spoils every memory access of correct kernels, one at a time: each spoilt kernel must be reported, by the
// rule that was broken.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/parse_error.h"
#include "jit/vm/program.h"

namespace attest::vm {
namespace {

// %w and %v: this thread's element of `in` and of `out`, %m: of the shared tile (64-bit, offset 0 for thread
// 0), %g: the generic address of it, %o: of the same place in the other block of the cluster. Lines that
// begin with !N access N bytes a thread, and all threads together the whole of what they access.
struct Kernel {
  const char* name;
  uint32_t threads, blocks;  // blocks form one cluster
  uint32_t bytes;            // of an element of `in`, `out` and the tile
  bool out_is_read;
  uint32_t tile_bytes;
  const char* text;
};

const Kernel kKernels[] = {
    {"naive copy", 64, 1, 4, false, 0, R"(
!4 ld.global.u32 %r1, [%w];
!4 st.global.u32 [%v], %r1;)"},
    {"vectors of two", 64, 1, 8, false, 0, R"(
!8 ld.global.v2.u32 {%r1, %r2}, [%w];
!8 st.global.v2.u32 [%v], {%r1, %r2};)"},
    {"vectors of four", 64, 1, 16, false, 0, R"(
!16 ld.global.nc.v4.f32 {%f1, %f2, %f3, %f4}, [%w];
!16 st.global.v4.f32 [%v], {%f1, %f2, %f3, %f4};)"},
    {"halves", 64, 1, 2, false, 0, R"(
!2 ld.global.u16 %h1, [%w];
!2 st.global.u16 [%v], %h1;)"},
    {"shared tile", 64, 1, 8, false, 512, R"(
!8 ld.global.u64 %rd1, [%w];
!8 st.shared.u64 [%m], %rd1;
bar.sync 0;
!8 ld.shared.v2.u32 {%r1, %r2}, [%m];
!8 st.global.v2.u32 [%v], {%r1, %r2};)"},
    {"local array", 64, 1, 16, false, 0, R"(
.local .align 16 .b8 room[16];
mov.u64 %rd1, room;
!16 ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%w];
!16 st.local.v4.u32 [%rd1], {%r1, %r2, %r3, %r4};
!16 ld.local.v2.u64 {%rd2, %rd3}, [%rd1];
!16 st.global.v2.u64 [%v], {%rd2, %rd3};)"},
    {"atomics", 64, 1, 4, true, 256, R"(
!4 ld.global.u32 %r1, [%w];
!4 st.shared.u32 [%m], %r1;
bar.sync 0;
!4 atom.shared.add.u32 %r2, [%m], 1;
!4 atom.global.max.u32 %r3, [%v], %r2;
!4 red.global.add.u32 [%v], %r3;)"},
    {"matrix rows", 32, 1, 16, false, 512, R"(
!16 ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%w];
!16 st.shared.v4.u32 [%m], {%r1, %r2, %r3, %r4};
bar.warp.sync -1;
!16 ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%m];
bar.warp.sync -1;
!16 stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%m], {%r1, %r2, %r3, %r4};
bar.warp.sync -1;
!16 ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%m];
!16 st.global.v4.u32 [%v], {%r1, %r2, %r3, %r4};)"},
    {"cp.async", 64, 1, 16, false, 1024, R"(
!16 cp.async.cg.shared.global [%m], [%w], 16;
cp.async.commit_group;
cp.async.wait_group 0;
bar.sync 0;
!16 ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%m];
!16 st.global.v4.u32 [%v], {%r1, %r2, %r3, %r4};)"},
    {"distributed shared memory", 64, 2, 4, false, 256, R"(
!4 ld.global.u32 %r1, [%w];
!4 st.shared.u32 [%m], %r1;
barrier.cluster.arrive;
barrier.cluster.wait;
!4 ld.shared::cluster.u32 %r2, [%o];
!4 atom.shared::cluster.add.u32 %r3, [%o], %r2;
barrier.cluster.arrive;
barrier.cluster.wait;
!4 ld.shared.u32 %r4, [%m];
!4 st.global.u32 [%v], %r4;)"},
    {"generic addresses", 64, 1, 8, false, 512, R"(
!8 ld.v2.u32 {%r1, %r2}, [%w];
!8 st.v2.u32 [%g], {%r1, %r2};
bar.sync 0;
!8 ld.u64 %rd1, [%g];
!8 st.u64 [%v], %rd1;)"},
};

// A line of a kernel; `bytes` is 0 for what accesses no memory.
struct Line {
  uint32_t bytes = 0;
  std::string text;
};
std::vector<Line> lines_of(const Kernel& kernel) {
  std::vector<Line> lines;
  std::istringstream text(kernel.text);
  for (std::string line; std::getline(text, line);) {
    if (line.empty()) continue;
    Line each{0, line};
    if (line[0] == '!') {
      const size_t space = line.find(' ');
      each = {static_cast<uint32_t>(std::stoul(line.substr(1, space - 1))), line.substr(space + 1)};
    }
    lines.push_back(each);
  }
  return lines;
}

// What surrounds a kernel: where the buffers begin, how long they are, what may be done with them.
struct Place {
  int64_t shift = 0;     // of the pointer that the kernel gets
  uint64_t missing = 0;  // bytes at the end
  bool written = true, freed = false;
  Access access = Access::read_write;
};
struct World {
  Place in, out;
  uint64_t tile_missing = 0;
};

struct Report {
  bool reported = false;
  Rule rule = Rule::other;
  std::string text;
};

Report run(const Kernel& kernel, const std::vector<Line>& lines, const World& world, Schedule schedule,
           uint64_t seed) {
  const uint32_t bytes = kernel.bytes, total = bytes * kernel.threads * kernel.blocks;
  std::string ptx =
      ".version 8.4\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 in, .param .u64 out) {\n"
      ".reg .b16 %h<4>; .reg .b32 %r<10>, %t, %b, %n; .reg .b64 %rd<10>, %w, %v, %m, %g, %o; .reg .f32 "
      "%f<6>;\n";
  if (kernel.tile_bytes)
    ptx += ".shared .align 16 .b8 tile[" + std::to_string(kernel.tile_bytes - world.tile_missing) + "];\n";
  ptx +=
      "ld.param.u64 %w, [in]; ld.param.u64 %v, [out]; mov.u32 %t, %tid.x; mov.u32 %b, %ctaid.x; mad.lo.u32 "
      "%n, %b, " +
      std::to_string(kernel.threads) + ", %t; mul.lo.u32 %n, %n, " + std::to_string(bytes) +
      "; cvt.u64.u32 %rd0, %n; add.u64 %w, %w, %rd0; add.u64 %v, %v, %rd0; mul.lo.u32 %n, %t, " +
      std::to_string(bytes) +
      "; cvt.u64.u32 %m, %n;\n"
      "cvta.shared.u64 %g, %m; xor.b32 %r0, %b, 1; ";
  if (kernel.blocks > 1) ptx += "mapa.shared::cluster.u64 %o, %m, %r0;";
  ptx += "\n";
  for (const Line& line : lines) ptx += line.text + "\n";
  const Program program = Program::parse(ptx + "ret;\n}\n");
  Machine machine;
  Memory& memory = machine.memory();
  const auto allocate = [&](const char* name, const Place& place, bool fill) {
    const uint64_t address = memory.allocate(total - place.missing, name);
    std::vector<std::byte> data(total - place.missing);
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i % 251);
    if (place.written && fill) memory.write(address, data);
    memory.protect(address, place.access);
    if (place.freed) memory.free(address);
    return address;
  };
  const uint64_t in = allocate("in", world.in, true), out = allocate("out", world.out, kernel.out_is_read);
  const uint64_t params[2] = {in + static_cast<uint64_t>(world.in.shift),
                              out + static_cast<uint64_t>(world.out.shift)};
  LaunchOptions options;
  options.grid.x = options.cluster.x = kernel.blocks;
  options.block.x = kernel.threads;
  options.schedule = schedule;
  options.seed = seed;
  try {
    machine.launch(program, "k", options, std::as_bytes(std::span(params)));
  } catch (const Trap& trap) {
    return {true, trap.rule, trap.what()};
  }
  if (!memory.initialised(out, total - world.out.missing))
    return {true, Rule::uninitialised, "the host finds bytes of `out` that were never written"};
  return {};
}

// A spoilt kernel or world, and the rules one of which must report it.
struct Mutant {
  std::string kind, what;
  std::vector<Line> lines;
  World world;
  std::vector<Rule> rules;
};

std::string with_offset(const std::string& line, size_t bracket, int64_t offset) {
  const size_t end = line.find(']', bracket);
  return line.substr(0, end) + "+" + std::to_string(offset) + line.substr(end);
}

void spoil_line(const std::vector<Line>& lines, size_t i, std::vector<Mutant>& mutants) {
  const Line& line = lines[i];
  const auto add = [&](const std::string& kind, const std::string& text, std::vector<Rule> rules) {
    Mutant mutant{kind, text, lines, {}, std::move(rules)};
    mutant.lines[i].text = text;
    mutants.push_back(mutant);
  };
  for (size_t at = line.text.find('['); at != std::string::npos; at = line.text.find('[', at + 1)) {
    add("one element on", with_offset(line.text, at, line.bytes), {Rule::out_of_bounds});
    add("one element back", with_offset(line.text, at, -int64_t{line.bytes}), {Rule::out_of_bounds});
    // Aligned to half of what it should be; inside the buffer, but for a local array of one element.
    std::vector<Rule> rules = {Rule::misaligned};
    if (line.text.find(".local") != std::string::npos) rules.push_back(Rule::out_of_bounds);
    add("misaligned",
        "setp.eq.u32 %odd, %t, 1; selp.b64 %rd9, " + std::to_string(line.bytes / 2) +
            ", 0, %odd; add.u64 %rd9, " + line.text.substr(at + 1, line.text.find(']', at) - at - 1) +
            ", %rd9; " + line.text.substr(0, at + 1) + "%rd9" + line.text.substr(line.text.find(']', at)),
        rules);
    mutants.back().lines.insert(mutants.back().lines.begin(), {0, ".reg .pred %odd;"});
  }
  const std::string spaces[] = {".shared::cluster", ".shared", ".global", ".local"};
  if (line.text.find("cp.async") == 0) {
    add("wrong space", "cp.async.cg.shared.global [%w], [%m], 16;", {Rule::out_of_bounds, Rule::wrong_space});
  } else if (line.text.find("matrix") != std::string::npos) {
    std::string generic = line.text;
    generic.erase(generic.find(".shared"), 7);
    add("wrong space", generic, {Rule::out_of_bounds, Rule::wrong_space});
  } else {
    for (const std::string& space : spaces) {
      const size_t at = line.text.find(space);
      if (at == std::string::npos) continue;
      for (const std::string other : {".global", ".shared", ".local"}) {
        const bool atomic = line.text.find("atom") == 0 || line.text.find("red") == 0;
        if (other == space || (atomic && other == ".local")) continue;
        if (other != ".global" && line.text.find(".nc") != std::string::npos) continue;
        std::string text = line.text;
        add("wrong space", text.replace(at, space.size(), other), {Rule::out_of_bounds, Rule::wrong_space});
      }
      break;
    }
  }
  const bool stores = line.text.find("st.") == 0 || line.text.find("cp.async") == 0;
  if (stores) add("not written", "", {Rule::uninitialised});
}

std::vector<Mutant> mutants_of(const Kernel& kernel) {
  const std::vector<Line> lines = lines_of(kernel);
  std::vector<Mutant> mutants;
  for (size_t i = 0; i < lines.size(); ++i)
    if (lines[i].bytes) spoil_line(lines, i, mutants);
  const auto world = [&](const std::string& kind, Rule rule, const std::function<void(World&)>& change) {
    Mutant mutant{kind, "", lines, {}, {rule}};
    change(mutant.world);
    mutants.push_back(mutant);
  };
  const int64_t bytes = kernel.bytes;
  for (Place World::*place : {&World::in, &World::out}) {
    world("buffer one byte short", Rule::out_of_bounds, [&](World& w) { (w.*place).missing = 1; });
    world("buffer one element late", Rule::out_of_bounds, [&](World& w) { (w.*place).shift = bytes; });
    world("buffer one element early", Rule::out_of_bounds, [&](World& w) { (w.*place).shift = -bytes; });
    world("buffer freed", Rule::use_after_free, [&](World& w) { (w.*place).freed = true; });
  }
  world("never written", Rule::uninitialised, [&](World& w) { w.in.written = false; });
  if (kernel.out_is_read)
    world("never written", Rule::uninitialised, [&](World& w) { w.out.written = false; });
  world("write-only", Rule::permission, [&](World& w) { w.in.access = Access::write; });
  world("read-only", Rule::permission, [&](World& w) { w.out.access = Access::read; });
  if (kernel.tile_bytes)
    world("tile one byte short", Rule::out_of_bounds, [&](World& w) { w.tile_missing = 1; });
  return mutants;
}

constexpr std::array<std::pair<Schedule, uint64_t>, 5> kOrders = {{{Schedule::lockstep, 0},
                                                                   {Schedule::serial, 0},
                                                                   {Schedule::shuffled, 1},
                                                                   {Schedule::shuffled, 2},
                                                                   {Schedule::shuffled, 3}}};

TEST(MemoryMutations, TheKernelsThemselvesAreCleanInEverySchedule) {
  for (const Kernel& kernel : kKernels) {
    for (const auto& [schedule, seed] : kOrders) {
      const Report report = run(kernel, lines_of(kernel), {}, schedule, seed);
      EXPECT_FALSE(report.reported) << kernel.name << ": " << report.text;
    }
    for (uint64_t seed = 10; seed < 60; ++seed) {
      const Report report = run(kernel, lines_of(kernel), {}, Schedule::shuffled, seed);
      EXPECT_FALSE(report.reported) << kernel.name << ", seed " << seed << ": " << report.text;
    }
  }
}

TEST(MemoryMutations, EverySpoiltAccessIsReportedInEverySchedule) {
  struct Tally {
    size_t mutants = 0, reported = 0;
  };
  std::map<std::string, Tally> by_kind;
  size_t total = 0;
  for (const Kernel& kernel : kKernels) {
    Tally tally;
    for (const Mutant& mutant : mutants_of(kernel)) {
      bool reported = true;
      for (const auto& [schedule, seed] : kOrders) {
        const std::string what = std::string(kernel.name) + ", " + mutant.kind + " `" + mutant.what + "`";
        Report report;
        try {
          report = run(kernel, mutant.lines, mutant.world, schedule, seed);
        } catch (const ParseError& error) {
          ADD_FAILURE() << what << " is no PTX: " << error.what();
          continue;
        }
        bool right = false;
        for (const Rule rule : mutant.rules) right = right || report.rule == rule;
        reported = reported && report.reported && right;
        EXPECT_TRUE(report.reported) << what << " is not reported";
        EXPECT_TRUE(right || !report.reported) << what << " is reported as " << report.text;
      }
      ++tally.mutants;
      tally.reported += reported;
      ++by_kind[mutant.kind].mutants;
      by_kind[mutant.kind].reported += reported;
    }
    std::printf("  %-30s %3zu of %3zu spoilt accesses reported\n", kernel.name, tally.reported,
                tally.mutants);
    total += tally.mutants;
  }
  for (const auto& [kind, tally] : by_kind)
    std::printf("  %-30s %3zu of %3zu\n", kind.c_str(), tally.reported, tally.mutants);
  EXPECT_GE(total, 300u);
}

}  // namespace
}  // namespace attest::vm
