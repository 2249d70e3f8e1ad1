// Asynchronous copies of boxes of tensors (TMA): loads, stores, reductions, prefetches.
#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "jit/vm/arithmetic_mode.h"
#include "jit/vm/async.h"
#include "jit/vm/bulk.h"
#include "jit/vm/bulk_operands.h"
#include "jit/vm/bulk_reduction.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/tensor_map.h"

namespace attest::vm {
namespace {

constexpr const char* kCopy = "data-movement-and-conversion-instructions-cp-async-bulk-tensor";
constexpr const char* kReduce = "data-movement-and-conversion-instructions-cp-reduce-async-bulk-tensor";
constexpr uint64_t kBoxAlignment = 128;  // of a box in shared memory
constexpr uint64_t kAtom = 16;           // bytes that a swizzle moves together

[[noreturn]] void fail(const Warp& warp, const Instruction& instruction, uint32_t lane,
                       const std::string& what) {
  trap(warp, instruction, Rule::asynchronous, 1u << lane, what);
}

// The object behind the generic address of the map operand: a kernel parameter, or in global or constant
// memory. `rank` 0: any.
TensorMap map_of(const Warp& warp, const Instruction& instruction, uint32_t lane, BulkSlot slot,
                 uint32_t rank) {
  const uint64_t address = bulk_address(warp, instruction, slot, lane);
  std::array<std::byte, kTensorMapBytes> bytes;
  if (address / kWindowBytes == kParamWindow / kWindowBytes) {
    const std::span<const std::byte> params = warp.launch->params;
    const uint64_t offset = address - kParamWindow;
    if (offset > params.size() || kTensorMapBytes > params.size() - offset)
      trap(warp, instruction, Rule::out_of_bounds, 1u << lane,
           "a tensor map at parameter offset " + std::to_string(offset) + ", which end at " +
               std::to_string(params.size()));
    if (offset % kTensorMapAlignment)
      trap(warp, instruction, Rule::misaligned, 1u << lane,
           "a tensor map at parameter offset " + std::to_string(offset) + ", which is not aligned to 64");
    std::memcpy(bytes.data(), params.data() + offset, kTensorMapBytes);
  } else if (const Buffer* buffer = warp.launch->memory->find(address); buffer && buffer->constant) {
    const uint64_t offset = address - buffer->address;
    if (offset > buffer->bytes || kTensorMapBytes > buffer->bytes - offset || offset % kTensorMapAlignment)
      trap(warp, instruction, Rule::out_of_bounds, 1u << lane, "a tensor map outside its constant variable");
    std::memcpy(bytes.data(), buffer->data + offset, kTensorMapBytes);
  } else {
    const ByteRange range = check_range(warp, instruction, lane, Space::global, address, kTensorMapBytes,
                                        {.what = "tensor map", .touch = Touch::load, .alignment = 64});
    std::memcpy(bytes.data(), range.data, kTensorMapBytes);
  }
  try {
    const TensorMap map = TensorMap::decode(bytes);
    if (rank == 0 || map.rank() == rank) return map;
    fail(warp, instruction, lane,
         "a tensor map of rank " + std::to_string(map.rank()) + " for a copy of " + std::to_string(rank) +
             " dimensions");
  } catch (const std::invalid_argument& error) {
    fail(warp, instruction, lane, error.what());
  }
}

// Instruction::immediate: the rank, and 8 bits higher 1 + the reduction's place in kOperations.
constexpr const char* kOperations[] = {"add", "min", "max", "inc", "dec", "and", "or", "xor"};
uint32_t rank_of(const Instruction& instruction) {
  return static_cast<uint32_t>(instruction.immediate & 255);
}

std::vector<BoxRun> runs_of(const Warp& warp, const Instruction& instruction, uint32_t lane,
                            const TensorMap& map) {
  std::array<int32_t, kMaxTensorRank> coordinates{};
  for (uint32_t i = 0; i < map.rank(); ++i)
    coordinates[i] =
        static_cast<int32_t>(bulk_number(warp, instruction, static_cast<BulkSlot>(kCoordinates + i), lane));
  return box_runs(map, std::span(coordinates).first(map.rank()));
}

// Pieces of a run that stand together in shared memory: whole, or as a swizzle scatters them.
template <class F>
void each_piece(const BoxRun& run, const TensorMap& map, F f) {
  for (uint64_t done = 0; done < run.bytes;) {
    const uint64_t left = run.bytes - done, to_border = kAtom - (run.box_offset + done) % kAtom;
    const uint64_t bytes = map.swizzle == Swizzle::none ? left : std::min(left, to_border);
    f(done, bytes);
    done += bytes;
  }
}

// The whole box, wherever its pieces stand; `demand.initialised` is asked of each piece that is used.
ByteRange check_box(const Warp& warp, const Instruction& instruction, uint32_t lane, uint64_t address,
                    const TensorMap& map, Demand demand) {
  demand.alignment = kBoxAlignment;
  demand.initialised = false;
  return check_range(warp, instruction, lane, Space::shared, address, map.box_bytes(), demand);
}

ByteRange check_piece(const Warp& warp, const Instruction& instruction, uint32_t lane, uint64_t base,
                      uint64_t box_offset, uint64_t bytes, const TensorMap& map, Demand demand) {
  demand.alignment = 1;
  const uint64_t address = swizzled(base + box_offset, map.swizzle);
  return check_range(warp, instruction, lane, Space::shared, address, bytes, demand);
}

// cp.async.bulk.tensor.Nd.shared::cluster.global: the box arrives at one or several blocks.
void load(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    const TensorMap map = map_of(warp, instruction, lane, kFrom, rank_of(instruction));
    const uint64_t to = bulk_address(warp, instruction, kTo, lane),
                   barrier = bulk_address(warp, instruction, kBarrier, lane);
    const std::vector<BoxRun> runs = runs_of(warp, instruction, lane, map);
    const bool multicast = (instruction.variant & kMulticast) != 0;
    const Demand demand{
        .what = "destination", .touch = Touch::store, .own_block = !instruction.memory.shared_cluster};
    BulkOperation pattern;  // what all targets have in common
    pattern.fill = fill_element(map.type, map.fill);
    pattern.element_bytes = element_bytes(map.type);
    std::vector<const std::byte*> sources;
    for (const BoxRun& run : runs) {
      sources.push_back(nullptr);
      if (!run.inside) continue;
      const ByteRange source = check_range(warp, instruction, lane, Space::global, run.address, run.bytes,
                                           {.what = "source", .touch = Touch::load, .alignment = 1});
      sources.back() = source.data;
      pattern.reads.push_back(source);
    }
    for (const uint64_t tag : bulk_targets(warp, instruction, lane, to)) {
      const uint64_t base = in_block(tag, to);
      BulkOperation operation = pattern;
      const ByteRange box = check_box(warp, instruction, lane, base, map, demand);
      ends_at_barrier(warp, instruction, lane, multicast ? in_block(tag, barrier) : barrier, box.block,
                      map.box_bytes(), operation);
      for (size_t i = 0; i < runs.size(); ++i) {
        each_piece(runs[i], map, [&](uint64_t done, uint64_t bytes) {
          operation.runs.push_back(
              {check_piece(warp, instruction, lane, base, runs[i].box_offset + done, bytes, map, demand),
               sources[i] ? sources[i] + done : nullptr});
        });
      }
      start_bulk(warp, instruction, lane, std::move(operation));
    }
  });
}

