// Removes every synchronising instruction of correct kernels, one at a time: each removal must be reported.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <sstream>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {
namespace {

// Lines that begin with '!' synchronise. %t = tid, %b = ctaid, %g = global buffer of 1024 zero words, %w =
// its word of this thread of the grid, %s = shared tile, %m = this thread's word of it, %n = the word of
// thread t ^ 32, %v = of t ^ 1, %bar = barriers.
struct Kernel {
  const char* name;
  uint32_t blocks, threads;
  const char* text;
  uint32_t cluster = 1;  // blocks of one
};

const Kernel kKernels[] = {
    {"wgmma pipeline", 1, 128, R"(
mov.b64 %rd1, 0x0000000800080000;
mov.b32 %r1, %t;
mov.b32 %r2, %t;
mov.b32 %r3, %t;
mov.b32 %r4, %t;
st.shared.b32 [%m], %t;
!fence.proxy.async;
!bar.sync 0;
!wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r5, %r6, %r7, %r8}, {%r1, %r2, %r3, %r4}, %rd1, 0, 1, 1, 0;
!wgmma.commit_group.sync.aligned;
!wgmma.wait_group.sync.aligned 0;
!bar.sync 0;
st.shared.b32 [%m], %r5;
!fence.proxy.async.shared::cta;
!bar.sync 0;
!wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%r5, %r6, %r7, %r8}, {%r1, %r2, %r3, %r4}, %rd1, 1, 1, 1, 0;
!wgmma.commit_group.sync.aligned;
!wgmma.wait_group.sync.aligned 0;
st.global.b32 [%w], %r5;)"},
    {"bulk copy ring with full and empty", 1, 64, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $made;
mbarrier.init.shared.b64 [%bar], 1;
mbarrier.init.shared.b64 [%bar+8], 32;
$made:
!bar.sync 0;
setp.ge.u32 %p1, %t, 32;
@%p1 bra $consume;
setp.ne.u32 %p1, %t, 0;
@%p1 bra $done;
!mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 128;
cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%g], 128, [%bar];
$empty: mbarrier.try_wait.parity.shared.b64 %p2, [%bar+8], 0;
!@!%p2 bra $empty;
!mbarrier.arrive.expect_tx.shared.b64 _, [%bar], 128;
cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%s], [%g+128], 128, [%bar];
bra $done;
$consume:
$full: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 0;
!@!%p2 bra $full;
ld.shared.b32 %r1, [%m+-128];
!mbarrier.arrive.shared.b64 _, [%bar+8];
$again: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 1;
!@!%p2 bra $again;
ld.shared.b32 %r2, [%m+-128];
$done:)"},
    {"bulk store whose source is used again", 1, 64, R"(
st.shared.b32 [%m], %t;
!fence.proxy.async.shared::cta;
!bar.sync 0;
setp.ne.u32 %p1, %t, 0;
@%p1 bra $wait;
cp.async.bulk.global.shared::cta.bulk_group [%g], [%s], 256;
!cp.async.bulk.commit_group;
!cp.async.bulk.wait_group.read 0;
$wait:
!bar.sync 0;
st.shared.b32 [%m], %b;)"},
    {"block exchange", 1, 64, R"(
st.shared.b32 [%m], %t;
!bar.sync 0;
ld.shared.b32 %r1, [%n];
st.global.b32 [%w], %r1;)"},
    {"tile used twice", 2, 64, R"(
st.shared.b32 [%m], %t;
!bar.sync 0;
ld.shared.b32 %r1, [%n];
!bar.sync 0;
add.u32 %r1, %r1, 1;
st.shared.b32 [%m], %r1;
!barrier.sync 0;
ld.shared.b32 %r2, [%n];
st.global.b32 [%w], %r2;)"},
    {"warp exchange", 1, 64, R"(
st.shared.b32 [%m], %t;
!bar.warp.sync -1;
ld.shared.b32 %r1, [%v];
!bar.warp.sync -1;
st.shared.b32 [%m], %r1;
!bar.warp.sync -1;
ld.shared.b32 %r2, [%v];
st.global.b32 [%w], %r2;)"},
    {"tree reduction", 1, 128, R"(
st.shared.b32 [%m], %t;
!bar.sync 0;
setp.ge.u32 %p1, %t, 64;
@%p1 bra $a;
ld.shared.b32 %r1, [%m+256];
ld.shared.b32 %r2, [%m];
add.u32 %r1, %r1, %r2;
st.shared.b32 [%m], %r1;
$a:
!bar.sync 0;
setp.ge.u32 %p1, %t, 32;
@%p1 bra $b;
ld.shared.b32 %r1, [%m+128];
ld.shared.b32 %r2, [%m];
add.u32 %r1, %r1, %r2;
st.shared.b32 [%m], %r1;
$b:
!bar.sync 0;
ld.shared.b32 %r3, [%s];
st.global.b32 [%w], %r3;)"},
    {"named barrier, producer and consumer", 1, 64, R"(
setp.ge.u32 %p1, %t, 32;
@%p1 bra $consume;
st.shared.b32 [%m], %t;
!bar.arrive 1, 64;
bra $done;
$consume:
!bar.sync 1, 64;
ld.shared.b32 %r1, [%n];
st.global.b32 [%w], %r1;
$done:)"},
    {"named barriers both ways", 1, 64, R"(
setp.ge.u32 %p1, %t, 32;
@%p1 bra $consume;
st.shared.b32 [%m], %t;
!bar.arrive 1, 64;
!bar.sync 2, 64;
st.shared.b32 [%m], %b;
bra $done;
$consume:
!bar.sync 1, 64;
ld.shared.b32 %r1, [%n];
!bar.arrive 2, 64;
st.global.b32 [%w], %r1;
$done:)"},
    {"last block sums, with fences", 2, 64, R"(
st.global.b32 [%w+1024], %t;
!bar.sync 0;
setp.ne.u32 %p1, %t, 0;
@%p1 bra $wait;
!fence.acq_rel.gpu;
atom.global.add.u32 %r1, [%g], 1;
!fence.acq_rel.gpu;
st.shared.b32 [%s], %r1;
$wait:
!bar.sync 0;
ld.shared.b32 %r2, [%s];
setp.ne.u32 %p2, %r2, 1;
@%p2 bra $done;
mul.wide.u32 %rd1, %t, 4;
add.u64 %rd1, %rd1, %g;
ld.global.b32 %r3, [%rd1+1024];
ld.global.b32 %r4, [%rd1+1280];
$done:)"},
    {"flag between blocks, with fences", 2, 1, R"(
setp.ne.u32 %p1, %b, 0;
@%p1 bra $read;
st.global.b32 [%g+16], 7;
!membar.gl;
st.relaxed.gpu.global.b32 [%g], 1;
bra $done;
$read:
ld.relaxed.gpu.global.b32 %r1, [%g];
setp.eq.u32 %p2, %r1, 0;
@%p2 bra $read;
!membar.gl;
ld.global.b32 %r2, [%g+16];
$done:)"},
    {"cp.async pipeline of two stages", 1, 64, R"(
cp.async.ca.shared.global [%m], [%w], 4;
!cp.async.commit_group;
cp.async.ca.shared.global [%m+1024], [%w], 4;
!cp.async.commit_group;
!cp.async.wait_group 1;
!bar.sync 0;
ld.shared.b32 %r1, [%n];
!bar.sync 0;
cp.async.ca.shared.global [%m], [%w], 4;
!cp.async.commit_group;
!cp.async.wait_group 0;
!bar.sync 0;
ld.shared.b32 %r2, [%n];
ld.shared.b32 %r3, [%n+1024];)"},
    {"cp.async.wait_all", 1, 64, R"(
cp.async.ca.shared.global [%m], [%w], 4;
!cp.async.wait_all;
!bar.sync 0;
ld.shared.b32 %r1, [%n];)"},
    {"mbarrier exchange", 1, 64, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $made;
mbarrier.init.shared.b64 [%bar], 64;
$made:
!bar.sync 0;
st.shared.b32 [%m], %t;
!mbarrier.arrive.shared.b64 _, [%bar];
$spin: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 0;
!@!%p2 bra $spin;
ld.shared.b32 %r1, [%n];)"},
    {"mbarrier ring with full and empty", 1, 64, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $made;
mbarrier.init.shared.b64 [%bar], 32;
mbarrier.init.shared.b64 [%bar+8], 32;
$made:
!bar.sync 0;
setp.ge.u32 %p1, %t, 32;
@%p1 bra $consume;
st.shared.b32 [%m], %t;
!mbarrier.arrive.shared.b64 _, [%bar];
$empty: mbarrier.try_wait.parity.shared.b64 %p2, [%bar+8], 0;
!@!%p2 bra $empty;
st.shared.b32 [%m], %b;
!mbarrier.arrive.shared.b64 _, [%bar];
bra $done;
$consume:
$full: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 0;
!@!%p2 bra $full;
ld.shared.b32 %r1, [%n];
!mbarrier.arrive.shared.b64 _, [%bar+8];
$again: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 1;
!@!%p2 bra $again;
ld.shared.b32 %r2, [%n];
$done:)"},
    {"cp.async that arrives on an mbarrier", 1, 64, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $made;
mbarrier.init.shared.b64 [%bar], 32;
$made:
!bar.sync 0;
setp.ge.u32 %p1, %t, 32;
@%p1 bra $consume;
cp.async.ca.shared.global [%m], [%w], 4;
!cp.async.mbarrier.arrive.noinc.shared.b64 [%bar];
bra $done;
$consume:
$full: mbarrier.try_wait.parity.shared.b64 %p2, [%bar], 0;
!@!%p2 bra $full;
ld.shared.b32 %r1, [%n];
$done:)"},
    {"exchange in distributed shared memory", 4, 64, R"(
xor.b32 %r1, %b, 1;
mapa.shared::cluster.u32 %r2, %m, %r1;
st.shared.b32 [%m], %t;
!barrier.cluster.arrive;
!barrier.cluster.wait;
ld.shared::cluster.b32 %r3, [%r2];
!barrier.cluster.arrive.release.aligned;
!barrier.cluster.wait.acquire.aligned;
st.global.b32 [%w], %r3;)",
     4},
    {"tile of another block, written twice", 4, 32, R"(
xor.b32 %r1, %b, 3;
mapa.shared::cluster.u32 %r2, %n, %r1;
st.shared.b32 [%m+128], %t;
st.shared.b32 [%m], %t;
!barrier.cluster.arrive;
!barrier.cluster.wait;
ld.shared::cluster.b32 %r3, [%r2];
!barrier.cluster.arrive;
!barrier.cluster.wait;
st.shared.b32 [%m+128], %r3;
!barrier.cluster.arrive;
!barrier.cluster.wait;
ld.shared::cluster.b32 %r4, [%r2];
!barrier.cluster.arrive;
!barrier.cluster.wait;)",
     4},
    {"cluster reduction", 4, 64, R"(
setp.ne.u32 %p1, %t, 0;
@%p1 bra $made;
st.shared.b32 [%s], 0;
$made:
mapa.shared::cluster.u32 %r2, %s, 0;
!barrier.cluster.arrive;
!barrier.cluster.wait;
red.shared::cluster.add.u32 [%r2], %t;
!barrier.cluster.arrive;
setp.ne.u32 %p2, %b, 0;
@%p2 bra $done;
!barrier.cluster.wait;
ld.shared.b32 %r3, [%s];
st.global.b32 [%w], %r3;
$done:)",
     4},
};

