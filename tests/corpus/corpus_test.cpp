// Every kernel of the corpus, compiled for several architectures, gives the host's words under every
// schedule.
#include "corpus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string>

#include "jit/nvrtc.h"
#include "jit/vm/machine.h"
#include "jit/vm/program.h"
#include "reference/random.h"

namespace attest::corpus {
namespace {

std::vector<Kernel> all_kernels() {
  std::vector<Kernel> all;
  for (const auto table :
       {integer_kernels(), float_kernels(), memory_kernels(), warp_kernels(), block_kernels()}) {
    all.insert(all.end(), table.begin(), table.end());
  }
  return all;
}

// Random words, every eighth of them a limit or a small number.
Words words_in() {
  constexpr std::uint32_t kSpecial[] = {0, 1, 0xffffffff, 0x80000000, 0x7fffffff, 0x3f800000, 0x7fc00000, 2};
  Words words;
  for (std::uint32_t i = 0; i < kWordsIn; ++i) {
    words.push_back(i % 8 == 7 ? kSpecial[i / 8 % 8]
                               : static_cast<std::uint32_t>(random_bits(20261123, 1, i)));
  }
  return words;
}

std::string compile(const Kernel& kernel, const std::string& architecture) {
  static const std::shared_ptr<const Nvrtc> nvrtc = Nvrtc::open();
  NvrtcInput input;
  input.name = std::string(kernel.name) + ".cu";
  input.source = kernel.source;
  input.options = {"--gpu-architecture=" + architecture, "--fmad=false"};
  input.entry = kernel.name;
  const NvrtcOutput output = nvrtc->compile(input);
  EXPECT_TRUE(output.compiled) << output.log;
  return output.ptx;
}

Words run(const vm::Program& program, const Kernel& kernel, const Words& in, std::size_t words_out,
          const vm::LaunchOptions& how) {
  vm::Machine machine;
  const std::uint64_t from = machine.memory().allocate(in.size() * 4, "in", vm::Access::read);
  const std::uint64_t to = machine.memory().allocate(words_out * 4, "out");
  machine.memory().write(from, std::as_bytes(std::span(in)));
  Words out(words_out);
  machine.memory().write(to, std::as_bytes(std::span(out)));
  struct {
    std::uint64_t in, out;
    int n, padding;
  } const parameters{from, to, static_cast<int>(in.size()), 0};
  vm::LaunchOptions options = how;
  options.grid = {kernel.blocks, 1, 1};
  options.block = {kernel.threads, 1, 1};
  options.dynamic_shared_bytes = kernel.dynamic_shared_bytes;
  options.instruction_budget = 1u << 28;
  const auto bytes =
      std::as_bytes(std::span(&parameters, 1)).first(program.entry(kernel.name).parameter_bytes);
  machine.launch(program, kernel.name, options, bytes);
  machine.memory().read(to, std::as_writable_bytes(std::span(out)));
  return out;
}

// Distance in units in the last place between two finite floats of the same sign; NaN is far from everything.
std::uint32_t ulps_between(std::uint32_t a, std::uint32_t b) {
  if (a == b) return 0;
  const float x = as_float(a), y = as_float(b);
  if (!(x == x) || !(y == y)) return 0xffffffffu;
  if (x == y) return 0;  // the two zeros
  if ((a ^ b) >> 31 != 0) return 0xffffffffu;
  return a > b ? a - b : b - a;
}

void expect_same(const Kernel& kernel, Words got, Words want, const std::string& how) {
  if (kernel.any_order) {
    std::ranges::sort(got);
    std::ranges::sort(want);
  }
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_TRUE(!(ulps_between(got[i], want[i]) > kernel.ulps))
        << kernel.name << " " << how << ": word " << i << " is " << std::hex << got[i] << ", want "
        << want[i];
  }
}

class Corpus : public testing::TestWithParam<Kernel> {};

TEST_P(Corpus, GivesTheHostsWordsOnEveryArchitectureAndSchedule) {
  const Kernel& kernel = GetParam();
  const Words in = words_in();
  const Words want = kernel.expected(in);
  for (const int architecture : {80, 90, 100}) {
    if (architecture < kernel.architecture) continue;
    const vm::Program program =
        vm::Program::parse(compile(kernel, "compute_" + std::to_string(architecture)));
    const Words lockstep = run(program, kernel, in, want.size(), {});
    expect_same(kernel, lockstep, want, "on compute_" + std::to_string(architecture));
    if (architecture != 90) continue;
    const auto same_bits = [&](vm::Schedule schedule, std::uint64_t seed, int host_threads) {
      vm::LaunchOptions how;
      how.schedule = schedule;
      how.seed = seed;
      how.host_threads = host_threads;
      const std::string name =
          "schedule " + std::to_string(static_cast<int>(schedule)) + " seed " + std::to_string(seed);
      const Words words = run(program, kernel, in, want.size(), how);
      expect_same(kernel, words, want, name);
      EXPECT_TRUE(kernel.any_order || words == lockstep) << kernel.name << " " << name << " gives other bits";
    };
    same_bits(vm::Schedule::serial, 0, 1);
    for (std::uint64_t seed = 0; seed < 5; ++seed) same_bits(vm::Schedule::shuffled, seed, 1);
    same_bits(vm::Schedule::lockstep, 0, 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Corpus, testing::ValuesIn(all_kernels()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(CorpusTable, HasAtLeastFortyKernelsOfDifferentNames) {
  std::set<std::string_view> names;
  for (const Kernel& kernel : all_kernels()) names.insert(kernel.name);
  EXPECT_EQ(names.size(), all_kernels().size());
  EXPECT_GE(names.size(), 40u);
}

}  // namespace
}  // namespace attest::corpus
