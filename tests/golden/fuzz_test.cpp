// Replays the fuzzers' seeds and thousands of mutations of them, and measures what the readers allocate.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "allocation_peak.h"
#include "file_builders.h"
#include "golden/fuzz/targets.h"

namespace attest::golden {
namespace {

constexpr size_t kAllowance = 64u << 20;

std::vector<std::string> seeds_of(std::string_view target) {
  std::vector<std::string> names;
  const std::string folder = std::string(ATTEST_SOURCE_DIR) + "/golden/fuzz/seeds/" + std::string(target);
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());  // so that a fixed seed means the same inputs everywhere
  std::vector<std::string> seeds;
  for (const std::string& name : names) seeds.push_back(read_file(name));
  return seeds;
}

std::string mutated(std::string bytes, const std::vector<std::string>& seeds, std::mt19937_64& random) {
  constexpr std::array<uint64_t, 8> kNumbers{
      0, 1, 0x7F, 0xFF, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ~uint64_t{0}};
  for (uint64_t edits = 1 + random() % 4; edits-- > 0;) {
    if (bytes.empty()) bytes = "x";
    const size_t at = random() % bytes.size();
    switch (random() % 7) {
      case 0:  // one bit
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
        break;
      case 1:  // one byte
        bytes[at] = static_cast<char>(random());
        break;
      case 2:  // a number at the edge of its range, in place
        bytes.replace(at, std::min<size_t>(size_t{1} << random() % 4, bytes.size() - at),
                      raw(kNumbers[random() % 8]).substr(0, size_t{1} << random() % 4));
        break;
      case 3:  // cut
        bytes.erase(at, 1 + random() % 16);
        break;
      case 4:  // repeat a piece of itself
        bytes.insert(at, bytes.substr(random() % bytes.size(), 1 + random() % 32));
        break;
      case 5: {  // splice with another seed
        const std::string& other = seeds[random() % seeds.size()];
        bytes = bytes.substr(0, at) + (other.empty() ? "" : other.substr(random() % other.size()));
        break;
      }
      default:  // truncate
        bytes.resize(at);
    }
  }
  return bytes;
}

void run(const FuzzTarget& target, const std::string& input) {
  reset_allocation_peak();
  target.run(std::as_bytes(std::span(input)));
  ASSERT_LE(allocation_peak(),
            2 * input.size() + kAllowance);  // the in-memory file is the second copy of the input
}

class Fuzz : public ::testing::TestWithParam<FuzzTarget> {};

TEST_P(Fuzz, SurvivesSeedsAndTheirMutations) {
  const std::vector<std::string> seeds = seeds_of(GetParam().name);
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) run(GetParam(), seed);
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round)
    run(GetParam(), mutated(seeds[random() % seeds.size()], seeds, random));
}

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, ::testing::ValuesIn(fuzz_targets().begin(), fuzz_targets().end()),
                         [](const auto& target) { return std::string(target.param.name); });

// Megabytes of the cheapest structure of each format: what one byte of input may cost is bounded.
TEST(ReaderMemory, IsCappedForInputsThatAreAllStructure) {
  std::string entries, list = "[0";
  for (int i = 0; i < 600000; ++i) {
    entries += (i == 0 ? "{\"" : ",\"") + std::to_string(i) +
               R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
    list += ",0";
  }
  const std::vector<std::pair<void (*)(std::span<const std::byte>), std::string>> inputs{
      {fuzz_safetensors, safetensors_bytes(entries + "}", "")},
      {fuzz_safetensors,
       safetensors_bytes(R"({"a":{"dtype":"F32","data_offsets":[0,0],"shape":)" + list + "]}}", "")},
      {fuzz_json, std::string(30'000'000, '[')},
      {fuzz_json, "\"" + std::string(50'000'000, 'x') + "\""},
      {fuzz_json, list + "]"},
      {fuzz_pickle, pickle::proto() + std::string(30'000'000, ']')},
      {fuzz_pickle, pickle::proto() + std::string(30'000'000, '(')},
      {fuzz_pickle, pickle::proto() + "(" + std::string(30'000'000, 'N') + "t."},
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    reset_allocation_peak();
    inputs[i].first(std::as_bytes(std::span(inputs[i].second)));
    EXPECT_LE(allocation_peak(), inputs[i].second.size() + kAllowance) << "input " << i;
  }
}

TEST(ReaderMemory, IsCountedWhenNoSanitizerIsInTheWay) {
  reset_allocation_peak();
  { std::vector<char> block(1 << 20); }
  EXPECT_EQ(allocation_peak() >= 1 << 20, allocation_is_counted());
}

}  // namespace
}  // namespace attest::golden
