// Evaluators for what synchronises, and for what changes no result.
#include "form_sweep.h"

namespace attest::vm {
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

// Each thread has an mbarrier of its own: two phases, with arrivals and bytes to wait for.
Sweep sweep_mbarrier(const std::string& form) {
  const bool copies = starts(form, "cp.async.mbarrier");
  if (!starts(form, "mbarrier.") && !copies) return {};
  if (contains(form, "cluster") && !contains(form, "shared::cta")) return {};
  if (!contains(form, ".shared") || contains(form, "noComplete") || contains(form, "drop")) return {};
  const std::string space = contains(form, "shared::cta") ? ".shared::cta" : ".shared";
  std::string init = "mbarrier.init", inval = "mbarrier.inval", arrive = "mbarrier.arrive",
              expect = "mbarrier.expect_tx", complete = "mbarrier.complete_tx",
              test = "mbarrier.test_wait.parity";
  for (std::string* each : {&init, &inval, &arrive, &expect, &complete, &test}) *each += space + ".b64";
  std::string second = expect + " [%shared], 16; " + arrive + " _, [%shared]; ";
  bool by_state = false;
  if (starts(form, "mbarrier.arrive.expect_tx"))
    second = form + " _, [%shared], 16; ";
  else if (starts(form, "mbarrier.arrive."))
    arrive = form, second = expect + " [%shared], 16; " + form + " _, [%shared]; ";
  else if (starts(form, "mbarrier.expect_tx"))
    second = form + " [%shared], 16; " + arrive + " _, [%shared]; ";
  else if (starts(form, "mbarrier.complete_tx"))
    complete = form;
  else if (starts(form, "mbarrier.init"))
    init = form;
  else if (starts(form, "mbarrier.inval"))
    inval = form;
  else if (contains(form, "_wait"))
    test = form, by_state = !contains(form, "parity");
  else if (!copies && form != "mbarrier.pending_count.b64")
    return {};
  const std::string begin = "{ .reg .b64 %s; .reg .pred %p; ";
  // try_wait may say no although the phase is over: where the answer must be yes it is asked again.
  const auto look = [&](int result) {
    const std::string number = std::to_string(result);
    const bool again = contains(form, "try_wait") && (result == 2 || result == 4);
    return (again ? "$ask" + number + ": " : "") + test + " %p, [%shared], " + (by_state ? "%s" : "0") +
           "; " + (again ? "@!%p bra $ask" + number + "; " : "") + "selp.b32 %d" + number + ", 1, 0, %p; ";
  };
  if (copies) {
    // Without .noinc the arrival is one more than the barrier was made for.
    const bool counted = contains(form, "noinc");
    return {form, "b32,b32,b32", "b32",
            begin + init +
                " [%shared], 1; st.global.b32 [%memory], %x0; cp.async.ca.shared.global [%shared+8], "
                "[%memory], 4; " +
                form + " [%shared]; " +
                (counted ? "mov.b32 %d0, 0; " : look(0) + arrive + " _, [%shared]; ") + look(1) +
                "ld.shared.b32 %d2, [%shared+8]; }",
            [](const Thread& x, uint64_t* d) {
              d[0] = 0;
              d[1] = 1;
              d[2] = x(0);
            }};
  }
  return {form, "b32,b32,b32,b32,b32", "b32",
          begin + init + " [%shared], 2; " + arrive + " %s, [%shared]; " + look(0) + second + look(1) +
              complete + " [%shared], 16; " + look(2) + "mbarrier.pending_count.b64 %d3, %s; " + inval +
              " [%shared]; " + init + " [%shared], 1; " + arrive + " %s, [%shared]; " + look(4) + "}",
          [](const Thread&, uint64_t* d) {
            d[0] = 0;  // one arrival of two
            d[1] = 0;  // both, but 16 bytes are missing
            d[2] = 1;
            d[3] = 2;  // pending before the first arrival
            d[4] = 1;  // made anew for one arrival, which came
          }};
}

// Fences, prefetches, policies, and what a single grid need not wait for: a value passes unchanged.
Sweep sweep_hint(const std::string& form) {
  const std::vector<std::string> parts = parts_of(form, '.');
  const std::string head = parts[0];
  std::string body;
  if (one_of(head, {"membar", "fence", "griddepcontrol"}) && !contains(form, "proxy")) body = form + ";";
  if (starts(head, "prefetch") && form != "prefetch.tensormap")
    body = contains(form, ".local")
               ? ".local .align 16 .b8 room[16]; .reg .b64 %a; mov.u64 %a, room; " + form + " [%a];"
               : form + " [%memory];";
  if (head == "applypriority") body = ".reg .b64 %a; and.b64 %a, %memory, -128; " + form + " [%a], 128;";
  if (head == "nanosleep") body = form + " 20;";
  if (head == "pmevent") body = form + " 3;";
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

}  // namespace attest::vm
