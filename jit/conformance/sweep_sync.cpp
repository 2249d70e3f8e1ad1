// Evaluators for what synchronises, and for what changes no result.
#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

// The word of thread 255 - t, which it stored before the barrier.
const std::string kOther =
    "xor.b32 %o, %thread, 255; sub.s32 %o, %o, %thread; mad.lo.s32 %o, %o, 16, %shared; ld.shared.b32 %d0, "
    "[%o]; ";

}  // namespace

// bar, barrier: exchanges and reductions over the block's 256 threads. barrier.cluster: over two blocks.
Sweep sweep_barrier(const std::string& form) {
  const std::vector<std::string> parts = parts_of(form, '.');
  if (starts(form, "barrier.cluster")) {
    const std::string arrive = parts[2] == "arrive" ? form : "barrier.cluster.arrive";
    const std::string wait = parts[2] == "wait" ? form : "barrier.cluster.wait";
    Sweep sweep{
        form, "b32", "b32",
        "{ .reg .b32 %r, %a; st.shared.b32 [%shared], %x0; " + arrive + "; " + wait +
            "; mov.u32 %r, %cluster_ctarank; xor.b32 %r, %r, 1; mapa.shared::cluster.u32 %a, %shared, %r; "
            "ld.shared::cluster.b32 %d0, [%a]; " +
            arrive + "; " + wait + "; }",
        [](const Thread& x, uint64_t* d) { d[0] = x.of(x.index ^ 256, 0); }};
    sweep.blocks = 2;
    return sweep;
  }
  if (!one_of(parts[0], {"bar", "barrier"}) || contains(form, "warp")) return {};
  if (contains(form, ".red.")) {
    const std::string result = contains(form, ".popc") ? "b32" : "pred";
    return {form, result, "pred,b32", form + " %d0, 3, %x0;", [form](const Thread& x, uint64_t* d) {
              uint64_t holds = 0;
              for (size_t thread = 0; thread < 256; ++thread) holds += x.of(thread, 0) & 1;
              d[0] = contains(form, ".popc") ? holds : contains(form, ".and") ? holds == 256 : holds > 0;
            }};
  }
  const std::string store = "{ .reg .b32 %o; .reg .pred %p; st.shared.b32 [%shared], %x0; ";
  if (contains(form, ".sync"))
    return {form, "b32", "b32", store + form + " 5; " + kOther + "}",
            [](const Thread& x, uint64_t* d) { d[0] = x.of(x.index ^ 255, 0); }};
  // Warps 0 to 3 arrive, warps 4 to 7 wait for them.
  return {form, "b32", "b32",
          store + "mov.b32 %d0, %x0; setp.ge.u32 %p, %thread, 128; @%p bra $wait; " + form +
              " 5, 256; bra $on; $wait: bar.sync 5, 256; " + kOther + "$on: }",
          [](const Thread& x, uint64_t* d) { d[0] = x.index < 128 ? x(0) : x.of(x.index ^ 255, 0); }};
}

