// Short kernels as text, run on a machine of their own.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/program.h"

namespace attest::vm {

// A module with one entry `k(.param .u64 data)`. The body has %d = data, %t = %tid.x, registers %r<16>,
// %rd<16>, %f<16>, %p<8>.
inline std::string module_with(const std::string& body, const std::string& before = "") {
  return ".version 8.0\n.target sm_90\n.address_size 64\n" + before +
         "\n.visible .entry k(.param .u64 data)\n{\n.reg .b64 %d;\n.reg .b32 %t;\n.reg .b32 %r<16>;\n.reg "
         ".b64 %rd<16>;\n"
         ".reg .f32 %f<16>;\n.reg .pred %p<8>;\nld.param.u64 %d, [data];\nmov.u32 %t, %tid.x;\n" +
         body + "\nret;\n}\n";
}

struct Ran {
  std::vector<uint32_t> data;
  std::optional<Trap> trap;
  LaunchStatistics statistics;
};

// Runs it on a buffer "data" of the given words.
inline Ran run_kernel(const std::string& ptx, std::vector<uint32_t> words, const LaunchOptions& options,
                      std::span<Observer* const> observers = {}, Access access = Access::read_write) {
  const Program program = Program::parse(ptx);
  Machine machine;
  const uint64_t data = machine.memory().allocate(words.size() * 4, "data", access);
  machine.memory().write(data, std::as_bytes(std::span(words)));
  Ran ran;
  try {
    ran.statistics = machine.launch(program, "k", options, std::as_bytes(std::span(&data, 1)), observers);
  } catch (const Trap& trap) {
    ran.trap.emplace(trap);
  }
  machine.memory().read(data, std::as_writable_bytes(std::span(words)));
  ran.data = std::move(words);
  return ran;
}

}  // namespace attest::vm