std::vector<std::string> lines_of(const Kernel& kernel) {
  std::vector<std::string> lines;
  std::istringstream text(kernel.text);
  for (std::string line; std::getline(text, line);)
    if (!line.empty()) lines.push_back(line);
  return lines;
}

Program program_of(const std::vector<std::string>& lines, size_t removed) {
  std::string text =
      ".version 8.4\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 p) {\n"
      ".reg .b32 %r<20>, %t, %b, %s, %m, %n, %v, %bar; .reg .b64 %g, %w, %rd<8>; .reg .pred %p<8>;\n"
      ".shared .align 16 .b8 tile[2048];\n.shared .align 8 .b8 barriers[64];\n"
      "ld.param.u64 %g, [p];\nmov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmov.u32 %s, tile;\nmov.u32 %bar, "
      "barriers;\n"
      "mad.lo.u32 %m, %t, 4, %s;\nxor.b32 %n, %t, 32;\nmad.lo.u32 %n, %n, 4, %s;\nxor.b32 %v, %t, 1;\n"
      "mad.lo.u32 %v, %v, 4, %s;\nmov.u32 %r0, %ntid.x;\nmad.lo.u32 %r0, %b, %r0, %t;\nmul.wide.u32 %w, %r0, "
      "4;\n"
      "add.u64 %w, %w, %g;\n";
  for (size_t i = 0; i < lines.size(); ++i)
    if (i != removed) text += (lines[i][0] == '!' ? lines[i].substr(1) : lines[i]) + "\n";
  return Program::parse(text + "ret;\n}\n");
}

