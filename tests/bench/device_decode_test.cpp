// Large decode calls as the GPU benchmarks make them, here small and on the virtual machine.
#include "bench/device_decode.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "bench/device_kernels.h"
#include "bench/kernels/hashed_element.cuh"
#include "jit/vm_executor.h"

namespace attest::bench {
namespace {

TEST(DeviceDecode, ScattersPagesWithoutLosingOne) {
  const DecodeShape shape{parse_head_config("grouped-h2-g1-k16-v16-bf16"), 1000, 5};
  std::set<Index> slots;
  for (Index b = 0; b < shape.batch; ++b) {
    for (Index t = 0; t < shape.cached_tokens; ++t) slots.insert(DeviceDecode::slot_of_token(shape, b, t));
  }
  EXPECT_EQ(slots.size(), 5000U);
  EXPECT_NE(DeviceDecode::slot_of_token(shape, 0, 64), 64) << "pages lie in order";
}

TEST(DeviceDecode, HoldsOnTheVirtualMachine) {
  VmExecutor executor;
  KernelCache cache(KernelCache::default_folder());
  for (const char* config :
       {"grouped-h8-g1-k64-v64-bf16", "latent-h16-l1-b1-c64-r32-bf16", "latent-h4-l4-b4-c32-r16-f32"}) {
    DeviceDecode call(executor, cache, KernelSource::embedded(), {parse_head_config(config), 300, 2});
    EXPECT_EQ(call.check(), "") << config;
  }
}

TEST(DeviceDecode, FastKernelsHoldOnTheVirtualMachine) {
  VmExecutor executor;
  KernelCache cache(KernelCache::default_folder());
  for (const char* config : {"grouped-h8-g1-k64-v64-bf16", "latent-h16-l1-b1-c128-r64-bf16"}) {
    DeviceDecode call(executor, cache, KernelSource::embedded(), {parse_head_config(config), 300, 2}, "fast");
    EXPECT_EQ(call.check(), "") << config;
  }
}

TEST(DeviceDecode, NoticesAKernelThatIsWrong) {
  VmExecutor executor;
  KernelCache cache("");
  const KernelSource wrong = KernelSource::embedded().with_edit(
      "merge_splits.cuh", "__fdiv_rn(result[slot], sum)", "__fdiv_rn(result[slot], 1.001f * sum)");
  DeviceDecode call(executor, cache, wrong, {parse_head_config("grouped-h8-g1-k64-v64-bf16"), 300, 1});
  EXPECT_NE(call.check().find("output[batch 0, row 0, element"), std::string::npos) << call.check();
}

TEST(DeviceKernels, FillOnTheDeviceWhatTheHostComputes) {
  VmExecutor executor;
  KernelCache cache(KernelCache::default_folder());
  const DeviceBuffer wide(executor, "wide", 4 * 1000, BufferAccess::read_write);
  const DeviceBuffer narrow(executor, "narrow", 2 * 1000, BufferAccess::read_write);
  fill_hashed(executor, cache, wide.get(), Format::f32, kHashedValues);
  fill_hashed(executor, cache, narrow.get(), Format::bf16, kHashedValues);
  std::vector<float> floats(1000);
  std::vector<std::uint16_t> halves(1000);
  executor.download(wide.get(), std::as_writable_bytes(std::span(floats)));
  executor.download(narrow.get(), std::as_writable_bytes(std::span(halves)));
  for (std::size_t i = 0; i < floats.size(); ++i) {
    EXPECT_EQ(floats[i], hashed_element(kHashedValues, i));
    EXPECT_EQ(decode(Format::bf16, halves[i]), hashed_element(kHashedValues, i));
  }
}

TEST(DeviceKernels, RefuseAFormatThatTheyCannotFill) {
  VmExecutor executor;
  KernelCache cache("");
  const DeviceBuffer buffer(executor, "b", 16, BufferAccess::read_write);
  EXPECT_THROW(fill_hashed(executor, cache, buffer.get(), Format::f16, 1), std::invalid_argument);
}

TEST(DeviceKernels, MeasureSomeReadBandwidth) {
  VmExecutor executor;
  KernelCache cache(KernelCache::default_folder());
  EXPECT_GT(measured_read_bandwidth(executor, cache, 1 << 20, 1), 0.0);
}

}  // namespace
}  // namespace attest::bench
