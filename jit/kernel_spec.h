// What to compile: one kernel instantiation of the device code, and the numbers that the host must know of
// it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jit/kernel_source.h"
#include "reference/head_config.h"

namespace attest {

// The launch numbers of a decode kernel. The generated unit asserts that the device code derives the same.
struct BlockShape {
  int threads = 0;         // a block
  int tile_tokens = 0;     // tokens between two looks at the running maximum
  int rows_per_block = 0;  // of one KV head
  int row_tiles = 0;       // blocks that share a KV head's rows
  int shared_bytes = 0;    // dynamic shared memory
  int merge_threads = 32;  // a block of the merge, which serves one row
  int parts_per_unit = 1;  // partial results that a block writes for its unit
  // What the error bound must know of the arithmetic.
  bool tensor_core = false;
  int warp_tile_tokens = 0;  // of a tile, those that one partial result takes
};

struct KernelSpec {
  std::string name;   // readable: "decode_grouped-bf16-128-128-8"; part of the cache's file name
  std::string entry;  // C++ name expression
  std::string unit;   // the generated translation unit: includes and static_asserts only
  std::vector<std::string> options;  // without the architecture
  std::string architecture;          // "compute_90": PTX; "sm_90a": PTX and cubin
  KernelSource source;

  bool cubin() const { return architecture.starts_with("sm_"); }
  std::vector<std::string> all_options() const;
  // 32 hexadecimal digits (XXH3, 128 bits) of everything that the compiled kernel depends on.
  std::string key(std::string_view nvrtc_version) const;
};

// One row a kernel of jit/kernels.
struct KernelInfo {
  std::string_view name;  // "naive-grouped"
  std::string_view kind;  // "naive" or "fast": DecodePlan::kernel
  std::string_view file;  // "decode_grouped.cuh"
  Family family;
  std::string_view summary;
};
std::span<const KernelInfo> kernels();

// How a kernel of this kind ("naive", "fast") lays rows and tokens over blocks. Throws std::invalid_argument
// for a configuration that it does not serve, saying why: its problems, the factored family, a storage format
// or widths that the kernel does not take.
BlockShape block_shape(const HeadConfig& heads, std::string_view kind = "naive");

// The decode kernel of a head configuration, and the merge that follows it. Configurations that differ only
// in the number of KV heads share one.
KernelSpec decode_kernel(const HeadConfig& heads, const KernelSource& source, std::string architecture,
                         std::string_view kind = "naive");
KernelSpec merge_kernel(const HeadConfig& heads, const KernelSource& source, std::string architecture,
                        std::string_view kind = "naive");

}  // namespace attest
