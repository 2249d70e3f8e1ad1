// What each fuzz target does with its input; shared by the libFuzzer programs and by the test that replays
// the seeds.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace attest::golden {

// Each reads the input as a file of its kind and looks at everything in it. Errors of the input are expected
// and swallowed; a crash, a sanitizer's finding or any other exception is a bug.
void fuzz_safetensors(std::span<const std::byte> input);
void fuzz_torch_file(std::span<const std::byte> input);  // zip and pickle
void fuzz_pickle(
    std::span<const std::byte> input);  // data.pkl alone, which mutations inside a zip rarely reach
void fuzz_json(std::span<const std::byte> input);  // config.json
// A problem line, and the names of head configurations, rotary embeddings and masks: what is read must print
// and read back the same.
void fuzz_problem(std::span<const std::byte> input);

struct FuzzTarget {
  std::string_view name;  // its seeds lie in golden/fuzz/seeds/NAME
  void (*run)(std::span<const std::byte> input);
};
std::span<const FuzzTarget> fuzz_targets();

}  // namespace attest::golden
