// Names both sides, and says what would have ordered them where that is one thing.
#include "jit/vm/race.h"

#include "jit/vm/trap.h"

namespace attest::vm {
namespace {

const char* kind_text(Race::Kind kind) {
  switch (kind) {
    case Race::Kind::write_write:
      return "write-write race";
    case Race::Kind::read_write:
      return "read-write race";
    case Race::Kind::write_read:
      return "write-read race";
    case Race::Kind::atomic_plain:
      return "race of an atomic and an ordinary access";
    case Race::Kind::non_coherent:
      return "ld.global.nc of bytes that this launch writes";
    case Race::Kind::missing_proxy_fence:
      return "missing fence.proxy.async";
  }
  return "race";
}

std::string side_text(const RaceSide& side) {
  return std::string(side.asynchronous ? "the asynchronous operation of " : "") + "PTX line " +
         std::to_string(side.line) + " `" + side.instruction + "` block " + std::to_string(side.block) +
         " warp " + std::to_string(side.warp) + " lanes " + lane_list(side.lanes);
}

std::string verdict(const Race& race) {
  if (race.kind == Race::Kind::missing_proxy_fence)
    return "are ordered, but the async proxy need not see what the generic proxy wrote: execute "
           "fence.proxy.async after the write, in its thread or in one that is ordered between";
  if (race.earlier.asynchronous) return "are not ordered: nothing in between waited for the operation's end";
  return "are not ordered";
}

}  // namespace

bool Race::asynchronous() const {
  // A cp.async is watched as writes of the lane that started it (race_observer.h).
  const auto takes_part = [](const RaceSide& side) {
    return side.asynchronous || side.instruction.find("cp.async") != std::string::npos;
  };
  return kind == Kind::missing_proxy_fence || takes_part(earlier) || takes_part(later);
}

std::string Race::text() const {
  return std::string(kind_text(kind)) + " at " + place + ": " + side_text(earlier) + " and " +
         side_text(later) + " " + verdict(*this) +
         (occurrences > 1 ? " (" + std::to_string(occurrences) + " times)" : "");
}

}  // namespace attest::vm
