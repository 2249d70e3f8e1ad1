// Fills a buffer with hashed elements.
#pragma once

#include "element.cuh"
#include "hashed_element.cuh"

namespace attest {

// Any grid; element i of the buffer becomes hashed_element(stream, i). kBytes: 2 (bf16: the upper half of a float) or 4 (f32).
template <int kBytes>
__global__ void fill_hashed(const __grid_constant__ FillArgs args) {
  const long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < args.count; i += threads) {
    const unsigned bits = __float_as_uint(hashed_element(args.stream, i));
    if (kBytes == 2) {
      static_cast<unsigned short*>(args.elements)[i] = static_cast<unsigned short>(bits >> 16);
    } else {
      static_cast<unsigned*>(args.elements)[i] = bits;
    }
  }
}

}  // namespace attest
