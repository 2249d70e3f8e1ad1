// Buffers, arguments and launches of one large decode call.
#include "bench/device_decode.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <stdexcept>
#include <vector>

#include "bench/device_kernels.h"
#include "bench/kernels/hashed_element.cuh"
#include "bench/streaming_row.h"
#include "jit/kernel_spec.h"
#include "jit/kernels/decode_args.cuh"
#include "jit/split_plan.h"

namespace attest::bench {
namespace {

constexpr Index kBlocksPerProcessor = 4;  // at most; enough warps to hide a load's latency
constexpr Index kSharedBytesPerProcessor = 228 << 10,
                kSharedBytesReserved = 1 << 10;  // sm_90; the driver's share of each block

// Blocks that one processor holds at a time. More parts than that only add partial results to write and to
// merge.
Index blocks_per_processor(const BlockShape& block) {
  return std::clamp<Index>(kSharedBytesPerProcessor / (block.shared_bytes + kSharedBytesReserved), 1,
                           kBlocksPerProcessor);
}

Index pages_per_sequence(const DecodeShape& shape) {
  return (shape.cached_tokens + DeviceDecode::kPageTokens - 1) / DeviceDecode::kPageTokens;
}

// In the pool; a multiple of the prime that scatters them is avoided.
constexpr Index kScatter = 7919;
Index pool_pages(const DecodeShape& shape) {
  const Index pages = std::max<Index>(1, shape.batch * pages_per_sequence(shape));
  return pages % kScatter == 0 ? pages + 1 : pages;
}

Index page_slot(const DecodeShape& shape, Index sequence, Index page) {
  return (sequence * pages_per_sequence(shape) + page) * kScatter % pool_pages(shape);
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

std::uint64_t bytes(Index elements, int element_bytes) {
  return static_cast<std::uint64_t>(elements) * static_cast<std::uint64_t>(element_bytes);
}

// An axis of a cache buffer [pool pages, page tokens, heads, dim], or an empty one.
PagedArgs paged(const Buffer& buffer, Index heads, Index dim) {
  return {.base = reinterpret_cast<const void*>(buffer.address),
          .page_stride = DeviceDecode::kPageTokens * heads * dim,
          .token_stride = heads * dim,
          .head_stride = dim};
}

}  // namespace

struct DeviceDecode::State {
  State(Executor& the_executor, KernelCache& cache, const KernelSource& source, const DecodeShape& the_shape,
        std::string_view kernel)
      : executor(the_executor),
        shape(the_shape),
        heads(shape.heads),
        block(block_shape(heads, kernel)),
        plan(balanced_splits(std::vector<Index>(static_cast<std::size_t>(shape.batch), shape.cached_tokens),
                             std::max<Index>(1, executor.device().processors * blocks_per_processor(block) /
                                                    (Index{heads.kv_heads} * block.row_tiles)),
                             block.tile_tokens)),
        decode(cache.get(decode_kernel(heads, source, executor.device().architecture, kernel))),
        merge(cache.get(merge_kernel(heads, source, executor.device().architecture, kernel))),
        element(info(heads.storage).bytes),
        slots(pool_pages(shape) * kPageTokens),
        queries(make("queries", shape.batch * heads.rows() * heads.key_dim, element)),
        rope_queries(make("rope queries", shape.batch * heads.query_heads * heads.rope_dim, element)),
        keys(make("keys", slots * heads.kv_heads * heads.key_dim, element)),
        values(make("values", latent() ? 0 : slots * heads.kv_heads * heads.value_dim, element)),
        rope_keys(make("rope keys", slots * heads.rope_dim, element)),
        partial_outputs(make("partial outputs", partial_results() * heads.rows() * heads.value_dim, 4)),
        partial_lse(make("partial lse", partial_results() * heads.rows(), 4)),
        outputs(make("outputs", shape.batch * heads.rows() * heads.value_dim, 4)),
        lse(make("lse", shape.batch * heads.rows(), 4)),
        page_table(executor, "page table", bytes_of(pages()), BufferAccess::read),
        cached_tokens(executor, "cached tokens", bytes_of(constant(shape.cached_tokens)), BufferAccess::read),
        left_padding(executor, "left padding", bytes_of(constant(0)), BufferAccess::read),
        units(executor, "units", bytes_of(work_units()), BufferAccess::read),
        first_part(executor, "first part", bytes_of(first_parts()), BufferAccess::read) {
    const std::pair<const DeviceBuffer*, HashedStream> inputs[] = {{&queries, kHashedQueries},
                                                                   {&rope_queries, kHashedRopeQueries},
                                                                   {&keys, kHashedKeys},
                                                                   {&values, kHashedValues},
                                                                   {&rope_keys, kHashedRopeKeys}};
    for (const auto& [buffer, stream] : inputs) {
      if (buffer->get().bytes > 0) fill_hashed(executor, cache, buffer->get(), heads.storage, stream);
    }
    executor.finish();
  }