// What is reported of one run; empty when nothing is.
std::string report_of(const Program& program, const Kernel& kernel, Schedule schedule, uint64_t seed) {
  Machine machine;
  const uint64_t buffer = machine.memory().allocate(4096, "data");
  machine.memory().write(buffer, std::vector<std::byte>(4096));
  const std::array<uint64_t, 1> parameters{buffer};
  LaunchOptions options;
  options.grid.x = kernel.blocks;
  options.block.x = kernel.threads;
  options.cluster.x = kernel.cluster;
  options.schedule = schedule;
  options.seed = seed;
  options.instruction_budget = 1u << 19;
  RaceObserver observer;
  Observer* const observers[] = {&observer};
  try {
    machine.launch(program, "k", options, std::as_bytes(std::span(parameters)), observers);
  } catch (const Trap& trap) {
    return trap.what();
  }
  const std::vector<Race> races = observer.races();
  return races.empty() ? "" : races[0].text();
}

constexpr size_t kNothing = ~size_t{0};

TEST(SyncMutations, TheKernelsThemselvesAreCleanInEverySchedule) {
  for (const Kernel& kernel : kKernels) {
    const Program program = program_of(lines_of(kernel), kNothing);
    EXPECT_EQ(report_of(program, kernel, Schedule::lockstep, 0), "") << kernel.name;
    EXPECT_EQ(report_of(program, kernel, Schedule::serial, 0), "") << kernel.name;
    for (uint64_t seed = 0; seed < 100; ++seed)
      EXPECT_EQ(report_of(program, kernel, Schedule::shuffled, seed), "") << kernel.name << ", seed " << seed;
  }
}

