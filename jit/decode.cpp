// Launches the decode and merge kernels over a laid-out call.
#include "jit/decode.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "jit/kernel_spec.h"
#include "jit/kernels/decode_args.cuh"
#include "jit/paged_layout.h"

namespace attest {
namespace {

std::vector<Index> lengths_of(const DecodeInputs& inputs) {
  std::vector<Index> lengths;
  for (const SequenceCache& sequence : inputs.sequences) lengths.push_back(sequence.keys.size(0));
  return lengths;
}

SplitPlan cut(const DecodeInputs& inputs, const DecodePlan& plan, const BlockShape& shape, int processors) {
  const std::vector<Index> lengths = lengths_of(inputs);
  if (plan.split_tokens < 0 || plan.splits < 0)
    throw std::invalid_argument("decode plan: a negative number of splits");
  if (plan.split_tokens > 0) return fixed_splits(lengths, plan.split_tokens);
  if (plan.splits > 0) return even_splits(lengths, plan.splits);
  const Index blocks_a_unit = Index{inputs.heads.kv_heads} * shape.row_tiles * inputs.query_tokens;
  return balanced_splits(lengths, std::max<Index>(1, 2 * processors / std::max<Index>(1, blocks_a_unit)),
                         shape.tile_tokens);
}

// A count that the kernels hold in an int.
int narrow(Index value, const char* what) {
  if (value < 0 || value > std::numeric_limits<int>::max()) {
    throw std::invalid_argument(std::string("decode: ") + what + " is " + std::to_string(value) +
                                ", beyond 31 bits");
  }
  return static_cast<int>(value);
}

std::vector<WorkUnit> pack(const SplitPlan& splits) {
  std::vector<WorkUnit> units;
  for (const SplitUnit& unit : splits.units) {
    units.push_back({static_cast<int>(unit.sequence), static_cast<int>(unit.part),
                     static_cast<int>(unit.begin), static_cast<int>(unit.end)});
  }
  return units;
}

// First partial results, of which a unit has `per_unit`.
std::vector<int> pack(std::span<const Index> first_part, Index per_unit) {
  std::vector<int> parts;
  for (const Index part : first_part) parts.push_back(narrow(part * per_unit, "partial results"));
  return parts;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

// What the kernels do to numbers. Naive: f32 fused multiply-adds in one chain a score and one an output
// element of a part, per-lane sums of probabilities that a tree of 5 levels adds up. Fast: tensor-core steps
// of 16, probabilities rounded to the storage format for the product with values but not for their sum, which
// a lane adds up over its share of every tile (two of every eight tokens) before 2 levels of a tree. Both
// look at the maximum once a tile.
ArithmeticPlan declare(const HeadConfig& heads, const BlockShape& shape, const SplitPlan& splits) {
  Index longest = 0;
  for (const SplitUnit& unit : splits.units) longest = std::max(longest, unit.end - unit.begin);
  const Index tiles = (longest + shape.tile_tokens - 1) / shape.tile_tokens;
  ArithmeticPlan plan;
  plan.splits = std::max<Index>(1, splits.most_splits()) * shape.parts_per_unit;
  plan.tile_tokens = shape.tile_tokens;
  plan.contiguous_splits = shape.parts_per_unit == 1;
  plan.tanh_error =
      0x1p-22;  // tanhf: 2 units in the last place (CUDA C++ Programming Guide, mathematical functions)
  if (shape.tensor_core) {
    plan.dot = ArithmeticPlan::Dot::tensor_core;
    plan.probability = heads.storage;
    plan.sum_chain = tiles * (shape.warp_tile_tokens / 4) + 2;
  } else {
    plan.dot = ArithmeticPlan::Dot::scalar_f32;
    plan.sum_chain = tiles + 5;
    if (plan.splits > 1) plan.value_chain = longest;
  }
  return plan;
}

}  // namespace

struct DecodeSession::State {
  State(Executor& the_executor, KernelCache& cache, const KernelSource& source, const DecodeInputs& inputs,
        const DecodePlan& plan)
      : executor(the_executor),
        heads(inputs.heads),
        shape(block_shape(inputs.heads, plan.kernel)),
        batch(static_cast<Index>(inputs.sequences.size())),
        query_tokens(inputs.query_tokens),
        splits(cut(inputs, plan, shape, executor.device().processors)),
        decode_kernel(
            cache.get(attest::decode_kernel(heads, source, executor.device().architecture, plan.kernel))),
        merge_kernel(
            cache.get(attest::merge_kernel(heads, source, executor.device().architecture, plan.kernel))) {}

