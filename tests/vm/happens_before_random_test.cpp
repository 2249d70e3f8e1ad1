// Random traces against a reference that keeps the past of every thread as the set of its events.
#include <gtest/gtest.h>

#include <array>
#include <bitset>
#include <map>
#include <random>
#include <vector>

#include "tests/vm/order_script.h"

namespace attest::vm {
namespace {

constexpr size_t kEvents = 4096, kSteps = 150, kBytes = 320;
constexpr unsigned kSeeds = 500;
using Past = std::bitset<kEvents>;

// What somebody is ordered after, and what a proxy fence on the way showed.
struct History {
  Past known, fenced;
  void join(const History& other) {
    known |= other.known;
    fenced |= other.fenced;
  }
};

struct Touched {
  size_t event;
  size_t by;  // thread, or kOperations + number
  bool writes, async_proxy;
};
constexpr size_t kThreads = 128, kOperations = 1000;

class Reference {
 public:
  std::array<History, kThreads> threads;

  static size_t thread(Who who, uint32_t lane) { return who.block * 64 + who.warp * 32 + lane; }
  template <class F>
  void each(Who who, F f) {
    for (uint32_t lane = 0; lane < kLanes; ++lane)
      if (who.lanes >> lane & 1) f(threads[thread(who, lane)], lane);
  }
  History together(Who who) {
    History all;
    each(who, [&](History& one, uint32_t) { all.join(one); });
    return all;
  }
  void teach(Who who, const History& what) {
    each(who, [&](History& one, uint32_t) { one.join(what); });
  }
  bool full() const { return events_ + 64 > kEvents; }

  // Whether the touch is sound, given what its doer is ordered after; nothing is noted.
  bool sound(const History& past, size_t by, uint32_t block, uint64_t address, uint64_t bytes, bool writes,
             bool async_proxy) const {
    for (uint64_t i = address; i < address + bytes; ++i) {
      for (const Touched& old : memory_[block][i]) {
        if (!(old.writes || writes)) continue;
        if (old.by != by && !past.known[old.event]) return false;
        if (async_proxy && old.writes && !old.async_proxy && !past.fenced[old.event]) return false;
      }
    }
    return true;
  }
  // Returns the event.
  size_t note(size_t by, uint32_t block, uint64_t address, uint64_t bytes, bool writes, bool async_proxy) {
    for (uint64_t i = address; i < address + bytes; ++i)
      memory_[block][i].push_back({events_, by, writes, async_proxy});
    return events_++;
  }