// What the operation of the instruction does to elements of the map; null copies.
Combine combine_of(Warp& warp, const Instruction& instruction, uint32_t lane, const TensorMap& map) {
  const auto number = static_cast<size_t>(instruction.immediate >> 8);
  if (number == 0) return nullptr;
  const std::string name = kOperations[number - 1];
  std::string type(name_of(map.type));
  const bool bitwise = name == "and" || name == "or" || name == "xor",
             integer = type[0] == 'u' || type[0] == 's';
  // Names of forms with a type tell the mode so; here only the map knows.
  if (!integer && warp.launch->options->arithmetic == Arithmetic::payload) refuse_in_mode(warp, instruction);
  if (bitwise && integer) type[0] = 'b';
  if (name == "add" && type == "s64") type = "u64";  // the same bits
  const BulkReduction* const row = find_reduction(name, type);
  if (!row)
    fail(warp, instruction, lane, "no ." + name + " of elements of type " + std::string(name_of(map.type)));
  return row->combine;
}

// cp{.reduce}.async.bulk.tensor.Nd.global.shared::cta: what is outside the tensor is left out.
void store(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    const TensorMap map = map_of(warp, instruction, lane, kTo, rank_of(instruction));
    const uint64_t base = bulk_address(warp, instruction, kFrom, lane);
    const Demand demand{.what = "source", .touch = Touch::load, .own_block = true};
    BulkOperation operation;
    operation.combine = combine_of(warp, instruction, lane, map);
    operation.element_bytes = element_bytes(map.type);
    check_box(warp, instruction, lane, base, map, demand);
    for (const BoxRun& run : runs_of(warp, instruction, lane, map)) {
      if (!run.inside) continue;
      each_piece(run, map, [&](uint64_t done, uint64_t bytes) {
        const ByteRange source =
            check_piece(warp, instruction, lane, base, run.box_offset + done, bytes, map, demand);
        const ByteRange target =
            check_range(warp, instruction, lane, Space::global, run.address + done, bytes,
                        {.what = "destination",
                         .touch = operation.combine ? Touch::atomic : Touch::store,
                         .alignment = operation.combine ? operation.element_bytes : 1});
        operation.runs.push_back({target, source.data});
        operation.reads.push_back(source);
      });
    }
    start_bulk(warp, instruction, lane, std::move(operation));
  });
}

