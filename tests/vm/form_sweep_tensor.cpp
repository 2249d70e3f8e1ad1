// Evaluators for copies of boxes of tensors: thread 0 moves a box of 32-bit elements, which reaches over the
// tensor's borders, between the block's 4096 bytes of global memory and a tile of shared memory.
#include <algorithm>
#include <array>

#include "form_sweep.h"

namespace attest::vm {
namespace {

// A tensor of each rank that fits into 4096 bytes, and the box's first element.
struct Box {
  std::vector<uint64_t> dims, strides;  // elements; bytes, from dimension 1 on
  std::vector<uint32_t> box, steps;     // elements; every how manieth is moved
  std::vector<int32_t> at;
};
const Box kBoxes[] = {
    {{1000}, {}, {256}, {1}, {860}},
    {{28, 30}, {128}, {16, 16}, {1, 1}, {20, -3}},
    {{12, 5, 9}, {64, 384}, {8, 4, 4}, {1, 2, 1}, {-2, 1, 7}},
    {{8, 3, 4, 5}, {32, 112, 448}, {4, 2, 4, 4}, {1, 1, 1, 1}, {3, 2, -1, 2}},
    {{4, 3, 2, 3, 4}, {16, 48, 112, 352}, {4, 2, 2, 4, 3}, {1, 1, 1, 2, 1}, {-1, 1, 0, 0, 2}},
};

// For each element of the box, in its order in shared memory, the word of global memory; -1: outside.
std::vector<int> words_of(const Box& box) {
  std::vector<int> words;
  std::array<int64_t, 5> i{};
  for (;;) {
    bool inside = true;
    int64_t bytes = 0;
    for (size_t d = 0; d < box.dims.size(); ++d) {
      const int64_t place = box.at[d] + i[d];
      inside = inside && place >= 0 && place < static_cast<int64_t>(box.dims[d]);
      bytes += place * (d ? static_cast<int64_t>(box.strides[d - 1]) : 4);
    }
    words.push_back(inside ? static_cast<int>(bytes / 4) : -1);
    size_t d = 0;
    for (; d < box.dims.size(); ++d) {
      i[d] += box.steps[d];
      if (i[d] < box.box[d]) break;
      i[d] = 0;
    }
    if (d == box.dims.size()) return words;
  }
}

uint64_t combined(const std::string& operation, uint64_t was, uint64_t with) {
  if (operation == "add") return was + with;
  if (operation == "min") return std::min(was, with);
  if (operation == "max") return std::max(was, with);
  if (operation == "inc") return was >= with ? 0 : was + 1;
  if (operation == "dec") return was == 0 || was > with ? with : was - 1;
  if (operation == "and") return was & with;
  if (operation == "or") return was | with;
  return operation == "xor" ? was ^ with : with;
}

// %memory holds x0-x3 and the tile x4-x7 of every thread; %map is the tensor map behind the %memory of all.
const std::string kBegin =
    "{ .shared .align 128 .b8 box[4096]; .shared .align 8 .b8 bar[8]; .reg .b32 %box, %bar, %mine, %cbox, "
    "%cbar; .reg .b64 %map, %policy; .reg .b16 %blocks; .reg .pred %first, %p; mov.u32 %box, box; mov.u32 "
    "%bar, bar; mad.lo.u32 %mine, %thread, 16, %box; mov.b16 %blocks, 1; mul.wide.u32 %map, %thread, 16; "
    "sub.u64 %map, %memory, %map; add.u64 %map, %map, 4096; createpolicy.fractional.L2::evict_last.b64 "
    "%policy, 0f3F800000; mapa.shared::cluster.u32 %cbox, %box, 0; mapa.shared::cluster.u32 %cbar, %bar, 0; "
    "setp.eq.u32 %first, %thread, 0; st.global.v4.b32 [%memory], {%x0, %x1, %x2, %x3}; st.shared.v4.b32 "
    "[%mine], {%x4, %x5, %x6, %x7}; @%first mbarrier.init.shared::cta.b64 [%bar], 1; fence.proxy.async; "
    "bar.sync 0; ";
const std::string kWords = "{%d0, %d1, %d2, %d3}, ";
const std::string kMemory = "ld.global.v4.b32 " + kWords + "[%memory]; }";

}  // namespace

// cp{.reduce}.async.bulk{.prefetch}.tensor.1d to .5d, prefetch.tensormap.
Sweep sweep_tensor(const std::string& form) {
  const bool hint_of_map = form == "prefetch.tensormap";
  if (!contains(form, ".bulk.tensor.") && !contains(form, ".prefetch.tensor.") && !hint_of_map) return {};
  size_t rank = 1;
  while (!hint_of_map && !contains(form, "." + std::to_string(rank) + "d.")) ++rank;
  const Box& box = kBoxes[rank - 1];
  const std::vector<int> words = words_of(box);
  std::string place = "[%map, {";
  for (size_t d = 0; d < rank; ++d) place += (d ? ", " : "") + std::to_string(box.at[d]);
  place += "}]";
  const std::string policy = contains(form, "cache_hint") ? ", %policy; " : "; ";
  const std::string operands = "b32,b32,b32,b32,b32,b32,b32,b32", results = "b32,b32,b32,b32";
  Sweep sweep{form, results, operands, "", nullptr};
  sweep.map = TensorMap{.type = TensorType::u32,
                        .dims = box.dims,
                        .strides = box.strides,
                        .box = box.box,
                        .element_strides = box.steps};
  if (contains(form, "prefetch")) {
    sweep.body = kBegin + "@%first " + form + (hint_of_map ? " [%map]; " : " " + place + policy) + kMemory;
    sweep.evaluate = [](const Thread& x, uint64_t* d) {
      for (size_t i = 0; i < 4; ++i) d[i] = x(i);
    };
  } else if (contains(form, "complete_tx")) {
    const bool many = contains(form, "multicast"), cluster = contains(form, "shared::cluster") && !many;
    sweep.body = kBegin + "@%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], " +
                 std::to_string(4 * words.size()) + "; @%first " + form +
                 (cluster ? " [%cbox], " : " [%box], ") + place + (cluster ? ", [%cbar]" : ", [%bar]") +
                 (many ? ", %blocks" : "") + policy +
                 "$look: mbarrier.try_wait.parity.shared::cta.b64 %p, [%bar], 0; @!%p bra $look; "
                 "ld.shared.v4.b32 " +
                 kWords + "[%mine]; }";
    sweep.evaluate = [words](const Thread& x, uint64_t* d) {
      for (size_t i = 0; i < 4; ++i) {
        const size_t element = 4 * x.index + i;
        if (element >= words.size()) {
          d[i] = x(4 + i);  // behind the box
          continue;
        }
        const int word = words[element];
        d[i] = word < 0 ? 0 : x.of(static_cast<size_t>(word / 4), static_cast<size_t>(word % 4));
      }
    };
  } else {
    std::string operation;  // none: a copy
    if (starts(form, "cp.reduce")) operation = parts_of(form, '.')[8];
    sweep.body = kBegin + "@%first " + form + " " + place + ", [%box]" + policy +
                 "@%first cp.async.bulk.commit_group; @%first cp.async.bulk.wait_group 0; bar.sync 0; " +
                 kMemory;
    std::vector<int> elements(1024, -1);  // of the box, by the word of global memory
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] >= 0) elements[static_cast<size_t>(words[i])] = static_cast<int>(i);
    sweep.evaluate = [elements, operation](const Thread& x, uint64_t* d) {
      for (size_t i = 0; i < 4; ++i) {
        const int element = elements[4 * x.index + i];
        d[i] = low_bits(x(i), 32);
        if (element < 0) continue;
        const uint64_t with = x.of(static_cast<size_t>(element / 4), static_cast<size_t>(4 + element % 4));
        d[i] = combined(operation, d[i], low_bits(with, 32));
      }
    };
  }
  return sweep;
}

}  // namespace attest::vm
