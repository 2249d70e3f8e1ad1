// Ordinary CUDA kernels with what each must compute, worked out on the host by other code.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace attest::corpus {

using Words = std::vector<std::uint32_t>;

// A kernel `extern "C" __global__ void NAME(const unsigned* in, unsigned* out, int n)`: n random words in,
// words out (zeroed before).
struct Kernel {
  std::string_view name;
  std::string_view shows;  // what of the language or the machine it uses
  std::string_view
      source;  // header-free CUDA C++; compiled with --fmad=false, so only written fused operations are fused
  Words (*expected)(std::span<const std::uint32_t> in);  // its size is the number of words out
  std::uint32_t blocks = 2;
  std::uint32_t threads = 64;
  std::uint32_t dynamic_shared_bytes = 0;
  int architecture = 80;   // the oldest that has what it uses
  std::uint32_t ulps = 0;  // > 0: words are floats that may differ by so many units in the last place
  bool any_order = false;  // words are compared as a multiset
};

constexpr int kWordsIn = 128;

// One table a file, by what they exercise.
std::span<const Kernel> integer_kernels();
std::span<const Kernel> float_kernels();
std::span<const Kernel> memory_kernels();
std::span<const Kernel> warp_kernels();
std::span<const Kernel> block_kernels();

// Shorthands of the tables.
inline Words each(std::span<const std::uint32_t> in, std::uint32_t (*f)(std::uint32_t)) {
  Words out;
  for (std::uint32_t word : in) out.push_back(f(word));
  return out;
}
// The partner of element i in two-operand kernels: in[(i * 7 + 3) mod n].
inline std::uint32_t partner(std::span<const std::uint32_t> in, std::size_t i) {
  return in[(i * 7 + 3) % in.size()];
}
inline Words pairs(std::span<const std::uint32_t> in, std::uint32_t (*f)(std::uint32_t, std::uint32_t)) {
  Words out;
  for (std::size_t i = 0; i < in.size(); ++i) out.push_back(f(in[i], partner(in, i)));
  return out;
}
inline float as_float(std::uint32_t word) { return std::bit_cast<float>(word); }
inline std::uint32_t as_word(float number) { return std::bit_cast<std::uint32_t>(number); }

}  // namespace attest::corpus
