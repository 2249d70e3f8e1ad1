// The stored number formats (bf16, f16, f32) and the handful of instructions whose rounding the error bound
// counts.
#pragma once

namespace attest {

// Each format converts exactly to float.
struct Bf16 {
  unsigned short bits;
  __device__ float value() const { return __uint_as_float(static_cast<unsigned>(bits) << 16); }
};
struct F16 {
  unsigned short bits;
  __device__ float value() const {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(bits));
    return result;
  }
};
struct F32 {
  float number;
  __device__ float value() const { return number; }
};

constexpr float kNegativeInfinity = __builtin_bit_cast(float, 0xff800000u);
constexpr unsigned kAllLanes = 0xffffffffu;

// 2^x and log2(x), approximate: relative error 2^-22 is assumed of both; subnormals are kept. 2^0 is
// exactly 1.
__device__ inline float exp2_approx(float x) {
  float result;
  asm("ex2.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
__device__ inline float log2_approx(float x) {
  float result;
  asm("lg2.approx.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// Largest and sum over the 32 lanes of a warp; every lane gets the same bits. The sum adds in a tree of 5
// levels.
__device__ inline float warp_max(float x) {
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}
__device__ inline float warp_sum(float x) {
  for (int step = 16; step > 0; step /= 2) x = __fadd_rn(x, __shfl_xor_sync(kAllLanes, x, step));
  return x;
}

}  // namespace attest
