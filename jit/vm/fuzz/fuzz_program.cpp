// libFuzzer: parses its input as PTX and runs the first kernel of what parses, under every schedule, on small
// buffers.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "jit/vm/machine.h"
#include "jit/vm/race_observer.h"

namespace attest::vm {
namespace {

constexpr uint64_t kBufferBytes = 4096;

// Every 8 bytes of the parameter block are the address of an initialised buffer: most of our kernels take
// pointers.
void run(const Program& program, const std::string& entry, Schedule schedule) {
  Machine machine;
  const std::vector<std::byte> content(kBufferBytes, std::byte{3});
  std::vector<std::byte> parameters(program.entry(entry).parameter_bytes);
  for (size_t at = 0; at + 8 <= parameters.size() && at < 64; at += 8) {
    const uint64_t address = machine.memory().allocate(kBufferBytes, "buffer");
    machine.memory().write(address, content);
    std::memcpy(parameters.data() + at, &address, sizeof address);
  }
  LaunchOptions options;
  options.grid = {2, 1, 1};
  options.block = {64, 1, 1};
  options.dynamic_shared_bytes = 1024;
  options.schedule = schedule;
  options.instruction_budget = 1 << 16;
  RaceObserver races;
  Observer* const observers[] = {&races};
  try {
    machine.launch(program, entry, options, parameters, observers);
  } catch (const Trap&) {
  } catch (const std::invalid_argument&) {  // a launch that cannot be
  }
}

}  // namespace
}  // namespace attest::vm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attest::vm;
  try {
    const Program program = Program::parse(std::string_view(reinterpret_cast<const char*>(data), size));
    const std::vector<std::string> entries = program.entries();
    if (entries.empty() || program.entry(entries.front()).parameter_bytes > 4096) return 0;
    for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled})
      run(program, entries.front(), schedule);
  } catch (const ParseError&) {
  }
  return 0;
}
