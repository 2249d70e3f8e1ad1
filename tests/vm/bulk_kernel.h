// Kernels with bulk copies as text, run on a machine of their own.
#pragma once

#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/tensor_map.h"

namespace attest::vm {

struct BulkShape {
  uint32_t threads = 1;
  uint32_t cluster = 1;  // blocks of a cluster
  Schedule schedule = Schedule::lockstep;
  uint64_t seed = 0;
  uint64_t budget = 1u << 22;
  uint32_t clusters = 1;
  int host_threads = 1;
  PayloadTable* payload = nullptr;  // payload arithmetic, if given
};

inline const std::vector<BulkShape> kBulkSchedules = {{.schedule = Schedule::lockstep},
                                                      {.schedule = Schedule::serial},
                                                      {.schedule = Schedule::shuffled, .seed = 1},
                                                      {.schedule = Schedule::shuffled, .seed = 2},
                                                      {.schedule = Schedule::shuffled, .seed = 3},
                                                      {.schedule = Schedule::shuffled, .seed = 4}};

inline constexpr size_t kBulkWords = 16384;  // of the input and the output buffer

struct BulkRan {
  std::vector<uint32_t> out;
  std::optional<Trap> trap;
};

// The entry `k` around a body with %t = tid, %rank = rank in the cluster, %in = input buffer (read-only),
// %out = output buffer, %map = generic address of the tensor map, %s = shared memory of 32768 bytes (aligned
// to 1024), %bar = 64 bytes for barriers.
inline std::string bulk_module(const std::string& body) {
  return ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 p_in, .param .u64 "
         "p_out, .param .align 64 .b8 p_map[128]) {\n"
         ".reg .b32 %r<30>, %t, %s, %bar, %rank; .reg .b64 %in, %out, %map, %rd<12>; .reg .pred %p<9>; .reg "
         ".b16 %h<4>;\n"
         ".shared .align 1024 .b8 tile[32768];\n.shared .align 8 .b8 barriers[64];\n"
         "ld.param.u64 %in, [p_in];\nld.param.u64 %out, [p_out];\nmov.b64 %map, p_map;\n"
         "cvta.param.u64 %map, %map;\nmov.u32 %t, %tid.x;\nmov.u32 %rank, %cluster_ctarank;\n"
         "mov.u32 %s, tile;\nmov.u32 %bar, barriers;\n" +
         body + "\nret;\n}\n";
}

// Runs it. Both buffers begin with the given words; the rest of the input is 1000 + i, of the output zero. A
// map's address is an offset into the input, or into the output with `map_out`.
inline BulkRan run_bulk(const std::string& body, const BulkShape& shape = {}, std::vector<uint32_t> in = {},
                        std::vector<uint32_t> out = {}, std::optional<TensorMap> map = std::nullopt,
                        bool map_out = false, std::span<Observer* const> observers = {}) {
  const Program program = Program::parse(bulk_module(body));
  Machine machine;
  while (in.size() < kBulkWords) in.push_back(1000 + static_cast<uint32_t>(in.size()));
  out.resize(kBulkWords);
  struct {
    uint64_t in, out;
    alignas(64) std::array<std::byte, kTensorMapBytes> map;
  } parameters{};
  parameters.in = machine.memory().allocate(kBulkWords * 4, "in");
  parameters.out = machine.memory().allocate(kBulkWords * 4, "out");
  machine.memory().write(parameters.in, std::as_bytes(std::span(in)));
  machine.memory().protect(parameters.in, Access::read);
  machine.memory().write(parameters.out, std::as_bytes(std::span(out)));
  if (map) {
    map->address += map_out ? parameters.out : parameters.in;
    parameters.map = map->encode();
  }
  LaunchOptions options;
  options.cluster.x = shape.cluster;
  options.grid.x = shape.cluster * shape.clusters;
  options.host_threads = shape.host_threads;
  options.block.x = shape.threads;
  options.schedule = shape.schedule;
  options.seed = shape.seed;
  options.instruction_budget = shape.budget;
  if (shape.payload) options.arithmetic = Arithmetic::payload;
  options.payload = shape.payload;
  BulkRan ran;
  try {
    machine.launch(program, "k", options,
                   std::as_bytes(std::span(&parameters, 1)).first(program.entry("k").parameter_bytes),
                   observers);
  } catch (const Trap& trap) {
    ran.trap.emplace(trap);
  }
  machine.memory().read(parameters.out, std::as_writable_bytes(std::span(out)));
  ran.out = std::move(out);
  return ran;
}

// A barrier for one arrival, made by the only thread.
inline const std::string kMakeBarrier =
    "mbarrier.init.shared::cta.b64 [%bar], 1; fence.proxy.async.shared::cta; ";
inline std::string expect(uint32_t bytes) {
  return "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], " + std::to_string(bytes) + "; ";
}
// Waits for phase 0 (or the one of this parity). `n` makes the label unique.
inline std::string spin(int parity = 0, int n = 0, const std::string& barrier = "%bar") {
  const std::string label = "$spin" + std::to_string(n);
  return label + ": mbarrier.try_wait.parity.shared::cta.b64 %p8, [" + barrier + "], " +
         std::to_string(parity) + "; @!%p8 bra " + label + "; ";
}
// Copies bytes [0, bytes) of the tile to the output, word by word.
inline std::string tile_to_out(uint32_t bytes, uint32_t out_offset = 0) {
  return "mov.u32 %r27, %s; add.u64 %rd11, %out, " + std::to_string(out_offset) + "; add.u32 %r28, %s, " +
         std::to_string(bytes) +
         "; $copy: ld.shared.b32 %r29, [%r27]; st.global.b32 [%rd11], %r29; add.u32 %r27, %r27, 4; add.u64 "
         "%rd11, %rd11, 4; setp.lt.u32 %p7, %r27, %r28; @%p7 bra $copy; ";
}
// Fills bytes [0, bytes) of the tile with words 5000 + i.
inline std::string fill_tile(uint32_t bytes) {
  return "mov.u32 %r27, 0; $fill: add.u32 %r28, %s, %r27; shr.u32 %r29, %r27, 2; add.u32 %r29, %r29, 5000; "
         "st.shared.b32 [%r28], %r29; add.u32 %r27, %r27, 4; setp.lt.u32 %p7, %r27, " +
         std::to_string(bytes) + "; @%p7 bra $fill; fence.proxy.async.shared::cta; ";
}

// The rule of the trap, or no value; its text.
inline std::optional<Rule> rule_of(const std::string& body, const BulkShape& shape = {}) {
  const BulkRan ran = run_bulk(body, shape);
  return ran.trap ? std::optional(ran.trap->rule) : std::nullopt;
}
inline std::string text_of(const std::string& body, const BulkShape& shape = {}) {
  const BulkRan ran = run_bulk(body, shape);
  return ran.trap ? ran.trap->what() : "no trap";
}
inline BulkShape in_cluster(BulkShape shape, uint32_t blocks, uint32_t threads = 1) {
  shape.cluster = blocks;
  shape.threads = threads;
  return shape;
}

}  // namespace attest::vm