  Index rows() const { return query_tokens * heads.rows(); }

  Executor& executor;
  HeadConfig heads;
  BlockShape shape;
  Index batch;
  Index query_tokens;
  SplitPlan splits;
  const CompiledKernel& decode_kernel;
  const CompiledKernel& merge_kernel;
  std::vector<DeviceBuffer> buffers;
  std::vector<Buffer> cache_buffers;
  DecodeArgs decode_args{};
  MergeArgs merge_args{};
  LaunchShape decode_shape, merge_shape;
  Buffer outputs, lse;
  std::uint64_t least_cache_bytes = 0;
};

DecodeSession::DecodeSession(Executor& executor, KernelCache& cache, const KernelSource& source,
                             const DecodeInputs& inputs, const DecodePlan& plan) {
  block_shape(inputs.heads, plan.kernel);  // refuses before anything is encoded
  if (plan.kernel == "fast" && plan.value_row_padding % 8 != 0) {
    throw std::invalid_argument("decode plan: the fast kernel copies 16 bytes at a time; a row padding of " +
                                std::to_string(plan.value_row_padding) + " elements is not a multiple of 8");
  }
  const PagedLayout layout = lay_out(inputs, plan);
  state_ = std::make_unique<State>(executor, cache, source, inputs, plan);
  State& s = *state_;

  const auto upload = [&](const char* name, std::span<const std::byte> content) {
    s.buffers.emplace_back(executor, name, content, BufferAccess::read);
    return reinterpret_cast<const void*>(s.buffers.back().get().address);
  };
  const auto upload_pool = [&](const char* name, const PagedPool& pool) {
    PagedArgs args = pool.strides;
    args.base = upload(name, pool.bytes);
    s.cache_buffers.push_back(s.buffers.back().get());
    return args;
  };
  const auto reserve = [&](const char* name, Index floats, BufferAccess access) {
    const std::vector<Index> shape = {floats, sizeof(float)};
    s.buffers.emplace_back(executor, name, static_cast<std::uint64_t>(element_count(shape)), access);
    return s.buffers.back().get();
  };

  DecodeArgs& args = s.decode_args;
  const bool grouped = s.heads.family == Family::grouped;
  args.queries = upload("queries", layout.queries);
  args.keys = upload_pool(grouped ? "keys" : "latents", layout.keys);
  if (grouped) {
    args.values = upload_pool("values", layout.values);
  } else {
    args.rope_queries = upload("rope queries", layout.rope_queries);
    args.rope_keys = upload_pool("rope keys", layout.rope_keys);
  }
  args.page_table = static_cast<const int*>(upload("page table", bytes_of(layout.page_table)));
  args.pages_per_sequence = layout.pages_per_sequence;
  args.cached_tokens = static_cast<const int*>(upload("cached tokens", bytes_of(layout.cached_tokens)));
  args.left_padding = static_cast<const int*>(upload("left padding", bytes_of(layout.left_padding)));
  args.units = static_cast<const WorkUnit*>(upload("work units", bytes_of(pack(s.splits))));
  const Index partial_rows = s.splits.parts() * s.shape.parts_per_unit * s.rows();
  args.partial_outputs = reinterpret_cast<float*>(
      reserve("partial outputs", partial_rows * s.heads.value_dim, BufferAccess::read_write).address);
  args.partial_lse =
      reinterpret_cast<float*>(reserve("partial lse", partial_rows, BufferAccess::read_write).address);
  args.page_tokens = narrow(layout.page_tokens, "tokens a page");
  args.query_tokens = narrow(inputs.query_tokens, "query tokens");
  args.query_heads = s.heads.query_heads;
  args.kv_heads = s.heads.kv_heads;
  const double softcap = inputs.mask.softcap;
  args.cap_scale = softcap > 0 ? static_cast<float>(inputs.scale / softcap) : 0.0f;
  args.exponent_scale = static_cast<float>((softcap > 0 ? softcap : inputs.scale) * std::numbers::log2e);
  args.mask = {inputs.mask.window, inputs.mask.sink_tokens, inputs.mask.causal ? 1 : 0};

  MergeArgs& merge = s.merge_args;
  merge.partial_outputs = args.partial_outputs;
  merge.partial_lse = args.partial_lse;
  merge.first_part = static_cast<const int*>(
      upload("first parts", bytes_of(pack(s.splits.first_part, s.shape.parts_per_unit))));
  s.outputs = reserve("outputs", s.batch * s.rows() * s.heads.value_dim, BufferAccess::write);
  s.lse = reserve("lse", s.batch * s.rows(), BufferAccess::write);
  merge.outputs = reinterpret_cast<float*>(s.outputs.address);
  merge.lse = reinterpret_cast<float*>(s.lse.address);
  merge.rows = narrow(s.rows(), "rows of a sequence");

  s.decode_shape.grid[0] = static_cast<std::uint32_t>(narrow(
      s.splits.parts() * inputs.query_tokens * s.heads.kv_heads * s.shape.row_tiles, "blocks to decode"));
  s.decode_shape.block[0] = static_cast<std::uint32_t>(s.shape.threads);
  s.decode_shape.dynamic_shared_bytes = static_cast<std::uint32_t>(s.shape.shared_bytes);
  s.merge_shape.grid[0] = static_cast<std::uint32_t>(narrow(s.batch * s.rows(), "blocks to merge"));
  s.merge_shape.block[0] = static_cast<std::uint32_t>(s.shape.merge_threads);

  // A token that any query token sees is read; masks only take away in front (window) and never all of the
  // sinks.
  const Index token_bytes =
      Index{info(s.heads.storage).bytes} *
      (Index{s.heads.kv_heads} * (s.heads.key_dim + (grouped ? s.heads.value_dim : 0)) + s.heads.rope_dim);
  for (const SequenceCache& sequence : inputs.sequences) {
    const Index tokens = sequence.keys.size(0);
    Index seen = std::max<Index>(0, tokens - sequence.left_padding);
    if (inputs.mask.window > 0) {
      const Index in_window = inputs.mask.window + inputs.query_tokens - 1 + inputs.mask.sink_tokens;
      seen = std::min(seen, in_window);
    }
    s.least_cache_bytes += static_cast<std::uint64_t>(seen * token_bytes);
  }
}

DecodeSession::~DecodeSession() = default;

void DecodeSession::run() {
  State& s = *state_;
  if (s.merge_shape.grid[0] == 0) return;  // no sequence: nothing to compute
  s.executor.launch(s.decode_kernel, s.decode_shape, std::as_bytes(std::span(&s.decode_args, 1)));
  s.executor.launch(s.merge_kernel, s.merge_shape, std::as_bytes(std::span(&s.merge_args, 1)));
}

DecodeResult DecodeSession::result() {
  State& s = *state_;
  s.executor.finish();
  DecodeResult result;
  result.output = Tensor<float>({s.batch, s.query_tokens, s.heads.rows(), s.heads.value_dim});
  result.lse = Tensor<float>({s.batch, s.query_tokens, s.heads.rows()});
  s.executor.download(s.outputs, std::as_writable_bytes(result.output.elements()));
  s.executor.download(s.lse, std::as_writable_bytes(result.lse.elements()));
  result.arithmetic = declare(s.heads, s.shape, s.splits);
  result.splits = result.arithmetic.splits;
  if (s.executor.counts()) {
    for (const Buffer& buffer : s.cache_buffers) {
      const LoadedBytes loaded = s.executor.loaded_bytes(buffer);
      result.cache_bytes.total += loaded.total;
      result.cache_bytes.distinct += loaded.distinct;
    }
  }
  return result;
}

std::uint64_t DecodeSession::least_cache_bytes() const { return state_->least_cache_bytes; }
const SplitPlan& DecodeSession::splits() const { return state_->splits; }

DecodeResult decode(Executor& executor, KernelCache& cache, const KernelSource& source,
                    const DecodeInputs& inputs, const DecodePlan& plan) {
  DecodeSession session(executor, cache, source, inputs, plan);
  session.run();
  return session.result();
}

}  // namespace attest
