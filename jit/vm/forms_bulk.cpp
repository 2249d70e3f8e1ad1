// Asynchronous bulk copies of bytes, reductions, and their groups; st.async, which completes like them.
#include <cstring>
#include <string>

#include "jit/vm/async.h"
#include "jit/vm/bulk.h"
#include "jit/vm/bulk_operands.h"
#include "jit/vm/bulk_reduction.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"

namespace attest::vm {
namespace {

constexpr const char* kCopy = "data-movement-and-conversion-instructions-cp-async-bulk";
constexpr const char* kReduce = "data-movement-and-conversion-instructions-cp-reduce-async-bulk";
constexpr Space kNoBarrier = Space::reg;

uint64_t size_of(const Warp& warp, const Instruction& instruction, uint32_t lane) {
  const uint32_t bytes = bulk_number(warp, instruction, kSize, lane);
  if (bytes % 16)
    trap(warp, instruction, Rule::misaligned, 1u << lane,
         "a size of " + std::to_string(bytes) + " bytes, which is no multiple of 16");
  return bytes;
}

// Instruction::immediate: 1 + the index of the reduction, 0 = a copy; for st.async 8 bits higher the
// elements.
constexpr int64_t kReductionBits = 255;
void reduces(const Instruction& instruction, BulkOperation& operation) {
  const int64_t number = instruction.immediate & kReductionBits;
  if (number == 0) return;
  const BulkReduction& row = bulk_reductions()[static_cast<size_t>(number - 1)];
  operation.combine = row.combine;
  operation.element_bytes = row.bytes;
}

// To shared memory: from global memory, or from this block's shared memory to another block's.
template <Space From>
void to_shared(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    const uint64_t bytes = size_of(warp, instruction, lane);
    const uint64_t to = bulk_address(warp, instruction, kTo, lane),
                   from = bulk_address(warp, instruction, kFrom, lane),
                   barrier = bulk_address(warp, instruction, kBarrier, lane);
    const ByteRange source =
        check_range(warp, instruction, lane, From, from, bytes,
                    {.what = "source", .touch = Touch::load, .own_block = From == Space::shared});
    const Touch touch = instruction.immediate ? Touch::atomic : Touch::store;
    for (const uint64_t tag : bulk_targets(warp, instruction, lane, to)) {
      const bool own = !instruction.memory.shared_cluster;
      BulkOperation operation;
      reduces(instruction, operation);
      const bool multicast = (instruction.variant & kMulticast) != 0;
      const ByteRange target = check_range(warp, instruction, lane, Space::shared, in_block(tag, to), bytes,
                                           {.what = "destination", .touch = touch, .own_block = own});
      ends_at_barrier(warp, instruction, lane, multicast ? in_block(tag, barrier) : barrier, target.block,
                      bytes, operation);
      operation.runs.push_back({target, source.data});
      operation.reads.push_back(source);
      start_bulk(warp, instruction, lane, std::move(operation));
    }
  });
}

// From this block's shared memory to global memory, in a group of the lane.
void to_global(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    const uint64_t bytes = size_of(warp, instruction, lane);
    BulkOperation operation;
    reduces(instruction, operation);
    const ByteRange source =
        check_range(warp, instruction, lane, Space::shared, bulk_address(warp, instruction, kFrom, lane),
                    bytes, {.what = "source", .touch = Touch::load, .own_block = true});
    const ByteRange target =
        check_range(warp, instruction, lane, Space::global, bulk_address(warp, instruction, kTo, lane), bytes,
                    {.what = "destination", .touch = operation.combine ? Touch::atomic : Touch::store});
    operation.runs.push_back({target, source.data});
    operation.reads.push_back(source);
    start_bulk(warp, instruction, lane, std::move(operation));
  });
}

// cp.async.bulk.prefetch.L2: a hint whose operands are checked.
void prefetch(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    check_range(warp, instruction, lane, Space::global, bulk_address(warp, instruction, kFrom, lane),
                size_of(warp, instruction, lane),
                {.what = "prefetch", .touch = Touch::load, .initialised = false});
  });
}

void commit(Warp& warp, const Instruction&) { commit_bulk(warp); }
template <bool OnlyReads>
void wait(Warp& warp, const Instruction& instruction) {
  wait_bulk(warp, instruction, static_cast<uint64_t>(instruction.immediate), OnlyReads);
}

