// The compiled kernels in payload arithmetic against softmax attention's definition, computed in one pass in
// the same algebra: equal or wrong, without any tolerance.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "jit/decode.h"
#include "jit/kernel_mutants.h"
#include "jit/vm/payload_table.h"
#include "jit/vm_executor.h"
#include "reference/random_inputs.h"

namespace attest {
namespace {

using vm::Payload;
using vm::payload_of;

constexpr int kEnough = 32;  // bits that must have been compared, else nothing was shown

// One row of the definition: sum_j 2^(c s_j) v_j / sum_j 2^(c s_j) and ln(2) log2(sum_j 2^(c s_j)) over the
// keys that the query sees, c the kernel's argument exponent_scale.
struct Row {
  std::vector<Payload> output;
  Payload lse;
};

class Definition {
 public:
  explicit Definition(const DecodeInputs& inputs)
      : inputs_(inputs),
        scale_(payload_of(static_cast<double>(static_cast<float>(inputs.scale * std::numbers::log2e)))) {
    EXPECT_EQ(inputs.mask.softcap, 0);
  }

  Row row(Index batch, Index query, int row) const {
    const HeadConfig& heads = inputs_.heads;
    const bool latent = heads.family == Family::latent;
    const SequenceCache& cache = inputs_.sequences[static_cast<std::size_t>(batch)];
    const Index tokens = cache.keys.size(0), head = heads.kv_head_of_row(row);
    const Index position = tokens - inputs_.query_tokens + query;
    Row result{std::vector<Payload>(static_cast<std::size_t>(heads.value_dim)), {}};
    Payload sum;
    for (Index token = 0; token < tokens; ++token) {
      if (!sees(position, token, cache.left_padding)) continue;
      Payload score;
      for (Index i = 0; i < heads.key_dim; ++i)
        score = score +
                payload_of(inputs_.queries(batch, query, row, i)) * payload_of(cache.keys(token, head, i));
      for (Index i = 0; i < heads.rope_dim; ++i)
        score = score + payload_of(inputs_.rope_queries(batch, query, heads.query_head_of_row(row), i)) *
                            payload_of(cache.rope_keys(token, i));
      const Payload weight = vm::exp2(score * scale_);
      sum = sum + weight;
      for (Index e = 0; e < heads.value_dim; ++e) {
        Payload& element = result.output[static_cast<std::size_t>(e)];
        element =
            element + weight * payload_of(latent ? cache.keys(token, head, e) : cache.values(token, head, e));
      }
    }
    result.lse = payload_of(std::numbers::ln2) * vm::log2(sum);
    if (!sum.zero())
      for (Payload& element : result.output) element = element / sum;
    return result;
  }

 private:
  bool sees(Index position, Index token, Index padding) const {
    const MaskSpec& mask = inputs_.mask;
    if (token < padding || (mask.causal && token > position)) return false;
    return mask.window == 0 || token > position - mask.window || token < padding + mask.sink_tokens;
  }

