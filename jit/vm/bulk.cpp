// An operation has up to four moments: it starts, it reads, it writes, and somebody knows.
#include "jit/vm/bulk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "jit/vm/async.h"
#include "jit/vm/hash.h"
#include "jit/vm/mbarrier.h"
#include "jit/vm/observer.h"

namespace attest::vm {

// Operations that end at a barrier of this block, and those that its lanes have in groups.
struct BulkInFlight {
  std::vector<std::unique_ptr<BulkOperation>> operations;
  std::vector<std::array<uint64_t, kLanes>> commits;  // of each warp
};

namespace {

BulkInFlight& in_flight(Block& block) {
  if (!block.bulk) {
    block.bulk = std::make_shared<BulkInFlight>();
    block.bulk->commits.resize(block.warps.size());
  }
  return *block.bulk;
}

Warp& issuer_of(const BulkOperation& operation) { return operation.issuer->warps[operation.warp]; }

Site site_of_issuer(const BulkOperation& operation) {
  Site site = site_of(issuer_of(operation), *operation.instruction);
  site.lanes = 1u << operation.lane;
  return site;
}

void read(BulkOperation& operation) {
  if (operation.read) return;
  operation.read = true;
  uint64_t total = 0;
  for (const BulkRun& run : operation.runs) total += run.to.bytes;
  operation.held.resize(total);
  std::byte* next = operation.held.data();
  for (const BulkRun& run : operation.runs) {
    if (run.from) {
      std::memcpy(next, run.from, run.to.bytes);
    } else {
      for (uint64_t i = 0; i < run.to.bytes; i += operation.element_bytes)
        std::memcpy(next + i, &operation.fill, operation.element_bytes);
    }
    next += run.to.bytes;
  }
}

void write(BulkOperation& operation) {
  if (operation.written) return;
  read(operation);
  operation.written = true;
  const std::byte* next = operation.held.data();
  for (const BulkRun& run : operation.runs) {
    if (operation.combine) {
      for (uint64_t i = 0; i < run.to.bytes; i += operation.element_bytes)
        operation.combine(run.to.data + i, next + i);
    } else {
      std::memcpy(run.to.data, next, run.to.bytes);
    }
    next += run.to.bytes;
  }
}

// Reductions leave the bytes readable: others may add to them at the same time.
void reveal_all(const BulkOperation& operation) {
  if (operation.combine) return;
  for (const BulkRun& run : operation.runs) reveal(run.to);
}

// The data are there, and the barrier counts them.
void arrive(BulkOperation& operation) {
  write(operation);
  const Warp& warp = issuer_of(operation);
  if (observed(warp)) {
    const Site site = site_of_issuer(operation);
    const AsyncEndEvent event{site, operation.actor, false, true, operation.barrier_address};
    for (Observer* observer : warp.launch->observers) observer->async_end(event);
  }
  operation.phase = phases_over(*operation.barrier_block, operation.barrier);
  change_barrier({warp, *operation.instruction, operation.lane}, *operation.barrier_block, operation.barrier,
                 {.bytes = -static_cast<int64_t>(operation.barrier_bytes)});
}

// Ranges that follow each other in memory become one.
std::vector<ByteRange> merged(std::vector<ByteRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const ByteRange& a, const ByteRange& b) { return a.address < b.address; });
  std::vector<ByteRange> result;
  for (const ByteRange& range : ranges) {
    if (!result.empty() && result.back().address + result.back().bytes == range.address)
      result.back().bytes += range.bytes;
    else
      result.push_back(range);
  }
  return result;
}

void tell_start(const Warp& warp, const BulkOperation& operation) {
  if (!observed(warp)) return;
  const Site site = site_of_issuer(operation);
  const auto tell = [&](const std::vector<ByteRange>& ranges, Touch touch) {
    for (const ByteRange& range : merged(ranges)) {
      const AsyncAccessEvent event{site,          operation.actor, range.space,          touch,
                                   range.address, range.bytes,     operation.async_proxy};
      for (Observer* observer : warp.launch->observers) observer->async_access(event);
    }
  };
  for (Observer* observer : warp.launch->observers) observer->async_begin({site, operation.actor});
  std::vector<ByteRange> writes;
  for (const BulkRun& run : operation.runs) writes.push_back(run.to);
  tell(operation.reads, Touch::load);
  tell(writes, operation.combine ? Touch::atomic : Touch::store);
}

void tell_end(const Warp& waiting, const Instruction& instruction, const BulkOperation& operation,
              bool reads_only) {
  if (!observed(waiting)) return;
  Site site = site_of(waiting, instruction);
  site.lanes = 1u << operation.lane;
  for (Observer* observer : waiting.launch->observers)
    observer->async_end({site, operation.actor, reads_only, false, 0});
}