  Index partial_results() const { return plan.parts() * block.parts_per_unit; }
  bool latent() const { return heads.family == Family::latent; }
  DeviceBuffer make(std::string_view name, Index elements, int element_bytes) {
    return {executor, name, bytes(elements, element_bytes), BufferAccess::read_write};
  }
  std::vector<int> pages() const {
    std::vector<int> table;
    for (Index sequence = 0; sequence < shape.batch; ++sequence) {
      for (Index page = 0; page < pages_per_sequence(shape); ++page) {
        table.push_back(static_cast<int>(page_slot(shape, sequence, page)));
      }
    }
    return table;
  }
  std::vector<int> constant(Index value) const {
    return std::vector<int>(static_cast<std::size_t>(shape.batch), static_cast<int>(value));
  }
  std::vector<WorkUnit> work_units() const {
    std::vector<WorkUnit> list;
    for (const SplitUnit& unit : plan.units) {
      list.push_back({static_cast<int>(unit.sequence), static_cast<int>(unit.part),
                      static_cast<int>(unit.begin), static_cast<int>(unit.end)});
    }
    return list;
  }
  std::vector<int> first_parts() const {
    std::vector<int> parts;
    for (const Index part : plan.first_part) parts.push_back(static_cast<int>(part * block.parts_per_unit));
    return parts;
  }
  double scale() const { return static_cast<float>(1.0 / std::sqrt(heads.key_dim + heads.rope_dim)); }

  DecodeArgs decode_arguments() const {
    return {.queries = queries.as<void>(),
            .rope_queries = rope_queries.as<void>(),
            .keys = paged(keys.get(), heads.kv_heads, heads.key_dim),
            .values = paged(values.get(), heads.kv_heads, heads.value_dim),
            .rope_keys = paged(rope_keys.get(), 1, heads.rope_dim),
            .page_table = page_table.as<int>(),
            .pages_per_sequence = pages_per_sequence(shape),
            .cached_tokens = cached_tokens.as<int>(),
            .left_padding = left_padding.as<int>(),
            .units = units.as<WorkUnit>(),
            .partial_outputs = partial_outputs.as<float>(),
            .partial_lse = partial_lse.as<float>(),
            .page_tokens = static_cast<int>(kPageTokens),
            .query_tokens = 1,
            .query_heads = heads.query_heads,
            .kv_heads = heads.kv_heads,
            .cap_scale = 0.0F,
            .exponent_scale = static_cast<float>(std::numbers::log2e * scale()),
            .mask = {.window = 0, .sink_tokens = 0, .causal = 1}};
  }
  MergeArgs merge_arguments() const {
    return {.partial_outputs = partial_outputs.as<float>(),
            .partial_lse = partial_lse.as<float>(),
            .first_part = first_part.as<int>(),
            .outputs = outputs.as<float>(),
            .lse = lse.as<float>(),
            .rows = heads.rows()};
  }