 private:
  std::array<std::array<std::vector<Touched>, kBytes>, 2> memory_;
  size_t events_ = 0;
};

struct Operation {
  uint64_t number;
  Who starter;
  History start;
  Past reads, all;
};

struct Phases {
  History ready, coming;
};

// Runs one trace; unsound touches are mostly left out, and the first that is not ends it. True if there was
// one.
bool compare(unsigned seed) {
  std::mt19937 random(seed);
  const auto pick = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
  const auto someone = [&] {
    constexpr uint32_t kMasks[] = {kAllLanes, kAllLanes, 1, 1, 0xffff, 0xffff0000, 0x80000005};
    return Who{pick(2), pick(2), kMasks[pick(7)]};
  };
  Script script;
  Reference reference;
  std::vector<Operation> running;
  std::map<std::pair<uint32_t, uint64_t>, Phases> barriers;
  std::map<uint64_t, History> arrived;  // by phase
  std::array<uint64_t, 2> phase{};      // of the cluster's barrier, per block
  size_t operations = 0;
  int broken = 0;
  for (int step = 1; step <= static_cast<int>(kSteps) && !broken && !reference.full(); ++step) {
    const Who who = someone();
    const uint64_t barrier = pick(2) ? kFull : kEmpty;
    switch (pick(12)) {
      case 0:
      case 1:
      case 2: {  // lanes touch memory of their block
        const Touch touch = pick(2) ? Touch::store : Touch::load;
        const uint32_t bytes = 1u << pick(4);
        const uint64_t stride = touch == Touch::load && pick(2) ? 0 : bytes, address = bytes * pick(8);
        bool sound = true;
        Reference after = reference;
        reference.each(who, [&](const History&, uint32_t lane) {
          const size_t by = Reference::thread(who, lane);
          const uint64_t at = address + lane * stride;
          sound =
              sound && after.sound(after.threads[by], by, who.block, at, bytes, touch == Touch::store, false);
          after.threads[by].known.set(after.note(by, who.block, at, bytes, touch == Touch::store, false));
        });
        if (!sound && pick(10) != 0) break;
        if (!sound) broken = step;
        reference = after;
        script.touch(step, who, touch, address, bytes, stride);
        break;
      }
      case 3:
      case 4: {  // a lane or a warp starts an operation on one range
        const bool writes = pick(2) != 0, proxy = pick(3) != 0;
        const uint64_t address = pick(100), bytes = 1 + pick(100);
        const History start = reference.together(who);
        const size_t by = kOperations + ++operations;
        const bool sound = reference.sound(start, by, who.block, address, bytes, writes, proxy);
        if (!sound && pick(10) != 0) break;
        if (!sound) broken = step;
        const size_t event = reference.note(by, who.block, address, bytes, writes, proxy);
        Operation operation{
            script.start(step, who, writes ? Touch::store : Touch::load, address, bytes, proxy),
            who,
            start,
            {},
            {}};
        operation.all = start.known;
        operation.all.set(event);
        operation.reads = start.known;
        if (!writes) operation.reads.set(event);
        running.push_back(operation);
        break;
      }
      case 5: {  // somebody learns of an end; an operation may end for several
        if (running.empty()) break;
        const size_t i = pick(static_cast<uint32_t>(running.size()));
        const Operation& operation = running[i];
        History end = operation.start;
        if (pick(2)) {
          const bool reads_only = pick(3) == 0;
          end.known = reads_only ? operation.reads : operation.all;
          reference.teach(who, end);
          script.wait_group(operation.number, who, reads_only);
        } else {
          end.known = operation.all;
          barriers[{who.block, barrier}].coming.join(end);
          script.complete(operation.number, {operation.starter.block}, remote(who.block, barrier));
        }
        break;
      }
      case 6: {
        reference.teach(who, reference.together(who));
        script.warp_barrier(who);
        break;
      }
      case 7: {
        if (pick(3) == 0) {
          History all = reference.together({who.block, 0});
          all.join(reference.together({who.block, 1}));
          for (uint32_t warp : {0u, 1u}) reference.teach({who.block, warp}, all);
          script.block_barrier(who.block);
        } else {  // the other warp's lanes learn, and meet each other
          History all = reference.together({who.block, who.warp});
          all.join(reference.together({who.block, 1 - who.warp}));
          reference.teach({who.block, 1 - who.warp}, all);
          script.hand_over(who.block, who.warp);
        }
        break;
      }
      case 8: {  // an arrival, here or at the other block's barrier
        const uint32_t owner = pick(2);
        barriers[{owner, barrier}].coming.join(reference.together(who));
        script.arrive(step, who, remote(owner, barrier));
        break;
      }
      case 9: {
        Phases& own = barriers[{who.block, barrier}];
        if (pick(2)) {
          own.ready.join(own.coming);
          own.coming = {};
          script.phase({who.block}, barrier);
        } else {
          if (own.ready.known.any() || own.coming.known.none()) {
            reference.teach(who, own.ready);
            script.wait(step, who, barrier);
          }
        }
        break;
      }
      case 10: {
        History fence;
        fence.fenced = reference.together(who).known;
        reference.teach(who, fence);
        script.proxy_fence(who);
        break;
      }
      case 11: {  // both warps of a block arrive, or wait for what the others have arrived at
        if (phase[who.block] % 2 == 1 && phase[1 - who.block] < phase[who.block]) break;
        const uint64_t number = phase[who.block]++;
        History& all = arrived[number / 2];
        for (uint32_t warp : {0u, 1u}) {
          const Who whole{who.block, warp};
          if (number % 2 == 0) {
            if (who.lanes != 1) all.join(reference.together(whole));
            script.cluster_arrive(whole, number / 2, who.lanes != 1);
          } else {
            reference.teach(whole, all);
            script.cluster_wait(whole, number / 2);
          }
        }
        break;
      }
    }
  }
  const std::vector<Race> races = script.finish();
  if (broken) {
    EXPECT_FALSE(races.empty()) << "seed " << seed << ": nothing found at step " << broken;
    if (races.empty()) return true;
    EXPECT_EQ(races[0].later.line, broken) << "seed " << seed << ": " << races[0].text();
  } else {
    EXPECT_TRUE(races.empty()) << "seed " << seed << ": " << races[0].text();
  }
  return broken != 0;
}

TEST(HappensBeforeRandom, TracesAgreeWithTheSetsOfTheirEvents) {
  int broken = 0;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) broken += compare(seed) ? 1 : 0;
  EXPECT_GT(broken, 100);
  EXPECT_LT(broken, static_cast<int>(kSeeds) - 10);
}

}  // namespace
}  // namespace attest::vm