bool reads_from(const BulkOperation& operation, const Block& block) {
  return std::any_of(operation.reads.begin(), operation.reads.end(),
                     [&](const ByteRange& range) { return range.block == &block; });
}

}  // namespace

void start_bulk(Warp& warp, const Instruction& instruction, uint32_t lane, BulkOperation operation) {
  operation.instruction = &instruction;
  operation.issuer = warp.block;
  operation.warp = warp.index;
  operation.lane = lane;
  operation.actor = warp.launch->actors.fetch_add(1, std::memory_order_relaxed) + 1;
  operation.group = in_flight(*warp.block).commits[warp.index][lane];
  tell_start(warp, operation);
  if (!operation.combine)
    for (const BulkRun& run : operation.runs) hide(run.to);
  if (starts_early(warp)) {
    // In the shuffled schedule it may read early and write late.
    const bool writes =
        warp.launch->options->schedule != Schedule::shuffled || (next_random(warp.block->random) & 1) != 0;
    if (!writes)
      read(operation);
    else if (operation.barrier)
      arrive(operation);
    else
      write(operation);
  }
  ++warp.block->changes;
  Block& keeper = operation.barrier ? *operation.barrier_block : *warp.block;
  in_flight(keeper).operations.push_back(std::make_unique<BulkOperation>(std::move(operation)));
}

void deliver_bulk(Block& block, const std::byte* at) {
  if (!block.bulk) return;
  const bool shuffled = block.launch->options->schedule == Schedule::shuffled;
  for (const std::unique_ptr<BulkOperation>& each : block.bulk->operations) {
    if (each->barrier != at || each->written) continue;
    if (shuffled && (next_random(block.random) & 1)) continue;  // another time
    arrive(*each);
  }
}

void reveal_bulk(Block& block, const std::byte* at) {
  if (!block.bulk) return;
  const uint64_t over = phases_over(block, at);
  std::erase_if(block.bulk->operations, [&](const std::unique_ptr<BulkOperation>& each) {
    if (each->barrier != at || !each->written || each->phase >= over) return false;
    reveal_all(*each);
    return true;
  });
}

bool bulk_in_flight(const Block& block, const std::byte* at) {
  return block.bulk && std::any_of(block.bulk->operations.begin(), block.bulk->operations.end(),
                                   [&](const std::unique_ptr<BulkOperation>& each) {
                                     return each->barrier == at && !each->written;
                                   });
}

void commit_bulk(Warp& warp) {
  BulkInFlight& flight = in_flight(*warp.block);
  each_lane(warp.mask, [&](uint32_t lane) { ++flight.commits[warp.index][lane]; });
}

void wait_bulk(Warp& warp, const Instruction& instruction, uint64_t keep, bool only_reads) {
  BulkInFlight& flight = in_flight(*warp.block);
  std::erase_if(flight.operations, [&](const std::unique_ptr<BulkOperation>& each) {
    BulkOperation& operation = *each;
    if (operation.barrier || operation.warp != warp.index || !(warp.mask >> operation.lane & 1)) return false;
    const uint64_t commits = flight.commits[warp.index][operation.lane];
    if (commits <= keep || operation.group >= commits - keep) return false;
    if (only_reads) {
      read(operation);
      if (!operation.reads_waited) tell_end(warp, instruction, operation, true);
      operation.reads_waited = true;
      return false;
    }
    write(operation);
    reveal_all(operation);
    tell_end(warp, instruction, operation, false);
    return true;
  });
  ++warp.block->changes;
}

void end_bulk(Block& block) {
  for (Block* each : *block.cluster) {
    if (!each->bulk) continue;
    for (const std::unique_ptr<BulkOperation>& held : each->bulk->operations) {
      const BulkOperation& operation = *held;
      const bool reads = !operation.reads_waited && reads_from(operation, block);
      if (!reads && operation.barrier_block != &block) continue;
      trap(issuer_of(operation), *operation.instruction, Rule::asynchronous, 1u << operation.lane,
           "was still under way when its block ended: nobody waited for it, and it " +
               std::string(reads ? "reads" : "writes") + " the block's shared memory");
    }
  }
  if (!block.bulk) return;
  Launch& launch = *block.launch;
  const std::lock_guard lock(launch.at_end_mutex);
  for (std::unique_ptr<BulkOperation>& held : block.bulk->operations) {
    launch.at_end.push_back([rest = std::shared_ptr<BulkOperation>(std::move(held))] {
      write(*rest);
      reveal_all(*rest);
    });
  }
  block.bulk->operations.clear();
}

}  // namespace attest::vm