  Executor& executor;
  DecodeShape shape;
  const HeadConfig& heads;
  BlockShape block;
  SplitPlan plan;
  const CompiledKernel& decode;
  const CompiledKernel& merge;
  int element;
  Index slots;  // tokens that the pool holds
  DeviceBuffer queries, rope_queries, keys, values, rope_keys, partial_outputs, partial_lse, outputs, lse;
  DeviceBuffer page_table, cached_tokens, left_padding, units, first_part;
};

DeviceDecode::DeviceDecode(Executor& executor, KernelCache& cache, const KernelSource& source,
                           const DecodeShape& shape, std::string_view kernel) {
  const DeviceInfo& device = executor.device();
  const std::uint64_t cache_bytes =
      bytes(pool_pages(shape) * kPageTokens * shape.elements_per_token(), info(shape.heads.storage).bytes);
  if (device.memory_bytes > 0 && cache_bytes > device.memory_bytes / 10 * 9) {
    throw std::invalid_argument(fmt::format(
        "{}: the cache needs {:.1f} GiB, the device has {:.1f}", shape.name(device.kind),
        static_cast<double>(cache_bytes) / 0x1p30, static_cast<double>(device.memory_bytes) / 0x1p30));
  }
  state_ = std::make_unique<State>(executor, cache, source, shape, kernel);
}

DeviceDecode::~DeviceDecode() = default;

Index DeviceDecode::slot_of_token(const DecodeShape& shape, Index sequence, Index token) {
  return page_slot(shape, sequence, token / kPageTokens) * kPageTokens + token % kPageTokens;
}

double DeviceDecode::scale() const { return state_->scale(); }
Index DeviceDecode::parts() const { return state_->plan.parts(); }

void DeviceDecode::run() {
  const State& s = *state_;
  const DecodeArgs decode = s.decode_arguments();
  const auto blocks = static_cast<std::uint32_t>(s.plan.parts() * s.heads.kv_heads * s.block.row_tiles);
  s.executor.launch(s.decode,
                    {.grid = {blocks, 1, 1},
                     .block = {static_cast<std::uint32_t>(s.block.threads), 1, 1},
                     .dynamic_shared_bytes = static_cast<std::uint32_t>(s.block.shared_bytes)},
                    std::as_bytes(std::span(&decode, 1)));
  const MergeArgs merge = s.merge_arguments();
  s.executor.launch(s.merge,
                    {.grid = {static_cast<std::uint32_t>(s.shape.batch * s.heads.rows()), 1, 1},
                     .block = {static_cast<std::uint32_t>(s.block.merge_threads), 1, 1}},
                    std::as_bytes(std::span(&merge, 1)));
}

std::string DeviceDecode::check() {
  const State& s = *state_;
  run();
  s.executor.finish();
  std::vector<float> got(static_cast<std::size_t>(s.shape.batch * s.heads.rows() * s.heads.value_dim));
  s.executor.download(s.outputs.get(), std::as_writable_bytes(std::span(got)));
  RowArithmetic arithmetic{.parts = s.plan.most_splits() * s.block.parts_per_unit,
                           .tile_tokens = s.block.tile_tokens};
  for (const SplitUnit& unit : s.plan.units) {
    arithmetic.part_tokens = std::max(arithmetic.part_tokens, unit.end - unit.begin);
  }
  if (s.block.tensor_core) {
    arithmetic.term_error = 0x1p-23;
    arithmetic.probability_error = info(s.heads.storage).unit_roundoff();
  }
  std::vector<std::pair<Index, int>> rows = {{0, 0}, {s.shape.batch - 1, s.heads.rows() - 1}};
  for (const auto& [sequence, row] : rows) {
    const StreamedRow want = stream_row(s.shape, scale(), slot_of_token, sequence, row);
    const std::vector<double> bound = row_bound(s.shape, want, arithmetic);
    for (std::size_t i = 0; i < want.output.size(); ++i) {
      const double value =
          got[static_cast<std::size_t>((sequence * s.heads.rows() + row) * s.heads.value_dim) + i];
      if (!(std::fabs(value - want.output[i]) <= bound[i])) {
        return fmt::format("{}: output[batch {}, row {}, element {}]: got {}, want {}, bound {:.1e}",
                           s.shape.name(s.executor.device().kind), sequence, row, i, value, want.output[i],
                           bound[i]);
      }
    }
  }
  return "";
}

}  // namespace attest::bench
