// Elements that anybody can compute from their place: the device fills gigabytes with them, the host checks any row of the result
// without a copy. Included by device code and by the host program.
#pragma once

#ifdef __CUDACC_RTC__
#define ATTEST_BOTH __device__ inline
#else
#define ATTEST_BOTH inline
#endif

namespace attest {

// Which buffer of a call; its elements are independent of the others'.
enum HashedStream : unsigned long long {
  kHashedKeys = 1,
  kHashedValues = 2,
  kHashedRopeKeys = 3,
  kHashedQueries = 4,
  kHashedRopeQueries = 5
};

// Uniform over the 256 multiples of 1/128 in [-1, 1), which bf16, f16 and f32 hold exactly. SplitMix64's finaliser (Steele, Lea, Flood
// 2014) of stream and index.
ATTEST_BOTH float hashed_element(unsigned long long stream, unsigned long long index) {
  unsigned long long x = (stream << 56) + index + 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  x ^= x >> 31;
  return static_cast<float>(static_cast<int>(x >> 56) - 128) * 0.0078125f;
}

struct FillArgs {
  void* elements;  // [count] of the kernel's element type
  long long count;
  unsigned long long stream;
};

struct ReadArgs {
  const void* words;  // [count] of 16 bytes
  long long count;
  unsigned* sink;  // never written: keeps the loads alive
};

}  // namespace attest
