// Each event is added under a lock: blocks may run on several host threads.
#include "jit/vm/counters.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <set>

#include "jit/vm/forms.h"
#include "jit/vm/memory.h"

namespace attest::vm {
namespace {

constexpr uint64_t kSectorBytes = 32;

// Distinct 32-byte sectors of one access.
uint64_t sectors(const AccessEvent& event) {
  std::set<uint64_t> touched;
  for (uint32_t rest = event.site.lanes; rest; rest &= rest - 1) {
    const uint64_t address = event.addresses[static_cast<size_t>(std::countr_zero(rest))];
    for (uint64_t sector = address / kSectorBytes; sector <= (address + event.bytes - 1) / kSectorBytes;
         ++sector)
      touched.insert(sector);
  }
  return touched.size();
}

// Lanes that want different words of one bank take turns; the same word is read once. Accesses wider than 4
// bytes are served in groups of lanes that ask for at most 128 bytes.
uint64_t extra_turns(const AccessEvent& event) {
  const uint32_t words = std::max(event.bytes / 4, 1u);
  const uint32_t lanes_together = kLanes / words;
  uint64_t extra = 0;
  for (uint32_t first = 0; first < kLanes; first += lanes_together) {
    std::array<std::set<uint64_t>, 32> banks;
    for (uint32_t lane = first; lane < first + lanes_together; ++lane) {
      if (!(event.site.lanes >> lane & 1)) continue;
      for (uint32_t i = 0; i < words; ++i) {
        const uint64_t word = event.addresses[lane] / 4 + i;
        banks[word % 32].insert(word);
      }
    }
    size_t turns = 1;
    for (const std::set<uint64_t>& bank : banks) turns = std::max(turns, bank.size());
    extra += turns - 1;
  }
  return extra;
}

// Multiplications and additions of one warp in one matrix instruction, from the shape in its name:
// "m16n8k16". A wgmma is shared by four warps.
uint64_t flops_of(const std::string& form) {
  const bool warpgroup = form.rfind("wgmma.mma_async", 0) == 0;
  if (!warpgroup && form.rfind("mma.", 0) != 0) return 0;
  unsigned long long m = 0, n = 0, k = 0;
  for (size_t at = form.find(".m"); at != std::string::npos; at = form.find(".m", at + 1))
    if (std::sscanf(form.c_str() + at, ".m%llun%lluk%llu", &m, &n, &k) == 3)
      return 2 * m * n * k / (warpgroup ? 4 : 1);
  return 0;
}

}  // namespace

void CountingObserver::launch_begin(const LaunchEvent& event) {
  const std::lock_guard lock(mutex_);
  memory_ = &event.memory;
  if (!by_form_.empty()) return;
  for (const Form& form : FormTable::instance().rows()) flops_.push_back(flops_of(form.name));
  by_form_.resize(flops_.size());
}

void CountingObserver::instruction(const Site& site) {
  const std::lock_guard lock(mutex_);
  ++totals_.warp_instructions;
  totals_.lane_instructions += static_cast<uint64_t>(std::popcount(site.lanes));
  ++by_form_[site.form];
  if (site.lanes) totals_.matrix_flops += flops_[site.form];
}

void CountingObserver::access(const AccessEvent& event) {
  const std::lock_guard lock(mutex_);
  const uint64_t bytes = static_cast<uint64_t>(std::popcount(event.site.lanes)) * event.bytes;
  const bool loads = event.touch != Touch::store, stores = event.touch != Touch::load;
  if (event.touch == Touch::atomic) totals_.atomics += static_cast<uint64_t>(std::popcount(event.site.lanes));
  switch (event.space) {
    case Space::global:
      count_global(event);
      break;
    case Space::shared:
      totals_.shared_load_bytes += loads ? bytes : 0;
      totals_.shared_store_bytes += stores ? bytes : 0;
      totals_.shared_bank_conflicts += extra_turns(event);
      break;
    case Space::local:
      totals_.local_load_bytes += loads ? bytes : 0;
      totals_.local_store_bytes += stores ? bytes : 0;
      break;
    default:
      break;
  }
}

void CountingObserver::count_global(const AccessEvent& event) {
  const bool loads = event.touch != Touch::store, stores = event.touch != Touch::load;
  const uint64_t touched_sectors = sectors(event);
  totals_.global_load_accesses += loads;
  totals_.global_load_sectors += loads ? touched_sectors : 0;
  totals_.global_store_accesses += stores;
  totals_.global_store_sectors += stores ? touched_sectors : 0;
  for (uint32_t rest = event.site.lanes; rest; rest &= rest - 1) {
    count_bytes(event.addresses[static_cast<size_t>(std::countr_zero(rest))], event.bytes, loads, stores);
  }
}

void CountingObserver::count_bytes(uint64_t address, uint64_t bytes, bool loads, bool stores) {
  const Buffer* buffer = memory_->find(address);
  if (!buffer) return;  // cannot be: the access was checked
  Touched& touched = touched_[buffer->address];
  if (touched.name.empty()) {
    touched.name = buffer->name;
    touched.loaded.resize(buffer->bytes);
    touched.stored.resize(buffer->bytes);
  }
  const uint64_t offset = address - buffer->address;
  if (loads) {
    touched.traffic.loaded_bytes += bytes;
    for (uint64_t i = offset; i < offset + bytes; ++i) {
      touched.traffic.distinct_loaded_bytes += !touched.loaded[i];
      touched.loaded[i] = true;
    }
  }
  if (stores) {
    touched.traffic.stored_bytes += bytes;
    for (uint64_t i = offset; i < offset + bytes; ++i) {
      touched.traffic.distinct_stored_bytes += !touched.stored[i];
      touched.stored[i] = true;
    }
  }
}

void CountingObserver::async_access(const AsyncAccessEvent& event) {
  const std::lock_guard lock(mutex_);
  const bool loads = event.touch != Touch::store, stores = event.touch != Touch::load;
  if (event.space == Space::shared) {
    totals_.shared_load_bytes += loads ? event.bytes : 0;
    totals_.shared_store_bytes += stores ? event.bytes : 0;
  } else if (event.space == Space::global && event.bytes > 0) {
    const uint64_t touched_sectors =
        (event.address + event.bytes - 1) / kSectorBytes - event.address / kSectorBytes + 1;
    totals_.global_load_accesses += loads;
    totals_.global_load_sectors += loads ? touched_sectors : 0;
    totals_.global_store_accesses += stores;
    totals_.global_store_sectors += stores ? touched_sectors : 0;
    count_bytes(event.address, event.bytes, loads, stores);
  }
}

void CountingObserver::barrier_arrive(const BarrierEvent& event) {
  const std::lock_guard lock(mutex_);
  ++totals_.barrier_arrivals;
  totals_.barrier_waits += event.waits;
}

void CountingObserver::cluster_wait(const ClusterBarrierEvent&) {
  const std::lock_guard lock(mutex_);
  ++totals_.barrier_waits;
}

Counters CountingObserver::counters() const {
  const std::lock_guard lock(mutex_);
  Counters all = totals_;
  for (size_t i = 0; i < by_form_.size(); ++i)
    if (by_form_[i]) all.instructions[FormTable::instance().row(static_cast<int>(i)).name] = by_form_[i];
  for (const auto& [address, touched] : touched_) {
    BufferTraffic& sum = all.buffers[touched.name];
    sum.loaded_bytes += touched.traffic.loaded_bytes;
    sum.stored_bytes += touched.traffic.stored_bytes;
    sum.distinct_loaded_bytes += touched.traffic.distinct_loaded_bytes;
    sum.distinct_stored_bytes += touched.traffic.distinct_stored_bytes;
    all.global_load_bytes += touched.traffic.loaded_bytes;
    all.global_store_bytes += touched.traffic.stored_bytes;
    all.distinct_global_load_bytes += touched.traffic.distinct_loaded_bytes;
    all.distinct_global_store_bytes += touched.traffic.distinct_stored_bytes;
  }
  return all;
}

}  // namespace attest::vm
