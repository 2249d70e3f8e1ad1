// Fences: of memory order, between the generic proxy and others, and the one that shows fresh barriers to the
// cluster.
#include <string>

#include "jit/vm/access.h"
#include "jit/vm/decoder.h"
#include "jit/vm/forms.h"
#include "jit/vm/observer.h"
#include "jit/vm/warp.h"

namespace attest::vm {
namespace {

constexpr const char* kSection = "parallel-synchronization-and-communication-instructions-membar";

// fence.proxy.async{.space}: execution here has one proxy only; the observers see the fence. One of
// .shared::cta counts as one of .shared::cluster.
void proxy_fence(Warp& warp, const Instruction& instruction) {
  if (!observed(warp)) return;
  const Site site = site_of(warp, instruction);
  for (Observer* observer : warp.launch->observers) observer->proxy_fence(site, instruction.memory.space);
}

// membar, fence: order is the observers' business; execution here is sequentially consistent.
void fence(Warp& warp, const Instruction& instruction) {
  if (!observed(warp)) return;
  const Site site = site_of(warp, instruction);
  const FenceEvent event{site, instruction.memory.order, instruction.memory.scope,
                         instruction.memory.mbarrier_init};
  for (Observer* observer : warp.launch->observers) observer->fence(event);
}

template <Space S>
void decode_proxy(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  decode_nothing(decoder, in, out);
  out.memory.space = S;
}

template <Order O, Scope S>
void decode_fence(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  decode_nothing(decoder, in, out);
  out.memory.order = O;
  out.memory.scope = S;
}

void decode_init_fence(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  decode_fence<Order::release, Scope::cluster>(decoder, in, out);
  out.memory.mbarrier_init = true;
}

// fence.proxy.tensormap::generic.acquire.scope [map], 128;
template <Scope S>
void decode_acquire(Decoder& decoder, const syntax::Instruction& in, Instruction& out) {
  if (in.operands.size() != 2 || in.operands[1].kind != syntax::Operand::Kind::integer ||
      in.operands[1].bits != 128)
    decoder.fail("takes [tensor map], 128");
  decoder.address(in.operands[0], out);
  out.memory.order = Order::acquire;
  out.memory.scope = S;
}

template <Scope S>
void add_tensormap(FormTable& table, const std::string& scope) {
  const char* meaning = "Orders changes of a tensor map; the observers see a fence.";
  table.add({"fence.proxy.tensormap::generic.release." + scope, "", fence, kSection, meaning,
             decode_fence<Order::release, S>});
  table.add(
      {"fence.proxy.tensormap::generic.acquire." + scope, "", fence, kSection, meaning, decode_acquire<S>});
}

}  // namespace

void add_fence_forms(FormTable& table) {
  const char* orders = "Orders memory; execution here is sequentially consistent, observers see the fence.";
  const auto add = [&](const char* name, Decode decode) {
    table.add({name, "", fence, kSection, orders, decode});
  };
  add("membar.cta", decode_fence<Order::seq_cst, Scope::cta>);
  add("membar.gl", decode_fence<Order::seq_cst, Scope::gpu>);
  add("membar.sys", decode_fence<Order::seq_cst, Scope::sys>);
  add("fence.sc.cta", decode_fence<Order::seq_cst, Scope::cta>);
  add("fence.sc.cluster", decode_fence<Order::seq_cst, Scope::cluster>);
  add("fence.sc.gpu", decode_fence<Order::seq_cst, Scope::gpu>);
  add("fence.sc.sys", decode_fence<Order::seq_cst, Scope::sys>);
  add("fence.acq_rel.cta", decode_fence<Order::acq_rel, Scope::cta>);
  add("fence.acq_rel.cluster", decode_fence<Order::acq_rel, Scope::cluster>);
  add("fence.acq_rel.gpu", decode_fence<Order::acq_rel, Scope::gpu>);
  add("fence.acq_rel.sys", decode_fence<Order::acq_rel, Scope::sys>);
  const auto add_proxy = [&](const char* name, Decode decode) {
    table.add({name, "", proxy_fence, kSection,
               "Orders generic accesses before those of the async proxy; the observers see it.", decode});
  };
  add_proxy("fence.proxy.async", decode_proxy<Space::generic>);
  add_proxy("fence.proxy.async.global", decode_proxy<Space::global>);
  add_proxy("fence.proxy.async.shared::cta", decode_proxy<Space::shared>);
  add_proxy("fence.proxy.async.shared::cluster", decode_proxy<Space::shared>);
  table.add({"fence.mbarrier_init.release.cluster", "", fence, kSection,
             "Orders mbarrier.init before what the cluster does after a barrier.", decode_init_fence});
  add_tensormap<Scope::cta>(table, "cta");
  add_tensormap<Scope::cluster>(table, "cluster");
  add_tensormap<Scope::gpu>(table, "gpu");
  add_tensormap<Scope::sys>(table, "sys");
}

}  // namespace attest::vm
