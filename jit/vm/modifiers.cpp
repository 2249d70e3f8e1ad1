// Which modifiers change nothing that this machine models, and which only qualify a memory access.
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "jit/vm/decoder.h"

namespace attest::vm {
namespace {

// Caching, eviction and prefetch hints change when bytes move, not which.
const std::set<std::string_view> kCacheHints = {"ca",
                                                "cg",
                                                "cs",
                                                "lu",
                                                "cv",
                                                "wb",
                                                "wt",
                                                "L1::evict_normal",
                                                "L1::evict_unchanged",
                                                "L1::evict_first",
                                                "L1::evict_last",
                                                "L1::no_allocate",
                                                "L2::evict_normal",
                                                "L2::evict_first",
                                                "L2::evict_last",
                                                "L2::64B",
                                                "L2::128B",
                                                "L2::256B",
                                                "L2::cache_hint"};

const std::map<std::string_view, Order> kOrders = {
    {"weak", Order::weak},       {"volatile", Order::volatile_}, {"relaxed", Order::relaxed},
    {"acquire", Order::acquire}, {"release", Order::release},    {"acq_rel", Order::acq_rel},
    {"sc", Order::seq_cst},      {"mmio", Order::relaxed}};

const std::map<std::string_view, Scope> kScopes = {
    {"cta", Scope::cta}, {"cluster", Scope::cluster}, {"gpu", Scope::gpu}, {"sys", Scope::sys}};

const std::map<std::string_view, Space> kSpaces = {
    {"global", Space::global},          {"shared", Space::shared},     {"shared::cta", Space::shared},
    {"shared::cluster", Space::shared}, {"local", Space::local},       {"param", Space::param},
    {"param::entry", Space::param},     {"param::func", Space::local}, {"const", Space::constant}};

// The opcodes whose memory qualifiers are handled here.
const std::set<std::string_view> kMemoryOpcodes = {"ld", "ldu", "st", "atom", "red"};

// Modifiers without an effect on results, by opcode: `bra.uni` promises that all lanes agree.
const std::map<std::string_view, std::set<std::string_view>> kNeutral = {
    {"bra", {"uni"}},
    {"call", {"uni"}},
    {"ret", {"uni"}},
    {"brx", {"uni"}},
};

}  // namespace

std::string form_name(const syntax::Instruction& in, Instruction& out, int& policies) {
  std::string name = in.opcode;
  const bool memory = kMemoryOpcodes.count(in.opcode) > 0;
  const auto neutral = kNeutral.find(in.opcode);
  bool space_seen = false;
  for (const std::string& modifier : in.modifiers) {
    if (neutral != kNeutral.end() && neutral->second.count(modifier)) continue;
    if (memory) {
      if (kCacheHints.count(modifier)) {
        policies += modifier == "L2::cache_hint";
        continue;
      }
      const auto order = kOrders.find(modifier);
      if (order != kOrders.end()) {
        out.memory.order = order->second;
        continue;
      }
      const auto scope = kScopes.find(modifier);
      if (scope != kScopes.end()) {
        out.memory.scope = scope->second;
        continue;
      }
      const auto space = kSpaces.find(modifier);
      if (space != kSpaces.end() && !space_seen) {
        space_seen = true;
        out.memory.space = space->second;
        out.memory.shared_cluster = modifier == "shared::cluster";
        continue;  // every space has the same rows
      }
      if (modifier == "nc") {
        out.memory.non_coherent = true;
        continue;
      }
    }
    name += '.';
    name += modifier;
  }
  return name;
}

}  // namespace attest::vm
