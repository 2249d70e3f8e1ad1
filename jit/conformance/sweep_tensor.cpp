// Evaluators for copies of boxes of tensors: thread 0 moves a box, which reaches over the tensor's borders,
// between the block's 4096 bytes of global memory and a tile of shared memory.
#include <algorithm>
#include <array>

#include "jit/conformance/sweep.h"

namespace attest::conformance {
namespace {

constexpr size_t kTileBytes = 4096;

// A tensor that fits into 4096 bytes, and the box's first element.
struct Box {
  std::vector<uint64_t> dims, strides;  // elements; bytes, from dimension 1 on
  std::vector<uint32_t> box, steps;     // elements; every how manieth is moved
  std::vector<int32_t> at;
  vm::TensorType type = vm::TensorType::u32;
  vm::Swizzle swizzle = vm::Swizzle::none;
  vm::TensorFill fill = vm::TensorFill::zeros;
};
// One of each rank.
const Box kBoxes[] = {
    {{1000}, {}, {256}, {1}, {860}},
    {{28, 30}, {128}, {16, 16}, {1, 1}, {20, -3}},
    {{12, 5, 9}, {64, 384}, {8, 4, 4}, {1, 2, 1}, {-2, 1, 7}},
    {{8, 3, 4, 5}, {32, 112, 448}, {4, 2, 4, 4}, {1, 1, 1, 1}, {3, 2, -1, 2}},
    {{4, 3, 2, 3, 4}, {16, 48, 112, 352}, {4, 2, 2, 4, 3}, {1, 1, 1, 2, 1}, {-1, 1, 0, 0, 2}},
};

// Where the byte of a tile stands: PTX ISA, swizzling modes. The 16-byte units of a row of 128 bytes are
// permuted by the row's number (128B), half of it (64B) or a quarter (32B).
size_t place_in_tile(size_t byte, vm::Swizzle swizzle) {
  const size_t row = byte / 128, unit = byte / 16 % 8;
  size_t change = 0;
  if (swizzle == vm::Swizzle::b128) change = row % 8;
  if (swizzle == vm::Swizzle::b64) change = row % 4;
  if (swizzle == vm::Swizzle::b32) change = row % 2;
  return 128 * row + 16 * (unit ^ change) + byte % 16;
}

constexpr int kOutside = -1, kUntouched = -2;

struct Layout {
  std::vector<int> tile;  // for each byte of the tile, the byte of global memory; outside; or not in the box
  std::vector<int> memory;  // for each byte of global memory, the byte of the tile, or not in the box
  uint64_t bytes = 0;       // of the box
};

Layout layout_of(const Box& box) {
  Layout layout{std::vector<int>(kTileBytes, kUntouched), std::vector<int>(kTileBytes, kUntouched), 0};
  const auto element = static_cast<int64_t>(vm::element_bytes(box.type));
  std::array<int64_t, 5> i{};
  for (;;) {
    bool inside = true;
    int64_t from = 0;
    for (size_t d = 0; d < box.dims.size(); ++d) {
      const int64_t place = box.at[d] + i[d];
      inside = inside && place >= 0 && place < static_cast<int64_t>(box.dims[d]);
      from += place * (d ? static_cast<int64_t>(box.strides[d - 1]) : element);
    }
    for (int64_t byte = from; byte < from + element; ++byte) {
      const size_t at = place_in_tile(layout.bytes++, box.swizzle);
      layout.tile[at] = inside ? static_cast<int>(byte) : kOutside;
      if (inside) layout.memory[static_cast<size_t>(byte)] = static_cast<int>(at);
    }
    size_t d = 0;
    for (; d < box.dims.size(); ++d) {
      i[d] += box.steps[d];
      if (i[d] < box.box[d]) break;
      i[d] = 0;
    }
    if (d == box.dims.size()) return layout;
  }
}

// Byte `at` of the 4096 that all threads' four operands from `first` on are.
uint64_t byte_of(const Thread& x, size_t first, size_t at) {
  return low_bits(x.of(at / 16, first + at % 16 / 4) >> (8 * (at % 4)), 8);
}
uint64_t element_of(const Thread& x, size_t first, size_t at, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i) value |= byte_of(x, first, at + i) << (8 * i);
  return value;
}

// Global memory holds x0-x3, the tile x4-x7.
void loaded(const Layout& layout, const Thread& x, uint64_t* d) {
  for (size_t i = 0; i < 16; ++i) {
    const int from = layout.tile[16 * x.index + i];
    const uint64_t byte = from == kOutside     ? 0
                          : from == kUntouched ? byte_of(x, 4, 16 * x.index + i)
                                               : byte_of(x, 0, static_cast<size_t>(from));
    d[i / 4] = (i % 4 ? d[i / 4] : 0) | byte << (8 * (i % 4));
  }
}

// `operation` empty: a copy.
void stored(const Layout& layout, vm::TensorType type, const std::string& operation, const Thread& x,
            uint64_t* d) {
  for (size_t i = 0; i < 4; ++i) d[i] = low_bits(x(i), 32);
  const size_t bytes = vm::element_bytes(type);
  for (size_t at = 16 * x.index; at < 16 * (x.index + 1); at += bytes) {
    if (layout.memory[at] < 0) continue;
    const auto tile = static_cast<size_t>(layout.memory[at]);
    uint64_t value = element_of(x, 4, tile, bytes);
    if (!operation.empty())
      value = reduced_element(operation, std::string(vm::name_of(type)), element_of(x, 0, at, bytes), value);
    for (size_t i = 0; i < bytes; ++i) {
      const size_t shift = 8 * ((at + i) % 4), word = (at + i) % 16 / 4;
      d[word] = (d[word] & ~(uint64_t{0xff} << shift)) | low_bits(value >> (8 * i), 8) << shift;
    }
  }
}

// %memory holds x0-x3 and the tile x4-x7 of every thread; %map is the tensor map behind the %memory of all.
const std::string kBegin =
    "{ .shared .align 1024 .b8 box[4096]; .shared .align 8 .b8 bar[8]; .reg .b32 %box, %bar, %mine, %cbox, "
    "%cbar; .reg .b64 %map, %policy; .reg .b16 %blocks; .reg .pred %first, %p; mov.u32 %box, box; mov.u32 "
    "%bar, bar; mad.lo.u32 %mine, %thread, 16, %box; mov.b16 %blocks, 1; mul.wide.u32 %map, %thread, 16; "
    "sub.u64 %map, %memory, %map; add.u64 %map, %map, 4096; createpolicy.fractional.L2::evict_last.b64 "
    "%policy, 0f3F800000; mapa.shared::cluster.u32 %cbox, %box, 0; mapa.shared::cluster.u32 %cbar, %bar, 0; "
    "setp.eq.u32 %first, %thread, 0; st.global.v4.b32 [%memory], {%x0, %x1, %x2, %x3}; st.shared.v4.b32 "
    "[%mine], {%x4, %x5, %x6, %x7}; @%first mbarrier.init.shared::cta.b64 [%bar], 1; fence.proxy.async; "
    "bar.sync 0; ";
const std::string kWords = "{%d0, %d1, %d2, %d3}, ";
const std::string kMemory = "ld.global.v4.b32 " + kWords + "[%memory]; }";
const std::string kWait = asked_until("mbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], 0;");

Sweep sweep_box(const std::string& form, const Box& box) {
  const Layout layout = layout_of(box);
  std::string place = "[%map, {";
  for (size_t d = 0; d < box.at.size(); ++d) place += (d ? ", " : "") + std::to_string(box.at[d]);
  place += "}]";
  const std::string policy = contains(form, "cache_hint") ? ", %policy; " : "; ";
  Sweep sweep{form, repeated("b32", 4), repeated("b32", 8), "", nullptr};
  sweep.map = vm::TensorMap{.type = box.type,
                            .dims = box.dims,
                            .strides = box.strides,
                            .box = box.box,
                            .element_strides = box.steps,
                            .swizzle = box.swizzle,
                            .fill = box.fill};
  if (contains(form, "prefetch")) {
    const bool of_map = form == "prefetch.tensormap";
    sweep.body = kBegin + "@%first " + form + (of_map ? " [%map]; " : " " + place + policy) + kMemory;
    sweep.evaluate = [](const Thread& x, uint64_t* d) {
      for (size_t i = 0; i < 4; ++i) d[i] = x(i);
    };
  } else if (contains(form, "complete_tx")) {
    const bool many = contains(form, "multicast"), cluster = contains(form, "shared::cluster") && !many;
    sweep.body = kBegin + "@%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], " +
                 std::to_string(layout.bytes) + "; @%first " + form + (cluster ? " [%cbox], " : " [%box], ") +
                 place + (cluster ? ", [%cbar]" : ", [%bar]") + (many ? ", %blocks" : "") + policy + kWait +
                 "ld.shared.v4.b32 " + kWords + "[%mine]; }";
    // The PTX ISA does not say which NaN stands outside.
    if (box.fill == vm::TensorFill::zeros)
      sweep.evaluate = [layout](const Thread& x, uint64_t* d) { loaded(layout, x, d); };
  } else {
    std::string operation;
    if (starts(form, "cp.reduce")) operation = parts_of(form, '.')[8];
    sweep.body = kBegin + "@%first " + form + " " + place + ", [%box]" + policy +
                 "@%first cp.async.bulk.commit_group; @%first cp.async.bulk.wait_group 0; bar.sync 0; " +
                 kMemory;
    // How a tensor's floats are rounded, flushed and which NaN they give is not documented.
    if (operation.empty() || !contains(std::string(vm::name_of(box.type)), "f"))
      sweep.evaluate = [layout, type = box.type, operation](const Thread& x, uint64_t* d) {
        stored(layout, type, operation, x, d);
      };
  }
  return sweep;
}

}  // namespace

