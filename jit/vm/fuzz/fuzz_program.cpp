// libFuzzer: parses its input as PTX and runs the first kernel of what parses, under every schedule, on small
// buffers.
#include <stdexcept>
#include <string_view>

#include "jit/vm/fuzz/small_launch.h"
#include "jit/vm/parse_error.h"
#include "jit/vm/race_observer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attest::vm;
  try {
    const Program program = Program::parse(std::string_view(reinterpret_cast<const char*>(data), size));
    const std::vector<std::string> entries = program.entries();
    if (entries.empty() || program.entry(entries.front()).parameter_bytes > kMostParameters) return 0;
    for (const Schedule schedule : {Schedule::lockstep, Schedule::serial, Schedule::shuffled}) {
      RaceObserver races;
      Observer* const observers[] = {&races};
      try {
        small_launch(program, schedule, observers);
      } catch (const Trap&) {
      } catch (const std::invalid_argument&) {
      }
    }
  } catch (const ParseError&) {
  }
  return 0;
}
