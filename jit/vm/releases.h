// Order through memory: what releases, fences and asynchronous completions leave at a place for whoever
// acquires from it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "jit/vm/code.h"
#include "jit/vm/happens_before.h"

namespace attest::vm {

// What is handed on to every block, and to single blocks (a release of .cta scope reaches its own block).
// Readers keep what they saw, so that is not changed under them but replaced.
struct Share {
  using Snapshot = std::shared_ptr<const Knowledge>;
  Snapshot device;  // null: nothing
  std::map<uint32_t, Snapshot> block;

  void give_block(uint32_t to, const Knowledge& knowledge) { add(block[to], knowledge); }
  void give_device(const Knowledge& knowledge) { add(device, knowledge); }
  void join(const Share& other);

 private:
  static void add(Snapshot& to, const Knowledge& knowledge);
};

// A place of synchronisation. Of an mbarrier, readers learn what belongs to phases that are over.
struct Released {
  uint64_t number = 0;  // of this place since it was last overwritten
  Share ready, coming;
  bool phased = false;  // a phase of it was over

  Share& current() { return phased ? coming : ready; }
  void end_phase();
};

// The places of a buffer or of a block's shared memory that something was released to.
class Releases {
 public:
  bool empty() const { return places_.empty(); }
  const Released* find(uint64_t offset) const;
  Released& at(uint64_t offset);
  // Bytes were overwritten by something that releases nothing.
  void forget(uint64_t offset, uint64_t bytes);

 private:
  std::unordered_map<uint64_t, Released> places_;
  uint64_t given_ = 0;                        // numbers
  uint64_t first_ = ~uint64_t{0}, last_ = 0;  // offsets: most stores are elsewhere
};

bool is_release(Order order);
bool is_acquire(Order order);

// Fences make relaxed accesses release and acquire: what a lane had fenced before it writes is handed on,
// and what it read becomes known when it fences.
class Fences {
 public:
  void fence(HappensBefore& order, const Where& where, Order how, Scope scope);
  // fence.mbarrier_init hands on nothing but what the lanes have made: mbarriers.
  void made(const Where& where, const Knowledge& mbarrier);
  void fence_made(const Where& where);
  // What the lanes hand on by a relaxed arrival: to every block of the cluster, and to their own.
  struct Given {
    Knowledge cluster, block;
  };
  Given fenced(const Where& where) const;
  // Lanes that read a place of a region: acquires learn at once.
  void read(HappensBefore& order, const Where& where, const MemoryQualifiers& how, const Releases& region,
            const Released& from);
  // Lanes that write one. `owner`: the block whose shared memory it is, which learns whatever the scope is
  // (the manual gives mbarrier.arrive .cta scope by default, on other blocks' barriers too).
  void write(HappensBefore& order, const Where& where, const MemoryQualifiers& how, Releases& places,
             uint64_t offset, const uint32_t* owner);
  void end_block(uint32_t block, uint32_t warps);

 private:
  // What lanes read by relaxed accesses, of one place: it is known once they fence. A loop that polls a place
  // keeps one entry.
  struct Pending {
    const Releases* region;
    uint64_t number;
    uint32_t lanes;
    Share::Snapshot device, block;
  };
  struct Fenced {  // by a lane
    Knowledge device, block;
    bool has_device = false;
    Knowledge made;  // its mbarriers, fenced or not
  };
  struct Warp {
    std::vector<Pending> pending;
    std::map<uint32_t, Fenced> fenced;
  };
  static uint64_t key(const Where& where) { return uint64_t{where.block} << 5 | where.warp; }
  Warp& warp_of(const Where& where) { return warps_[key(where)]; }
  std::unordered_map<uint64_t, Warp> warps_;
};

}  // namespace attest::vm
