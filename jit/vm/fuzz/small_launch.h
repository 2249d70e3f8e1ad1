// A kernel of whatever shape on small buffers: how fuzzers, and the test of their seeds, launch it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/tensor_map.h"

namespace attest::vm {

inline constexpr uint64_t kSmallBuffer = 4096;
inline constexpr size_t kMostParameters = 4096, kMapParameter = 64;  // bytes

// Every 8 bytes of the parameter block are the address of an initialised buffer, because most kernels take
// pointers; 64 bytes on stands the tensor map of the first buffer, 16 x 8 words in boxes of 8 x 4.
inline std::vector<std::byte> small_parameters(Machine& machine, size_t bytes) {
  const std::vector<std::byte> content(kSmallBuffer, std::byte{3});
  std::vector<std::byte> parameters(bytes);
  TensorMap map;
  for (size_t at = 0; at + 8 <= bytes && at < kMapParameter; at += 8) {
    const uint64_t address = machine.memory().allocate(kSmallBuffer, "buffer");
    machine.memory().write(address, content);
    std::memcpy(parameters.data() + at, &address, sizeof address);
    if (at == 0) map.address = address;
  }
  if (bytes < kMapParameter + kTensorMapBytes) return parameters;
  map.type = TensorType::u32;
  map.dims = {16, 8};
  map.strides = {64};
  map.box = {8, 4};
  map.element_strides = {1, 1};
  const std::array<std::byte, kTensorMapBytes> encoded = map.encode();
  std::memcpy(parameters.data() + kMapParameter, encoded.data(), encoded.size());
  return parameters;
}

// Two blocks of 128 threads run the first kernel; a second one is the primary that it depends on, which
// nobody observes. Throws
// Trap, or std::invalid_argument for a launch that cannot be.
inline void small_launch(const Program& program, Schedule schedule, std::span<Observer* const> observers) {
  const std::vector<std::string> entries = program.entries();
  Machine machine;
  const std::vector<std::byte> parameters =
      small_parameters(machine, program.entry(entries.front()).parameter_bytes);
  LaunchOptions options;
  options.grid = {2, 1, 1};
  options.block = {128, 1, 1};
  options.dynamic_shared_bytes = 1024;
  options.schedule = schedule;
  options.instruction_budget = 1 << 19;
  if (entries.size() == 1) {
    machine.launch(program, entries.front(), options, parameters, observers);
  } else {
    machine.launch_dependent({program, entries[1], options, parameters, {}},
                             {program, entries[0], options, parameters, observers});
  }
}

}  // namespace attest::vm