TEST(SyncMutations, EveryRemovalIsReportedInLockstep) {
  size_t removals = 0;
  for (const Kernel& kernel : kKernels) {
    const std::vector<std::string> lines = lines_of(kernel);
    for (size_t i = 0; i < lines.size(); ++i) {
      if (lines[i][0] != '!') continue;
      ++removals;
      const std::string report = report_of(program_of(lines, i), kernel, Schedule::lockstep, 0);
      EXPECT_NE(report, "") << kernel.name << " without line " << i << " `" << lines[i].substr(1) << "`";
      std::printf("  %-40s -%-55s %.120s\n", kernel.name, lines[i].c_str() + 1, report.c_str());
    }
  }
  EXPECT_GE(removals, 80u);
  EXPECT_GE(std::size(kKernels), 19u);
}

// An arrival that orders nothing is as good as none for what stood before it.
TEST(SyncMutations, ARelaxedClusterArrivalIsReported) {
  for (const Kernel& kernel : kKernels) {
    if (kernel.cluster == 1) continue;
    std::vector<std::string> lines = lines_of(kernel);
    size_t weakened = 0;
    for (std::string& line : lines) {
      if (line != "!barrier.cluster.arrive;") continue;
      line = "!barrier.cluster.arrive.relaxed;";
      ++weakened;
      break;  // the first one
    }
    ASSERT_EQ(weakened, 1u) << kernel.name;
    const std::string report = report_of(program_of(lines, kNothing), kernel, Schedule::lockstep, 0);
    EXPECT_NE(report.find("race"), std::string::npos) << kernel.name << ": " << report;
  }
}

}  // namespace
}  // namespace attest::vm
