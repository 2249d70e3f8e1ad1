// Order through memory: what releases, fences and asynchronous completions leave at a place for whoever
// acquires from it.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "jit/vm/code.h"
#include "jit/vm/happens_before.h"

namespace attest::vm {

// What a place of synchronisation hands on: to every block, and to single blocks (a release of .cta scope
// reaches its own block).
struct Released {
  Knowledge device;
  std::map<uint32_t, Knowledge> block;
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
  uint64_t first_ = ~uint64_t{0}, last_ = 0;  // offsets: most stores are elsewhere
};

bool is_release(Order order);
bool is_acquire(Order order);

// Fences make relaxed accesses release and acquire: what a lane had fenced before it writes is handed on,
// and what it read becomes known when it fences.
class Fences {
 public:
  void fence(HappensBefore& order, const Where& where, Scope scope);
  // Lanes that read a place: acquires learn at once.
  void read(HappensBefore& order, const Where& where, const MemoryQualifiers& how, const Released& from);
  // Lanes that write it. `owner`: the block whose shared memory it is, which learns whatever the scope is
  // (the manual gives mbarrier.arrive .cta scope by default, on other blocks' barriers too).
  void write(HappensBefore& order, const Where& where, const MemoryQualifiers& how, Releases& places,
             uint64_t offset, const uint32_t* owner);

 private:
  struct Lane {
    Knowledge device, block;  // fenced; valid once has_*
    bool has_device = false, has_block = false;
    Knowledge pending_device, pending_block;  // read by relaxed accesses
  };
  static uint64_t thread(const Where& where, uint32_t lane) {
    return uint64_t{where.block} << 10 | where.warp << 5 | lane;
  }
  std::unordered_map<uint64_t, Lane> lanes_;
};

}  // namespace attest::vm