// cp{.reduce}.async.bulk{.prefetch}.tensor.1d to .5d, prefetch.tensormap.
Sweep sweep_tensor(const std::string& form) {
  const bool hint_of_map = form == "prefetch.tensormap";
  if (!contains(form, ".bulk.tensor.") && !contains(form, ".prefetch.tensor.") && !hint_of_map) return {};
  size_t rank = 1;
  while (!hint_of_map && !contains(form, "." + std::to_string(rank) + "d.")) ++rank;
  return sweep_box(form, kBoxes[rank - 1]);
}

// Every swizzle, element type, fill and typed reduction.
std::vector<Sweep> tensor_variants() {
  using enum vm::TensorType;
  std::vector<Sweep> sweeps;
  const auto add = [&](const std::string& row, const std::string& variant, const Box& box) {
    sweeps.push_back(sweep_box(row, box));
    sweeps.back().covers += "/" + variant;
  };
  const std::string load = "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes",
                    store = "cp.async.bulk.tensor.2d.global.shared::cta.bulk_group";
  struct Width {
    const char* name;
    vm::Swizzle swizzle;
    uint32_t words;
  };
  for (const Width& width : {Width{"32B", vm::Swizzle::b32, 8}, Width{"64B", vm::Swizzle::b64, 16},
                             Width{"128B", vm::Swizzle::b128, 32}}) {
    Box box{{30, 31}, {128}, {width.words, 26}, {1, 1}, {2, 7}};
    box.swizzle = width.swizzle;
    add(load, width.name, box);
    add(store, width.name, box);
    box = {{30, 5, 6}, {128, 640}, {width.words, 4, 4}, {1, 1, 1}, {0, 2, 3}};
    box.swizzle = width.swizzle;
    add("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes", width.name, box);
  }
  for (const vm::TensorType type : {u8, u16, s32, u64, s64, f16, bf16, f32, f64}) {
    const uint32_t bytes = vm::element_bytes(type), across = 64 / bytes;
    Box box{{112 / bytes, 30}, {128}, {across, 16}, {1, 1}, {static_cast<int32_t>(80 / bytes), -3}};
    box.type = type;
    const std::string name(vm::name_of(type));
    add(load, name, box);
    add(store, name, box);
    if (!contains(name, "f")) continue;
    box.fill = vm::TensorFill::nan;
    add(load, name + "-nan", box);
  }
  struct Reduction {
    const char* operation;
    std::vector<vm::TensorType> types;
  };
  for (const Reduction& reduction :
       {Reduction{"add", {s32, u64, f16, bf16, f32}}, Reduction{"min", {s32, u64, s64, f16, bf16}},
        Reduction{"max", {s32, u64, s64, f16, bf16}}})
    for (const vm::TensorType type : reduction.types) {
      const uint32_t bytes = vm::element_bytes(type);
      Box box{{112 / bytes, 30}, {128}, {64 / bytes, 16}, {1, 1}, {static_cast<int32_t>(80 / bytes), -3}};
      box.type = type;
      add("cp.reduce.async.bulk.tensor.2d.global.shared::cta." + std::string(reduction.operation) +
              ".bulk_group",
          std::string(vm::name_of(type)), box);
    }
  return sweeps;
}

}  // namespace attest::conformance
