// Compiles and launches bench/kernels.
#include "bench/device_kernels.h"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>

#include "bench/kernels/hashed_element.cuh"

namespace attest::bench {
namespace {

const CompiledKernel& compiled(Executor& executor, KernelCache& cache, const std::string& file,
                               const std::string& entry, const std::string& name) {
  std::vector<KernelFile> files = embedded_kernel_files();
  files.insert(files.end(), benchmark_kernel_files().begin(), benchmark_kernel_files().end());
  return cache.get({.name = name,
                    .entry = entry,
                    .unit = "#include \"" + file + "\"\n",
                    .options = {"--std=c++17"},
                    .architecture = executor.device().architecture,
                    .source = KernelSource::from_files(std::move(files), "benchmark")});
}

template <class Arguments>
std::span<const std::byte> bytes_of(const Arguments& arguments) {
  return std::as_bytes(std::span(&arguments, 1));
}

LaunchShape shape(const Executor& executor) {
  return {.grid = {static_cast<std::uint32_t>(std::max(1, executor.device().processors) * 16), 1, 1},
          .block = {256, 1, 1}};
}

}  // namespace

void fill_hashed(Executor& executor, KernelCache& cache, const Buffer& buffer, Format storage,
                 std::uint64_t stream) {
  if (storage != Format::bf16 && storage != Format::f32) {
    throw std::invalid_argument("benchmark inputs are bf16 or f32, not " + std::string(name(storage)));
  }
  const int bytes = info(storage).bytes;
  const std::string width = std::to_string(bytes);
  const FillArgs arguments{reinterpret_cast<void*>(buffer.address),
                           static_cast<long long>(buffer.bytes) / bytes, stream};
  executor.launch(compiled(executor, cache, "fill_hashed.cuh", "attest::fill_hashed<" + width + ">",
                           "fill_hashed-" + width),
                  shape(executor), bytes_of(arguments));
}

double measured_read_bandwidth(Executor& executor, KernelCache& cache, std::uint64_t bytes, int rounds) {
  const DeviceBuffer words(executor, "stream", bytes / 16 * 16, BufferAccess::read_write);
  const DeviceBuffer sink(executor, "sink", 4, BufferAccess::read_write);
  fill_hashed(executor, cache, words.get(), Format::f32, 0);
  const CompiledKernel& kernel =
      compiled(executor, cache, "read_stream.cuh", "attest::read_stream", "read_stream");
  const ReadArgs arguments{words.as<void>(), static_cast<long long>(bytes / 16), sink.as<unsigned>()};
  double best = 0;
  for (int round = 0; round < rounds; ++round) {
    const double seconds = executor.elapsed_seconds(
        [&] { executor.launch(kernel, shape(executor), bytes_of(arguments)); }, /*cold=*/true);
    best = std::max(best, static_cast<double>(words.get().bytes) / seconds);
  }
  executor.finish();
  return best;
}

}  // namespace attest::bench