  const DecodeInputs& inputs_;
  Payload scale_;
};

struct Finding {
  Index different = 0, compared = 0;
  int fewest_bits = 64;
};

// Compares every element of a result; the names in it are the table's.
Finding against_definition(const DecodeInputs& inputs, const DecodeResult& got,
                           const vm::PayloadTable& table) {
  const Definition definition(inputs);
  Finding finding;
  const auto compare = [&](float have, const Payload& want) {
    const vm::Agreement found = agreement(table.f32(std::bit_cast<std::uint32_t>(have)), want);
    ++finding.compared;
    finding.different += !found.equal;
    if (found.equal) finding.fewest_bits = std::min(finding.fewest_bits, found.bits);
  };
  for (Index b = 0; b < static_cast<Index>(inputs.sequences.size()); ++b) {
    for (Index t = 0; t < inputs.query_tokens; ++t) {
      for (int r = 0; r < inputs.heads.rows(); ++r) {
        const Row want = definition.row(b, t, r);
        compare(got.lse(b, t, r), want.lse);
        for (Index e = 0; e < inputs.heads.value_dim; ++e)
          compare(got.output(b, t, r, e), want.output[static_cast<std::size_t>(e)]);
      }
    }
  }
  return finding;
}

// The range of 16-bit numbers that are names in payload arithmetic must not occur among the inputs.
void require_no_names(const DecodeInputs& inputs) {
  const Format storage = inputs.heads.storage;
  const auto check = [&](const Tensor<double>& tensor) {
    for (const double value : tensor.elements()) {
      const double size = std::fabs(value);
      if (size == 0) continue;
      ASSERT_TRUE(storage == Format::f32 ||
                  (storage == Format::f16 ? size >= 0x1p-14 && size < 512 : size >= 0x1p-24 && size < 0x1p16))
          << value << " of " << inputs.heads.name();
    }
  };
  check(inputs.queries);
  check(inputs.rope_queries);
  for (const SequenceCache& sequence : inputs.sequences) {
    check(sequence.keys);
    check(sequence.values);
    check(sequence.rope_keys);
  }
}

struct Case {
  const char* heads;
  const char* problem;
  DecodePlan plan;
  vm::Schedule schedule = vm::Schedule::lockstep;
};

DecodeInputs inputs_of(const Case& test) {
  return random_decode_inputs(parse_head_config(test.heads), parse_problem(test.problem));
}

Finding run(const Case& test, const DecodeInputs& inputs, KernelCache& cache,
            const KernelSource& source = KernelSource::embedded()) {
  vm::PayloadTable table;
  VmExecutor executor({.schedule = test.schedule,
                       .seed = 1,
                       .arithmetic = vm::Arithmetic::payload,
                       .payload = &table,
                       .observers = {}});
  return against_definition(inputs, decode(executor, cache, source, inputs, test.plan), table);
}

const Case kCases[] = {
    {"grouped-h4-g4-k16-v16-f32", "cached=64 pad=0 seed=1", {}},
    {"grouped-h4-g2-k16-v24-bf16",
     "cached=17,64,1 pad=0,3,0 seed=2",
     {.page_tokens = 16, .page_seed = 5, .splits = 2},
     vm::Schedule::shuffled},
    {"grouped-h4-g2-k16-v16-bf16",
     "cached=70,0,33 pad=3,0,20 query=2 seed=3",
     {.page_tokens = 16, .page_seed = 9, .splits = 3},
     vm::Schedule::serial},
    {"grouped-h5-g5-k8-v40-f32",
     "cached=100,100 pad=0,64 seed=5 mask=causal/window=20/sinks=4",
     {.page_tokens = 7, .page_seed = 1, .splits = 5}},
    {"grouped-h17-g1-k16-v16-bf16", "cached=40 pad=0 seed=6 data=rising", {.split_tokens = 7}},
    {"grouped-h4-g2-k16-v16-bf16", "cached=50 pad=5 query=2 seed=7 mask=full", {.splits = 2}},
    {"grouped-h2-g1-k16-v16-bf16", "cached=1500 pad=5 seed=7 data=rising", {.page_tokens = 64, .splits = 4}},
    {"latent-h4-l1-b1-c32-r16-bf16",
     "cached=64,31 pad=0,30 seed=9",
     {.page_tokens = 16, .page_seed = 2, .splits = 2}},
    {"latent-h4-l4-b2-c16-r8-bf16",
     "cached=65,0,12 pad=1,0,12 seed=11",
     {.page_tokens = 32, .page_seed = 4, .splits = 2},
     vm::Schedule::shuffled},
    {"latent-h6-l4-b4-c40-r16-f32",
     "cached=40,80 pad=0,7 seed=12 data=falling",
     {.page_tokens = 16, .splits = 3}},
    {"latent-h4-l2-b1-c24-r8-bf16",
     "cached=33 pad=0 query=2 seed=10",
     {.page_tokens = 3, .page_seed = 3, .splits = 0}},
};

// Probabilities pass through 16-bit names on their way to the tensor cores.
const Case kFastCases[] = {
    {"grouped-h4-g2-k16-v32-bf16",
     "cached=17,64,1 pad=0,3,0 seed=2",
     {.kernel = "fast", .page_tokens = 16, .page_seed = 5, .splits = 2}},
    {"grouped-h20-g1-k64-v64-bf16",
     "cached=130 pad=2 seed=4 data=rising",
     {.kernel = "fast", .page_tokens = 64}},
    {"grouped-h4-g1-k32-v32-f16", "cached=150 pad=0 seed=8", {.kernel = "fast", .splits = 2}},
    {"latent-h16-l4-b4-c64-r32-bf16",
     "cached=100,31 pad=0,30 seed=9",
     {.kernel = "fast", .page_tokens = 16, .page_seed = 2, .splits = 2}},
};

void expect_equal(std::span<const Case> cases) {
  KernelCache cache(KernelCache::default_folder());
  for (const Case& test : cases) {
    const DecodeInputs inputs = inputs_of(test);
    require_no_names(inputs);
    if (testing::Test::HasFatalFailure()) return;
    const Finding found = run(test, inputs, cache);
    EXPECT_EQ(found.different, 0) << test.heads << " " << test.problem;
    EXPECT_GE(found.fewest_bits, kEnough) << test.heads << " " << test.problem << ": inconclusive";
    std::printf("%s %s: %lld of %lld elements equal, in at least %d bits\n", test.heads,
                test.plan.kernel.c_str(), static_cast<long long>(found.compared - found.different),
                static_cast<long long>(found.compared), found.fewest_bits);
  }
}

TEST(PayloadDecode, NaiveKernelsEqualTheDefinition) { expect_equal(kCases); }
TEST(PayloadDecode, TensorCoreKernelsEqualTheDefinition) { expect_equal(kFastCases); }

// A soft-cap's tanh is a formula of the compiler's, which the definition does not know; but splits and pages
// must not change it.
TEST(PayloadDecode, SoftCappedResultsDoNotDependOnSplitsOrPages) {
  KernelCache cache(KernelCache::default_folder());
  const DecodeInputs inputs =
      random_decode_inputs(parse_head_config("grouped-h4-g2-k16-v16-bf16"),
                           parse_problem("cached=90 pad=5 seed=8 mask=causal/softcap=20"));
  vm::PayloadTable table;
  VmExecutor executor({.arithmetic = vm::Arithmetic::payload, .payload = &table, .observers = {}});
  const auto decoded = [&](const DecodePlan& plan) {
    return decode(executor, cache, KernelSource::embedded(), inputs, plan);
  };
  const DecodeResult want = decoded({.splits = 1});
  const DecodeResult got = decoded({.page_tokens = 16, .page_seed = 3, .splits = 3});
  for (Index i = 0; i < want.output.count(); ++i) {
    const vm::Agreement found = agreement(table.f32(std::bit_cast<std::uint32_t>(want.output.data()[i])),
                                          table.f32(std::bit_cast<std::uint32_t>(got.output.data()[i])));
    EXPECT_TRUE(found.equal);
    EXPECT_GE(found.bits, kEnough);
  }
}

// --- planted mistakes ---

class PayloadMutants : public testing::TestWithParam<KernelMutant> {};

// Ragged, padded and paged, with an empty sequence; a window with sinks; a rising maximum over several tiles.
// Unused places are zeros and rows unpadded, so that wrong addresses read numbers instead of trapping.
std::vector<Case> mutant_cases(Family family) {
  const char* heads =
      family == Family::grouped ? "grouped-h4-g2-k16-v16-bf16" : "latent-h4-l4-b2-c24-r8-bf16";
  return {{heads,
           "cached=70,0,33 pad=3,0,20 query=2 seed=3",
           {.page_tokens = 16,
            .page_seed = 9,
            .unused = UnusedContent::zeros,
            .value_row_padding = 0,
            .splits = 3}},
          {heads,
           "cached=70 pad=3 seed=4 mask=causal/window=20/sinks=2",
           {.page_tokens = 7,
            .page_seed = 8,
            .unused = UnusedContent::zeros,
            .value_row_padding = 0,
            .splits = 2}},
          {heads,
           "cached=100 pad=1 seed=5 data=rising",
           {.page_tokens = 16,
            .page_seed = 7,
            .unused = UnusedContent::zeros,
            .value_row_padding = 0,
            .splits = 1}}};
}

TEST_P(PayloadMutants, GiveOtherElements) {
  const KernelMutant& mutant = GetParam();
  const KernelSource source = mutant.apply(KernelSource::embedded());
  KernelCache cache({});
  for (const Family family : {Family::grouped, Family::latent}) {
    if (mutant.family && *mutant.family != family) continue;
    std::string noticed;
    for (const Case& test : mutant_cases(family)) {
      const DecodeInputs inputs = inputs_of(test);
      require_no_names(inputs);
      if (HasFatalFailure()) return;
      try {
        const Finding found = run(test, inputs, cache, source);
        if (found.different > 0)
          noticed = std::to_string(found.different) + " of " + std::to_string(found.compared) + " differ";
      } catch (const vm::Trap& trap) {
        // What was never written cannot be compared: an empty part's result, and results written to another
        // place.
        EXPECT_TRUE(mutant.name == "empty-split-guard-removed" || mutant.name == "one-latent-head")
            << trap.what();
        noticed = std::string("trap: ") + trap.what();
      }
      if (!noticed.empty()) break;
    }
    EXPECT_NE(noticed, "") << mutant.name << " in the " << name(family) << " family: " << mutant.description;
    std::printf("%s, %s: %s\n", std::string(mutant.name).c_str(), std::string(name(family)).c_str(),
                noticed.c_str());
  }
}

std::vector<KernelMutant> algebraic_mutants() {
  std::vector<KernelMutant> mutants;
  for (const KernelMutant& mutant : kernel_mutants())  // the others are races
    if (mutant.name.find("barrier") == std::string_view::npos) mutants.push_back(mutant);
  mutants.push_back({"first-latent-head-read",
                     "every branch reads the first latent head and writes its own result",
                     "decode_latent.cuh", "args.page_tokens, tile + slot, latent_head)",
                     "args.page_tokens, tile + slot, 0)", Family::latent});
  return mutants;
}

const KernelMutant kFastMutants[] = {
    {"result-rescale-dropped", "the result is not rescaled", "decode_mma.cuh",
     "result[column][index] = __fmul_rn(result[column][index], rescale[index / 2]);", ";", std::nullopt},
    {"sum-rescale-dropped", "the denominator is not rescaled", "decode_mma.cuh",
     "sum[half] = __fmul_rn(sum[half], rescale[half]);", "", std::nullopt},
    {"probabilities-swapped", "two neighbouring tokens exchange their weights", "decode_mma.cuh",
     "probability[2 * token] = Core::pack(exponents[0], exponents[1])",
     "probability[2 * token] = Core::pack(exponents[1], exponents[0])", std::nullopt},
    {"mask-of-the-neighbour", "the mask of odd tokens is that of the even one before", "decode_mma.cuh",
     "tile + first + 8 * token + lane % 4 * 2 + index % 2", "tile + first + 8 * token + lane % 4 * 2",
     std::nullopt},
    {"warp-tokens-overlap", "every warp scores the first tokens of a tile", "decode_mma.cuh",
     "const int first = token_warp * Shape::kWarpTokens;", "const int first = 0;", std::nullopt},
};

TEST(PayloadDecode, MistakesInTheTensorCoreKernelGiveOtherElements) {
  const Case test = {"grouped-h4-g2-k32-v32-bf16",
                     "cached=151 pad=0 seed=6 data=rising",
                     {.kernel = "fast", .unused = UnusedContent::zeros}};
  const DecodeInputs inputs = inputs_of(test);
  require_no_names(inputs);
  if (HasFatalFailure()) return;
  KernelCache cache({});
  for (const KernelMutant& mutant : kFastMutants) {
    const Finding found = run(test, inputs, cache, mutant.apply(KernelSource::embedded()));
    EXPECT_GT(found.different, 0) << mutant.name;
    std::printf("%s, fast: %lld of %lld differ\n", std::string(mutant.name).c_str(),
                static_cast<long long>(found.different), static_cast<long long>(found.compared));
  }
}

INSTANTIATE_TEST_SUITE_P(Edit, PayloadMutants, testing::ValuesIn(algebraic_mutants()),
                         [](const auto& mutant) {
                           std::string name;
                           for (const char c : mutant.param.name)
                             name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace attest