// st.async, red.async: the registers' values arrive at shared memory of a block of the cluster. r[0..3]:
// values.
template <class T>
void store_async(Warp& warp, const Instruction& instruction) {
  each_lane(warp.mask, [&](uint32_t lane) {
    const auto parts = static_cast<uint32_t>(instruction.immediate >> 8);
    const uint64_t bytes = parts * sizeof(T);
    BulkOperation operation;
    reduces(instruction, operation);
    operation.async_proxy = false;
    const ByteRange target =
        check_range(warp, instruction, lane, Space::shared, bulk_address(warp, instruction, kTo, lane), bytes,
                    {.what = "destination",
                     .touch = operation.combine ? Touch::atomic : Touch::store,
                     .alignment = bytes});
    ends_at_barrier(warp, instruction, lane, bulk_address(warp, instruction, kBarrier, lane), target.block,
                    bytes, operation);
    operation.runs.push_back({target, nullptr});
    operation.held.resize(bytes);
    for (uint32_t i = 0; i < parts; ++i)
      std::memcpy(operation.held.data() + i * sizeof(T), &warp.row<T>(instruction.r[i])[lane], sizeof(T));
    operation.read = true;
    start_bulk(warp, instruction, lane, std::move(operation));
  });
}

// --- decoding ---

int64_t reduction_of(const std::string& operation, const std::string& type) {
  return find_reduction(operation, type) - bulk_reductions().data() + 1;
}

template <Space From, Space To, Space Barrier, bool Reduces>
void decode_copy(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  BulkDecoder operands(decoder, in, out);
  out.memory.shared_cluster = operands.has("shared::cluster");
  out.memory.space = To;
  out.immediate = 0;
  if (Reduces) {
    const std::string& type = in.modifiers.back();
    const std::string& operation = *(in.modifiers.end() - (operands.has("noftz") ? 3 : 2));
    out.immediate = reduction_of(operation, type);
  }
  operands.address(kTo, To);
  operands.address(kFrom, From);
  operands.number(kSize, 'w');
  if (Barrier == Space::shared) operands.address(kBarrier, Barrier);
  if (operands.has("multicast::cluster")) {
    out.variant |= kMulticast;
    operands.number(kBlocks, 'h');
  }
  operands.finish();
}

void decode_prefetch(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  BulkDecoder operands(decoder, in, out);
  operands.address(kFrom, Space::global);
  operands.number(kSize, 'w');
  operands.finish();
}

void decode_wait(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 1 || in.operands[0].kind != syntax::Operand::Kind::integer)
    decoder.fail("takes one integer");
  out.immediate = static_cast<int64_t>(in.operands[0].bits);
}

template <char Letter, uint32_t Parts>
void decode_store(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 3) decoder.fail("has " + std::to_string(in.operands.size()) + " operands");
  std::vector<syntax::Operand> parts = {in.operands[1]};
  if (Parts > 1) {
    if (parts[0].kind != syntax::Operand::Kind::vector || parts[0].parts.size() != Parts)
      decoder.fail("expected a vector of " + std::to_string(Parts));
    parts = std::vector<syntax::Operand>(in.operands[1].parts);
  }
  for (uint32_t i = 0; i < Parts; ++i) out.r[i] = decoder.source(parts[i], Letter);
  syntax::Instruction addresses = in;
  addresses.operands = {in.operands[0], in.operands[2]};
  if (!out.memory.shared_cluster) decoder.fail("only .shared::cluster addresses are modelled");
  BulkDecoder operands(decoder, addresses, out);
  operands.address(kTo, Space::shared);
  operands.address(kBarrier, Space::shared);
  operands.finish();
  const bool reduces = in.opcode == "red";
  out.immediate =
      int64_t{Parts} << 8 | (reduces ? reduction_of(*(in.modifiers.end() - 2), in.modifiers.back()) : 0);
}

