// Runs a kernel of a Program on checked memory, with a schedule that is a parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "jit/vm/memory.h"
#include "jit/vm/program.h"
#include "jit/vm/trap.h"

namespace attest::vm {

class Observer;
class PayloadTable;

// How lanes and warps take turns. All are legal orders: a kernel without races gives the same bits under
// each.
enum class Schedule {
  lockstep,  // lanes with the lowest pc together, a warp until it waits
  serial,    // one lane at a time until it waits; blocks of a cluster from the last to the first
  shuffled,  // random lanes of random warps of several blocks, pre-empted after random counts
             // (LaunchOptions::seed)
};

// What float instructions compute (README.md, Arithmetic).
enum class Arithmetic {
  hw,       // as Hopper rounds
  wide,     // the same, but tensor cores sum in double
  perturb,  // approximate instructions and tensor cores err at random within what is documented of them
            // (LaunchOptions::seed)
  payload,  // elements of an exact algebra instead of floats (LaunchOptions::payload)
};

struct LaunchOptions {
  Dim3 grid{}, block{}, cluster{};
  uint64_t dynamic_shared_bytes = 0;
  Schedule schedule = Schedule::lockstep;
  uint64_t seed = 0;  // of the shuffled schedule and of perturbed arithmetic
  uint64_t instruction_budget = uint64_t{1}
                                << 40;  // lane-instructions per launch; checked every few thousand
  int host_threads = 1;                 // blocks run on this many threads
  bool check_memory = true;  // false: reads of uninitialised bytes are allowed; bounds, permission,
                             // alignment and space are always checked
  Arithmetic arithmetic = Arithmetic::hw;
  PayloadTable* payload = nullptr;  // of payload arithmetic, which demands it and one host thread; launches
                                    // that pass values on through memory share it
};

// Lane- and warp-instructions of the last launch.
struct LaunchStatistics {
  uint64_t lane_instructions = 0;
  uint64_t warp_instructions = 0;
};

// The arguments of a launch as a value; what it refers to must outlive the call.
struct LaunchRequest {
  const Program& program;
  std::string_view entry;
  LaunchOptions options{};
  std::span<const std::byte> params{};
  std::span<Observer* const> observers{};
};

// One device: its memory, and the variables of every module that ran on it.
class Machine {
 public:
  Machine();
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Memory& memory();
  const Memory& memory() const;

  // Runs `entry` to its end. `params` is the kernel's parameter block as the PTX lays it out
  // (EntryInfo::parameters). Throws Trap for what the kernel does wrong, std::invalid_argument for a launch
  // that cannot be: sizes of params or block, an unknown entry, payload arithmetic without a table;
  // CannotCheck (payload.h) for what the arithmetic has no meaning for. After a trap the memory holds what
  // was written until then.
  LaunchStatistics launch(const Program& program, std::string_view entry, const LaunchOptions& options,
                          std::span<const std::byte> params, std::span<Observer* const> observers = {});

  // Two grids of which the second was launched with programmatic stream serialization: every block of
  // `secondary` runs to its griddepcontrol.wait or its end before `primary` begins, and goes on when
  // `primary` has ended. That is earlier than a device lets it begin, and no result of `primary` is visible
  // before griddepcontrol.wait on a device either. One host thread; an observer may watch one of the two.
  // Throws as launch does.
  void launch_dependent(const LaunchRequest& primary, const LaunchRequest& secondary);

  // Device address of a module's .global or .const variable, which is created and initialised on first use.
  // Throws std::invalid_argument for an unknown name.
  uint64_t symbol(const Program& program, std::string_view name);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attest::vm
