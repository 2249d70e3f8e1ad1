// Counts what a kernel does: instructions by form, bytes moved, in all and distinct, in all and per buffer,
// and what matrix instructions compute. Asynchronous operations count as the accesses that they are.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "jit/vm/observer.h"

namespace attest::vm {

struct BufferTraffic {
  uint64_t loaded_bytes = 0;           // each lane's bytes count
  uint64_t stored_bytes = 0;           // atomics count as both
  uint64_t distinct_loaded_bytes = 0;  // each byte of the buffer counts once
  uint64_t distinct_stored_bytes = 0;
};

struct Counters {
  uint64_t warp_instructions = 0;
  uint64_t lane_instructions = 0;
  uint64_t global_load_bytes = 0;
  uint64_t global_store_bytes = 0;
  uint64_t distinct_global_load_bytes = 0;
  uint64_t distinct_global_store_bytes = 0;
  uint64_t global_load_accesses = 0;  // warp-wide; of asynchronous copies each contiguous range is one
  uint64_t global_load_sectors = 0;   // 32-byte sectors that these accesses touch, each access by itself
  uint64_t global_store_accesses = 0;
  uint64_t global_store_sectors = 0;
  uint64_t shared_load_bytes = 0;
  uint64_t shared_store_bytes = 0;
  uint64_t shared_bank_conflicts = 0;  // extra turns of shared accesses: 32 banks of 4 bytes
  uint64_t local_load_bytes = 0;
  uint64_t local_store_bytes = 0;
  uint64_t atomics = 0;                          // lane-wide
  uint64_t barrier_arrivals = 0;                 // warp-wide
  uint64_t barrier_waits = 0;                    // arrivals that wait, at barriers of a block or of a cluster
  uint64_t matrix_flops = 0;                     // 2 m n k a product, integers too
  std::map<std::string, uint64_t> instructions;  // warp-instructions by form
  std::map<std::string, BufferTraffic> buffers;  // global buffers by name; equal names are added up
};

// Counts over all launches it observes. Cheap enough for tests; a launch without observers pays nothing for
// it.
class CountingObserver : public Observer {
 public:
  void launch_begin(const LaunchEvent& event) override;
  void instruction(const Site& site) override;
  void access(const AccessEvent& event) override;
  void async_access(const AsyncAccessEvent& event) override;
  void barrier_arrive(const BarrierEvent& event) override;
  void cluster_wait(const ClusterBarrierEvent& event) override;
  // What was counted so far.
  Counters counters() const;

 private:
  struct Touched {
    std::string name;
    BufferTraffic traffic;
    std::vector<bool> loaded, stored;  // by byte
  };
  void count_global(const AccessEvent& event);
  void count_bytes(uint64_t address, uint64_t bytes, bool loads, bool stores);

  mutable std::mutex mutex_;
  const Memory* memory_ = nullptr;
  Counters totals_;
  std::vector<uint64_t> by_form_, flops_;  // flops of one warp's part of the form
  std::map<uint64_t, Touched> touched_;    // by a buffer's address
};

}  // namespace attest::vm