template <char Letter, uint32_t Parts, class T>
void add_store(FormTable& table, const std::string& head, const std::string& tail) {
  const bool reduces = head == "red";
  table.add({.name = head + ".async.mbarrier::complete_tx::bytes" + tail,
             .operands = "",
             .run = store_async<T>,
             .section = reduces ? "data-movement-and-conversion-instructions-red-async"
                                : "data-movement-and-conversion-instructions-st-async",
             .meaning = reduces
                            ? "Reduces a register into shared memory of the cluster, as st.async stores."
                            : "Registers arrive in shared memory of the cluster with the barrier's bytes.",
             .decode = decode_store<Letter, Parts>});
}

}  // namespace

void add_bulk_forms(FormTable& table) {
  const auto add = [&](const std::string& name, Handler run, Decode decode, const char* section,
                       const char* meaning) {
    table.add(
        {.name = name, .operands = "", .run = run, .section = section, .meaning = meaning, .decode = decode});
  };
  constexpr Space global = Space::global, shared = Space::shared;
  const std::string barrier = ".mbarrier::complete_tx::bytes";
  const std::string hints[] = {"", ".L2::cache_hint"};
  const char* loads = "Bytes arrive in shared memory, at the latest when somebody looks at the barrier.";
  for (const std::string& hint : hints) {
    for (const std::string multicast : {"", ".multicast::cluster"})
      add("cp.async.bulk.shared::cluster.global" + barrier + multicast + hint, to_shared<global>,
          decode_copy<global, shared, shared, false>, kCopy, loads);
    add("cp.async.bulk.shared::cta.global" + barrier + hint, to_shared<global>,
        decode_copy<global, shared, shared, false>, kCopy, loads);
    add("cp.async.bulk.global.shared::cta.bulk_group" + hint, to_global,
        decode_copy<shared, global, kNoBarrier, false>, kCopy,
        "Bytes arrive in global memory, at the latest when their group is waited for.");
    add("cp.async.bulk.prefetch.L2.global" + hint, prefetch, decode_prefetch,
        "data-movement-and-conversion-instructions-cp-async-bulk-prefetch",
        "A hint: its operands are checked.");
  }
  add("cp.async.bulk.shared::cluster.shared::cta" + barrier, to_shared<shared>,
      decode_copy<shared, shared, shared, false>, kCopy,
      "Bytes arrive in shared memory of a block of the cluster.");
  for (const BulkReduction& row : bulk_reductions()) {
    const bool half = row.operation == "add" && row.bytes == 2;
    const std::string tail =
        "." + std::string(row.operation) + (half ? ".noftz" : "") + "." + std::string(row.type);
    for (const std::string& hint : hints)
      add("cp.reduce.async.bulk.global.shared::cta.bulk_group" + hint + tail, to_global,
          decode_copy<shared, global, kNoBarrier, true>, kReduce, "Reduces into global memory.");
    if (row.in_shared)
      add("cp.reduce.async.bulk.shared::cluster.shared::cta" + barrier + tail, to_shared<shared>,
          decode_copy<shared, shared, shared, true>, kReduce,
          "Reduces into shared memory of a block of the cluster.");
    if (row.in_shared && row.bytes == 4)
      add_store<'w', 1, uint32_t>(table, "red", tail);
    else if (row.in_shared)
      add_store<'q', 1, uint64_t>(table, "red", tail);
  }
  add("cp.async.bulk.commit_group", commit, decode_nothing,
      "data-movement-and-conversion-instructions-cp-async-bulk-commit-group",
      "Closes the lane's group of bulk copies.");
  const char* waits = "data-movement-and-conversion-instructions-cp-async-bulk-wait-group";
  add("cp.async.bulk.wait_group", wait<false>, decode_wait, waits,
      "Finishes all but the n youngest groups of the lane.");
  add("cp.async.bulk.wait_group.read", wait<true>, decode_wait, waits,
      "The sources of all but the n youngest groups of the lane have been read.");
  for (const std::string type : {".b32", ".u32", ".s32", ".f32"}) {
    add_store<'w', 1, uint32_t>(table, "st", type);
    add_store<'w', 2, uint32_t>(table, "st", ".v2" + type);
    add_store<'w', 4, uint32_t>(table, "st", ".v4" + type);
  }
  for (const std::string type : {".b64", ".u64", ".s64", ".f64"}) {
    add_store<'q', 1, uint64_t>(table, "st", type);
    add_store<'q', 2, uint64_t>(table, "st", ".v2" + type);
  }
}

}  // namespace attest::vm