// Each thread has an mbarrier of its own: two phases, with arrivals and bytes to wait for. The row's own
// instruction addresses it as the row says: in shared memory, generically, or as one of the cluster's.
Sweep sweep_mbarrier(const std::string& form) {
  const bool copies = starts(form, "cp.async.mbarrier");
  if (!starts(form, "mbarrier.") && !copies) return {};
  const bool cluster = contains(form, "shared::cluster"), drop = contains(form, "arrive_drop");
  const std::string place = cluster ? "[%a]" : contains(form, ".shared") ? "[%shared]" : "[%g]";
  const auto on_shared = [](const std::string& operation) {
    return "mbarrier." + operation + ".shared::cta.b64 ";
  };
  std::string init = on_shared("init") + "[%shared]", inval = on_shared("inval") + "[%shared]",
              first = on_shared("arrive") + "%s, [%shared]", arrive = on_shared("arrive") + "_, [%shared]",
              expect = on_shared("expect_tx") + "[%shared]",
              complete = on_shared("complete_tx") + "[%shared]",
              test = on_shared("test_wait.parity") + "%p, [%shared]";
  std::string second = expect + ", 16; " + arrive + "; ";
  bool by_state = false;
  int arrivals = 1;  // of the first arrive
  if (contains(form, "noComplete"))
    first = form + " %s, " + place + ", 2", arrivals = 2;
  else if (starts(form, "mbarrier.arrive.expect_tx") || starts(form, "mbarrier.arrive_drop.expect_tx"))
    second = form + " _, " + place + ", 16; ";
  else if (starts(form, "mbarrier.arrive")) {
    second = expect + ", 16; " + form + " _, " + place + "; ";
    if (!cluster && !drop) first = form + " %s, " + place;
  } else if (starts(form, "mbarrier.expect_tx"))
    second = form + " " + place + ", 16; " + arrive + "; ";
  else if (starts(form, "mbarrier.complete_tx"))
    complete = form + " " + place;
  else if (starts(form, "mbarrier.init"))
    init = form + " " + place;
  else if (starts(form, "mbarrier.inval"))
    inval = form + " " + place;
  else if (contains(form, "_wait"))
    test = form + " %p, " + place, by_state = !contains(form, "parity");
  else if (!copies && form != "mbarrier.pending_count.b64")
    return {};
  const std::string begin =
      "{ .reg .b64 %s, %g; .reg .b32 %a; .reg .pred %p; cvt.u64.u32 %g, %shared; cvta.shared.u64 %g, %g; "
      "mapa.shared::cluster.u32 %a, %shared, 0; ";
  // try_wait may say no although the phase is over: where the answer must be yes it is asked again.
  const auto look = [&](int result) {
    const bool again = contains(form, "try_wait") && (result == 2 || result == 4);
    const std::string statement = test + ", " + (by_state ? "%s" : "0") + "; ";
    return (again ? asked_until(statement) : statement) + "selp.b32 %d" + std::to_string(result) +
           ", 1, 0, %p; ";
  };
  if (copies) {
    // Without .noinc the arrival is one more than the barrier was made for.
    const bool counted = contains(form, "noinc");
    return {form, "b32,b32,b32", "b32",
            begin + init +
                ", 1; st.global.b32 [%memory], %x0; cp.async.ca.shared.global [%shared+8], [%memory], 4; " +
                form + " " + place + "; " + (counted ? "mov.b32 %d0, 0; " : look(0) + arrive + "; ") +
                look(1) + "ld.shared.b32 %d2, [%shared+8]; }",
            [](const Thread& x, uint64_t* d) {
              d[0] = 0;
              d[1] = 1;
              d[2] = x(0);
            }};
  }
  const std::string next = on_shared("test_wait.parity") + "%p, [%shared], 1; selp.b32 %d5, 1, 0, %p; ";
  return {form, "b32,b32,b32,b32,b32,b32", "b32",
          begin + init + ", " + std::to_string(arrivals + 1) + "; " + first + "; " + look(0) + second +
              look(1) + complete + ", 16; " + look(2) + "mbarrier.pending_count.b64 %d3, %s; " + arrive +
              "; " + next + inval + "; " + init + ", 1; " + on_shared("arrive") + "%s, [%shared]; " +
              look(4) + "}",
          [=](const Thread&, uint64_t* d) {
            d[0] = 0;  // all arrivals but one
            d[1] = 0;  // all, but 16 bytes are missing
            d[2] = 1;
            d[3] = static_cast<uint64_t>(arrivals) + 1;  // pending before the first arrival
            d[4] = 1;                                    // made anew for one arrival, which came
            d[5] = drop;  // who dropped out leaves one arrival to the next phase
          }};
}

// Fences, prefetches, policies, and what a single grid need not wait for: a value passes unchanged.
Sweep sweep_hint(const std::string& form) {
  const std::vector<std::string> parts = parts_of(form, '.');
  const std::string head = parts[0];
  std::string body;
  if (one_of(head, {"membar", "fence", "griddepcontrol"}) && !contains(form, "proxy")) body = form + ";";
  if (starts(form, "fence.proxy."))  // the fence that acquires names 128 bytes
    body = contains(form, "generic.acquire")
               ? ".reg .b64 %a; and.b64 %a, %memory, -128; " + form + " [%a], 128;"
               : form + ";";
  if (starts(head, "prefetch") && form != "prefetch.tensormap")
    body = contains(form, ".local")
               ? ".local .align 16 .b8 room[16]; .reg .b64 %a; mov.u64 %a, room; " + form + " [%a];"
               : form + " [%memory];";
  if (head == "applypriority") body = ".reg .b64 %a; and.b64 %a, %memory, -128; " + form + " [%a], 128;";
  if (head == "nanosleep") body = form + " 20;";
  if (head == "pmevent") body = form + " 3;";
  if (head == "setmaxnreg")  // one gives back what the other takes
    body = "setmaxnreg.dec.sync.aligned.u32 64; setmaxnreg.inc.sync.aligned.u32 72;";
  if (head == "discard")  // the bytes are gone: written again behind a barrier
    body = ".reg .b64 %a; and.b64 %a, %memory, -128; bar.sync 0; " + form +
           " [%a], 128; bar.sync 0; st.global.b32 [%memory], %x0;";
  if (head == "createpolicy")
    return {form, "b32", "b32",
            "{ .reg .b64 %policy; st.global.b32 [%memory], %x0; " + form +
                " %policy, 0f3F000000; ld.global.L2::cache_hint.b32 %d0, [%memory], %policy; }",
            [](const Thread& x, uint64_t* d) { d[0] = x(0); }};
  if (body.empty()) return {};
  return {form, "b32", "b32", "{ st.global.b32 [%memory], %x0; " + body + " ld.global.b32 %d0, [%memory]; }",
          [](const Thread& x, uint64_t* d) { d[0] = x(0); }};
}

}  // namespace attest::conformance
