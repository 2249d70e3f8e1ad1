// Kernels around wgmma for tests, with operands laid out by jit/conformance/wgmma_operands.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "jit/conformance/wgmma_operands.h"
#include "jit/vm/machine.h"
#include "jit/vm/program.h"

namespace attest::vm::wgmma {

using namespace conformance::wgmma;

inline std::string vector_of(const std::string& name, int count, int first = 0) {
  std::string text = "{";
  for (int i = 0; i < count; ++i) text += (i ? ", %" : "%") + name + std::to_string(first + i);
  return text + "}";
}

// One block. The buffer: [words of the shared image], [threads][4] registers %a, [threads][d] registers %d,
// then [threads][d] results. Before the body: the image is in shared memory at 0, %a and %d are loaded, %p1
// is true. After it %d is stored.
struct Kernel {
  uint32_t image_bytes = 0;
  int d = 4;
  std::string body;
  uint32_t threads = 128;
  uint32_t written_bytes = ~0u;  // of the image; the rest is never written
  std::string target = "sm_90a";

  std::string text() const {
    const std::string words = std::to_string(image_bytes / 4),
                      written = std::to_string(std::min(image_bytes, written_bytes));
    std::string load, store;
    for (int i = 0; i < 4; ++i)
      load += "ld.global.b32 %a" + std::to_string(i) + ", [%ga+" + std::to_string(4 * i) + "];\n";
    for (int i = 0; i < d; ++i) {
      load += "ld.global.b32 %d" + std::to_string(i) + ", [%gd+" + std::to_string(4 * i) + "];\n";
      store += "st.global.b32 [%go+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
    }
    const std::string row = std::to_string(4 * d);
    return ".version 8.4\n.target " + target +
           "\n.address_size 64\n.visible .entry k(.param .u64 data)\n{\n"
           ".reg .b32 %t, %s, %w, %lane, %warp, %a<8>, %d<256>, %r<16>; .reg .b64 %g, %ga, %gd, %go, %x, "
           "%da, %db, %dc, %rd<8>; .reg .pred %p<8>;\n"
           ".shared .align 1024 .b8 tile[" +
           std::to_string(image_bytes) +
           "];\n"
           "ld.param.u64 %g, [data];\nmov.u32 %t, %tid.x;\nand.b32 %lane, %t, 31;\nshr.u32 %warp, %t, 5;\n"
           "mul.wide.u32 %x, %t, 16;\nadd.u64 %ga, %g, " +
           std::to_string(image_bytes) + ";\nadd.u64 %gd, %ga, " + std::to_string(16 * threads) +
           ";\nadd.u64 %ga, %ga, %x;\nmul.wide.u32 %x, %t, " + row + ";\nadd.u64 %go, %gd, " +
           std::to_string(uint64_t{4} * static_cast<uint64_t>(d) * threads) +
           ";\nadd.u64 %gd, %gd, %x;\nadd.u64 %go, %go, %x;\n"
           "mov.u32 %s, tile;\nmul.lo.u32 %w, %t, 4;\nsetp.eq.u32 %p1, %t, %t;\n"
           "COPY:\nsetp.ge.u32 %p0, %w, " +
           written +
           ";\n@%p0 bra DONE;\ncvt.u64.u32 %x, %w;\nadd.u64 %x, %x, %g;\nld.global.b32 %r0, [%x];\n"
           "add.u32 %r1, %s, %w;\nst.shared.b32 [%r1], %r0;\nadd.u32 %w, %w, " +
           std::to_string(4 * threads) + ";\nbra COPY;\nDONE:\nbar.sync 0;\n" + load + body + "\n" + store +
           "ret;\n}\n";
  }
};

struct Input {
  std::vector<std::byte> image;
  std::vector<uint32_t> a, d;  // [thread][4], [thread][registers]
};

// The results, [thread][registers]. Throws what the machine throws.
inline std::vector<uint32_t> run(const Kernel& kernel, const Input& input, LaunchOptions options,
                                 std::span<Observer* const> observers = {}) {
  const Program program = Program::parse(kernel.text());
  Machine machine;
  const size_t registers = static_cast<size_t>(kernel.d) * kernel.threads;
  std::vector<uint32_t> words(kernel.image_bytes / 4 + size_t{4} * kernel.threads + 2 * registers);
  std::memcpy(words.data(), input.image.data(), std::min<size_t>(input.image.size(), kernel.image_bytes));
  const size_t a = kernel.image_bytes / 4, d = a + size_t{4} * kernel.threads;
  const auto put = [&](const std::vector<uint32_t>& from, size_t at, size_t most) {
    std::copy_n(from.begin(), std::min(from.size(), most), words.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(input.a, a, size_t{4} * kernel.threads);
  put(input.d, d, registers);
  const uint64_t data = machine.memory().allocate(words.size() * 4, "data");
  machine.memory().write(data, std::as_bytes(std::span(words)));
  options.block = {kernel.threads, 1, 1};
  machine.launch(program, "k", options, std::as_bytes(std::span(&data, 1)), observers);
  machine.memory().read(data, std::as_writable_bytes(std::span(words)));
  return {words.end() - static_cast<std::ptrdiff_t>(registers), words.end()};
}

}  // namespace attest::vm::wgmma
