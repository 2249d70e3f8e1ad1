// Reads a buffer once and does nothing else: what memory gives to a kernel that only reads.
#pragma once

#include "hashed_element.cuh"

namespace attest {

// Any grid; four independent loads of 16 bytes a thread are in flight.
__global__ void read_stream(const __grid_constant__ ReadArgs args) {
  const uint4* const words = static_cast<const uint4*>(args.words);
  const long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
  unsigned mixed = 0;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < args.count; i += 4 * threads) {
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (i + step * threads >= args.count) break;
      const uint4 word = words[i + step * threads];
      mixed ^= word.x ^ word.y ^ word.z ^ word.w;
    }
  }
  if (mixed == 0x51f0a3c7u) *args.sink = mixed;  // as good as never, but the compiler cannot know
}

}  // namespace attest