// cp.async.bulk.prefetch.tensor: a hint whose map and memory are checked.
void prefetch(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    const TensorMap map = map_of(warp, instruction, lane, kFrom, rank_of(instruction));
    for (const BoxRun& run : runs_of(warp, instruction, lane, map))
      if (run.inside)
        check_range(warp, instruction, lane, Space::global, run.address, run.bytes,
                    {.what = "prefetch", .touch = Touch::load, .alignment = 1, .initialised = false});
  });
}

// prefetch.tensormap: a hint whose map is checked, of whatever rank.
void prefetch_map(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) { map_of(warp, instruction, lane, kFrom, 0); });
}

// --- decoding ---

template <int64_t Rank>
void decode_load(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  BulkDecoder operands(decoder, in, out);
  out.memory.space = Space::shared;
  out.memory.shared_cluster = operands.has("shared::cluster");
  out.immediate = Rank;
  operands.address(kTo, Space::shared);
  operands.tensor(kFrom, Rank);
  operands.address(kBarrier, Space::shared);
  if (operands.has("multicast::cluster")) {
    out.variant |= kMulticast;
    operands.number(kBlocks, 'h');
  }
  operands.finish();
}

template <int64_t Rank>
void decode_store(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  BulkDecoder operands(decoder, in, out);
  out.memory.space = Space::global;
  out.immediate = Rank;
  for (size_t i = 0; in.modifiers.front() == "reduce" && i < std::size(kOperations); ++i)
    if (operands.has(kOperations[i])) out.immediate |= static_cast<int64_t>(i + 1) << 8;
  operands.tensor(kTo, Rank);
  operands.address(kFrom, Space::shared);
  operands.finish();
}

template <int64_t Rank>
void decode_prefetch(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  BulkDecoder operands(decoder, in, out);
  out.immediate = Rank;
  operands.tensor(kFrom, Rank);
  operands.finish();
}

void decode_prefetch_map(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  BulkDecoder operands(decoder, in, out);
  operands.address(kFrom, Space::generic);
  operands.finish();
}

template <int64_t Rank>
void add_rank(FormTable& table) {
  const auto add = [&](const std::string& name, Handler run, Decode decode, const char* section,
                       const char* meaning) {
    table.add(
        {.name = name, .operands = "", .run = run, .section = section, .meaning = meaning, .decode = decode});
  };
  const std::string rank = "." + std::to_string(Rank) + "d", barrier = ".mbarrier::complete_tx::bytes";
  const char* loads = "A box of a tensor arrives in shared memory; what is outside the tensor is filled.";
  const char* stores = "A box goes to a tensor; what is outside the tensor is left out.";
  for (const std::string hint : {"", ".L2::cache_hint"}) {
    for (const std::string mode : {"", ".tile"}) {
      for (const std::string multicast : {"", ".multicast::cluster"})
        add("cp.async.bulk.tensor" + rank + ".shared::cluster.global" + mode + barrier + multicast + hint,
            load, decode_load<Rank>, kCopy, loads);
      add("cp.async.bulk.tensor" + rank + ".shared::cta.global" + mode + barrier + hint, load,
          decode_load<Rank>, kCopy, loads);
      add("cp.async.bulk.tensor" + rank + ".global.shared::cta" + mode + ".bulk_group" + hint, store,
          decode_store<Rank>, kCopy, stores);
      for (const std::string operation : kOperations)
        add("cp.reduce.async.bulk.tensor" + rank + ".global.shared::cta." + operation + mode + ".bulk_group" +
                hint,
            store, decode_store<Rank>, kReduce, "Reduces a box into a tensor.");
      add("cp.async.bulk.prefetch.tensor" + rank + ".L2.global" + mode + hint, prefetch,
          decode_prefetch<Rank>, "data-movement-and-conversion-instructions-cp-async-bulk-prefetch-tensor",
          "A hint: its operands are checked.");
    }
  }
}

}  // namespace

void add_bulk_tensor_forms(FormTable& table) {
  add_rank<1>(table);
  add_rank<2>(table);
  add_rank<3>(table);
  add_rank<4>(table);
  add_rank<5>(table);
  table.add({.name = "prefetch.tensormap",
             .operands = "",
             .run = prefetch_map,
             .section = "data-movement-and-conversion-instructions-prefetch",
             .meaning = "A hint: the tensor map is checked.",
             .decode = decode_prefetch_map});
}

}  // namespace attest::vm
